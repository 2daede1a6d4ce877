from __future__ import annotations

import io
import os
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bwbuild.build.record.history import Estimate
from bwbuild.build.record.report import Artifact, Failure, Report, Resources
from bwbuild.build.scan import Excerpt
from bwbuild.cli.terminal import (
    LIFE_SIGN_PAUSE,
    STEP_PAUSE,
    LiveTerminal,
    PlainTerminal,
    Terminal,
    VerboseTerminal,
    show_error,
    show_report,
    terminal,
)
from bwbuild.config.settings import Verbosity
from bwbuild.errors import BuildError, BwbuildError, ExitStatus
from bwbuild.events import Event, Field, Level, Notice, Output, Section, Step, Text, Usage
from bwbuild.process import run

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
SUCCESS = Report(
    status=ExitStatus.SUCCESS,
    job="hello",
    started=NOON,
    finished=NOON,
    source="hello",
    source_version="2.10-3",
    resources=Resources(wall=17.7),
    artifacts=(Artifact("hello_2.10-3_amd64.deb", 53000, "a" * 64),),
    log=Path("/out/[bold]hello.build"),
)
HOSTILE = "\x1b]0;pwned\x07[red]no markup[/red] :smile: \x9b31m"
SHOWN = "\\x1b]0;pwned\\x07[red]no markup[/red] :smile: \\x9b31m"
FAILED = replace(
    SUCCESS,
    status=ExitStatus.BUILD_FAILED,
    artifacts=(),
    failure=Failure(HOSTILE, HOSTILE, (HOSTILE,), Excerpt("dh_x", "", (HOSTILE,), (HOSTILE,), ())),
)

#: What rich sends to move the cursor and to colour.
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Tty(io.StringIO):
    """A terminal that remembers what was sent to it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        """What was sent, without the sequences."""
        return SEQUENCE.sub("", self.getvalue())


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _smart_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def without_times(text: str) -> list[str]:
    return [re.sub(r"^\d\d:\d\d:\d\d ", "T ", line) for line in text.splitlines()]


def test_the_kind_fits_the_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(terminal(Verbosity.QUIET, Tty())) is Terminal
    assert type(terminal(Verbosity.VERBOSE, Tty())) is VerboseTerminal
    assert type(terminal(Verbosity.NORMAL, Tty())) is LiveTerminal
    assert type(terminal(Verbosity.NORMAL, io.StringIO())) is PlainTerminal
    for dumb in ("dumb", "unknown", ""):
        monkeypatch.setenv("TERM", dumb)
        assert type(terminal(Verbosity.NORMAL, Tty())) is PlainTerminal
    monkeypatch.delenv("TERM")
    assert type(terminal(Verbosity.NORMAL, Tty())) is PlainTerminal


def test_quiet_shows_errors_only() -> None:
    stream = io.StringIO()
    with terminal(Verbosity.QUIET, stream) as quiet:
        quiet.announce("hello")
        events: list[Event] = [Section("Build"), Step("dh_a"), Notice(Level.WARNING, "w")]
        for event in (*events, Notice(Level.ERROR, HOSTILE)):
            quiet(event)
    assert stream.getvalue() == f"bwbuild: error: {SHOWN}\n"


def test_plain_lines() -> None:
    stream = io.StringIO()
    with PlainTerminal(stream) as plain:
        plain.announce("hello 2.10-3", Estimate(125.0))
        plain(Section("Build"))
        plain(Section("dpkg-buildpackage", 3))
        plain(Field("Package", "hello"))
        plain(Text("contents"))
        plain(Output(b"gcc\n"))
        plain(Notice(Level.INFO, "i"))
        plain(Notice(Level.WARNING, HOSTILE))
        plain(Step("dh_auto_build"))
    assert without_times(stream.getvalue()) == [
        "T hello 2.10-3, about 2 min 05 s",
        "T Build",
        "bwbuild: i",
        f"bwbuild: warning: {SHOWN}",
        "T   dh_auto_build",
    ]


def test_plain_lines_are_not_chatty() -> None:
    stream, clock = io.StringIO(), Clock()
    plain = PlainTerminal(stream, clock)
    plain(Step("dh_prep"))
    plain(Step("dh_auto_install"))
    clock.now += STEP_PAUSE - 1
    plain(Step("dh_link"))
    clock.now += 1
    plain(Step("dh_strip"))
    plain(Step("dh_md5sums"))
    assert without_times(stream.getvalue()) == ["T   dh_auto_install", "T   dh_strip"]


def test_a_long_silence_is_broken() -> None:
    stream, clock = io.StringIO(), Clock()
    plain = PlainTerminal(stream, clock)
    plain(Step("dh_auto_test"))
    clock.now += LIFE_SIGN_PAUSE - 1
    plain(Usage(300 << 20, 4))
    clock.now += 1
    plain(Usage(300 << 20, 4))
    plain(Usage(300 << 20, 4))
    assert without_times(stream.getvalue()) == [
        "T   dh_auto_test",
        "T   still in dh_auto_test (5:00, 300 MiB)",
    ]


def test_verbose_streams_the_log() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with VerboseTerminal(stream) as verbose:
        verbose(Field("Package", "hello"))
        verbose(Output(b"\x1b[31mred \xff\r"))
        verbose(Output(b"\nend"))
    assert stream.buffer.getvalue() == b"Package: hello\n\\x1b[31mred \xff\nend\n"  # type: ignore[attr-defined]


def test_a_reader_that_goes_away_does_not_end_the_build() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream, VerboseTerminal(stream) as verbose:
        for _ in range(3):
            verbose(Output(b"text\n"))


def test_the_live_line_and_what_is_above_it() -> None:
    stream, clock = Tty(), Clock()
    with LiveTerminal(stream, clock) as live:
        # Whatever ends the program, the cursor is not left hidden.
        assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")
        live.announce(f"hello {HOSTILE}")
        live(Notice(Level.WARNING, HOSTILE))
        live(Section("Verify"))
        live(Output(b"build text"))
        shown = live.status(75.0, 120)
        with live.suspended():
            stream.write("PINENTRY\n")
    assert shown == f"hello {SHOWN}  Verify  1:15"
    assert f"bwbuild: warning: {SHOWN}" in stream.text()
    assert "build text" not in stream.text()
    assert "\x1b]" not in stream.getvalue()
    assert "\x9b" not in stream.getvalue()


def test_what_the_live_line_says() -> None:
    live = LiveTerminal(Tty())
    live.announce("hello 2.10-3", Estimate(100.0, (("dh_auto_build", 10.0), ("dh_auto_test", 60.0))))
    live(Section("Build"))
    live(Step("dh_auto_build"))
    live(Usage(212 << 20, 7))
    assert live.status(20.0, 100) == "hello 2.10-3  dh_auto_build  0:20  212 MiB  about 1:20 left"
    assert live.status(500.0, 100) == "hello 2.10-3  dh_auto_build  8:20  212 MiB  about 0:40 left"
    live(Step("dh_auto_test"))
    assert live.status(500.0, 100) == "hello 2.10-3  dh_auto_test  8:20  212 MiB"


def test_a_narrow_line_keeps_what_matters() -> None:
    live = LiveTerminal(Tty())
    live.announce("hello 2.10-3", Estimate(100.0))
    live(Step("dh_auto_build"))
    live(Usage(212 << 20, 7))
    widths = (60, 50, 40, 20, 10, 0, -3)
    assert [live.status(20.0, width) for width in widths] == [
        "hello 2.10-3  dh_auto_build  0:20  212 MiB  about 1:20 left",
        "dh_auto_build  0:20  212 MiB  about 1:20 left",
        "dh_auto_build  0:20  about 1:20 left",
        "dh_auto_build  0:20",
        "dh_auto_bu",
        "",
        "",
    ]


def test_the_live_line_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    stream = Tty()
    with LiveTerminal(stream) as live:
        live.announce("x" * 500)
    # One line feed at most takes the line away in the end.
    assert stream.getvalue().count("\n") <= 1


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    def errors_on_terminal() -> str:
        stream = Tty()
        terminal(Verbosity.QUIET, stream)(Notice(Level.ERROR, "e"))
        return stream.getvalue()

    assert "31m" in errors_on_terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in errors_on_terminal()


def test_the_report_says_the_same_on_a_terminal_and_in_a_file() -> None:
    for report in (SUCCESS, FAILED):
        tty, file = Tty(), io.StringIO()
        show_report(report, Verbosity.NORMAL, tty)
        show_report(report, Verbosity.NORMAL, file)
        assert tty.text() == file.getvalue()
        assert "[bold]hello.build" in file.getvalue()


def test_a_hostile_report_sends_nothing_but_rich_own_sequences() -> None:
    tty = Tty()
    show_report(FAILED, Verbosity.NORMAL, tty)
    assert tty.text().count(SHOWN) == 5
    assert all(line.isprintable() for line in tty.text().splitlines())


def test_checksums_fit_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tty = Tty()
    show_report(SUCCESS, Verbosity.NORMAL, tty)
    assert "a" * 12 + "…" in tty.text()


def test_a_quiet_success_is_one_line() -> None:
    stream = io.StringIO()
    show_report(SUCCESS, Verbosity.QUIET, stream)
    assert stream.getvalue() == "bwbuild: hello 2.10-3: built in 18 s\n"
    show_report(FAILED, Verbosity.QUIET, stream)
    assert "Last lines of the output:" in stream.getvalue()


def test_success_goes_to_stdout_and_failure_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(SUCCESS, Verbosity.NORMAL)
    assert capsys.readouterr().err == ""
    show_report(FAILED, Verbosity.NORMAL)
    assert capsys.readouterr().out == ""


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(BuildError(HOSTILE, hint="try\x07 this", details=["one", "\x1b[2J"]))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"bwbuild: error: {SHOWN}\n  one\n  \\x1b[2J\nhint: try\\x07 this\n"
    show_error(BwbuildError("short"))
    assert capsys.readouterr().err == "bwbuild: error: short\n"


@pytest.mark.parametrize("kind", ["file", "terminal"])
def test_a_stream_that_can_not_encode_a_name(kind: str) -> None:
    class Ascii(io.TextIOWrapper):
        def isatty(self) -> bool:
            return kind == "terminal"

    stream = Ascii(io.BytesIO(), encoding="ascii")
    show_report(replace(SUCCESS, log=Path("/häuser/log")), Verbosity.NORMAL, stream)
    assert b"/h\\xe4user/log" in stream.buffer.getvalue()  # type: ignore[attr-defined]


def test_without_a_terminal_rich_is_not_imported() -> None:
    code = (
        "import sys, io; from bwbuild.cli import terminal as t; from bwbuild.errors import BuildError;"
        "from bwbuild.events import *; from bwbuild.config.settings import Verbosity; s = io.StringIO();"
        "x = t.terminal(Verbosity.NORMAL, s); x(Section('a')); x(Notice(Level.ERROR, 'b'));"
        "t.show_error(BuildError('m'));"
        "print([m for m in sys.modules if m.split('.')[0] in ('rich', 'psutil')])"
    )
    assert run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).text == "[]"
