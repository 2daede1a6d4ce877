"""What a run shows while it goes on: lines, or on a terminal a board that is always up to date."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from bwbuild.build.record.summary import Line
from bwbuild.cli.corpus_words import conclusion, of_build, sorted_counts
from bwbuild.cli.terminal import LIFE_SIGN_PAUSE, is_smart, print_lines, rich_console
from bwbuild.corpus.pool import Running
from bwbuild.corpus.schedule import Start
from bwbuild.corpus.values import Build, Job, Run, Verdict
from bwbuild.units import human_size, stopwatch

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text


class Lines:
    """A listener that writes a line for each job that begins or ends, with the time of day."""

    def __init__(self, run: Run) -> None:
        self._all = len(run.builds)
        self._done = sum(build.verdict is not Verdict.LEFT for build in run.builds)
        self._last_line = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def started(self, job: Job, start: Start) -> None:
        """Say that a job begins, and what is out of the ordinary about it."""
        self._line(Line(f"{job.key}: begins"))
        if start.alone:
            needs = human_size(job.demand.memory)
            self._line(Line(f"{job.key}: takes {needs}, more than there is, and is built alone", "yellow"))

    def ended(self, builds: Sequence[Build]) -> None:
        """Say what came of jobs."""
        for build in builds:
            self._done += build.verdict is not Verdict.LEFT
            line = of_build(build)
            self._line(Line(f"[{self._done}/{self._all}] {line.text}", line.style))

    def tick(self, running: Sequence[Running], waiting: int) -> None:
        """A sign of life, where nothing else was said for a while: CI systems end what is silent."""
        now = time.monotonic()
        if now - self._last_line >= LIFE_SIGN_PAUSE:
            doing = ", ".join(f"{item.job.key} ({stopwatch(now - item.since)})" for item in running)
            self._line(Line(f"still building {doing}; {waiting} wait"))

    def conclude(self, run: Run) -> None:
        """Say how it ended."""
        print_lines(conclusion(run), sys.stdout)

    def _line(self, line: Line) -> None:
        self._last_line = time.monotonic()
        stamped = Line(f"{datetime.now().astimezone():%H:%M:%S} {line.text}", line.style)
        print_lines([stamped], sys.stderr)


class Board(Lines):
    """A board that is always up to date, with failures above it."""

    def __init__(self, run: Run, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(run)
        self._clock = clock
        self._console = rich_console(sys.stderr)
        self._counts: Counter[Verdict] = Counter(
            build.verdict for build in run.builds if build.verdict is not Verdict.LEFT
        )
        self._running: Sequence[Running] = ()
        self._waiting = 0
        self._places = 1
        self._walls: list[float] = []
        self._live: Live | None = None

    def __enter__(self) -> Board:
        from rich.live import Live  # noqa: PLC0415 - only a board needs it

        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        # A run that is killed would leave the shell without a cursor.
        self._console.show_cursor(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the board away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def started(self, job: Job, start: Start) -> None:
        """Say only what is out of the ordinary."""
        if start.alone:
            super().started(job, start)

    def ended(self, builds: Sequence[Build]) -> None:
        """Say what is not as it should be; the rest is in the counts."""
        for build in builds:
            if build.verdict is Verdict.LEFT:
                continue
            self._counts[build.verdict] += 1
            self._walls.append(build.wall)
            if build.verdict is not Verdict.PASSED:
                self._line(of_build(build))

    def tick(self, running: Sequence[Running], waiting: int) -> None:
        """Take in how far the builds are."""
        self._running, self._waiting = running, waiting
        self._places = max(self._places, len(running))

    def rows(self, height: int) -> list[tuple[str, str, str, str]]:
        """Of each build that runs, the longest first: name, step, time and memory; at most ``height``."""
        now = self._clock()
        longest = sorted(self._running, key=lambda item: item.since)
        return [
            (
                item.job.key,
                item.progress.step,
                stopwatch(now - item.since),
                human_size(item.progress.memory) if item.progress.memory else "",
            )
            for item in longest[:height]
        ]

    def summary(self) -> str:
        """The last line: what is done, what is left and how long that may take."""
        done = [f"{number} {verdict.value}" for verdict, number in sorted_counts(self._counts)]
        parts = [*done, f"{len(self._running)} running", f"{self._waiting} waiting"]
        left = self._left()
        return "  ".join([*parts, f"about {stopwatch(left)} left"] if left else parts)

    def _left(self) -> float:
        """Seconds, if the others take what those took that have ended; 0 where nothing is known yet."""
        if not self._walls:
            return 0.0
        typical = sum(self._walls) / len(self._walls)
        return typical * (self._waiting + len(self._running) / 2) / self._places

    def _render(self) -> Table:
        from rich.table import Table  # noqa: PLC0415 - as above

        table = Table(box=None, show_header=False, expand=True, padding=(0, 1))
        for name, ratio in (("name", 3), ("step", 4)):
            table.add_column(name, ratio=ratio, no_wrap=True, overflow="ellipsis")
        for name in ("time", "memory"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in self.rows(max(1, self._console.height - 3)):
            table.add_row(*map(escaped, row))
        grid = Table.grid(expand=True)
        grid.add_row(table)
        grid.add_row(escaped(self.summary()))
        return grid

    def _line(self, line: Line) -> None:
        self._console.print(escaped(line.text), style=line.style or None, soft_wrap=True)


def escaped(text: str) -> Text:
    """``text`` for rich, as it is."""
    from rich.text import Text  # noqa: PLC0415 - as above

    return Text(text, no_wrap=True, overflow="ellipsis")


def board(run: Run) -> Lines:
    """What fits standard error: a board on a terminal, lines elsewhere and in CI."""
    return Board(run) if is_smart(sys.stderr) and not os.environ.get("CI") else Lines(run)
