"""Many jobs at once on this machine: which one begins when, in a thread each, until all have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

from bwbuild.corpus.schedule import Load, Room, Start, Waiting, next_start, ordered, passed
from bwbuild.corpus.values import Build, Job
from bwbuild.corpus.watch import NO_PROGRESS, Progress, Stop, Watch

#: Seconds between two looks at the machine's memory, and at how far the jobs are.
TICK = 0.25

#: Carries a job out with so many commands at once, tells how far it is, and returns what came of it.
Builder = Callable[[Job, int, Watch], Build]


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs: since when, by a clock that never goes back, and how far it is."""

    job: Job
    share: int
    since: float
    progress: Progress = NO_PROGRESS


class Listener(Protocol):
    """Who wants to know; all is called from the thread that runs the pool."""

    def started(self, job: Job, start: Start) -> None:
        """A job begins."""

    def ended(self, builds: Sequence[Build]) -> None:
        """Jobs have ended, or were left."""

    def tick(self, running: Sequence[Running], waiting: int) -> None:
        """Some time has gone by, or something happened."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What all jobs have in common.

    :ivar available: bytes of the machine's memory that nobody has.
    """

    room: Room
    builder: Builder
    available: Callable[[], int]

    def run(self, jobs: Sequence[Job], listener: Listener, stop: Stop) -> None:
        """Carry out all ``jobs``, or until somebody wants it to stop; then those that run are waited for.

        Whatever a builder or the listener raises stops the others, and is raised in the end.
        """
        with ThreadPoolExecutor(self.room.jobs, thread_name_prefix="job") as threads:
            state = _State(self, jobs, listener, stop, threads)
            try:
                state.go_on()
            except BaseException:
                if not stop.asked:
                    stop.ask()
                state.wait()
                raise


class _State:
    """The jobs of one pool while they run."""

    def __init__(
        self, pool: Pool, jobs: Sequence[Job], listener: Listener, stop: Stop, threads: ThreadPoolExecutor
    ) -> None:
        self._pool = pool
        self._listener = listener
        self._stop = stop
        self._threads = threads
        self._waiting = [Waiting(job) for job in ordered(jobs)]
        self._running: dict[str, Running] = {}
        self._progress: dict[str, Progress] = {}
        self._done: SimpleQueue[tuple[Job, Future[Build]]] = SimpleQueue()
        self._available = (0.0, 0)

    def go_on(self) -> None:
        """Until nothing runs, and nothing waits or is to be begun."""
        self._tell([], self._begin())
        while self._running:
            self._listener.tick(self._now(), len(self._waiting))
            builds, failure = self._results(self._pause())
            # What is to be written down waits for the disk, and the next builds need not.
            self._tell(builds, [] if failure else self._begin())
            if failure is not None:
                raise failure

    def wait(self) -> None:
        """Until nothing runs; what comes of it is lost."""
        while self._running:
            for job, _ in self._pause():
                del self._running[job.key]

    def _tell(self, builds: Sequence[Build], starts: Sequence[Start]) -> None:
        if builds:
            self._listener.ended(builds)
        for start in starts:
            self._listener.started(start.job, start)

    def _begin(self) -> list[Start]:
        """Begin what fits."""
        starts: list[Start] = []
        while not self._stop.asked:
            start = next_start(self._waiting, self._loads(), self._pool.room, self._free())
            if start is None:
                break
            starts.append(start)
            passed(self._waiting, start.index)
            job = start.job
            self._running[job.key] = Running(job, start.share, time.monotonic())
            watch = Watch(partial(self._progress.__setitem__, job.key), self._stop)
            future = self._threads.submit(self._pool.builder, job, start.share, watch)
            future.add_done_callback(partial(self._ended, job))
        return starts

    def _ended(self, job: Job, future: Future[Build]) -> None:
        self._done.put((job, future))

    def _pause(self) -> list[tuple[Job, Future[Build]]]:
        """What has ended meanwhile: all of it, so that it can be written down at once."""
        found = []
        try:
            found.append(self._done.get(timeout=TICK))
            while True:
                found.append(self._done.get_nowait())
        except Empty:
            return found

    def _results(self, done: Sequence[tuple[Job, Future[Build]]]) -> tuple[list[Build], BaseException | None]:
        """What came of jobs that have ended, and the first failure among them."""
        builds = []
        failure: BaseException | None = None
        for job, future in done:
            del self._running[job.key]
            self._progress.pop(job.key, None)
            failure = failure or future.exception()
            if future.exception() is None:
                builds.append(future.result())
        return builds, failure

    def _now(self) -> list[Running]:
        return [
            Running(item.job, item.share, item.since, self._progress.get(key, item.progress))
            for key, item in self._running.items()
        ]

    def _loads(self) -> list[Load]:
        share = self._pool.room.share
        return [
            Load(item.job.demand.memory * item.share // share, _peak(self._progress, key))
            for key, item in self._running.items()
        ]

    def _free(self) -> int:
        when, number = self._available
        now = time.monotonic()
        if now - when >= TICK or not when:
            number = self._pool.available()
            self._available = (now, number)
        return number


def _peak(progress: Mapping[str, Progress], key: str) -> int:
    found = progress.get(key)
    return found.peak if found else 0
