"""Strangers: names in directories of visible packages that no visible package owns.

They belong to a hidden package, or were made on this machine, by a package or by its people. Which of them
are seen all the same, the tables of :mod:`bwbuild.root.generated` say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bwbuild.root.generated import may_be_in, strict
from bwbuild.root.ownership import Lists
from bwbuild.root.visible import LOCAL, Visible


@dataclass(frozen=True, slots=True)
class Shared:
    """A directory that has strangers: the names in it that visible packages own, and the others."""

    path: str
    residents: tuple[str, ...]
    strangers: tuple[str, ...]
    #: whether a resident is a directory
    nested: bool


@dataclass(frozen=True, slots=True)
class Strangers:
    """All strangers at or below some directories.

    :ivar shared: for each of those directories, the ones in it that have strangers.
    :ivar seen: the paths of the strangers that are seen.
    :ivar read: the directories that were read.
    """

    shared: Mapping[str, Sequence[Shared]]
    seen: frozenset[str]
    read: Sequence[str]


def find(tops: Iterable[str], visible: Visible, hidden: Iterable[str], lists: Lists) -> Strangers:
    """Find the strangers at or below ``tops`` and decide which are seen.

    :param hidden: the stems of the hidden packages' lists.
    """
    found: dict[str, list[Shared]] = {}
    read: list[str] = []
    doubtful: list[str] = []
    for top in tops:
        found[top] = list(shared(top, visible.paths, read.append))
        # The list grows: what Python has compiled lies in directories of their own.
        for directory in found[top]:
            for path in _doubtful(directory, visible):
                if path.endswith("/__pycache__"):
                    found[top] += stale_bytecode(path, visible.paths)
                doubtful.append(path)
    # A table's pattern may be wider than what it means.
    seen = {LOCAL, *doubtful} - lists.owned(hidden, doubtful) - visible.moved_aside - visible.chosen.absent
    return Strangers(found, frozenset(_without_dangling(seen, visible)), read)


def _without_dangling(seen: Collection[str], visible: Visible) -> Iterator[str]:
    """All of ``seen`` but links in /etc to what is not seen: they enable something that is hidden."""
    for path in seen:
        if path.startswith("/etc/") and os.path.islink(path):
            target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
            if os.path.lexists(target) and target not in visible.paths and target not in seen:
                continue
        yield path


def _doubtful(directory: Shared, visible: Visible) -> Iterator[str]:
    """The strangers that may be seen, if no hidden package owns them."""
    if "__pycache__" in directory.strangers:
        yield f"{directory.path}/__pycache__"
    # Settings that ucf knows may be anywhere in /etc.
    named = directory.path.startswith("/etc") or may_be_in(directory.path)
    if not named and strict(f"{directory.path}/any"):
        return
    for name in directory.strangers:
        path = f"{directory.path}/{name}"
        made = visible.made(path) if named else None
        if made or (made is None and not strict(path)):
            yield path


def shared(top: str, visible: Collection[str], seen: Callable[[str], object]) -> Iterator[Shared]:
    """The directories at or below ``top`` that have strangers; what is below a stranger is not looked at.

    :param visible: the absolute paths that visible packages own; quick to look into.
    :param seen: is told of each directory that was read.
    """
    todo = [top]
    while todo:
        directory = todo.pop()
        seen(directory)
        residents, strangers, nested = [], [], False
        for entry in _entries(directory):
            if entry.path not in visible:
                strangers.append(entry.name)
                continue
            residents.append(entry.name)
            if entry.is_dir(follow_symlinks=False):
                nested = True
                todo.append(entry.path)
        if strangers:
            yield Shared(directory, tuple(residents), tuple(sorted(strangers)), nested)


def stale_bytecode(directory: str, visible: Collection[str]) -> list[Shared]:
    """The ``__pycache__`` called ``directory``, if it has files of modules that are not visible.

    Python writes the code of all modules of a directory there, whosever they are.
    """
    modules = os.path.dirname(directory)
    residents: list[str] = []
    strangers: list[str] = []
    for entry in _entries(directory):
        known = f"{modules}/{entry.name.partition('.')[0]}.py" in visible
        (residents if known else strangers).append(entry.name)
    if not strangers:
        return []
    return [Shared(directory, tuple(residents), tuple(sorted(strangers)), nested=False)]


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Gone since its parent was read, or closed to the caller, in whose name the build reads too.
        return []
