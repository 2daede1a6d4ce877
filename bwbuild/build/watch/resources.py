"""What a build took, as values, and the kernel's account of it."""

from __future__ import annotations

import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that a process tree took at one time.

    :ivar memory: bytes of the whole tree; 0 if it was never sampled.
    :ivar process: the name of its largest process then, as the kernel has it: 15 bytes, chosen by the build.
    :ivar process_memory: bytes of that process.
    :ivar alike: how many processes of that name there were then.
    :ivar files: bytes of ``memory`` that were in files in memory, such as those in /tmp.
    :ivar approximate: for some process only the resident size could be read, in which memory that is shared
        counts once for each process.
    """

    memory: int = 0
    process: str = ""
    process_memory: int = 0
    alike: int = 0
    files: int = 0
    approximate: bool = False


NO_PEAK = Peak()


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
