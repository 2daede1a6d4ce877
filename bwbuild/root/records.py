"""Directories of the cache that are complete once their record is there, which is written last.

Whoever makes or uses one holds a shared lock on it: one without a record that nobody has locked is what is
left of somebody who was killed. Files in it may belong to other ids of the caller's identity. The directory's
own time is that of its last use.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwbuild import process
from bwbuild.errors import BwbuildError
from bwbuild.interrupt import undisturbed
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked
from bwbuild.sandbox.script import entry
from bwbuild.sandbox.spec import Identity, IdentityKind

LOCK = ".lock"
#: Seconds after which nobody is about to lock a lock file.
_ABANDONED = 3600.0


@dataclass(frozen=True, slots=True)
class Found:
    """A directory that is there: its bytes, and when it was last used, in seconds since the epoch.

    :ivar record: None for what is left of one that was never finished.
    """

    path: Path
    record: Any
    size: int
    used: float
    in_use: bool


@dataclass(frozen=True, slots=True)
class Records:
    """The directories of one kind: where they are, what their record is called, and how it is laid out.

    :ivar own: whether all files in them belong to the caller.
    :ivar lasting: whether they are of use after the machine went down.
    """

    place: Path
    name: str
    layout: int
    own: bool = False
    lasting: bool = True

    def directories(self, key: str = "") -> list[Path]:
        """Those whose name begins with ``key``, complete or not."""
        try:
            paths = list(self.place.iterdir())
        except FileNotFoundError:
            return []
        return sorted(path for path in paths if path.name.startswith(key) and path.is_dir())

    def read(self, path: Path) -> Any:
        """The record of one; None where it is incomplete, of another layout or gone."""
        try:
            record = json.loads((path / self.name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # a power failure can leave it empty
            return None
        return record if record.get("layout") == self.layout else None

    def begin(self, key: str, stack: ExitStack) -> Path:
        """A new one, locked until the end of ``stack``, and removed then unless it is complete."""
        while True:
            # A signal before it has a remover would leave it there.
            with undisturbed(), ExitStack() as attempt:
                path = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=self.place))
                # Until it is locked, others take it for the remains of somebody who was killed.
                if attempt.enter_context(locked(path, SHARED)):
                    attempt.callback(self._remove_incomplete, path)
                    path.chmod(0o755)
                    stack.push(attempt.pop_all())
                    return path

    def complete(self, path: Path, fields: Mapping[str, object]) -> None:
        """Write the record of one, with how large it is and when it was made."""
        if self.lasting:
            # A machine that goes down must not leave a record of what never reached the disk.
            process.run(["sync", "--file-system", path])
        common = {"layout": self.layout, "made": time.time(), "size": self._size(path)}
        new = path / f"{self.name}.new"
        with new.open("w", encoding="utf-8") as file:
            file.write(json.dumps(common | dict(fields)))
            if self.lasting:
                file.flush()
                os.fsync(file.fileno())
        new.rename(path / self.name)
        os.utime(path)

    def hold(self, path: Path, stack: ExitStack) -> Any:
        """The record of one, which is locked until the end of ``stack``; None where it is not complete."""
        # Not AT_ONCE: who has it alone only looks whether it is in use, or will be done with it soon.
        return self.read(path) if stack.enter_context(locked(path, SHARED)) else None

    def use(self, path: Path, stack: ExitStack) -> Any:
        """The record of a complete one, which stays until the end of ``stack``; None where it is not."""
        with ExitStack() as attempt:
            record = self.hold(path, attempt)
            if record is not None:
                os.utime(path)
                stack.push(attempt.pop_all())
            return record

    def by_use(self) -> Iterator[tuple[float, Path]]:
        """When each was last used (seconds since the epoch), the last one first."""
        found = []
        for path in self.directories():
            with suppress(FileNotFoundError):  # it was removed meanwhile
                found.append((path.stat().st_mtime, path))
        yield from sorted(found, reverse=True)

    def stored(self) -> Iterator[Found]:
        """Those that are complete and what is left of others, the one used last first; none in the making."""
        for used, path in self.by_use():
            busy, record = in_use(path), self.read(path)
            if record is not None:
                yield Found(path, record, record["size"], used, busy)
            elif not busy:
                yield Found(path, None, self._size(path), used, busy)

    def remove(self, path: Path) -> bool:
        """Remove one, or what is left of one, unless it is in use; whether this process has removed it.

        :raises BwbuildError: it can't be removed; it is not complete any more all the same.
        :raises OSError: the same, where all files are the caller's ``own``.
        """
        with locked(path, EXCLUSIVE | AT_ONCE) as free:
            if free:
                # Without its record it is of no use any more, whatever happens next.
                (path / self.name).unlink(missing_ok=True)
                self._remove_tree(path)
        return free

    def try_to_remove(self, path: Path) -> None:
        """Remove one if that is possible; what can't be removed stays, and is in nobody's way."""
        with suppress(OSError, BwbuildError):
            self.remove(path)

    def prune_locks(self) -> None:
        """Remove the lock files of those who were killed while they had them."""
        for path in self.place.glob(f"*{LOCK}"):
            with suppress(OSError), locked(path, EXCLUSIVE | AT_ONCE) as free:
                # A young one may belong to somebody who has made it, and is about to lock it.
                if free and time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()

    def _remove_incomplete(self, path: Path) -> None:
        if not (path / self.name).exists():
            with suppress(OSError):  # what stays is in nobody's way
                self._remove_tree(path)

    def _remove_tree(self, path: Path) -> None:
        (_remove_own if self.own else remove_tree)(path)

    def _size(self, path: Path) -> int:
        return (_size_of_own if self.own else size_of)(path)


def in_use(path: Path) -> bool:
    """Whether somebody has a lock on ``path``."""
    with locked(path, EXCLUSIVE | AT_ONCE) as free:
        return not free


def make_place(path: Path) -> None:
    """Make a directory and those above it; ids that are nobody's must come through to what is theirs."""
    for missing in reversed([place for place in (path, *path.parents) if not place.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o755)


def remove_tree(path: Path) -> None:
    """Remove a directory with files of any of the caller's ids.

    :raises BwbuildError: it can't be removed.
    """
    words = ["rm", "-rf", "--one-file-system", "--", os.fspath(path)]
    if process.run(words, check=False).returncode != 0:
        process.run([*_entry(), *words])


def size_of(path: Path) -> int:
    """The bytes that a directory with files of any of the caller's ids takes on disk."""
    words = ["du", "-sk", "--one-file-system", "--", os.fspath(path)]
    done = process.run(words, check=False)
    if done.returncode != 0:
        done = process.run([*_entry(), *words])
    return int(done.text.split()[0]) * 1024


def _remove_own(path: Path) -> None:
    """Remove a directory; the kernel leaves some in one that was being made which nobody may look into."""
    closed = ("-type", "d", "!", "-perm", "-u=rwx", "-exec", "chmod", "u+rwx", "{}", ";")
    process.run(["find", path, *closed], check=False)  # what then stays closed is rmtree's error
    shutil.rmtree(path)


def _size_of_own(path: Path) -> int:
    # du fails on what is closed or removed meanwhile, and tells the rest.
    words = process.run(["du", "-sk", "--", path], check=False).text.split()
    return int(words[0]) * 1024 if words else 0


def _entry() -> tuple[str, ...]:
    # A caller who is root outside needs no namespace to reach ids of his own choice.
    return () if os.getuid() == 0 else entry(Identity(IdentityKind.RANGE, os.getuid(), os.getgid()))
