"""How much memory and CPU time a build takes, measured from outside without a privilege.

Memory is sampled, so a burst between two samples is missed; the kernel's own maximum of the largest single
process (:class:`ChildTimes`) bounds the peak from below.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from bwbuild.events import Usage

#: A sample takes at most this share of one core's time: the interval grows with what a sample costs.
LARGEST_SHARE = 0.004


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that a process tree took at one time.

    :ivar memory: bytes of the whole tree; 0 if it was never sampled.
    :ivar process: the name of its largest process then, as the kernel has it: 15 bytes, chosen by the build.
    :ivar process_memory: bytes of that process.
    :ivar approximate: for some process only the resident size could be read, in which memory that is shared
        counts once for each process.
    """

    memory: int = 0
    process: str = ""
    process_memory: int = 0
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class ChildTimes:
    """What the processes took that this process waited for, with theirs: the kernel's account.

    :ivar cpu: seconds, user and system.
    :ivar largest: bytes, the resident maximum of the largest single process; 0 when that is not more than
        this process itself has had, which hides it.
    """

    cpu: float
    largest: int

    @classmethod
    def now(cls) -> ChildTimes:
        """The account since this process began."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        # The kernel counts a child's memory before its exec too, and that is this process's own.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        largest = usage.ru_maxrss if usage.ru_maxrss > own else 0
        return cls(usage.ru_utime + usage.ru_stime, largest * 1024)

    def since(self, start: ChildTimes) -> ChildTimes:
        """The account of what ended between ``start`` and this one.

        The kernel keeps one maximum for ever: what is not larger than all before ``start`` is 0 here. Builds
        at the same time in one process can't be told apart.
        """
        return ChildTimes(self.cpu - start.cpu, self.largest if self.largest > start.largest else 0)


class TreeMonitor:
    """Samples the memory of a process and all that descend from it.

    A process that left the tree, because its parent ended outside a pid namespace, is not seen.

    :param pid: the root of the tree.
    :param interval: seconds between two samples at least; longer where a sample is dear.
    :param clock: seconds that never go back.
    """

    def __init__(self, pid: int, interval: float = 0.5, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._next = clock()
        self.peak = Peak()
        try:
            self._root: psutil.Process | None = psutil.Process(pid)
        except psutil.Error:
            self._root = None

    def due(self, now: float) -> bool:
        """Whether the next sample is due at ``now``, in the seconds of the clock."""
        return self._root is not None and now >= self._next

    def sample(self) -> Usage | None:
        """Measure the tree now; None when it has ended."""
        if self._root is None:
            return None
        before = self._clock()
        sizes = _tree_sizes(self._root)
        after = self._clock()
        self._next = before + max(self._interval, (after - before) / LARGEST_SHARE)
        if not sizes:
            return None
        memory = sum(size.memory for size in sizes)
        if memory > self.peak.memory:
            largest = max(sizes, key=lambda size: size.memory)
            approximate = any(size.approximate for size in sizes)
            self.peak = Peak(memory, largest.process, largest.memory, approximate)
        return Usage(memory, len(sizes))


def _tree_sizes(root: psutil.Process) -> list[Peak]:
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
    return [size for process in processes if (size := _size(process)) is not None]


def _size(process: psutil.Process) -> Peak | None:
    """One process as a tree of its own; None when it is gone or a zombie."""
    try:
        with process.oneshot():
            name = process.name()
            try:
                memory, approximate = process.memory_full_info().pss, False
            except psutil.AccessDenied:
                memory, approximate = process.memory_info().rss, True
    except psutil.Error:
        return None
    return Peak(memory, name, memory, approximate)
