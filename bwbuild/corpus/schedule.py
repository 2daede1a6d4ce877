"""Which job begins next, and what it may take: pure.

The most expensive jobs come first, since one that is begun last keeps the others waiting for its end. What
a job takes of the memory is what an earlier build took, or an assumption, and never less than what it is seen
to take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bwbuild.corpus.values import Demand, Job

#: What a build of which nothing is known may take: a share of the machine, but between these bytes.
LEAST_ASSUMED, MOST_ASSUMED = 256 << 20, 1 << 30
#: How many jobs that fit may go before one that does not fit yet.
PATIENCE = 16
#: How many of those that wait are looked at for one that fits.
_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Room:
    """What all jobs together may take.

    :ivar jobs: how many builds run at once; ``processors``: for all of them; ``memory``: bytes, likewise.
    """

    jobs: int
    processors: int
    memory: int

    @property
    def share(self) -> int:
        """How many commands one build may run at once, where all places are taken."""
        return max(1, self.processors // self.jobs)


@dataclass(frozen=True, slots=True)
class Load:
    """A job that runs: what it was thought to take, and the most that it was seen to take, in bytes."""

    expected: int
    seen: int = 0

    @property
    def memory(self) -> int:
        """What has to be left for it."""
        return max(self.expected, self.seen)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits; ``passed``: how many went before it since it did not fit."""

    job: Job
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """A job that begins: its place among those that wait, and how many commands it may run at once.

    :ivar alone: it is thought to take more than there is, and begins since nothing else runs.
    """

    index: int
    job: Job
    share: int
    alone: bool = False


def assumed(room: Room) -> int:
    """Bytes that a build of which nothing is known is thought to take."""
    return max(LEAST_ASSUMED, min(MOST_ASSUMED, room.memory // room.jobs))


def demanded(room: Room, seconds: float | None, memory: tuple[int, int] | None) -> Demand:
    """What a build will take, whose earlier ones took ``seconds``, and ``memory``: bytes with so many."""
    if memory is None:
        return Demand(seconds or 0.0, assumed(room), known=False)
    took, jobs = memory
    return Demand(seconds or 0.0, max(1, took * room.share // max(1, jobs)), known=True)


def ordered(jobs: Iterable[Job]) -> list[Job]:
    """``jobs`` with the most expensive first; one of which nothing is known counts as a typical one."""
    found = list(jobs)
    known = sorted(job.demand.seconds for job in found if job.demand.seconds)
    typical = known[len(known) // 2] if known else 0.0
    return sorted(found, key=lambda job: (-(job.demand.seconds or typical), -job.demand.memory))


def next_start(
    waiting: Sequence[Waiting], running: Sequence[Load], room: Room, available: int
) -> Start | None:
    """The job that begins now; None if the next one has to wait.

    :param available: bytes of the machine's memory that nobody has.
    """
    if not waiting or len(running) >= room.jobs:
        return None
    share = max(1, room.processors // min(room.jobs, len(waiting) + len(running)))
    taken = sum(load.memory for load in running)
    growing = sum(max(0, load.expected - load.seen) for load in running)
    free = min(room.memory - taken, available - growing)
    for index, candidate in enumerate(waiting[:_LOOKED_AT]):
        job = candidate.job
        for number in dict.fromkeys((share, room.share)):
            if job.demand.memory * number // room.share <= free:
                return Start(index, job, number)
        if not running:
            return Start(index, job, room.share, alone=job.demand.memory > room.memory)
        if candidate.passed >= PATIENCE:
            return None
    return None


def passed(waiting: list[Waiting], index: int) -> None:
    """Take the job at ``index`` out of ``waiting``; those before it have waited once more."""
    for before in range(index):
        waiting[before] = replace(waiting[before], passed=waiting[before].passed + 1)
    del waiting[index]
