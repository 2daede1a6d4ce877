"""What of this system belongs to the packages that a declared view shows."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild.deb.database import DIRECTORY, Package
from bwbuild.root import alternatives, diversions, generated
from bwbuild.root.alternatives import Chosen, Group
from bwbuild.root.ownership import Lists

#: The sandbox mounts an empty directory there.
LOCAL = "/usr/local"
#: Which package owns a file of settings, as ucf remembers it.
UCF = "/var/lib/ucf/registry"


@dataclass(frozen=True, slots=True)
class Visible:
    """What belongs to the visible packages.

    :ivar names: of the packages, without architecture.
    :ivar paths: what they own, and the public links of alternatives that are right already.
    :ivar chosen: the alternatives. ``links``: path -> text of their public links that are to be made.
    :ivar moved: original path -> where the file of a visible package is, moved aside by one that is not.
    :ivar moved_aside: where files are that are not seen there.
    :ivar diversions: the text of dpkg's file with those that hold.
    :ivar settings: path -> package of the settings that ucf manages.
    """

    names: frozenset[str]
    paths: Collection[str]
    chosen: Chosen
    links: Mapping[str, str]
    moved: Mapping[str, str]
    moved_aside: frozenset[str]
    diversions: str
    settings: Mapping[str, str]

    def made(self, path: str) -> bool | None:
        """Whether one of the packages made a path that none owns; None if the tables lack it."""
        return generated.visible_generated(path, self.names, self.settings)


def survey(packages: Sequence[Package], lists: Lists) -> Visible:
    """Read whose files are whose.

    :raises HostError: dpkg's database does not fit together.
    """
    names = frozenset(package.name for package in packages)
    shipped = [(package.name, frozenset(lists.paths(package.file_stem))) for package in packages]
    found = diversions.parse((DIRECTORY / "diversions").read_text(encoding="utf-8"))
    aside = diversions.settle([diversion.normalised(lists.normalised) for diversion in found], shipped)
    paths = set(aside.seen).union(*(of for _, of in shipped))
    chosen = alternatives.choose(groups(), paths.__contains__, lists.normalised)
    links = {}
    for path, text in chosen.links.items():
        if path.startswith(f"{alternatives.LINKS}/") or os.path.dirname(path) not in paths:
            continue
        if _link_text(path) == text:
            paths.add(path)
        else:
            links[path] = text
    return Visible(
        names=names,
        paths=paths,
        chosen=chosen,
        links=links,
        moved=aside.moved,
        moved_aside=aside.hidden,
        diversions=diversions.text(found, names),
        settings=generated.registered(_text(UCF)),
    )


def groups() -> list[Group]:
    """The groups of alternatives of this system.

    :raises HostError: one does not parse.
    """
    return [
        alternatives.parse(file.name, file.read_text(encoding="utf-8"))
        for file in sorted((DIRECTORY / "alternatives").iterdir())
    ]


def _text(path: str) -> str:
    """The text of a file; empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _link_text(path: str) -> str | None:
    """The text of the symbolic link at ``path``; None where there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None
