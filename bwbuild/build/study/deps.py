"""What a source's build dependencies mean on this machine, as a value and as text: pure.

The JSON document has ``version`` 1 and these members; an id is ``name:architecture``:

* ``source``: ``name``, ``version``, ``tree``;
* ``build_architecture``, ``host_architecture``, ``profiles``: what the build is for;
* ``packages``: those that the build sees, in the order in which they were added, each with ``name``,
  ``architecture``, ``version``, the ``field`` and the ``relation`` that asked for it, ``parent`` (the id of
  the package whose field that is; null for a field of the source and for what every build has) and ``chain``
  (the ids from the source down to this package);
* ``hidden``: installed packages that it does not see, each with ``name``, ``architecture``, ``version`` and
  ``state``, in dpkg's words;
* ``missing``: what is declared and not met, each with ``field``, ``relation``, ``parent`` and ``why``, a text
  for each alternative;
* ``conflicts``: what is declared to be absent and is not, each with ``field``, ``relation`` and the id
  ``package``;
* ``remedy``: the command that installs what is missing; null if nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bwbuild.build.record.escaping import visible
from bwbuild.build.record.summary import Line
from bwbuild.build.study import dependencies
from bwbuild.deb import relations
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.deb.closure import BUILD_ESSENTIAL, ESSENTIAL, Closure, Wanted, chain
from bwbuild.deb.database import Database, Package, Side
from bwbuild.deb.relations import Group
from bwbuild.deb.source import Source

FORMAT_VERSION = 1

#: What every build has.
_TITLES = {ESSENTIAL: "Essential", BUILD_ESSENTIAL: "build-essential"}
_HEADING = "bold"
_BAD = "bold red"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """A source's build dependencies on this machine: what it asks for, of what, and what comes of it."""

    source: Source
    options: BuildOptions
    wanted: Wanted
    database: Database
    closure: Closure

    @property
    def are_met(self) -> bool:
        """Whether nothing is missing, and nothing there that must not be."""
        return not dependencies.complaints(self.closure)

    @property
    def side(self) -> Side:
        """How the source's own relations are meant."""
        return Side(self.wanted.host_architecture, self.wanted.build_architecture, from_source=True)

    @property
    def remedy(self) -> str:
        """The command that installs what is missing."""
        return dependencies.remedy(self.source, self.options)

    def own_groups(self) -> Iterator[tuple[str, tuple[Group, ...]]]:
        """The source's fields, each with the relations that count for this build."""
        wanted = self.wanted
        for field, text in wanted.depends.items():
            groups = relations.parse(field, text)
            yield field, relations.reduce(groups, wanted.host_architecture, wanted.profiles)

    def visible(self) -> tuple[Package, ...]:
        """The packages that the build sees, in the order in which they were added."""
        return tuple(self.database.packages[package] for package in self.closure.packages)

    def hidden(self) -> tuple[Package, ...]:
        """The packages that are there and that it does not see, by name."""
        packages = self.database.packages.values()
        found = (p for p in packages if p.is_present and p.id not in self.closure.packages)
        return tuple(sorted(found, key=_name))


@dataclass(frozen=True, slots=True)
class Entry:
    """One relation that is asked for, and the packages that are there because of it, by name.

    met_by: the first of those that satisfy it, which may be there because of another; None if it is missing.
    """

    field: str
    relation: str
    met_by: Package | None
    brings: tuple[Package, ...]


def entries(found: Dependencies) -> tuple[Entry, ...]:
    """The source's own relations in their order; Essential and build-essential are not among them."""
    brings = _brought(found)
    own = dict.fromkeys((field, group) for field, groups in found.own_groups() for group in groups)
    return tuple(
        Entry(field, text, _met_by(found, group), tuple(brings.get((field, text), ())))
        for field, group in own
        for text in [relations.group_text(group)]
    )


def overview(found: Dependencies, width: int | None, *, list_hidden: bool = False) -> tuple[Line, ...]:
    """What is missing, then what is visible by what asks for it, then what is hidden.

    :param width: columns of the terminal; None for one package a line.
    """
    return tuple(_overview(found, width, list_hidden))


def as_json(found: Dependencies) -> dict[str, Any]:
    """The document that the module's docstring describes."""
    closure, packages = found.closure, found.closure.packages
    return {
        "version": FORMAT_VERSION,
        "source": {
            "name": found.source.name,
            "version": found.source.version,
            "tree": str(found.source.tree),
        },
        "build_architecture": found.wanted.build_architecture,
        "host_architecture": found.wanted.host_architecture,
        "profiles": sorted(found.wanted.profiles),
        "packages": [
            {
                **_named(package),
                "field": packages[package.id].field,
                "relation": packages[package.id].relation,
                "parent": packages[package.id].parent or None,
                "chain": [step for step, _ in chain(closure, package.id)],
            }
            for package in found.visible()
        ],
        "hidden": [{**_named(package), "state": package.state} for package in found.hidden()],
        "missing": [{**asdict(item), "parent": item.parent or None} for item in closure.missing],
        "conflicts": [asdict(item) for item in closure.conflicts],
        "remedy": None if found.are_met else found.remedy,
    }


def _name(package: Package) -> tuple[str, str]:
    return package.name, package.architecture


def _named(package: Package) -> dict[str, str]:
    return {"name": package.name, "architecture": package.architecture, "version": package.version}


def _brought(found: Dependencies) -> dict[tuple[str, str], list[Package]]:
    """(field, relation) -> the packages whose chains begin there; for what every build has (field, "")."""
    brings: dict[tuple[str, str], list[Package]] = {}
    for package in sorted(found.visible(), key=_name):
        _, first = chain(found.closure, package.id)[0]
        relation = "" if first.field in _TITLES else first.relation
        brings.setdefault((first.field, relation), []).append(package)
    return brings


def _met_by(found: Dependencies, group: Group) -> Package | None:
    satisfying = (p for relation in group for p in found.database.satisfying(relation, found.side))
    return next((package for package in satisfying if package.id in found.closure.packages), None)


def _overview(found: Dependencies, width: int | None, list_hidden: bool) -> Iterator[Line]:
    hidden, brings = found.hidden(), _brought(found)
    seen = len(found.closure.packages)
    shown = f"a build sees {seen} of {seen + len(hidden)} installed packages"
    architecture = found.options.architecture(found.wanted.build_architecture)
    yield Line(f"{found.source.name} {found.source.version} ({architecture}): {shown}", _HEADING)
    complaints = dependencies.complaints(found.closure)
    if complaints:
        yield Line("")
        yield Line("Not met", _BAD)
        yield from (Line(f"  {visible(text)}") for text in complaints)
        yield Line(f"  mend: {visible(found.remedy)}", _HEADING)
        yield Line(f"  or:   {dependencies.ON_A_BASE}", _HEADING)
    for field, title in _TITLES.items():
        yield from _block(title, brings.get((field, ""), []), width)
    for entry in entries(found):
        yield from _of_entry(found, entry, width)
    if list_hidden:
        yield from _block("Hidden", hidden, width)
    elif hidden:
        yield Line("")
        yield Line(f"Hidden, {_count(len(hidden))}: bwbuild deps --hidden lists them")


def _of_entry(found: Dependencies, entry: Entry, width: int | None) -> Iterator[Line]:
    title = visible(f"{entry.field}: {entry.relation}")
    if entry.brings:
        yield from _block(title, entry.brings, width)
        return
    yield Line("")
    if entry.met_by is None:
        yield Line(f"{title}: not met", _BAD)
        return
    _, first = chain(found.closure, entry.met_by.id)[0]
    through = _TITLES.get(first.field, first.relation)
    yield Line(f"{title}: {_with_version(entry.met_by)}, there through {through}", _HEADING)


def _block(title: str, packages: list[Package] | tuple[Package, ...], width: int | None) -> Iterator[Line]:
    if packages:
        yield Line("")
        yield Line(f"{title}, {_count(len(packages))}", _HEADING)
        yield from map(Line, _columns([_with_version(package) for package in packages], width))


def _count(packages: int) -> str:
    return "1 package" if packages == 1 else f"{packages} packages"


def _with_version(package: Package) -> str:
    return visible(f"{package.name} {package.version}")


def _columns(cells: list[str], width: int | None) -> Iterator[str]:
    """``cells`` down the columns of a table that is indented by two, as ls does."""
    if width is None:
        yield from (f"  {cell}" for cell in cells)
        return
    widest = max(map(len, cells))
    rows = -(-len(cells) // max(1, width // (widest + 2)))
    for row in range(rows):
        yield "  " + "  ".join(cell.ljust(widest) for cell in cells[row::rows]).rstrip()
