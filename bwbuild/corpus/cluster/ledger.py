"""Which jobs of a run are open, with dask, or begun, and how often each was begun: no effects.

Every job has at most one attempt that counts, the last one that a worker has begun, and one result, the first
that arrives from whichever attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bwbuild.corpus.pool import Running
from bwbuild.corpus.schedule import ordered
from bwbuild.corpus.values import Build, Job, Verdict
from bwbuild.corpus.watch import NO_PROGRESS, Progress


@dataclass(frozen=True, slots=True)
class Live:
    """An attempt that a worker has begun.

    :ivar since: by a clock that never goes back.
    """

    ticket: str
    worker: str
    address: str
    since: float


@dataclass(slots=True)
class _Entry:
    job: Job
    #: ticket -> worker, of all attempts
    begun: dict[str, str] = field(default_factory=dict)
    live: Live | None = None
    progress: Progress = NO_PROGRESS
    lost: list[str] = field(default_factory=list)


class Ledger:
    """The jobs of a run.

    :param attempts: how often each may be begun.
    """

    def __init__(self, jobs: Sequence[Job], attempts: int) -> None:
        self._attempts = attempts
        self._open = {job.key: _Entry(job) for job in jobs}
        self._waiting = deque(job.key for job in ordered(jobs))

    @property
    def open(self) -> int:
        """How many jobs have no result yet."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many have no attempt that goes on."""
        return sum(entry.live is None for entry in self._open.values())

    @property
    def live(self) -> list[Live]:
        """The attempts that go on."""
        return [entry.live for entry in self._open.values() if entry.live is not None]

    def take(self) -> Job | None:
        """The next job for dask; None if none waits."""
        while self._waiting:
            entry = self._open.get(self._waiting.popleft())
            if entry is not None:
                return entry.job
        return None

    def begin(self, key: str, live: Live) -> Job | None:
        """The job that a worker may begin, in place of whoever had it; None if it may not."""
        entry = self._open.get(key)
        if entry is None:
            return None
        self._lose(entry, "")
        if len(entry.begun) >= self._attempts:
            return None
        entry.begun[live.ticket] = live.worker
        entry.live, entry.progress = live, NO_PROGRESS
        return entry.job

    def is_first(self, key: str) -> bool:
        """Whether a job was begun once."""
        return len(self._open[key].begun) == 1

    def is_live(self, key: str, ticket: str) -> bool:
        """Whether this is the attempt that counts."""
        entry = self._open.get(key)
        return entry is not None and entry.live is not None and entry.live.ticket == ticket

    def tell(self, key: str, ticket: str, progress: Progress) -> None:
        """An attempt is so far."""
        if self.is_live(key, ticket):
            self._open[key].progress = progress

    def give_back(self, key: str, why: str = "") -> Build | None:
        """A job is with dask no more, and comes first now; its result, if it may not be begun again.

        :param why: its attempt was lost.
        """
        entry = self._open.get(key)
        if entry is None:
            return None
        self._lose(entry, why)
        if len(entry.begun) < self._attempts:
            self._waiting.appendleft(key)
            return None
        message = f"it was begun {len(entry.begun)} times, and each time its worker was lost"
        return self.end(Build(key, Verdict.LOST, entry.job.subject or key, message=message))

    def left(self, key: str) -> Build | None:
        """The result of a job that the user has stopped: none that is kept, for it stays open."""
        entry = self._open.get(key)
        if entry is None or entry.live is None:
            return None
        entry.live = None
        return Build(key, Verdict.LEFT, entry.job.subject or key)

    def end(self, build: Build, ticket: str = "") -> Build | None:
        """The one result of a job, with what became of its attempts; None if it has one already.

        :param ticket: of the attempt that has this result.
        """
        entry = self._open.pop(build.key, None)
        if entry is None:
            return None
        workers = list(entry.begun.values())
        worker = entry.begun.get(ticket) or (workers[-1] if workers else "")
        return replace(build, attempts=max(1, len(workers)), worker=worker, lost=tuple(entry.lost))

    def now(self) -> list[Running]:
        """What goes on, for those who look."""
        return [
            Running(entry.job, 1, entry.live.since, entry.progress)
            for entry in self._open.values()
            if entry.live is not None
        ]

    @staticmethod
    def _lose(entry: _Entry, why: str) -> None:
        if entry.live is not None:
            entry.lost.append(f"{entry.live.worker}: {why or 'the worker was lost'}")
            entry.live = None
