"""What is told while inputs are read, as the log has it later."""

from __future__ import annotations

from bwbuild.build.record.reading import FETCH, INSTALL, KEPT, UPDATE, Recorder, shortened, with_versions
from bwbuild.events import Event, Field, Level, Notice, Section, Text


def notice(text: str) -> Notice:
    return Notice(Level.INFO, text)


def test_events_come_in_the_order_of_the_log() -> None:
    said: list[Notice] = []
    recorder = Recorder(said.append)
    told: tuple[Event, ...] = (
        *(notice("before"), Section(FETCH), notice("unpacking"), Section(INSTALL), Text("apt")),
        *(Section(UPDATE), Field("Base", "x"), Section(FETCH), Section("Heading", 3), notice("more")),
    )
    for event in told:
        recorder(event)
    events = recorder.told({}).events
    assert [event.title if isinstance(event, Section) else event for event in events] == [
        notice("before"),
        *(UPDATE, Field("Base", "x")),
        *(FETCH, notice("unpacking"), "Heading", notice("more")),
        *(INSTALL, Text("apt")),
    ]
    assert said == [notice("before"), notice("unpacking"), notice("more")]


def test_nothing_told_is_no_section() -> None:
    assert Recorder(lambda _: None).told({}).events == ()


def test_a_long_text_loses_its_middle() -> None:
    lines = "".join(f"line {number}\n" for number in range(100))
    text = shortened(lines, 30).split("\n")
    assert text == [
        *("line 0", "line 1", "line 2", "line 3"),
        "[739 characters are left out here]",
        *("line 97", "line 98", "line 99"),
    ]
    assert shortened(lines, 500) == lines.rstrip("\n")
    assert shortened("x" * 100, 20) == f"{'x' * 20}\n[60 characters are left out here]\n{'x' * 20}"


def test_what_apt_writes_is_bounded() -> None:
    recorder = Recorder(lambda _: None)
    recorder(Text("Get:1 x\n" * KEPT))
    (event,) = recorder.told({}).events
    assert isinstance(event, Text)
    assert KEPT < len(event.text) < 2 * KEPT + 100


def test_passwords_of_a_mirror_stay_out_of_the_log() -> None:
    recorder = Recorder(lambda _: None)
    recorder(Text("Get:1 https://joe:secret@m.example.org/debian hello\nGet:2 http://m.example.org x@y"))
    assert recorder.told({}).events == (
        Text("Get:1 https://m.example.org/debian hello\nGet:2 http://m.example.org x@y"),
    )


def test_packages_with_versions() -> None:
    packages = {"make:amd64": "4.3", "libc6:i386": "2.36", "libc6:amd64": "2.36", "gcc:amd64": "4:12.2"}
    assert with_versions(packages) == "gcc_4:12.2 libc6_2.36 make_4.3"
    assert with_versions({}) == ""
