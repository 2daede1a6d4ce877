"""What a run shows while it goes on: lines, or on a terminal a board that is always up to date."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType

from bwbuild.build.summary import Line
from bwbuild.cli.corpus_words import conclusion, of_build
from bwbuild.cli.terminal import LIFE_SIGN_PAUSE, print_lines
from bwbuild.corpus.pool import Running
from bwbuild.corpus.schedule import Start
from bwbuild.corpus.values import Build, Job, Run
from bwbuild.units import human_size, stopwatch


class Lines:
    """A listener that writes a line for each job that begins or ends, with the time of day."""

    def __init__(self, run: Run) -> None:
        self._all = len(run.builds)
        self._done = sum(build.verdict.value != "left" for build in run.builds)
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
            self._done += build.verdict.value != "left"
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


def board(run: Run) -> Lines:
    """What fits the terminal."""
    return Lines(run)
