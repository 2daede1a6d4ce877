"""The cache of declared views: made once, locked while in use, remade when the host changed, pruned.

A view is a directory called after its key and a serial. It is complete when its record is there, which is
written last. Whoever uses a view holds a shared lock on it; whoever makes one for a key holds the key's lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bwbuild import process
from bwbuild.deb.database import DIRECTORY
from bwbuild.errors import HostError, OutputError
from bwbuild.root.contents import Contents, Cover
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked, turn

RECORD = "view.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: What the view was made from: paths, separated by null bytes.
_READ = "read"
#: What the lock of those who make the view for a key is called after the key.
_LOCK = ".lock"
#: Seconds after which nobody is about to lock a lock file.
_ABANDONED = 3600.0
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
            view = _found(base, key, stack)
            if view is None:
                prune(base)
                with turn(base / f"{key}{_LOCK}", waiting):
                    view = _found(base, key, stack) or _made(base, key, make, stack)
        except OSError as error:
            raise _no_view(base, error) from error
        yield view


def stored(base: Path) -> list[Stored]:
    """All views below ``base``, finished or left unfinished by somebody killed, the one used last first."""
    found = []
    for path in _directories(base):
        with suppress(FileNotFoundError):  # it was removed meanwhile
            item = _stored(path)
            if item.packages or not item.in_use:
                found.append(item)
    return sorted(found, key=lambda view: view.used, reverse=True)


def remove(path: Path) -> bool:
    """Remove a view unless it is in use; whether this process has removed it.

    :raises OSError: it can't be removed; it is no view any more all the same.
    """
    with locked(path, EXCLUSIVE | AT_ONCE) as free:
        if free:
            # Without its record it is no view any more, whatever happens next.
            (path / RECORD).unlink(missing_ok=True)
            _remove_tree(path)
    return free


def prune(base: Path) -> None:
    """Remove what nobody can use again or has used for long, and what is too much.

    What can't be removed stays, for ``bwbuild clean`` to show: it is in nobody's way.
    """
    total, now, stamp = 0, time.time(), database_stamp()
    for used, path in sorted(_by_use(base), reverse=True):
        record = _read(path)
        total += record["size"] if record else 0
        allowed = OLD if record and record["database"] == stamp else OUTDATED
        if record is None or now - used > allowed or total > LARGE:
            _try_to_remove(path)
    for path in base.glob(f"*{_LOCK}"):
        with suppress(OSError), locked(path, EXCLUSIVE | AT_ONCE) as free:
            # A young one may belong to somebody who has made it, and is about to lock it.
            if free and now - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def _by_use(base: Path) -> Iterator[tuple[float, Path]]:
    for path in _directories(base):
        with suppress(FileNotFoundError):
            yield path.stat().st_mtime, path


def _stored(path: Path) -> Stored:
    used = path.stat().st_mtime
    with locked(path, EXCLUSIVE | AT_ONCE) as free:
        in_use = not free
    record = _read(path)
    if record is None:
        return Stored(path, 0 if in_use else _size(path), used, used, 0, False, in_use)
    current = record["database"] == database_stamp() and _is_current(path, record)
    return Stored(path, record["size"], record["made"], used, len(record["packages"]), current, in_use)


def _found(base: Path, key: str, stack: ExitStack) -> View | None:
    for path in _directories(base, key):
        with ExitStack() as attempt:
            # Not AT_ONCE: who has it alone only looks whether it is in use, or will be done with it soon.
            record = _read(path) if attempt.enter_context(locked(path, SHARED)) else None
            if record is not None and _is_current(path, record):
                if os.access(path, os.W_OK):  # a cache that is read-only remembers no last use
                    os.utime(path)
                stack.push(attempt.pop_all())
                return _view(path, record)
    return None


def _made(base: Path, key: str, make: Maker, stack: ExitStack) -> View:
    """A new view in place of those for ``key``, which nobody can use any more."""
    for path in _directories(base, key):
        _try_to_remove(path)
    left = _TRIES
    while left:
        path = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=base))
        with ExitStack() as attempt:
            attempt.callback(_remove_incomplete, path)
            # Until it is locked, others take it for the remains of somebody who was killed.
            if attempt.enter_context(locked(path, SHARED)):
                left -= 1
                if _is_filled(path, make):
                    stack.push(attempt.pop_all())
                    return _view(path, _read(path))
    raise HostError(
        "this machine was changed while the view of its packages was made",
        hint="wait until dpkg, apt and whatever else changes /usr or /etc is done, then start again",
    )


def _is_filled(path: Path, make: Maker) -> bool:
    """Make a view in an empty directory; False if what it is made from was changed meanwhile."""
    path.chmod(0o755)
    begun, stamp = path.stat().st_ctime_ns, database_stamp()
    made = make(path)
    times = _times(made.contents.read)
    if database_stamp() != stamp or any(time >= begun for time in times):
        return False
    record = {
        "layout": _LAYOUT,
        "database": stamp,
        "made": time.time(),
        "packages": dict(made.packages),
        "missing": made.missing,
        "covers": [asdict(cover) for cover in made.contents.covers],
        "bound": made.contents.bound,
        "failed": made.contents.failed,
        "read": _digest(times),
        "size": _size(path),
    }
    (path / _READ).write_bytes(b"\0".join(map(os.fsencode, made.contents.read)))
    new = path / f"{RECORD}.new"
    new.write_text(json.dumps(record), encoding="utf-8")
    new.rename(path / RECORD)
    return True


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


def _directories(base: Path, key: str = "") -> list[Path]:
    try:
        return sorted(path for path in base.iterdir() if path.name.startswith(key) and path.is_dir())
    except FileNotFoundError:
        return []


def _read(path: Path) -> Any:
    """The record of a view; None for one that is incomplete, of another layout or gone."""
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a power failure can leave it empty
        return None
    return record if record.get("layout") == _LAYOUT else None


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


def _size(path: Path) -> int:
    # du fails on what is removed meanwhile, and tells the rest.
    words = process.run(["du", "-sk", "--", path], check=False).text.split()
    return int(words[0]) * 1024 if words else 0


def _remove_tree(path: Path) -> None:
    """Remove a view; the kernel leaves directories in one that was being made which nobody may look into."""
    closed = ("-type", "d", "!", "-perm", "-u=rwx", "-exec", "chmod", "u+rwx", "{}", ";")
    process.run(["find", path, *closed], check=False)  # what then stays closed is rmtree's error
    shutil.rmtree(path)


def _remove_incomplete(path: Path) -> None:
    if not (path / RECORD).exists():
        _try_to_remove(path)


def _try_to_remove(path: Path) -> None:
    with suppress(OSError):
        remove(path)


def _no_view(base: Path, error: OSError) -> OutputError:
    hint = "free some space (bwbuild clean shows what is there), or show all of the host: --view host"
    return OutputError(f"the view can't be made in {base}: {error.strerror}", hint=hint)
