"""Looking for sockets and FIFOs: whoever has one bound, read-only or not, reaches the process behind it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from bwbuild import process
from bwbuild.errors import BwbuildError
from bwbuild.host.facts import Caller, read_caller

#: What may have one in it, as far as anybody can tell.
CLOSED = "a directory that can't be looked through"
#: Seconds that a look as root of a namespace may take.
_PATIENCE = 60.0


def first_below(top: Path) -> tuple[Path, str] | None:
    """A socket or FIFO below ``top`` and what it is, or a directory that may have one: ``CLOSED``.

    What is closed to the caller is open to a build where it belongs to him, who may change its mode, or to
    one of his subordinate ids, for root inside overrides modes. Where he may enter but not list, a name
    that somebody knows is enough. Directories of others that he may not enter are left out.
    """
    todo, closed = [os.fspath(top)], []
    while todo:
        directory = todo.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                        continue
                    kind = _kind(entry.stat(follow_symlinks=False).st_mode)
                    if kind:
                        return Path(entry.path), kind
        except FileNotFoundError:
            continue
        except PermissionError:
            closed.append(directory)
    return _first_in(closed) if closed else None


def remedy(kind: str) -> str:
    """What to do about what was found."""
    return "chmod u+rx lets it be looked through" if kind == CLOSED else "remove it if nobody uses it"


def _first_in(closed: Sequence[str]) -> tuple[Path, str] | None:
    caller = read_caller()
    for name in closed:
        try:
            directory, owner = _owned(name)
        except FileNotFoundError:
            continue
        if owner == caller.uid or any(owner in ids for ids in caller.subuids):
            found = _first_as_root(directory, caller)
        else:
            found = (Path(directory), CLOSED) if os.access(directory, os.X_OK) else None
        if found is not None:
            return found
    return None


def _owned(directory: str) -> tuple[str, int]:
    """``directory``, or the one above it that is listed but not entered, and whose it is."""
    while True:
        try:
            return directory, os.lstat(directory).st_uid
        except PermissionError:
            directory = os.fspath(Path(directory).parent)


def _first_as_root(directory: str, caller: Caller) -> tuple[Path, str] | None:
    """Look as root of a namespace in which the caller's ids exist, which is what a build has at most."""
    ids = ["--map-auto"] if caller.subuids and caller.subgids else []
    look = ["find", directory, "(", "-type", "s", "-o", "-type", "p", ")", "-print0", "-quit"]
    try:
        done = process.run(
            ["unshare", "--user", "--map-root-user", *ids, "--", *look], check=False, timeout=_PATIENCE
        )
    except BwbuildError:
        return Path(directory), CLOSED
    name = os.fsdecode(done.stdout.partition(b"\0")[0])
    if name:
        return Path(name), "a socket or FIFO"
    return (Path(directory), CLOSED) if done.returncode else None


def _kind(mode: int) -> str:
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a FIFO" if stat.S_ISFIFO(mode) else ""
