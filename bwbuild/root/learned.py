"""A learned view: what of a declared one stays hidden, because no recorded build opened it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from bwbuild.root import etc
from bwbuild.root.strangers import shared
from bwbuild.root.views import View
from bwbuild.root.visible import LOCAL

#: Of a directory with so few files all are shown when one was opened: programs ask for the others' existence
#: without opening them.
SMALL = 32

#: What the sandbox mounts something at, or what dpkg can't do without.
_ALWAYS = (
    LOCAL,
    # The sandbox has its own of these.
    *(f"/etc/{name}" for name in etc.files("", "", ("", 1, 1))),
    *(f"/var/lib/dpkg/{name}" for name in ("status", "available", "diversions", "statoverride", "arch")),
    *(f"/var/lib/dpkg/{name}" for name in ("updates", "triggers", "info/format", "alternatives")),
)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What is hidden besides.

    :ivar hidden: directory that is seen -> paths in it, relative to it, that are not.
    :ivar paths: all that is shown, and the directories on the way.
    """

    hidden: Mapping[str, tuple[str, ...]]
    paths: frozenset[str]


def narrowed(view: View, shown: Collection[str]) -> Narrowing:
    """What of ``view`` is hidden if only ``shown``, absolute paths, is to be seen."""
    paths = _with_parents((*shown, *_neighbours(shown), *_ALWAYS))
    hidden: dict[str, tuple[str, ...]] = {}
    for top in view.bound:
        hidden[top] = tuple(_below(top, top, paths))
    for cover in view.covers:
        mask = os.fspath(view.path / cover.name)
        gone = _listed(f"{mask}.hidden") if cover.listed else frozenset()
        names = (name for name in _below(cover.top, cover.top, paths) if name not in gone)
        found = [name for name in names if not _is_whiteout(f"{mask}/{name}")]
        # A link of an alternative may be in the mask alone.
        found += (name for name in _below(mask, cover.top, paths) if not _is_whiteout(f"{mask}/{name}"))
        hidden[cover.top] = tuple(sorted(set(found)))
    for name, top in (("etc", "/etc"), ("dpkg", "/var/lib/dpkg")):
        hidden[top] = tuple(_below(os.fspath(view.path / name), top, paths))
    return Narrowing(hidden, paths)


def _neighbours(shown: Collection[str]) -> Iterator[str]:
    """The other files of small directories in which a file is shown."""
    for directory in sorted({path.rpartition("/")[0] for path in shown} - {""}):
        try:
            with os.scandir(directory) as entries:
                files = [entry.path for entry in entries if not entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        if len(files) <= SMALL:
            yield from files


def _below(place: str, top: str, paths: Collection[str]) -> Iterator[str]:
    """What is in ``place``, which is seen as ``top``, and not among ``paths``; relative to it."""
    if place == top:
        known = paths
    else:
        known = {f"{place}{path.removeprefix(top)}" for path in paths if path.startswith(f"{top}/")}
    for directory in shared(place, known, _ignore):
        inner = directory.path.removeprefix(place).lstrip("/")
        for name in directory.strangers:
            yield f"{inner}/{name}" if inner else name


def _with_parents(paths: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for path in paths:
        while path not in found and path not in ("", "/"):
            found.add(path)
            path = path.rpartition("/")[0]  # noqa: PLW2901 - up to what is known
    return frozenset(found)


def _listed(path: str) -> frozenset[str]:
    with open(path, "rb") as file:
        return frozenset(map(os.fsdecode, file.read().split(b"\0")))


def _is_whiteout(path: str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _ignore(_directory: str) -> None:
    pass
