"""Watches a running build: hands on its output, samples what it takes, and ends it at a limit.

What the kernel keeps itself is in the sandbox; the rest is sampled, and a burst between two samples
is missed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bwbuild.build import scratch as scratches
from bwbuild.build.plan import Plan
from bwbuild.build.scratch import Scratch
from bwbuild.build.space import file_system
from bwbuild.build.watch import limits as words
from bwbuild.build.watch.group import Group, group_of
from bwbuild.build.watch.limits import Breach, Limits, Seen
from bwbuild.build.watch.monitor import IN_DANGER, LARGEST_SHARE, Glance, Pace, TreeMonitor
from bwbuild.build.watch.nameless import Nameless
from bwbuild.build.watch.resources import Peak
from bwbuild.events import Observer, Output
from bwbuild.sandbox.runner import Running
from bwbuild.sandbox.scope import NO_SCOPE
from bwbuild.sandbox.spec import Guest, Kernel, Layering, Tmpfs

#: Seconds between two looks at the tree, between two measurements of it, and between two looks at the disk.
GLANCE, SAMPLE, DISK = 0.4, 0.5, 2.0
#: Seconds between two times at which sizes are added up though the file system gives no reason, and the share
#: of a core that this may take.
ADDED_UP, ADDING_SHARE = 30.0, 0.01
#: Seconds that a build may be at its limit of processes: one that can do without more has gone on by then.
STUCK = 10.0
#: A file system with less room is full, whatever the last thing was that did not fit.
NO_ROOM = 1 << 20
#: What programs say when they may have no more processes, or when there is no room for what they write.
NO_PROCESSES = (b"Resource temporarily unavailable", b"annot fork", b"can't start new thread", b"EAGAIN")
NO_SPACE = b"No space left on device"


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched.

    :ivar path: where it writes on disk; ``taken``: the bytes that it takes there, None: nobody can tell.
    :ivar memory: where it can write to file systems in memory.
    :ivar jobs: how many it runs at once; None: it is not known.
    :ivar scoped: it is in a control group of its own.
    """

    limits: Limits
    path: Path
    taken: Callable[[], int] | None
    memory: tuple[Guest, ...]
    jobs: int | None = None
    scoped: bool = False

    @classmethod
    def of_build(cls, plan: Plan, scratch: Scratch) -> Watched:
        """A build in ``scratch``."""
        memory, scoped = tuple(_in_memory(plan)), plan.scope != NO_SCOPE
        # What a build in place writes can't be told from what was there.
        if plan.sandbox.workspace.layering is Layering.NONE:
            return cls(plan.limits, plan.source.tree, None, memory, plan.jobs, scoped)
        taken = partial(scratches.size, scratch.path, scratch.record)
        return cls(plan.limits, scratch.path, taken, memory, plan.jobs, scoped)


class Watchdog:
    """The listener of one run of a sandbox.

    :param tell: gets the output and samples.
    """

    def __init__(self, watched: Watched, tell: Observer) -> None:
        self._limits = watched.limits
        self._jobs = watched.jobs
        self._scoped = watched.scoped
        self._tell = tell
        self._monitor: TreeMonitor | None = None
        self._running: Running | None = None
        self._group: Group | None = None
        self._glances, self._samples, self._holding = Pace(GLANCE), Pace(SAMPLE), Pace(SAMPLE)
        self._nameless = Nameless()
        self._disk = _Disk(watched, lambda: self._nameless.ask().disk)
        self._memory = watched.memory
        #: the file systems in memory that were seen
        self._devices: set[int] = set()
        self._last_output = time.monotonic()
        self._stuck_since: float | None = None
        self._full: set[Guest] = set()
        self._used: dict[Guest, int] = {}
        self._refused = False
        self._breach: Breach | None = None

    @property
    def seen(self) -> Seen:
        """What was seen up to now."""
        peak, tasks = (self._monitor.peak, self._monitor.most_tasks) if self._monitor else (Peak(), 0)
        killed = self._group is not None and self._group.killed
        return Seen(
            *(self._breach, peak, tasks, frozenset(self._full), dict(self._used)),
            *(self._nameless.most_open, self._refused, killed),
        )

    def overgrown(self) -> Breach | None:
        """The limit that it was above when it ended, which it did between two looks; None if it was not."""
        return self._disk.overgrown()

    def output(self, data: bytes) -> None:
        """Take in what the build wrote."""
        self._last_output = time.monotonic()
        # Soon whatever was full may have been removed.
        if NO_SPACE in data:
            self._files()
        if not self._refused and any(text in data for text in NO_PROCESSES):
            self._refused = self._at_most_processes()
        self._tell(Output(data))

    def tick(self, running: Running) -> bool:
        """Look at the build; whether it is to be ended."""
        self._running = running
        if self._monitor is None:
            self._monitor = TreeMonitor.of(running.launcher)
        # Before there is a first process, the launcher may not be in its group yet.
        if self._group is None and running.first is not None and self._scoped:
            self._group = group_of(running.first, self._limits.memory)
        if self._breach is None:
            self._breach = next((found for check in self._checks() if (found := check()) is not None), None)
        return self._breach is not None

    def _checks(self) -> Iterator[Callable[[], Breach | None]]:
        yield self._check_silence
        yield self._check_tree
        yield self._disk.check

    def _check_silence(self) -> Breach | None:
        limit, silence = self._limits.silence, time.monotonic() - self._last_output
        return words.of_silence(limit, silence) if limit is not None and silence >= limit else None

    def _check_tree(self) -> Breach | None:
        urgent = self._group is not None and self._group.full
        if self._monitor is None or not (urgent or self._glances.due()):
            return None
        start = time.thread_time()
        named, held = self._files(), self._nameless.held.memory
        glance = self._monitor.glance(named + held)
        danger = urgent or (glance is not None and self._in_danger(glance))
        self._glances.done(time.thread_time() - start, IN_DANGER if danger else LARGEST_SHARE)
        if glance is None:
            return None
        more = self._hold(glance, named, danger=danger) - held
        glance = replace(glance, most=glance.most + more, files=glance.files + more)
        danger = danger or self._in_danger(glance)
        return self._check_processes(glance.tasks) or self._check_memory(glance, danger=danger, urgent=urgent)

    def _hold(self, glance: Glance, named: int, *, danger: bool) -> int:
        """The bytes of memory without a name that its processes hold, ``named`` being those that have one."""
        if self._running is None or self._running.first is None or not self._holding.due():
            return self._nameless.held.memory
        start, pids = time.thread_time(), [process.pid for process in glance.processes]
        held = self._nameless.look(self._running.first, pids, named, self._devices)
        self._holding.done(time.thread_time() - start, IN_DANGER if danger else LARGEST_SHARE)
        return held.memory

    def _in_danger(self, glance: Glance) -> bool:
        taken = ((self._limits.memory, glance.most), (self._limits.processes, glance.tasks))
        return any(limit is not None and most > limit // 2 for limit, most in taken)

    def _check_memory(self, glance: Glance, *, danger: bool, urgent: bool) -> Breach | None:
        limit = self._limits.memory
        if self._monitor is None or not (urgent or self._samples.due()):
            return None
        start = time.thread_time()
        usage = self._monitor.sample(glance)
        self._samples.done(time.thread_time() - start, IN_DANGER if danger else LARGEST_SHARE)
        self._tell(usage)
        if limit is None or usage.memory <= limit:
            return None
        return words.of_memory(limit, self._monitor.peak, self._jobs)

    def _check_processes(self, tasks: int) -> Breach | None:
        limit, now = self._limits.processes, time.monotonic()
        if limit is None or tasks < limit:
            self._stuck_since = None
            return None
        if self._stuck_since is None:
            self._stuck_since = now
        # More than twice as many there are only where the kernel does not count them.
        if now - self._stuck_since < STUCK and tasks <= 2 * limit + 64:
            return None
        return words.of_processes(limit, tasks, killed=True)

    def _at_most_processes(self) -> bool:
        limit = self._limits.processes
        if limit is None or self._monitor is None:
            return False
        glance = self._monitor.glance()
        return glance is not None and words.near(glance.tasks, limit)

    def _files(self) -> int:
        """The bytes that lie in file systems in memory of the sandbox; notes those that are full."""
        if self._running is None or self._running.first is None:
            return 0
        used, root = 0, f"/proc/{self._running.first}/root"
        for place in self._memory:
            try:
                # Until bwrap has made the sandbox, its first process still has the machine's own root.
                if Path(root).samefile("/"):
                    return 0
                found = os.statvfs(f"{root}{place}")
                self._devices.add(Path(f"{root}{place}").stat().st_dev)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # not there yet, or not any more
            here = (found.f_blocks - found.f_bfree) * found.f_frsize
            self._used[place], used = max(here, self._used.get(place, 0)), used + here
            if found.f_bavail * found.f_frsize < min(NO_ROOM, found.f_blocks * found.f_frsize // 32):
                self._full.add(place)
        return used


class _Disk:
    """The file system that is written to, and what of it is taken.

    :param held: tells how much is in unlinked files.
    """

    def __init__(self, watched: Watched, held: Callable[[], int]) -> None:
        self._held = held
        self._limits = watched.limits
        self._path = watched.path
        self._taken = watched.taken
        self._pace, self._adding = Pace(DISK), Pace(ADDED_UP)
        self._adding.done(0.0, 1.0)
        self._start = self._free = file_system(self._path)[0]
        #: all that became less from one look to the next: what others free is not taken off
        self._growth = self._measured_at = 0

    def check(self) -> Breach | None:
        """Why the build is to be ended; None if it is not."""
        if not self._pace.due():
            return None
        self._pace.done(0.0, 1.0)
        size = self._look()
        reserve = words.disk_reserve(self._limits, size)
        # Where there was less from the beginning, the build is not what took it.
        if self._free < (reserve if self._start >= reserve else self._start // 2):
            return words.of_reserve(reserve, self._free, str(self._path))
        return self._check_growth()

    def overgrown(self) -> Breach | None:
        """The limit on what is taken, if it is above it now."""
        limit, taken = self._limits.disk, self._taken
        if limit is None or taken is None:
            return None
        self._look()
        if self._growth < limit:
            return None
        size = taken()
        return words.of_disk(limit, size, killed=False) if size > limit else None

    def _look(self) -> int:
        """Look at the file system; its size."""
        before = self._free
        self._free, size = file_system(self._path)
        self._growth += max(0, before - self._free)
        return size

    def _check_growth(self) -> Breach | None:
        limit = self._limits.disk
        if limit is None or self._taken is None:
            return None
        # To add up the sizes of all files is dear, and the file system's own figure is a good guess. But what
        # others free at the same time hides what is written.
        if self._growth < max(limit, self._measured_at) and not self._adding.due():
            return None
        self._measured_at = self._growth + limit // 20
        start = time.monotonic()
        taken = self._taken() + self._held()
        self._adding.done(time.monotonic() - start, ADDING_SHARE)
        return words.of_disk(limit, taken, killed=True) if taken > limit else None


def _in_memory(plan: Plan) -> Iterator[Guest]:
    """Where file systems in memory are that a build can write to."""
    for mount in plan.sandbox.mounts:
        if (isinstance(mount, Tmpfs) and not mount.read_only) or (
            isinstance(mount, Kernel) and mount.kind == "dev"
        ):
            yield mount.target
    workspace = plan.sandbox.workspace
    if workspace.memory is not None or workspace.layering is Layering.MEMORY:
        yield workspace.inside
