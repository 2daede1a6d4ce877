"""Bases: what mmdebstrap makes of a suite, once, with the ids that builds have.

A base is a directory ``root`` of subordinate ids beside its record. Nobody changes one: a fresher one takes
its place, and the old one goes when nobody uses it any more.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwbuild.errors import BwbuildError, HostError, InterruptedBuild
from bwbuild.events import Level, Notice, Observer
from bwbuild.root import bootstrap
from bwbuild.root.ground import Base
from bwbuild.root.locks import turn
from bwbuild.root.records import LOCK, Records, make_place
from bwbuild.root.space import unwritable
from bwbuild.root.suite import Suite
from bwbuild.sandbox.spec import Identity, IdentityKind

_LAYOUT = 2
#: Seconds after which a base that nobody used is removed when another one is made.
OLD = 30 * 86400.0
#: Seconds for which a base that is too old is used without asking a mirror that failed again.
_PATIENCE = 3600.0
_FAILED = ".failed"


@dataclass(frozen=True, slots=True)
class Stored:
    """A base in the cache, or what is left of one that was never finished: then ``base`` is None.

    :ivar used: when it was last used, in seconds since the epoch.
    """

    path: Path
    base: Base | None
    size: int
    used: float
    in_use: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """Which base is wanted, below which directory, how fresh (seconds), and who hears of the work.

    :ivar fetch: whether the network may be asked.
    """

    suite: Suite
    identity: Identity
    cache: Path
    refresh: float
    tell: Observer
    fetch: bool = True


@contextmanager
def opened(wish: Wish) -> Iterator[Base]:
    """The newest base of a suite, made if there is none or if it is too old, and kept while it is in use.

    One that is too old is used all the same where no fresher one can be made, and that is said.

    :raises HostError: none can be made.
    :raises OutputError: the cache can't be written.
    """
    with ExitStack() as stack:
        with _on_disk(wish):
            base = _opened(wish, stack)
        yield base


def update(wish: Wish) -> None:
    """Make a fresh base, whatever is there.

    :raises HostError: it can't be made.
    :raises OutputError: the cache can't be written.
    """
    stack = ExitStack()
    with stack, _on_disk(wish), turn(_lock(wish), lambda: wish.tell(_waiting(wish))):
        _made(wish, stack)


def complete(cache: Path) -> list[Base]:
    """All complete bases below ``cache``, the newest first."""
    found = [base for path in _records(cache).directories() if (base := _read(path)) is not None]
    return sorted(found, key=lambda base: base.made, reverse=True)


def stored(cache: Path) -> list[Stored]:
    """All bases below ``cache``, finished or left unfinished by somebody killed, the one used last first."""
    return [
        Stored(found.path, _base(found.path, found.record), found.size, found.used, found.in_use)
        for found in _records(cache).stored()
    ]


def remove(path: Path) -> bool:
    """Remove a base or what is left of one, unless it is in use; whether this process has removed it.

    :raises BwbuildError: it can't be removed; it is no base any more all the same.
    """
    return _records(path.parent).remove(path)


def prune(cache: Path) -> None:
    """Remove what nobody has used for long, and what is left of bases that were never finished."""
    records = _records(cache)
    for used, path in records.by_use():
        if _read(path) is None or time.time() - used > OLD:
            records.try_to_remove(path)
    records.prune_locks()


def _opened(wish: Wish, stack: ExitStack) -> Base:
    used = stack.enter_context(ExitStack())
    base = _found(wish, used)
    if base is None:
        return _first(wish, stack)
    fresh = _fresher(wish, base, stack) if _is_too_old(wish, base) else None
    if fresh is None:
        return base
    used.close()  # else it would stay, as one that is in use
    _records(wish.cache).try_to_remove(base.path)
    return fresh


def _is_too_old(wish: Wish, base: Base) -> bool:
    if not wish.fetch or time.time() - base.made <= wish.refresh:
        return False
    with suppress(FileNotFoundError):
        return time.time() - _failed(wish).stat().st_mtime > _PATIENCE
    return True


def _first(wish: Wish, stack: ExitStack) -> Base:
    with turn(_lock(wish), lambda: wish.tell(_waiting(wish))):
        found = _found(wish, stack)  # somebody may have made it meanwhile
        if found is not None:
            return found
        if not wish.fetch:
            raise HostError(
                f"there is no base of {wish.suite.name}, and --no-fetch forbids to make one",
                hint=f"bwbuild root create {wish.suite.name}",
            )
        return _made(wish, stack)


def _fresher(wish: Wish, old: Base, stack: ExitStack) -> Base | None:
    with turn(_lock(wish), lambda: wish.tell(_waiting(wish))):
        newest = _newest(wish)
        if newest is not None and newest.id != old.id:
            return _found(wish, stack)  # somebody has made it meanwhile
        try:
            return _made(wish, stack)
        except InterruptedBuild:
            raise
        except BwbuildError as error:
            days = (time.time() - old.made) / 86400
            text = f"{error.message}; going on with the base of {wish.suite.name} made {days:.0f} days ago"
            wish.tell(Notice(Level.WARNING, text))
            _failed(wish).touch()
            return None


def _made(wish: Wish, stack: ExitStack) -> Base:
    suite, records = wish.suite, _records(wish.cache)
    prune(wish.cache)
    wish.tell(Notice(Level.INFO, f"making a base of {suite.name} with mmdebstrap, once; it takes a minute"))
    with ExitStack() as attempt:
        path = records.begin(_key(wish), attempt)
        bootstrap.make(suite, path, wish.identity, wish.tell)
        records.complete(path, _fields(wish))
        stack.push(attempt.pop_all())
    _failed(wish).unlink(missing_ok=True)
    for other in records.directories(_key(wish)):
        if other != path:
            records.try_to_remove(other)
    base = _read(path)
    assert base is not None  # noqa: S101 - written above
    return base


def _fields(wish: Wish) -> dict[str, object]:
    suite, identity = wish.suite, wish.identity
    return {
        "suite": [suite.name, suite.architecture, suite.mirror, suite.components, str(suite.keyring or "")],
        "identity": [
            *(identity.kind.value, identity.uid, identity.gid),
            *(identity.outer_first, identity.count),
        ],
    }


def _found(wish: Wish, stack: ExitStack) -> Base | None:
    newest = _newest(wish)
    if newest is None or _records(wish.cache).use(newest.path, stack) is None:
        return None
    return newest


def _newest(wish: Wish) -> Base | None:
    paths = _records(wish.cache).directories(_key(wish))
    found = [base for path in paths if (base := _read(path)) is not None]
    return max(found, key=lambda base: base.made) if found else None


def _read(path: Path) -> Base | None:
    return _base(path, _records(path.parent).read(path))


def _base(path: Path, record: Any) -> Base | None:
    if record is None:
        return None
    name, architecture, mirror, components, keyring = record["suite"]
    suite = Suite(name, architecture, mirror, components, Path(keyring) if keyring else None)
    kind, *numbers = record["identity"]
    identity = Identity(IdentityKind(kind), *numbers)
    return Base(path, suite, identity, path.name, record["made"], record["size"])


def _records(cache: Path) -> Records:
    return Records(cache, Base.RECORD, _LAYOUT)


def _key(wish: Wish) -> str:
    suite = wish.suite
    text = repr((_LAYOUT, suite, wish.identity))
    return f"{suite.name}-{suite.architecture}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _lock(wish: Wish) -> Path:
    return wish.cache / f"{_key(wish)}{LOCK}"


def _failed(wish: Wish) -> Path:
    return wish.cache / f"{_key(wish)}{_FAILED}"


def _waiting(wish: Wish) -> Notice:
    return Notice(Level.INFO, f"another bwbuild makes the base of {wish.suite.name}; waiting for it")


@contextmanager
def _on_disk(wish: Wish) -> Iterator[None]:
    try:
        make_place(wish.cache)
        yield
    except OSError as error:
        raise unwritable(f"no base can be made in {wish.cache}", error) from error
