"""Homes of programs that are tried: one for each package, kept in the state home until somebody removes it.

A home is a directory ``home`` beside its record, both in a directory that whoever uses it has locked: two
programs at once would see each other's files half written, and could move directories under what is mounted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bwbuild.errors import OutputError, UsageError
from bwbuild.permissions.words import XDG
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, locked
from bwbuild.root.records import in_use, make_place, remove_tree, size_of
from bwbuild.sandbox.spec import Identity

_RECORD, _LEARNED = "home.json", "learned.json"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Home:
    """A home that is in use: where it is outside.

    :ivar place: has the home itself, and what was learned of the program.
    :ivar is_new: it was empty when it was opened.
    """

    place: Path
    is_new: bool

    @property
    def path(self) -> Path:
        """The home directory."""
        return self.place / "home"

    @property
    def learned(self) -> Path:
        """Where is written what a run with --learn found."""
        return self.place / _LEARNED


@dataclass(frozen=True, slots=True)
class Stored:
    """A home that is there: of which package, its bytes, and when it was last used (since the epoch)."""

    path: Path
    package: str
    size: int
    used: float
    in_use: bool


def directory() -> Path:
    """Where all homes are."""
    if os.getuid() == 0:
        # Reachable for ids that are nobody's, so not in root's own home.
        return Path("/var/lib/bwbuild/homes")
    from platformdirs import user_state_path  # noqa: PLC0415 - only here

    return user_state_path("bwbuild") / "homes"


def learned(name: str) -> Path:
    """Where is written what a run with --learn found for the home called ``name``, which may not be there."""
    return directory() / name / _LEARNED


@contextmanager
def opened(name: str, identity: Identity, *, fresh: bool) -> Iterator[Home]:
    """The home called ``name``, made where there is none, and nobody else's until the end of the context.

    :param fresh: what is there is removed first.
    :raises UsageError: another program has it.
    :raises OutputError: it can't be made.
    """
    place = directory() / name
    try:
        make_place(place.parent)
        place.mkdir(exist_ok=True, mode=0o755 if os.getuid() == 0 else 0o700)
    except OSError as error:
        raise OutputError(f"no home can be made in {place.parent}: {error.strerror}") from error
    with locked(place, EXCLUSIVE | AT_ONCE) as free:
        if not free:
            raise UsageError(
                f"another program has the home of {name}",
                hint="wait until it has ended, or give this one another home: --home NAME",
            )
        if fresh and (place / "home").exists():
            remove_tree(place / "home")
        is_new = not (place / "home").exists()
        _make(place, identity)
        (place / _RECORD).write_text(json.dumps({"package": name, "used": time.time()}), encoding="utf-8")
        yield Home(place, is_new)


def _make(place: Path, identity: Identity) -> None:
    home = place / "home"
    home.mkdir(exist_ok=True, mode=0o700)
    if identity.outer_first is not None:
        os.chown(home, identity.outer_first + identity.uid, identity.outer_first + identity.gid)
    home.chmod(0o700)


def unlock(home: Home) -> None:
    """Open a home that its program may have closed."""
    home.path.chmod(0o700)


@contextmanager
def linked(home: Home, paths: Mapping[str, Path]) -> Iterator[tuple[str, ...]]:
    """Let granted paths of the caller's home be found where programs look for them; those that can't be.

    Nothing is mounted in the home: what an earlier run left there could lead the mount elsewhere. A link is
    text, and gone at the end of the context.

    :param paths: value of the permission, such as ``~/data`` -> the path, here and inside.
    """
    wanted = {value: path for value, path in paths.items() if in_home(value)}
    failed = tuple(value for value, path in wanted.items() if not _link(home, in_home(value), path))
    try:
        yield failed
    finally:
        for value, path in wanted.items():
            if value not in failed:
                _unlink(home, in_home(value), path)


def in_home(value: str) -> tuple[str, ...]:
    """The names on the way from the home to where programs look for it; none for other paths."""
    top, _, below = value.partition("/")
    if top != "~" and top not in XDG:
        return ()
    return tuple(name for name in f"{XDG.get(top, '')}/{below}".split("/") if name)


def _link(home: Home, names: tuple[str, ...], target: Path) -> bool:
    with _directory(home, names[:-1], make=True) as directory:
        if directory is None:
            return False
        if not _text(names[-1], directory):
            with suppress(OSError):
                # Such as one that was made for a path below it.
                os.rmdir(names[-1], dir_fd=directory)
        with suppress(FileExistsError):
            os.symlink(target, names[-1], dir_fd=directory)
        return _text(names[-1], directory) == str(target)


def _unlink(home: Home, names: tuple[str, ...], target: Path) -> None:
    with _directory(home, names[:-1], make=False) as directory:
        if directory is not None and _text(names[-1], directory) == str(target):
            os.unlink(names[-1], dir_fd=directory)


def _text(name: str, directory: int) -> str:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return ""


@contextmanager
def _directory(home: Home, names: tuple[str, ...], *, make: bool) -> Iterator[int | None]:
    """A directory below the home, to which no link leads; None where there is something else."""
    descriptor = os.open(home.path, _DIRECTORY)
    try:
        for name in names:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=descriptor)
            try:
                below = os.open(name, _DIRECTORY, dir_fd=descriptor)
            except OSError:
                yield None
                return
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def stored() -> list[Stored]:
    """All homes, the one used last first."""
    found = []
    place = directory()
    for path in place.iterdir() if place.is_dir() else ():
        try:
            record = json.loads((path / _RECORD).read_text(encoding="utf-8"))
            used = float(record["used"])
        except (OSError, ValueError, KeyError, TypeError):
            used = path.stat().st_mtime  # whoever made it was killed at once
        found.append(Stored(path, path.name, size_of(path), used, in_use(path)))
    return sorted(found, key=lambda home: home.used, reverse=True)


def remove(path: Path) -> bool:
    """Remove a home unless somebody has it; whether this process has removed it.

    :raises BwbuildError: it can't be removed.
    """
    with locked(path, EXCLUSIVE | AT_ONCE) as free:
        if free:
            remove_tree(path)
    return free
