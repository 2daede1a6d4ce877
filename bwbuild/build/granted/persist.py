"""Directories that stay between the builds of one source, each for that source alone.

``CACHE/persist/SOURCE/NAME/data`` is what the builds see. The lock is beside it, where no build can hold it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bwbuild import process
from bwbuild.errors import OutputError
from bwbuild.events import Level, Notice, Tell
from bwbuild.sandbox import script
from bwbuild.sandbox.spec import Identity, IdentityKind


@dataclass(frozen=True, slots=True)
class Stored:
    """A directory that stays: whose, its name, where it is, its bytes, and when it was used last."""

    source: str
    name: str
    path: Path
    size: int
    used: float
    in_use: bool


@contextmanager
def opened(cache: Path, source: str, name: str, identity: Identity, tell: Tell) -> Iterator[Path]:
    """The directory ``name`` of ``source``, which no other build uses until the end of the context.

    :raises OutputError: it can't be made.
    """
    place = cache / "persist" / source / name
    data = place / "data"
    try:
        (cache / "persist").mkdir(parents=True, exist_ok=True, mode=0o755 if os.getuid() == 0 else 0o700)
        data.mkdir(parents=True, exist_ok=True)
        place.parent.chmod(0o755)
        data.chmod(0o700)
        if identity.outer_first is not None:
            user = identity.outer_first + identity.uid
            os.chown(data, user, user)
        descriptor = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        message = f"{data} can't be made for persist={name}: {error.strerror}"
        raise OutputError(message, hint="name another place: --cache DIR") from error
    try:
        _wait(descriptor, source, name, tell)
        os.utime(place)
        yield data
        os.utime(place)
    finally:
        os.close(descriptor)


def stored(cache: Path, identity: Identity) -> Iterator[Stored]:
    """All that there are, by source and name; ``identity`` is that of the builds."""
    top = cache / "persist"
    for place in sorted(top.glob("*/*")) if top.is_dir() else ():
        with _locked(place) as free:
            size = _size(place, identity)
        yield Stored(place.parent.name, place.name, place, size, place.stat().st_mtime, not free)


def remove(place: Path, identity: Identity) -> bool:
    """Remove one of them unless a build uses it; whether it is gone."""
    with _locked(place) as free:
        if free:
            words = ("rm", "-rf", "--one-file-system", "--", place / "data")
            if process.run(words, check=False).returncode != 0:
                process.run([*_entry(identity), *words])
            process.run(("rm", "-rf", "--one-file-system", "--", place))
            with suppress(OSError):  # the source keeps others
                place.parent.rmdir()
    return free


def _wait(descriptor: int, source: str, name: str, tell: Tell) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell(Notice(Level.INFO, f"waiting for another build of {source} to let go of persist={name}"))
        while True:  # in steps, so that a signal ends it
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.2)


@contextmanager
def _locked(place: Path) -> Iterator[bool]:
    try:
        descriptor = os.open(place / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield True  # it never came to be whole
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _size(place: Path, identity: Identity) -> int:
    words = ("du", "-sk", "--one-file-system", "--", place)
    done = process.run(words, check=False)
    if done.returncode != 0:
        done = process.run([*_entry(identity), *words])
    return int(done.text.split()[0]) * 1024


def _entry(identity: Identity) -> tuple[str, ...]:
    # Files of subordinate ids need their namespace; root outside reaches them as they are.
    is_root = os.getuid() == 0 and identity.kind is IdentityKind.RANGE
    return () if is_root else script.entry(identity)
