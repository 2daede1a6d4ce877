"""Dependency layers: the packages that a build needs, installed over a base, and kept for the next build.

apt chooses packages for the source's dependencies, and the choice names the layer: sources that need the same
packages share one. What apt chose for some dependencies is remembered too, so that the next build with them
starts without apt. Packages are downloaded with the network into a directory that all layers share, and
installed without it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bwbuild.events import Level, Notice
from bwbuild.root import apt, archives, offer, workplace
from bwbuild.root.apt import Broken, Wish
from bwbuild.root.ground import Layer
from bwbuild.root.locks import turn
from bwbuild.root.records import LOCK, Records, make_place
from bwbuild.root.space import unwritable

__all__ = ["OLD", "Broken", "Stored", "Wish", "fetched", "opened", "prune", "remove", "stored"]

_LAYOUT = 2
#: Seconds after which a layer that nobody used is removed, and bytes that all of them may take.
OLD, LARGE = 30 * 86400.0, 20 << 30
#: Seconds after which nobody goes on with a choice that is not whole.
_ABANDONED = 3600.0


#: What apt chose: name:architecture -> version; where something is extra, name of the file -> digest too.
_Choice = tuple[Mapping[str, str], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Stored:
    """A layer in the cache: bytes, and when it was last used in seconds since the epoch.

    :ivar base: the id of the base that it lies over; empty for what is left of one that was never finished.
    """

    path: Path
    base: str
    packages: int
    size: int
    used: float
    in_use: bool


@contextmanager
def opened(wish: Wish) -> Iterator[Layer]:
    """The layer for a wish, from the cache or made now, and kept while it is in use.

    :raises DependencyError: apt finds no solution, or fetching is not allowed and something is missing.
    :raises HostError: a package can't be installed.
    :raises OutputError: the cache can't be written.
    """
    with ExitStack() as stack:
        try:
            for name in ("layers", "choices", "archives"):
                make_place(wish.cache / name)
            key = _remembered(wish)
            layer = _found(wish, key, stack) if key else None
            if layer is None:
                with offer.opened(wish) as offered:
                    choice = apt.choose(offered), apt.contents(offered) if wish.extra else {}
                    key = _key(wish, choice)
                    layer = _found(wish, key, stack) or _made_in_turn(offered, key, choice, stack)
                _remember(wish, key)
        except OSError as error:
            raise unwritable(wish.cache, error) from error
        yield layer


def fetched(wish: Wish) -> Path:
    """A directory with the packages that apt would install and has to fetch; it goes with what is extra.

    :param wish: has packages of the caller's among what is extra.
    :raises DependencyError: as :func:`opened`, and so on.
    """
    assert wish.extra is not None  # noqa: S101 - for the type checker
    try:
        for name in ("layers", "choices", "archives"):
            make_place(wish.cache / name)
        with offer.opened(wish) as offered:
            chosen, files = apt.choose(offered), apt.contents(offered)
            with archives.kept(wish.shared):
                _download_in_turn(offered, len(chosen), files)
    except OSError as error:
        raise unwritable(wish.cache, error) from error
    return wish.archives


def stored(cache: Path) -> list[Stored]:
    """All layers below ``cache``, finished or left unfinished by somebody killed, the one used last first."""
    items = []
    for found in _records(cache).stored():
        record = found.record or {"base": "", "packages": {}}
        base, packages = record["base"], len(record["packages"])
        items.append(Stored(found.path, base, packages, found.size, found.used, found.in_use))
    return items


def remove(path: Path) -> bool:
    """Remove a layer or what is left of one, unless it is in use; whether this process has removed it.

    :raises BwbuildError: it can't be removed; it is no layer any more all the same.
    """
    return _records(path.parent.parent).remove(path)


def prune(cache: Path, bases: Collection[str]) -> None:
    """Remove what nobody can use again or has used for long, and what is too much.

    :param bases: ids of those that are there.
    """
    records, total = _records(cache), 0
    for used, path in records.by_use():
        record = records.read(path)
        total += record["size"] if record else 0
        lost = record is None or record["base"] not in bases
        if lost or time.time() - used > OLD or total > LARGE:
            records.try_to_remove(path)
    records.prune_locks()
    _prune_choices(cache)
    workplace.prune(cache)
    archives.prune(cache / "archives")


def choices(cache: Path) -> list[tuple[float, Path]]:
    """What apt chose before, and since when that is remembered (seconds since the epoch)."""
    found = []
    for path in (cache / "choices").glob("*"):
        with suppress(FileNotFoundError):  # it was removed meanwhile
            found.append((path.stat().st_mtime, path))
    return sorted(found, reverse=True)


def _prune_choices(cache: Path) -> None:
    """A choice whose layer is gone saves nothing: the layer can't be made without apt."""
    keys = {path.name.partition("-")[0] for path in _records(cache).directories()}
    for since, path in choices(cache):
        with suppress(FileNotFoundError):  # it was removed meanwhile
            # One that is being written has another name until it is whole.
            young = path.suffix and time.time() - since < _ABANDONED
            if not young and path.read_text(encoding="ascii") not in keys:
                path.unlink()


def _made_in_turn(wish: Wish, key: str, choice: _Choice, stack: ExitStack) -> Layer:
    wait = Notice(Level.INFO, "another bwbuild installs the same packages; waiting for it")
    with turn(wish.cache / "layers" / f"{key}{LOCK}", lambda: wish.tell(wait)):
        return _found(wish, key, stack) or _made(wish, key, choice, stack)


def _made(wish: Wish, key: str, choice: _Choice, stack: ExitStack) -> Layer:
    begun = time.monotonic()
    chosen, files = choice
    prune(wish.cache, {path.name for path in wish.base.path.parent.iterdir()})
    records = _records(wish.cache)
    with ExitStack() as attempt:
        path = records.begin(key, attempt)
        (path / "upper").mkdir()
        (path / "upper").chmod(0o755)
        if chosen:
            with archives.kept(wish.shared):
                # To ask apt takes it as long as to choose.
                if wish.extra is not None or not archives.has_all(wish.archives, chosen):
                    _download_in_turn(wish, len(chosen), files)
                apt.install(wish, len(chosen), path)
        records.complete(path, {"base": wish.base.id, "packages": dict(chosen)})
        stack.push(attempt.pop_all())
    return Layer(path, chosen, time.monotonic() - begun)


def _download_in_turn(wish: Wish, number: int, files: Mapping[str, str]) -> None:
    wait = Notice(Level.INFO, "another bwbuild fetches packages; waiting for it")
    # Caches may share one such directory by a link.
    with turn(Path(f"{wish.shared.resolve()}{LOCK}"), lambda: wish.tell(wait)):
        _download(wish, number, files)


def _download(wish: Wish, number: int, files: Mapping[str, str]) -> None:
    if wish.archives == wish.shared:
        apt.download(wish, number)
        return
    there = {
        file for file, digest in files.items() if archives.bring(wish.shared, file, digest, wish.archives)
    }
    apt.download(wish, number)
    for file, digest in files.items():
        if file not in there and (wish.archives / file).exists():
            archives.keep(wish.shared, wish.archives / file, digest)


def _found(wish: Wish, key: str, stack: ExitStack) -> Layer | None:
    records = _records(wish.cache)
    for path in records.directories(key):
        record = records.use(path, stack)
        if record is not None:
            return Layer(path, record["packages"])
    return None


def _remembered(wish: Wish) -> str:
    if wish.extra is not None and wish.extra.repositories:
        return ""  # what they have may be something else every day
    try:
        return (wish.cache / "choices" / _question(wish)).read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def _remember(wish: Wish, key: str) -> None:
    place = wish.cache / "choices" / _question(wish)
    new = place.with_name(f"{place.name}.{os.getpid()}")
    new.write_text(key, encoding="ascii")
    new.replace(place)


def _records(cache: Path) -> Records:
    return Records(cache / "layers", Layer.RECORD, _LAYOUT)


def _question(wish: Wish) -> str:
    extra = () if wish.extra is None else (wish.extra.digests, wish.extra.architectures)
    return _digest(_LAYOUT, wish.base.id, wish.control, wish.options, *extra)


def _key(wish: Wish, choice: _Choice) -> str:
    packages, files = choice
    extra = () if wish.extra is None else (wish.extra.architectures, sorted(files.items()))
    return _digest(_LAYOUT, wish.base.id, sorted(packages.items()), *extra)


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]
