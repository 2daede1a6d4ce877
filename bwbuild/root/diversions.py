"""Diversions: where dpkg put files that another package or the administrator moved aside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from bwbuild.errors import HostError

#: The file of dpkg's database.
FILE = "/var/lib/dpkg/diversions"


@dataclass(frozen=True, slots=True)
class Diversion:
    """One diversion; `parse` leaves its paths as the packages spell them, not normalised.

    :ivar original: the path that packages ship.
    :ivar diverted: where dpkg puts that file instead.
    :ivar package: name of the package that diverts, and whose own file stays; empty for the administrator.
    """

    original: str
    diverted: str
    package: str

    def actual(self, package: str) -> str:
        """Where the file is on the host that a package, named without architecture, ships at ``original``."""
        return self.original if package == self.package else self.diverted

    def holds(self, visible: Collection[str]) -> bool:
        """Whether it exists in a view of packages, named without architecture."""
        return self.package in visible

    def normalised(self, normalise: Callable[[str], str]) -> Diversion:
        """The same one with its real paths, such as /usr/bin/sh for /bin/sh."""
        return Diversion(normalise(self.original), normalise(self.diverted), self.package)


@dataclass(frozen=True, slots=True)
class Aside:
    """What a view makes of the diverted paths.

    :ivar seen: those with the file of a visible package, moved aside by a visible one.
    :ivar moved: original path -> where the file of a visible package is, moved aside by one that is not.
    :ivar hidden: where files are that are not seen there, whether they are moved back or nobody's.
    """

    seen: frozenset[str]
    moved: Mapping[str, str]
    hidden: frozenset[str]


def parse(text: str) -> tuple[Diversion, ...]:
    """Read dpkg's file of diversions: three lines for each, in the file's order.

    :raises HostError: the text is no such file.
    """
    lines = text.splitlines()
    wrong = [path for path in (*lines[::3], *lines[1::3]) if not path.startswith("/")]
    if len(lines) % 3 or wrong or not all(lines):
        reason = f"has {wrong[0]!r} where it needs a path" if wrong else "ends within a diversion"
        raise HostError(f"{FILE} {reason}", hint="look at it, then run: dpkg-divert --list")
    return tuple(
        Diversion(original, diverted, "" if package == ":" else package)
        for original, diverted, package in zip(lines[::3], lines[1::3], lines[2::3], strict=True)
    )


def text(diversions: Iterable[Diversion], visible: Collection[str]) -> str:
    """Dpkg's file with the diversions that hold in the view, in their order.

    :param visible: names of the visible packages, without architecture.
    """
    return "".join(
        f"{diversion.original}\n{diversion.diverted}\n{diversion.package}\n"
        for diversion in diversions
        if diversion.holds(visible)
    )


def settle(diversions: Iterable[Diversion], shipped: Collection[tuple[str, Collection[str]]]) -> Aside:
    """What becomes of moved files where not all packages are visible.

    :param diversions: with normalised paths; two spellings of a path may be diverted one by one.
    :param shipped: the name of each visible package, without architecture, and its normalised paths.
    """
    visible = {name for name, _ in shipped}
    seen, moved, hidden = set(), {}, set()
    for diversion in diversions:
        original, diverted = diversion.original, diversion.diverted
        there = any(original in paths and diversion.actual(name) == diverted for name, paths in shipped)
        if there and diversion.holds(visible):
            seen.add(diverted)
            continue
        hidden.add(diverted)
        if there:
            moved[original] = diverted
    return Aside(frozenset(seen), moved, frozenset(hidden))
