"""How much memory and CPU time a build takes, measured from outside without a privilege.

Memory is sampled, so a burst between two samples is missed; the kernel's own maximum of the largest single
process (:class:`~bwbuild.build.watch.resources.ChildTimes`) bounds the peak from below.

There are two ways to look. A glance at the sizes that the kernel counts anyway is cheap, and says what a
build takes at most: what processes share counts once for each. What it does take is dear to find out.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bwbuild.build.watch.processes import Process, Share, Tree, read_share
from bwbuild.build.watch.resources import Peak
from bwbuild.events import Usage

#: Glances, and samples, each take at most this share of one core's time: the interval grows with the cost.
LARGEST_SHARE = 0.002
#: The same for a build that may be about to take more than it may.
IN_DANGER = 0.03


@dataclass(frozen=True, slots=True)
class Glance:
    """What can be seen at little cost.

    :ivar tasks: processes and threads.
    :ivar most: bytes; the tree takes no more than that.
    :ivar files: bytes of ``most`` that are in files in memory.
    """

    processes: tuple[Process, ...]
    tasks: int
    most: int
    files: int


class Pace:
    """When something is due again that must not take more than a share of a core's time.

    :param interval: seconds between two times at least.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._next = clock()

    def due(self) -> bool:
        """Whether it may be done now."""
        return self._clock() >= self._next

    def done(self, cost: float, share: float) -> None:
        """It took ``cost`` seconds of a core, and may take ``share`` of one."""
        self._next = self._clock() + max(self._interval, cost / share)


class TreeMonitor:
    """Samples a process and all that descend from it.

    A process that left the tree, because its parent ended outside a pid namespace, is not seen.

    :param look: reads the processes of the tree.
    :param share: reads what one of them takes; None where that is not allowed or the process is gone.
    """

    def __init__(
        self, look: Callable[[], Sequence[Process]], share: Callable[[int], Share | None] = read_share
    ) -> None:
        self._look = look
        self._share = share
        self.peak = Peak()
        #: processes and threads at most
        self.most_tasks = 0

    @classmethod
    def of(cls, pid: int) -> TreeMonitor:
        """One for the tree below the process ``pid``."""
        return cls(Tree(pid).processes)

    def glance(self, files: int = 0) -> Glance | None:
        """Look at the tree now; None when it has ended.

        :param files: bytes of files in memory that belong to it.
        """
        processes = tuple(self._look())
        if not processes:
            return None
        tasks = sum(process.tasks for process in processes)
        self.most_tasks = max(self.most_tasks, tasks)
        return Glance(processes, tasks, sum(process.resident for process in processes) + files, files)

    def sample(self, glance: Glance) -> Usage:
        """Measure what was seen in ``glance``."""
        shares = [(process, self._share(process.pid)) for process in glance.processes]
        sizes = {process: share.memory if share else process.resident for process, share in shares}
        # What is mapped of files in memory is in both accounts.
        mapped = sum(share.shared for _, share in shares if share)
        memory = sum(sizes.values()) + max(0, glance.files - mapped)
        if memory > self.peak.memory:
            largest = max(glance.processes, key=lambda process: sizes[process])
            self.peak = Peak(
                memory=memory,
                process=largest.name,
                process_memory=sizes[largest],
                alike=Counter(process.name for process in glance.processes)[largest.name],
                files=glance.files,
                approximate=any(share is None and process.resident for process, share in shares),
            )
        return Usage(memory, len(glance.processes))
