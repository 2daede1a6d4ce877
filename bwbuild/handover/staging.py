"""A hidden directory beside the place of publication: complete before anything becomes visible, or gone.

Two kinds of ``flock`` keep builds apart, and neither leaves a file behind: the output directory itself is
locked for the moments in which its names change, and each hidden directory is locked by the process that
fills it, so that one without a lock is what a killed run left.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bwbuild.errors import OutputError

#: Seconds to wait for another run that publishes to the same directory; it needs milliseconds.
LOCK_TIMEOUT = 60.0
#: Seconds after which a directory of another machine counts as left over: its locks can't be seen from here.
FOREIGN_AGE = 86400.0

_NAME = re.compile(r"\.bwbuild-[0-9a-f]{16}")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Staging:
    """Descriptors of the output directory, of the hidden directory ``new`` in it, and of ``old`` in that."""

    output: Path
    place: int
    new: int
    old: int

    def has_old(self, name: str) -> bool:
        """Whether ``name`` was there before and is kept in ``old``."""
        return _exists(name, self.old)

    def has_new(self, name: str) -> bool:
        """Whether ``name`` is still in ``new``, not yet published."""
        return _exists(name, self.new)


@contextmanager
def staging(output: Path) -> Iterator[Staging]:
    """A hidden directory in ``output`` while the context lasts; leftovers of killed runs are removed.

    :raises OSError: ``output`` is no directory that the caller may write to.
    :raises OutputError: another process does not let go of ``output``.
    """
    # A symbolic link to the directory is the user's own choice, so it is followed.
    place = os.open(output, _OPEN)
    name = f".bwbuild-{_host()}{os.urandom(4).hex()}"
    try:
        with locked(place, output):
            _sweep(place)
            os.mkdir(name, 0o700, dir_fd=place)
            new = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=place)
            fcntl.flock(new, fcntl.LOCK_EX)
        try:
            os.mkdir("old", 0o700, dir_fd=new)
            old = os.open("old", _OPEN | os.O_NOFOLLOW, dir_fd=new)
            try:
                yield Staging(output, place, new, old)
            finally:
                os.close(old)
        finally:
            _remove(name, place)
            os.close(new)
    finally:
        os.close(place)


@contextmanager
def locked(place: int, output: Path) -> Iterator[None]:
    """The only one who changes names in the directory ``place``; it must be this run's own descriptor.

    :raises OutputError: somebody else held the lock for :data:`LOCK_TIMEOUT` seconds.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT
    while not _try_lock(place):
        if time.monotonic() > deadline:
            raise OutputError(
                f"another process has locked {output} for more than {LOCK_TIMEOUT:g} s",
                hint=f"see who: fuser -v {output}",
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        fcntl.flock(place, fcntl.LOCK_UN)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(place: int) -> None:
    with os.scandir(place) as entries:
        names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
    for name in names:
        # Another run may remove its own directory meanwhile, and that of another user can't be opened.
        with suppress(OSError):
            _remove_abandoned(name, place)


def _remove_abandoned(name: str, place: int) -> None:
    descriptor = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=place)
    try:
        status = os.fstat(descriptor)
        ours = status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077 == 0
        # The lock of a run on another machine, over a network file system, is not seen here.
        local = name.startswith(f".bwbuild-{_host()}")
        if ours and (local or time.time() - status.st_mtime > FOREIGN_AGE) and _try_lock(descriptor):
            _remove(name, place)
    finally:
        os.close(descriptor)


def _remove(name: str, place: int) -> None:
    # What can't be removed now stays hidden, and the next run tries again.
    shutil.rmtree(name, ignore_errors=True, dir_fd=place)


def _host() -> str:
    """Eight digits that tell this machine from others."""
    return hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:8]


def _exists(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
