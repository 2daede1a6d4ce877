"""The packages that a build may see: what a fresh chroot would have, chosen among what the host has.

The chroot is mmdebstrap's of the Essential packages and build-essential, in which sbuild's resolver has
installed the build dependencies with apt. Recommends are not followed. Where a dependency can be met in
several ways, the way that apt goes is taken; facts of the host that apt would not know of do not count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bwbuild.deb import relations
from bwbuild.deb.database import Database, Package, Side
from bwbuild.deb.relations import Group, Relation
from bwbuild.errors import HostError, SourceError

#: Field of a :class:`Reason`: what every build has, without being asked for.
ESSENTIAL = "Essential"
BUILD_ESSENTIAL = "Build-Essential"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: fields of the source, as :func:`build_fields` names them, with their text."""

    build_architecture: str
    host_architecture: str
    profiles: frozenset[str]
    depends: Mapping[str, str]
    conflicts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a package is in the closure.

    parent: the id of the package that asked for it, ``""`` for the source and for what every build has.
    """

    parent: str
    field: str
    relation: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A group that nothing on the host satisfies; why has one entry for each alternative."""

    parent: str
    field: str
    relation: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A relation of a Build-Conflicts field that the package of this id, one of the closure, meets."""

    field: str
    relation: str
    package: str


@dataclass(frozen=True, slots=True)
class Closure:
    """The packages, by id and in the order in which they were added, and what is wrong with them."""

    packages: Mapping[str, Reason]
    missing: tuple[Missing, ...]
    conflicts: tuple[Conflict, ...]


def build_fields(has_arch: bool, has_indep: bool) -> tuple[str, ...]:
    """The relation fields that count for a build of architecture-dependent and -independent packages.

    With neither, for a source package alone, Build-Depends and Build-Conflicts are left.
    """
    parts = ("", *["-Arch"] * has_arch, *["-Indep"] * has_indep)
    return tuple(f"Build-{kind}{part}" for kind in ("Depends", "Conflicts") for part in parts)


def close(database: Database, wanted: Wanted) -> Closure:
    """The closure of Essential, build-essential and the source's build dependencies.

    Each of the three comes to its end before the next begins, as chroots are made.

    :raises SourceError: a field of the source does not parse.
    :raises HostError: a field or version in dpkg's database does not parse.
    """
    native = wanted.build_architecture
    closing = _Closing(database, native)
    closing.add_essential()
    source = Side(wanted.host_architecture, native, from_source=True)
    closing.ask("", BUILD_ESSENTIAL, relations.parse(BUILD_ESSENTIAL, builtin_depends(wanted)), source)
    closing.settle()
    for field, text in wanted.depends.items():
        groups = relations.reduce(relations.parse(field, text), wanted.host_architecture, wanted.profiles)
        closing.ask("", field, groups, source)
    closing.settle()
    conflicts = tuple(
        Conflict(field, str(relation), package)
        for field, text in wanted.conflicts.items()
        for group in relations.reduce(relations.parse(field, text), wanted.host_architecture, wanted.profiles)
        for relation in group
        for package in _conflicting(database, relation, source)
        if package in closing.packages
    )
    return Closure(closing.packages, tuple(dict.fromkeys(closing.missing)), conflicts)


def chain(closure: Closure, package: str) -> tuple[tuple[str, Reason], ...]:
    """From the source down to the package of this id: each step's package, and why it is there.

    :raises KeyError: the package is not in the closure.
    """
    steps: list[tuple[str, Reason]] = []
    while package:
        steps.append((package, closure.packages[package]))
        package = closure.packages[package].parent
    return tuple(reversed(steps))


@dataclass(slots=True)
class _Demand:
    """One group that somebody asks for."""

    parent: str
    field: str
    group: Group
    side: Side


class _Closing:
    """A closure in the making.

    :ivar packages: id -> why it is there, by the shortest way from who asked first.
    """

    def __init__(self, database: Database, native: str) -> None:
        self.packages: dict[str, Reason] = {}
        self.missing: list[Missing] = []
        self._database = database
        self._native = native
        self._todo: deque[_Demand] = deque()
        self._present: set[str] = set()
        #: what each parent's relations came to
        self._met: dict[str, list[tuple[str, Reason]]] = {}
        self._known: dict[tuple[Group, str, bool], tuple[Package, ...]] = {}

    def add_essential(self) -> None:
        """Add the Essential packages of the build's architecture, and what they need."""
        found = [
            package
            for package in self._database.packages.values()
            if package.essential and package.architecture in (self._native, "all") and package.is_present
        ]
        for package in sorted(found, key=lambda package: package.name):
            if package.is_usable:
                self._meet(package, Reason("", ESSENTIAL, package.name))
            else:
                self.missing.append(Missing("", ESSENTIAL, package.name, (package.state,)))
        self.settle()

    def ask(self, parent: str, field: str, groups: Iterable[Group], side: Side) -> None:
        """Note that ``parent`` needs ``groups``."""
        self._todo.extend(_Demand(parent, field, group, side) for group in groups)

    def settle(self) -> None:
        """Add packages until all that was asked for is there or known to be missing.

        As apt does, depth first and in the order of the fields: whatever a package needs is looked at before
        the next relation of whoever asked for it, and counts for that.
        """
        while self._todo:
            self._look_at(self._todo.popleft())
        self._explain()

    def _explain(self) -> None:
        """Say of each new package why it is there."""
        todo = deque([""])
        while todo:
            for package, reason in self._met.pop(todo.popleft(), ()):
                if package not in self.packages:
                    self.packages[package] = reason
                    todo.append(package)

    def _look_at(self, demand: _Demand) -> None:
        candidates = self._candidates(demand)
        if not candidates:
            why = tuple(self._database.why_not(relation, demand.side) for relation in demand.group)
            self.missing.append(Missing(demand.parent, demand.field, relations.group_text(demand.group), why))
            return
        there = (package for package in candidates if package.id in self._present)
        self._meet(next(there, candidates[0]), _reason(demand))

    def _meet(self, package: Package, reason: Reason) -> None:
        """Note that ``package`` is what a relation came to; add it if it is not there."""
        self._met.setdefault(reason.parent, []).append((package.id, reason))
        if package.id not in self._present:
            self._present.add(package.id)
            self._ask_for(package)

    def _candidates(self, demand: _Demand) -> tuple[Package, ...]:
        """The packages that satisfy a group, the preferred one first."""
        key = demand.group, demand.side.architecture, demand.side.from_source
        if key not in self._known:
            found = (self._database.satisfying(relation, demand.side) for relation in demand.group)
            if demand.side.from_source:
                # sbuild gives apt the first alternative only, whatever else is there.
                self._known[key] = next(filter(None, found), ())
            else:
                self._known[key] = tuple(package for packages in found for package in packages)
        return self._known[key]

    def _ask_for(self, package: Package) -> None:
        """Note what ``package`` needs, before what was asked for already."""
        own = self._native if package.architecture == "all" else package.architecture
        side = Side(own, self._native)
        fields = (("Depends", package.depends), ("Pre-Depends", package.pre_depends))
        demands = [
            _Demand(package.id, field, group, side)
            for field, text in fields
            if text
            for group in _groups(package, field, text)
        ]
        self._todo.extendleft(reversed(demands))


def _groups(package: Package, field: str, text: str) -> tuple[Group, ...]:
    try:
        return relations.parse(field, text)
    except SourceError as error:
        raise HostError(
            f"dpkg's database: {package.id} has a {field} that does not parse",
            hint=f"sudo apt install --reinstall {package.name}",
            details=(error.message,),
        ) from None


def _reason(demand: _Demand) -> Reason:
    return Reason(demand.parent, demand.field, relations.group_text(demand.group))


def builtin_depends(wanted: Wanted) -> str:
    """What every build depends on without saying so."""
    host = wanted.host_architecture
    if host == wanted.build_architecture:
        return "build-essential:native"
    # What sbuild adds: the compiler does not depend on the host architecture's libraries (bug #815172).
    return (
        f"build-essential:native, crossbuild-essential-{host}:native, libc-dev:{host}, libstdc++-dev:{host}"
    )


def _conflicting(database: Database, relation: Relation, side: Side) -> list[str]:
    # dpkg-checkbuilddeps, which will look again in the sandbox, counts packages of architecture all for any.
    native = Side(side.native, side.native, from_source=True)
    found = {package.id: package for package in database.satisfying(relation, side)}
    found |= {p.id: p for p in database.satisfying(relation, native) if p.architecture == "all"}
    return list(found)
