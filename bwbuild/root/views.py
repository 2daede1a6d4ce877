"""The cache of declared views: made once, locked while in use, remade when the host changed, pruned.

A view is a directory called after its key and a serial. It is complete when its record is there, which is
written last. Whoever uses a view holds a shared lock on it; whoever makes one for a key holds the key's lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bwbuild.deb.database import DIRECTORY
from bwbuild.errors import HostError, OutputError
from bwbuild.root.contents import Contents, Cover
from bwbuild.root.locks import turn
from bwbuild.root.records import LOCK, Found, Records

RECORD = "view.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: What the view was made from: paths, separated by null bytes.
_READ = "read"
#: How often a view is made if the machine changes meanwhile.
_TRIES = 3
#: Changes when views are laid out in another way, so that none of the old ones is used.
_LAYOUT = 5
#: Seconds after which a view that nobody used is removed, and bytes that all of them may take.
OLD, LARGE = 30 * 86400.0, 2 << 30
#: The seconds for one of another state of dpkg's database; another system may share the cache.
OUTDATED = 86400.0


@dataclass(frozen=True, slots=True)
class View:
    """A complete view.

    :ivar packages: id -> version of what is visible.
    :ivar missing: what the source declares and the host lacks, as lines for the user.
    :ivar covers, bound, failed: see :class:`~bwbuild.root.contents.Contents`.
    :ivar database: see :func:`database_stamp`.

    The directories ``etc`` and ``dpkg`` below ``path`` are seen as /etc and /var/lib/dpkg.
    """

    path: Path
    packages: Mapping[str, str]
    missing: tuple[str, ...]
    covers: tuple[Cover, ...]
    bound: tuple[str, ...]
    failed: tuple[str, ...]
    database: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A view in the cache: bytes, seconds since the epoch, and how many packages it has.

    :ivar packages: 0 for what is left of a view that was never finished.
    :ivar current: whether the host is still as it was.
    """

    path: Path
    size: int
    made: float
    used: float
    packages: int
    current: bool
    in_use: bool


@dataclass(frozen=True, slots=True)
class Made:
    """What a maker has laid out; see :class:`View` for ``packages`` and ``missing``."""

    packages: Mapping[str, str]
    missing: tuple[str, ...]
    contents: Contents


#: Fills an empty directory.
Maker = Callable[[Path], Made]


def key_of(asked: Mapping[str, object]) -> str:
    """The key of a view: what is ``asked`` for (JSON values), and the state of dpkg's database."""
    text = json.dumps([_LAYOUT, asked, database_stamp()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def database_stamp() -> str:
    """Changes when dpkg changes what is installed, or update-alternatives or dpkg-divert what is where.

    It changes when the machine starts anew too: nothing is flushed to the disk while a view is made, so none
    can be trusted after the machine went down.
    """
    names = ("status", "updates", "info", "diversions", "alternatives")
    times = _digest(_times(os.fspath(DIRECTORY / name) for name in names))
    return f"{times} {_BOOT.read_text(encoding='ascii').strip()}"


@contextmanager
def opened(base: Path, key: str, make: Maker, waiting: Callable[[], None]) -> Iterator[View]:
    """The view for ``key`` below ``base``, made by ``make`` if there is none, and kept while it is in use.

    :param waiting: is called before it is waited for another process that makes the same view.
    :raises OutputError: the cache can't be written.
    :raises HostError: the machine does not stay as it is while the view is made.
    """
    with ExitStack() as stack:
        try:
            base.mkdir(parents=True, exist_ok=True, mode=0o755)
            records = _records(base)
            view = _found(records, key, stack)
            if view is None:
                prune(base)
                with turn(base / f"{key}{LOCK}", waiting):
                    view = _found(records, key, stack) or _made(records, key, make, stack)
        except OSError as error:
            raise _no_view(base, error) from error
        yield view


def stored(base: Path) -> list[Stored]:
    """All views below ``base``, finished or left unfinished by somebody killed, the one used last first."""
    return [_stored(found) for found in _records(base).stored()]


def remove(path: Path) -> bool:
    """Remove a view unless it is in use; whether this process has removed it.

    :raises OSError: it can't be removed; it is no view any more all the same.
    """
    return _records(path.parent).remove(path)


def prune(base: Path) -> None:
    """Remove what nobody can use again or has used for long, and what is too much.

    What can't be removed stays, for ``bwbuild clean`` to show: it is in nobody's way.
    """
    records, total, now, stamp = _records(base), 0, time.time(), database_stamp()
    for used, path in records.by_use():
        record = records.read(path)
        total += record["size"] if record else 0
        allowed = OLD if record and record["database"] == stamp else OUTDATED
        if record is None or now - used > allowed or total > LARGE:
            records.try_to_remove(path)
    records.prune_locks()


def _records(base: Path) -> Records:
    return Records(base, RECORD, _LAYOUT, own=True, lasting=False)


def _stored(found: Found) -> Stored:
    path, record = found.path, found.record
    if record is None:
        return Stored(path, found.size, found.used, found.used, 0, False, found.in_use)
    current = record["database"] == database_stamp() and _is_current(path, record)
    packages = len(record["packages"])
    return Stored(path, found.size, record["made"], found.used, packages, current, found.in_use)


def _found(records: Records, key: str, stack: ExitStack) -> View | None:
    for path in records.directories(key):
        with ExitStack() as attempt:
            record = records.hold(path, attempt)
            if record is not None and _is_current(path, record):
                if os.access(path, os.W_OK):  # a cache that is read-only remembers no last use
                    os.utime(path)
                stack.push(attempt.pop_all())
                return _view(path, record)
    return None


def _made(records: Records, key: str, make: Maker, stack: ExitStack) -> View:
    """A new view in place of those for ``key``, which nobody can use any more."""
    for path in records.directories(key):
        records.try_to_remove(path)
    for _ in range(_TRIES):
        with ExitStack() as attempt:
            path = records.begin(key, attempt)
            fields = _filled(path, make)
            if fields is not None:
                records.complete(path, fields)
                stack.push(attempt.pop_all())
                return _view(path, records.read(path))
    raise HostError(
        "this machine was changed while the view of its packages was made",
        hint="wait until dpkg, apt and whatever else changes /usr or /etc is done, then start again",
    )


def _filled(path: Path, make: Maker) -> dict[str, object] | None:
    """Make a view in an empty directory: its record; None if what it is made from was changed meanwhile."""
    begun, stamp = path.stat().st_ctime_ns, database_stamp()
    made = make(path)
    times = _times(made.contents.read)
    if database_stamp() != stamp or any(time >= begun for time in times):
        return None
    (path / _READ).write_bytes(b"\0".join(map(os.fsencode, made.contents.read)))
    return {
        "database": stamp,
        "packages": dict(made.packages),
        "missing": made.missing,
        "covers": [asdict(cover) for cover in made.contents.covers],
        "bound": made.contents.bound,
        "failed": made.contents.failed,
        "read": _digest(times),
    }


def _view(path: Path, record: Any) -> View:
    return View(
        path=path,
        packages=record["packages"],
        missing=tuple(record["missing"]),
        covers=tuple(Cover(**cover) for cover in record["covers"]),
        bound=tuple(record["bound"]),
        failed=tuple(record["failed"]),
        database=record["database"],
    )


def _is_current(path: Path, record: Any) -> bool:
    """Whether the host's files and directories are as they were when the view was made."""
    try:
        read = (path / _READ).read_bytes().split(b"\0")
    except FileNotFoundError:
        return False
    return bool(record["read"] == _digest(_times(map(os.fsdecode, read))))


def _times(paths: Iterable[str]) -> list[int]:
    """When each was changed, in nanoseconds: the time that nobody can set. 0 for what can't be looked at."""
    found = []
    for path in paths:
        try:
            found.append(os.lstat(path).st_ctime_ns)
        except (FileNotFoundError, PermissionError):
            found.append(0)
    return found


def _digest(times: list[int]) -> str:
    return hashlib.sha256(" ".join(map(str, times)).encode()).hexdigest()


def _no_view(base: Path, error: OSError) -> OutputError:
    hint = "free some space (bwbuild clean shows what is there), or show all of the host: --view host"
    return OutputError(f"the view can't be made in {base}: {error.strerror}", hint=hint)
