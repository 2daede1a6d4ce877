from __future__ import annotations

import errno
import os
import re
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bwbuild.build.record.escaping import Escaper, escape, visible
from bwbuild.build.record.log import BOX_WIDTH, LogFile, LogFormat, LogTitle, boxed, cannot_write
from bwbuild.errors import OutputError
from bwbuild.events import Event, Field, Level, Notice, Output, Section, Step, Text, Usage

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
TITLE = LogTitle("hello", "1:2.10-3", "amd64")

#: What a terminal would act on, whether it reads UTF-8 or single bytes: those are surrogates here.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f\u2028\u2029]")

HOSTILE = (
    b"\x1b]0;title\x07\x1b[2J plain \xc3\xa4\xe2\x82\xac \xff\xfe\x9b \xc2\x9b31m \xc2\xa0 a\r\n"
    b"b\rc\r\r\n\tT\n"
    b"\x00\x08\x7f\xc2\xc2\x85\xc2"
)


def has_control(data: bytes) -> bool:
    return CONTROL.search(data.decode("utf-8", "surrogateescape")) is not None


def noon() -> datetime:
    return NOON


def rendered(*events: Event) -> bytes:
    form = LogFormat(noon)
    return b"".join(form.render(event) for event in events) + form.end_line()


def test_controls_become_visible_and_the_rest_stays() -> None:
    text = escape(HOSTILE)
    assert not has_control(text)
    assert text.startswith(
        rb"\x1b]0;title\x07\x1b[2J plain " + "ä€ ".encode() + b"\xff\xfe" + rb"\x9b \x9b31m "
    )
    assert b"\xc2\xa0 a\nb\\x0dc\\x0d\n\tT\n" in text
    assert text.endswith(b"\\x00\\x08\\x7f\xc2\\x85\xc2")


def test_every_byte_but_the_controls_survives_alone() -> None:
    for code in range(0x100):
        byte = bytes((code,))
        assert (escape(byte) == byte) != has_control(byte)


def test_a_part_of_a_character_is_no_control() -> None:
    text = "€ ć 😀 \u00a0 \u6f22\u5b57".encode()
    assert escape(text) == text
    assert escape(b"\xe2\x9b31m \xe2\x80\xa8 \xf0\x9f\x98") == rb"%b\x9b31m \u2028 %b\x9f\x98" % (
        b"\xe2",
        b"\xf0",
    )


@pytest.mark.parametrize("size", range(1, 12))
def test_chunks_may_end_anywhere(size: int) -> None:
    escaper = Escaper()
    chunks = [HOSTILE[start : start + size] for start in range(0, len(HOSTILE), size)]
    assert b"".join(map(escaper.feed, chunks)) + escaper.flush() == escape(HOSTILE)


def test_what_is_held_back_does_not_swallow_what_follows() -> None:
    assert (
        rendered(Output(b"50%\r"), Output(b"\n"), Output(b"a\xc2"), Notice(Level.INFO, "x"))
        == b"50%\na\xc2\nI: x\n"
    )
    assert rendered(Output(b"50%\r"), Notice(Level.INFO, "x")) == b"50%\\x0d\nI: x\n"


def test_visible_is_one_line() -> None:
    assert visible("a\n\tb\x1b[0m\udcff") == "a  b\\x1b[0m\\xff"
    assert visible(b"\xc3\xa4\xff\xc2\x85") == "ä\\xff\\x85"
    assert visible("a\u202eb\u2066c\u2028d\u200be\U000e0041") == (
        "a\\u202eb\\u2066c\\u2028d\\u200be\\U000e0041"
    )


def test_one_long_line_is_fast_and_needs_little_memory() -> None:
    form = LogFormat(noon)
    chunk = Output(b"x" * 65536)
    start = time.process_time()
    for _ in range(400):
        form.render(chunk)
    # 26 MB: a hundredth of what is reached, so that a busy machine does not fail the test.
    assert time.process_time() - start < 4
    tracemalloc.start()
    for _ in range(50):
        form.render(chunk)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_boxes_have_the_shape_that_readers_expect() -> None:
    assert rendered(Section("Build")).decode().splitlines() == [
        "",
        "+" + "-" * 78 + "+",
        "| Build                                                                        |",
        "+" + "-" * 78 + "+",
        "",
    ]
    assert rendered(Section("Finished", 3)) == b"\nFinished\n--------\n\n"
    assert rendered(Section("x", 1)).decode().splitlines()[1] == "+" + "=" * 78 + "+"


@pytest.mark.parametrize("length", [1, 44, 45, 46, BOX_WIDTH, 300])
def test_a_long_title_does_not_break_its_box(length: int) -> None:
    for when in (None, NOON):
        _, top, line, bottom, _ = boxed("t" * length, when, "-").splitlines()
        assert top == bottom
        assert len(line) == len(top) >= 80
        assert line.startswith(f"| {'t' * length}")
        assert line.endswith(" |")


def test_a_title_can_not_draw_boxes() -> None:
    assert len(rendered(Section("a\n+---+\x1b[1m")).splitlines()) == 5


def test_lines_of_our_own() -> None:
    assert rendered(Field("Package", "hello")) == b"Package: hello\n"
    assert rendered(Field("Needs", "a\nStatus: successful")) == b"Needs: a\n Status: successful\n"
    assert rendered(Notice(Level.WARNING, "one\ntwo")) == b"W: one\nW: two\n"
    assert rendered(Text("a\n\x1bb")) == b"a\n\\x1bb\n"
    assert rendered(Step("dh_auto_build"), Usage(1, 1)) == b""


def test_our_own_lines_begin_a_line() -> None:
    assert rendered(Output(b"no end"), Section("X", 3)) == b"no end\n\nX\n-\n\n"
    assert rendered(Output(b"end\n"), Field("A", "b")) == b"end\nA: b\n"
    assert rendered(Output(b"no end"), Output(b""), Usage(1, 1), Output(b".")) == b"no end.\n"


FORGED = b"""\
bwbuild: signed with 0123456789ABCDEF
Status: successful
Fail-Stage: none
+------------------------------------------------------------------------------+
| Summary                                                                      |
+------------------------------------------------------------------------------+
+==+
| x |\x20
\xe2\x80\x8bbwbuild: hidden beginning
"""
HONEST = b"""\
I: pybuild base:240: python3 setup.py build
checking Status: none
 bwbuild: indented
+-----+-----+
| one | two |
| #define X 1
+++ b/file
Statusbar
"""


def test_lines_like_our_own_are_marked() -> None:
    assert rendered(Output(FORGED)) == b"".join(b"> " + line for line in FORGED.splitlines(keepends=True))
    assert rendered(Output(HONEST)) == HONEST
    # What a package holds, such as a field of its own in the .changes.
    assert rendered(Text("Version: 1\nStatus: successful")) == b"Version: 1\n> Status: successful\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
def test_marks_whatever_the_chunks(size: int) -> None:
    data = HONEST + FORGED + b"+---" + HONEST + FORGED[:-1]
    chunks = [Output(data[start : start + size]) for start in range(0, len(data), size)]
    assert rendered(*chunks) == rendered(Output(data))


def test_what_may_be_forged_is_held_for_a_moment_only() -> None:
    form = LogFormat(noon)
    for data, told in (
        (b"progress ", b"progress "),
        (b"bwbuild: no beginning\n", b"bwbuild: no beginning\n"),
        (b"Stat", b""),
        (b"e", b"State"),
        (b"\n", b"\n"),
        (b"| Summary", b""),
        (b" |\n", b"> | Summary |\n"),
        (b"+--", b""),
        (b"+-", b"+--+-"),
    ):
        assert form.render(Output(data)) == told
    assert form.render(Notice(Level.INFO, "x")) == b"\nI: x\n"
    form.render(Output(b"| Summary |"))
    assert form.render(Notice(Level.INFO, "x")) == b"> | Summary |\nI: x\n"
    assert len(form.render(Output(b"|" + b"x" * 100000))) > 100000


def test_the_name_has_no_epoch_and_no_slash() -> None:
    assert TITLE.stem == "hello_2.10-3_amd64"
    assert LogTitle("hello", "", "amd64").stem == "hello_amd64"
    assert LogTitle("../../x", "1:../y", "amd64").stem == ".._.._x_.._y_amd64"


def test_file_and_link(tmp_path: Path) -> None:
    with LogFile(TITLE, tmp_path, noon) as log:
        log(Field("Package", "hello"))
        log(Output(b"last line"))
        assert (tmp_path / "hello_2.10-3_amd64.build").read_bytes().endswith(b"\nlast line")
    assert log.path == tmp_path / "hello_2.10-3_amd64-2026-01-31T12:00:00Z.build"
    link = tmp_path / "hello_2.10-3_amd64.build"
    assert str(link.readlink()) == log.path.name
    lines = log.path.read_text().splitlines()
    assert re.fullmatch(r"bwbuild \(bwbuild \S+\) on \S+", lines[0])
    assert lines[3] == "| hello 1:2.10-3 (amd64)                       Sat, 31 Jan 2026 12:00:00 +0000 |"
    assert lines[5:] == ["", "Package: hello", "last line"]


def test_a_second_build_gets_its_own_file_and_the_link(tmp_path: Path) -> None:
    with LogFile(TITLE, tmp_path, noon) as first, LogFile(TITLE, tmp_path, noon) as second:
        pass
    assert first.path != second.path
    assert (tmp_path / "hello_2.10-3_amd64.build").resolve() == second.path
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_that_can_not_be_made_is_a_warning_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "hello_2.10-3_amd64.build").mkdir()
    with LogFile(TITLE, tmp_path, noon) as log:
        pass
    assert "\nW: the symbolic link " in log.path.read_text()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_path_of_the_users_own_has_no_link(tmp_path: Path) -> None:
    path = tmp_path / "my.log"
    path.write_text("old " * 1000)
    with LogFile(TITLE, path, noon) as log:
        log(Notice(Level.INFO, "x"))
    assert path.read_text().endswith("\n\nI: x\n")
    assert "old" not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error_with_a_hint() -> None:
    with pytest.raises(OutputError) as caught, LogFile(TITLE, Path("/dev/full"), noon):
        pass
    assert caught.value.message == "can't write /dev/full: No space left on device"
    assert "make room" in caught.value.hint


def test_a_failure_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with LogFile(TITLE, tmp_path, noon) as log:
        with monkeypatch.context() as patch:
            patch.setattr("os.write", full)
            with pytest.raises(OutputError):
                log(Output(b"a"))
        log(Notice(Level.ERROR, "the log is full"))
    assert "full" not in log.path.read_text()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr("os.write", lambda descriptor, data: write(descriptor, data[:7]))
        with LogFile(TITLE, tmp_path, noon) as log:
            log(Output(b"0123456789" * 10))
    assert log.path.read_bytes().endswith(b"0123456789" * 10 + b"\n")


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no/such"), LogFile(TITLE, tmp_path / "no/such/log", noon):
        pass


def test_an_unknown_error_still_has_a_hint() -> None:
    assert (
        cannot_write(Path("a\x1bb"), OSError(errno.EIO, "I/O error")).message
        == "can't write a\\x1bb: I/O error"
    )
    assert cannot_write(Path("a"), OSError()).hint
