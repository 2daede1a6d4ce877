"""Diversions: where dpkg put files that another package or the administrator moved aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bwbuild.errors import HostError

#: The file of dpkg's database.
FILE = "/var/lib/dpkg/diversions"


@dataclass(frozen=True, slots=True)
class Diversion:
    """One diversion; its paths are as the packages spell them, not normalised.

    :ivar original: the path that packages ship.
    :ivar diverted: where dpkg puts that file instead.
    :ivar package: name of the package that diverts, and whose own file stays; empty for the administrator.
    """

    original: str
    diverted: str
    package: str


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


def text(diversions: Iterable[Diversion], visible: frozenset[str]) -> str:
    """Dpkg's file with the diversions that hold in the view, in their order.

    :param visible: names of the visible packages, without architecture.
    """
    return "".join(
        f"{diversion.original}\n{diversion.diverted}\n{diversion.package}\n"
        for diversion in diversions
        if diversion.package in visible
    )


def actual(path: str, package: str, diversions: Mapping[str, Diversion]) -> str:
    """Where the file lies on the host that a package ships at a path.

    :param path: as the package's list has it.
    :param package: its name, without architecture: dpkg leaves a diverting package's own file in place.
    :param diversions: by original path, see `by_original`.
    """
    diversion = diversions.get(path)
    return path if diversion is None or diversion.package == package else diversion.diverted


def by_original(diversions: Iterable[Diversion]) -> Mapping[str, Diversion]:
    """Original path -> its diversion; dpkg allows one for a path."""
    return {diversion.original: diversion for diversion in diversions}


def undone(diversions: Iterable[Diversion], visible: frozenset[str]) -> Mapping[str, str]:
    """Original -> diverted path of the diversions that do not hold in the view.

    The file at the diverted path belongs at the original one there if a visible package ships the original;
    if none does, neither path exists.

    :param visible: names of the visible packages, without architecture.
    """
    return {
        diversion.original: diversion.diverted for diversion in diversions if diversion.package not in visible
    }
