"""What a build shows on the terminal: progress while it runs, the outcome at its end, errors.

All text that comes from a package is shown without its control characters and never read as markup.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from bwbuild.build.record.escaping import visible
from bwbuild.build.record.log import LogFormat
from bwbuild.build.record.summary import Line, headline, outcome
from bwbuild.config.settings import Verbosity
from bwbuild.errors import BwbuildError
from bwbuild.events import Event, Level, Notice, Section, Step, Usage
from bwbuild.units import human_duration, human_size, stopwatch

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from bwbuild.build.record.history import Estimate
    from bwbuild.build.record.report import Report

#: Without a live line: a step that is not one of the long ones is shown after so many seconds without a line,
STEP_PAUSE = 10.0
#: and a sign of life after so many, because CI systems end what is silent.
LIFE_SIGN_PAUSE = 300.0

_LONG_STEPS = ("dh_auto_", "debian/rules", "dpkg-source", "override_dh_auto_")
_STYLES = {Level.INFO: "", Level.WARNING: "yellow", Level.ERROR: "bold red"}
_WORDS = {Level.INFO: "", Level.WARNING: "warning: ", Level.ERROR: "error: "}
_SPINNERS = ("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\")
_FRAMES_PER_SECOND = 4


class Terminal:
    """An observer and context manager that shows a build; this one shows errors only, for ``--quiet``.

    :param stream: where progress goes.
    :param clock: seconds that never go back.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._title = ""
        self._estimate: Estimate | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def announce(self, title: str, estimate: Estimate | None = None) -> None:
        """Say what is built and how long that may take, when it is known."""
        self._title = visible(title)
        self._estimate = estimate

    def __call__(self, event: Event) -> None:
        """Show what of ``event`` is to be shown."""
        if isinstance(event, Notice) and event.level is Level.ERROR:
            print_lines([_notice_line(event)], self._stream)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the terminal to another program, such as one that asks for a passphrase."""
        yield


class PlainTerminal(Terminal):
    """Lines with the time of day, for a log of CI or a terminal that can't move its cursor."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, clock)
        self._last_line = clock()
        self._step = ""

    def announce(self, title: str, estimate: Estimate | None = None) -> None:
        """Say it as a line."""
        super().announce(title, estimate)
        self._line(f"{self._title}{f', about {human_duration(estimate.seconds)}' if estimate else ''}")

    def __call__(self, event: Event) -> None:
        """Show sections, notices, the long steps, and a sign of life."""
        silence = self._clock() - self._last_line
        match event:
            case Notice():
                print_lines([_notice_line(event)], self._stream)
            case Section(title, level) if level <= 2:
                self._line(visible(title))
            case Step(name):
                self._step = visible(name)
                if name.startswith(_LONG_STEPS) or silence >= STEP_PAUSE:
                    self._line(f"  {self._step}")
            case Usage(memory) if silence >= LIFE_SIGN_PAUSE:
                elapsed = stopwatch(self._clock() - self._started)
                self._line(f"  still in {self._step or 'progress'} ({elapsed}, {human_size(memory)})")

    def _line(self, text: str) -> None:
        self._last_line = self._clock()
        print_lines([Line(f"{datetime.now().astimezone():%H:%M:%S} {text}")], self._stream)


class VerboseTerminal(Terminal):
    """The log as it is written, for ``--verbose``.

    When the reader of the stream goes away the rest is dropped: the build goes on, and the log file has it.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, clock)
        self._format = LogFormat(lambda: datetime.now(UTC))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the last line."""
        self._write(self._format.end_line())

    def __call__(self, event: Event) -> None:
        """Show ``event`` in the form of the log."""
        self._write(self._format.render(event))

    def _write(self, data: bytes) -> None:
        if not data:
            return
        try:
            self._stream.flush()
            self._stream.buffer.write(data)
            self._stream.buffer.flush()
        except BrokenPipeError:
            # Python would complain at its end about what it still could not flush.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


class LiveTerminal(Terminal):
    """One line that is always up to date, with notices above it."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, clock)
        self._console = rich_console(stream)
        self._doing = ""
        self._step = ""
        self._memory = 0
        self._spinner = _SPINNERS[0 if self._console.encoding.startswith("utf") else 1]
        self._live: Live | None = None

    def __enter__(self) -> LiveTerminal:
        from rich.live import Live  # noqa: PLC0415 - only a live line needs it

        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Show notices above the line; the rest changes what the line says."""
        match event:
            case Notice():
                line = _notice_line(event)
                self._console.print(_text(line), soft_wrap=True)
            case Section(title, level) if level <= 2:
                self._doing, self._step = visible(title), ""
            case Step(name):
                self._doing = self._step = visible(name)
            case Usage(memory):
                self._memory = memory

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Take the line away for a while."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        if self._live is not None:
            self._live.start()
            # A build that is stopped with ^Z or killed would leave the shell without a cursor.
            self._console.show_cursor(True)

    def _render(self) -> Text:
        now = self._clock()
        frame = self._spinner[int(now * _FRAMES_PER_SECOND) % len(self._spinner)]
        return _text(Line(f"{frame} {self.status(now - self._started, self._console.width - 3)}"))

    def status(self, elapsed: float, width: int) -> str:
        """What the line says after ``elapsed`` seconds, cut to ``width`` columns: what matters least goes."""
        left = self._estimate.remaining(self._step, elapsed) if self._estimate else 0.0
        parts = [
            (0, self._title),
            (4, self._doing),
            (3, stopwatch(elapsed)),
            (1, human_size(self._memory) if self._memory else ""),
            (2, f"about {stopwatch(left)} left" if left >= 1 else ""),
        ]
        parts = [part for part in parts if part[1]]
        while len(parts) > 1 and len("  ".join(text for _, text in parts)) > width:
            parts.remove(min(parts))
        return "  ".join(text for _, text in parts)[: max(0, width)]


def terminal(verbosity: Verbosity, progress: TextIO | None = None, log: TextIO | None = None) -> Terminal:
    """The way to show a build that fits the streams.

    :param progress: standard error unless given.
    :param log: where ``--verbose`` streams the log; standard output unless given.
    """
    progress = progress or sys.stderr
    if verbosity is Verbosity.QUIET:
        return Terminal(progress)
    if verbosity is Verbosity.VERBOSE:
        return VerboseTerminal(log or sys.stdout)
    return LiveTerminal(progress) if is_smart(progress) else PlainTerminal(progress)


def show_report(report: Report, verbosity: Verbosity, stream: TextIO | None = None) -> None:
    """Say how a build ended.

    :param stream: unless given, standard output after a success, else standard error.
    """
    stream = stream or (sys.stdout if report.succeeded else sys.stderr)
    if report.succeeded and verbosity is Verbosity.QUIET:
        print_lines([headline(report)], stream)
        return
    width = rich_console(stream).width if is_smart(stream) else None
    print_lines(outcome(report, width), stream)


def show_error(error: BwbuildError) -> None:
    """Say on standard error what went wrong, with its details and the hint."""
    lines = [Line(f"bwbuild: error: {visible(error.message)}", "bold red")]
    lines += [Line(f"  {visible(detail)}".rstrip()) for detail in error.details]
    if error.hint:
        lines.append(Line(f"hint: {visible(error.hint)}", "bold"))
    print_lines(lines, sys.stderr)


def print_lines(lines: Iterable[Line], stream: TextIO) -> None:
    """Write ``lines``, with their styles where the stream is a terminal that has them."""
    # What the stream can't encode, such as a name in UTF-8 in the C locale, must not end the build.
    encoding = stream.encoding or "utf-8"
    encodable = [
        Line(line.text.encode(encoding, "backslashreplace").decode(encoding), line.style) for line in lines
    ]
    if is_smart(stream):
        console = rich_console(stream)
        for line in encodable:
            console.print(_text(line), soft_wrap=True)
    else:
        stream.write("".join(f"{line.text}\n" for line in encodable))
        stream.flush()


def _notice_line(notice: Notice) -> Line:
    return Line(f"bwbuild: {_WORDS[notice.level]}{visible(notice.text)}", _STYLES[notice.level])


def is_smart(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}


def rich_console(stream: TextIO) -> Console:
    """rich's view of a stream, without markup of its own."""
    from rich.console import Console  # noqa: PLC0415 - 50 ms and 6 MB that only a terminal needs

    return Console(file=stream, markup=False, highlight=False, emoji=False)


def _text(line: Line) -> Text:
    from rich.text import Text  # noqa: PLC0415 - as above

    return Text(line.text, style=line.style, no_wrap=True, overflow="crop")


def show_progress(notice: Notice, verbosity: Verbosity = Verbosity.NORMAL) -> None:
    """Say what goes on before there is a log, where somebody may be waiting; warnings in any case."""
    if notice.level is not Level.INFO or (sys.stderr.isatty() and verbosity is not Verbosity.QUIET):
        show_notice(notice)


def show_notice(notice: Notice) -> None:
    """Say one sentence on standard error."""
    print_lines([_notice_line(notice)], sys.stderr)
