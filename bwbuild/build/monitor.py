"""How much memory and CPU time a build takes, measured from outside without a privilege.

Memory is sampled, so a burst between two samples is missed; the kernel's own maximum of the largest single
process (:class:`~bwbuild.build.resources.ChildTimes`) bounds the peak from below.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from bwbuild.build.resources import Peak
from bwbuild.events import Usage

#: A sample takes at most this share of one core's time: the interval grows with what a sample costs.
LARGEST_SHARE = 0.004


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
