"""What processes hold that has no name: unlinked files, files of memory alone, System V's shared memory.

The directories of a sandbox don't show it. Descriptors that are on their way through a socket, and those of a
thread that shares them with no other, are not seen; only a control group counts all.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from bwbuild import process
from bwbuild.build.watch.monitor import Pace
from bwbuild.errors import BwbuildError, InterruptedBuild
from bwbuild.host.memory import read_shared

#: Descriptors that are looked at in one go: a build with millions must not keep the watchdog busy.
AT_ONCE = 4096
#: The namespace is asked when so many bytes of shared memory came to the machine of which nobody knows whose
#: they are, after so many seconds in any case, and for this share of a core's time at most.
UNKNOWN, ASKED, ASKING_SHARE = 16 << 20, 30.0, 0.005
#: Seconds that it may take to answer.
PATIENCE = 5.0
#: The ioctl of <linux/nsfs.h> that opens the user namespace to which another one belongs.
_NS_GET_USERNS = 0xB701

#: Unlinked files: the bytes of each by its device and number.
Files = dict[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes in memory, and those on disks."""

    memory: int = 0
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What only a process of the namespace can see: bytes of segments, files of others' processes."""

    segments: int
    files: Files


class Nameless:
    """Adds up what the processes of one sandbox hold.

    :param ask: asks in the namespace of a process, about those processes that the caller may not look into.
    :param shared: tells how much shared memory the machine has.
    """

    def __init__(
        self,
        ask: Callable[[int, Sequence[int]], Answer | None] | None = None,
        shared: Callable[[], int] | None = None,
    ) -> None:
        self._ask, self._shared = ask or asked, shared or read_shared
        #: descriptors that one process had at most
        self.most_open = 0
        self._round: Iterator[str] | None = None
        self._closed: list[int] = []
        self._new: Files = {}
        self._files: Files = {}
        self._first: int | None = None
        self._others: tuple[int, ...] = ()
        self._answer = Answer(0, {})
        self._unknown, self._grown = self._shared(), 0
        self._asking, self._asked = Pace(0.0), Pace(ASKED)
        self._asked.done(0.0, 1.0)
        self._in_named: frozenset[int] = frozenset()

    @property
    def held(self) -> Held:
        """What was seen last."""
        known, sums = {**self._answer.files, **self._files, **self._new}, {True: 0, False: 0}
        for (device, _), size in known.items():
            if device not in self._in_named:
                sums[device == memory_device()] += size
        return Held(sums[True] + self._answer.segments, sums[False])

    def look(self, first: int, pids: Sequence[int], named: int = 0, devices: Iterable[int] = ()) -> Held:
        """Look at the processes ``pids``, of which ``first`` is the first of the sandbox.

        :param named: bytes of files in memory that are known already, on ``devices``.
        """
        self._first, self._in_named = first, frozenset(devices)
        self._go_on(pids)
        unknown = self._shared() - named - self.held.memory + self._answer.segments
        # What others give back at the same time is not taken off.
        self._grown += max(0, unknown - self._unknown)
        self._unknown = unknown
        if self._asked.due() or (self._grown >= UNKNOWN and self._asking.due()):
            self.ask()
        return self.held

    def ask(self) -> Held:
        """Ask in the namespace now."""
        if self._first is not None:
            start = time.monotonic()
            answer = self._ask(self._first, self._others)
            self._asking.done(time.monotonic() - start, ASKING_SHARE)
            self._asked.done(0.0, 1.0)
            self._grown = 0
            # A sandbox that is about to end can't be asked any more, and has nothing then.
            self._answer = answer or Answer(0, {})
        return self.held

    def _go_on(self, pids: Sequence[int]) -> None:
        if self._round is None:
            self._closed, self._new = [], {}
            self._round = self._descriptors(tuple(pids))
        paths = list(islice(self._round, AT_ONCE))
        self._new.update(found for path in paths if (found := _unlinked(path)) is not None)
        if len(paths) < AT_ONCE:
            self._files, self._new, self._round = self._new, {}, None
            self._others = tuple(self._closed)

    def _descriptors(self, pids: Iterable[int]) -> Iterator[str]:
        for pid in pids:
            count = 0
            try:
                with os.scandir(f"/proc/{pid}/fd") as entries:
                    for count, entry in enumerate(entries, 1):  # noqa: B007 - the last one counts
                        yield entry.path
            except OSError as error:
                # Else it is gone, which the kernel says in several ways.
                if isinstance(error, PermissionError):
                    self._closed.append(pid)
            self.most_open = max(self.most_open, count)


def _unlinked(path: str) -> tuple[tuple[int, int], int] | None:
    try:
        # Other files need not be asked, whose file system might let the answer wait.
        if not os.readlink(path).endswith(" (deleted)"):  # noqa: PTH115 - not a path
            return None
        found = os.stat(path)  # noqa: PTH116 - many times faster
    except OSError:
        return None
    if found.st_nlink or not stat.S_ISREG(found.st_mode):
        return None
    return (found.st_dev, found.st_ino), found.st_blocks * 512


@cache
def memory_device() -> int:
    """The number of the file system, mounted nowhere, that has files of memfd_create."""
    descriptor = os.memfd_create("bwbuild")
    try:
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)


#: /proc/sysvipc shows what is in the namespace of who reads it.
_SCRIPT = (
    'cat /proc/sysvipc/shm && echo && if [ $# -gt 0 ]; then find -L "$@" -maxdepth 1 -type f -links 0'
    " -printf '%D %i %b\\n' 2> /dev/null || true; fi"
)


def asked(first: int, others: Sequence[int]) -> Answer | None:
    """Ask in the namespaces of the process ``first`` about ``others``; None when there is no answer."""
    descriptors: list[int] = []
    try:
        ipc = os.open(f"/proc/{first}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
        descriptors.append(ipc)
        if os.fstat(ipc).st_ino == Path("/proc/self/ns/ipc").stat().st_ino:
            return None  # what is there is everybody's
        user = fcntl.ioctl(ipc, _NS_GET_USERNS)
        descriptors.append(user)
        return _asked(ipc, user, others)
    except OSError:
        return None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _asked(ipc: int, user: int, others: Sequence[int]) -> Answer | None:
    own = os.fstat(user).st_ino == Path("/proc/self/ns/user").stat().st_ino
    enter = [f"--ipc=/proc/self/fd/{ipc}"] + ([] if own else [f"--user=/proc/self/fd/{user}"])
    words = ["sh", "-c", _SCRIPT, "sh", *(f"/proc/{pid}/fd" for pid in others)]
    # Its root may look into all processes; where the caller is that himself he may have no other groups.
    for more in ((), ("--preserve-credentials",)):
        argv = ["nsenter", *more, *enter, *words]
        try:
            done = process.run(argv, check=False, pass_fds=(ipc, user), timeout=PATIENCE)
        except InterruptedBuild:
            raise
        except BwbuildError:
            return None
        if done.returncode == 0:
            return read_answer(done.text)
    return None


def read_answer(text: str) -> Answer:
    """The answer in what the script wrote."""
    table, _, listed = text.partition("\n\n")
    rows = [line.split() for line in table.splitlines()]
    columns = [rows[0].index(name) for name in ("rss", "swap")]
    files: Files = {}
    for line in listed.splitlines():
        device, number, blocks = map(int, line.split())
        files[device, number] = blocks * 512
    return Answer(sum(int(row[column]) for row in rows[1:] for column in columns), files)
