"""What a build may take: the settings resolved for this machine, and what is said of one that was reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bwbuild.build.watch.resources import NO_PEAK, Peak
from bwbuild.config.settings import DEFAULTS, Settings
from bwbuild.errors import LimitError
from bwbuild.host.facts import Host
from bwbuild.sandbox.scope import Scope, scope
from bwbuild.sandbox.spec import Ceilings, Guest
from bwbuild.units import human_duration, human_size

#: What of the memory stays for the rest of the machine: an eighth, but between these.
LEAST_RESERVE, MOST_RESERVE = 256 << 20, 4 << 30
#: Processes and threads that every build may have, and how many for each processor where that is more.
PROCESSES, PROCESSES_EACH = 4096, 128
#: What programs may have open before they ask for more: the number that most of them are made for.
OPEN_FILES = 1024
#: From this kernel on the processes of a user are counted apart in each user namespace.
COUNTS_APART = (5, 14)
#: What stays free on a disk: a twentieth, but at most this.
MOST_DISK_RESERVE = 4 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one build; None: there is none.

    :ivar time: seconds from start to end; ``silence``: seconds without output.
    :ivar memory: bytes of all processes and of all that lies in file systems in memory.
    :ivar processes: processes and threads; ``files``: what one process may have open if it asks
        for so many, ``files_at_first``: what it may have before.
    :ivar tmp: bytes of /tmp and of /var/tmp; ``shm``: bytes of /dev/shm.
    :ivar disk: bytes of the workspace; ``reserve``: bytes that stay free beside it, None: a share of all.
    :ivar log: bytes of output in the log.
    """

    time: float | None = None
    silence: float | None = None
    memory: int | None = None
    processes: int | None = None
    files: int | None = None
    files_at_first: int = OPEN_FILES
    tmp: int | None = None
    shm: int | None = None
    disk: int | None = None
    reserve: int | None = 0
    log: int | None = None

    @property
    def open_files(self) -> tuple[int, int] | None:
        """What one process may have open at first, and when it asks for more."""
        return None if self.files is None else (min(self.files_at_first, self.files), self.files)

    @property
    def grouped(self) -> tuple[int | None, int | None]:
        """What a control group keeps: memory and processes."""
        return self.memory, self.processes


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit that a build came to.

    :ivar name: as in the settings, after ``limit.``; ``time`` is the setting ``timeout``.
    :ivar value: the limit, in seconds, bytes or as a number.
    :ivar peak: the most that was seen, in the same unit; None where it was not measured.
    """

    name: str
    value: float
    peak: float | None = None


@dataclass(frozen=True, slots=True)
class Breach:
    """Why a build was ended, or failed, at a limit, and what to do about it."""

    reached: Reached
    message: str
    hint: str

    def told_of(self, what: str) -> Breach:
        """The same with ``what`` named in its message."""
        named = self.message.startswith(what)
        return self if named else replace(self, message=f"{what}: {self.message}")


class BreachError(LimitError):
    """Something was ended, or failed, at a limit; ``reached`` is for the report."""

    def __init__(self, breach: Breach) -> None:
        super().__init__(breach.message, hint=breach.hint)
        self.reached = breach.reached


@dataclass(frozen=True, slots=True)
class Seen:
    """What a watchdog has seen of a build.

    :ivar breach: why it ended the build; None if it did not.
    :ivar peak: the most memory; ``tasks``: the most processes and threads.
    :ivar full: file systems in memory that were full at some time; ``used``: the most bytes in each.
    :ivar open: the most files that one process had open.
    :ivar refused: the build said that it may have no more processes, when it had about as many as it may.
    :ivar killed: the kernel ended it for the memory of its control group.
    """

    breach: Breach | None = None
    peak: Peak = NO_PEAK
    tasks: int = 0
    full: frozenset[Guest] = frozenset()
    used: Mapping[Guest, int] = field(default_factory=dict)
    open: int = 0
    refused: bool = False
    killed: bool = False


#: Nothing.
UNSEEN = Seen()


def near(most: float, limit: float) -> bool:
    """Whether what was seen between two looks leaves no doubt that a complaint about ``limit`` is true."""
    return most * 4 >= limit * 3


def resolve(settings: Settings, host: Host) -> Limits:
    """The limits of a build on ``host``."""
    total = host.memory.total
    memory = settings.limit_memory
    if memory is None:
        memory = total - min(max(total // 8, LEAST_RESERVE), MOST_RESERVE, total // 2)
    processes = settings.limit_processes
    if processes is None:
        processes = max(PROCESSES, PROCESSES_EACH * host.processors.on)
    half = min(memory or total, total) // 2
    files = [number for number in (settings.limit_files, host.files) if number]
    # Who wants more files, here or in his shell, means programs that never ask for more themselves.
    wanted = 0 if settings.limit_files == DEFAULTS["limit.files"] else settings.limit_files or 0
    return Limits(
        time=settings.timeout,
        silence=settings.limit_silence,
        memory=memory or None,
        processes=_at_most(processes or None, host.tasks),
        files=min(files) if settings.limit_files else None,
        files_at_first=max(OPEN_FILES, host.open_files, wanted),
        tmp=(half if settings.limit_tmp is None else settings.limit_tmp) or None,
        shm=(half if settings.limit_shm is None else settings.limit_shm) or None,
        disk=settings.limit_disk or None,
        reserve=settings.limit_disk_reserve,
        log=settings.limit_log or None,
    )


def scope_of(settings: Settings, host: Host, limits: Limits) -> Scope:
    """What starts something in a control group of its own that keeps ``limits``."""
    return scope(host.manager if settings.limit_scope else None, *limits.grouped)


def ceilings(limits: Limits, host: Host, *, nesting: bool = False) -> Ceilings:
    """As far as the kernel keeps ``limits`` itself; of what it counts for the caller, half stays his.

    :param nesting: namespaces can be made inside.
    """
    bounds = [bound for bound in (limits.disk, limits.memory) if bound is not None]
    files = replace(limits, files=_at_most(limits.files, host.files)).open_files
    return Ceilings(
        processes=_at_most(limits.processes, host.tasks) if host.kernel >= COUNTS_APART else None,
        files=files,
        tmp=limits.tmp,
        shm=limits.shm,
        layer=min(bounds) if bounds else None,
        shares=tuple(
            (name, number // 2)
            for name, number in host.shares.items()
            if nesting or not name.endswith("_namespaces")
        ),
    )


def _at_most(number: int | None, given: int | None) -> int | None:
    """What of ``number`` the kernel takes: nobody but root may have more than he was ``given``."""
    return number if number is None or given is None else min(number, given)


def disk_reserve(limits: Limits, size: int) -> int:
    """The bytes that stay free on a file system of ``size`` bytes."""
    return min(size // 20, MOST_DISK_RESERVE) if limits.reserve is None else limits.reserve


def of_log(limit: int, written: int) -> Reached:
    """The output is longer than what the log has of it, which ends no build."""
    return Reached("log", limit, written)


def of_time(limit: float, seconds: float, what: str = "the build") -> Breach:
    """It took too long."""
    return Breach(
        Reached("time", limit, seconds),
        f"{what} took longer than {human_duration(limit)} and was killed",
        "--timeout TIME allows it more",
    )


def of_silence(limit: float, seconds: float) -> Breach:
    """It wrote nothing."""
    return Breach(
        Reached("silence", limit, seconds),
        f"killed: no output for {human_duration(limit)}",
        "it may hang; --limit-silence TIME waits longer",
    )


def of_memory(limit: int, peak: Peak, jobs: int | None) -> Breach:
    """It took too much memory."""
    many = f" ({peak.alike} of {jobs} jobs)" if jobs is not None and 0 < peak.alike <= jobs else ""
    where = f" in {peak.process}{many}" if peak.process else ""
    if peak.files > peak.memory // 2:
        where = f", {human_size(peak.files)} of it in files in memory, as in /tmp, or shared"
    fewer = f", -j{jobs // 2} runs fewer jobs at once" if jobs is not None and jobs > 1 else ""
    return Breach(
        Reached("memory", limit, peak.memory),
        f"killed: memory limit {human_size(limit)}, peak {human_size(peak.memory)}{where}",
        f"--limit-memory SIZE allows it more{fewer}",
    )


def of_group(limit: int, seen: Peak, jobs: int | None) -> Breach:
    """The kernel was faster than the samples; what it let the build take at most was more than the limit."""
    # What was largest long before need not be what grew.
    peak = seen if seen.memory > limit // 2 else NO_PEAK
    return of_memory(limit, replace(peak, memory=max(limit, peak.memory)), jobs)


def of_processes(limit: int, peak: int, *, killed: bool) -> Breach:
    """It had as many processes as it may."""
    return Breach(
        Reached("processes", limit, peak),
        f"{'killed' if killed else 'the build failed'} at the limit of {limit} processes; {peak} were seen",
        "--limit-processes NUMBER allows it more",
    )


def of_files(limits: tuple[int, int], peak: int) -> Breach:
    """A process had as many files open as it may at first, or after it has asked for more."""
    limit = next((number for number in limits if peak <= number), limits[1])
    return Breach(
        Reached("files", limit, peak),
        f"the build failed at the limit of {limit} open files of one process; {peak} were seen",
        "--limit-files NUMBER allows it more",
    )


def of_tmp(name: str, where: str, limit: int, peak: int | None) -> Breach:
    """A file system in memory, for which ``name`` is the setting, was full; ``peak``: what was seen in it."""
    return Breach(
        Reached(name, limit, peak),
        f"the build failed with {where} full: its size is {human_size(limit)}",
        f"--limit-{name} SIZE makes it larger",
    )


def of_disk(limit: int, taken: int, *, killed: bool) -> Breach:
    """The workspace took too much."""
    return Breach(
        Reached("disk", limit, taken),
        f"{'killed: ' if killed else ''}disk limit {human_size(limit)},"
        f" the workspace took {human_size(taken)}",
        "--limit-disk SIZE allows it more",
    )


def of_reserve(limit: int, free: int, where: str) -> Breach:
    """Little is left on the disk; ``peak`` is what was free then."""
    return Breach(
        Reached("disk-reserve", limit, free),
        f"killed: {human_size(free)} are free on the file system of {where}, {human_size(limit)} have to be",
        "free some space, name another place with --scratch DIR, or keep less with --limit-disk-reserve SIZE",
    )
