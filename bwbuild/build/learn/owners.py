"""Whose files a build used: what it opened, with links on the way and what the kernel opens by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from bwbuild.build.learn import links
from bwbuild.build.learn.files import Files, interpreter
from bwbuild.build.learn.seen import TEMPORARY, Seen
from bwbuild.build.plan import Plan
from bwbuild.deb.database import DIRECTORY, Package
from bwbuild.errors import HostError
from bwbuild.root import diversions, generated
from bwbuild.root.ownership import Lists

#: Python's code of a module, beside which the module lies.
_BYTECODE = re.compile(r"(.*)/__pycache__/([^/]+?)\.[^/.]+(?:\.opt-\d)?\.pyc")


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of a view.

    :ivar files: path -> the processes that opened it: files, and links on the way to them.
    :ivar directories: the same for directories that were read.
    :ivar unknown: scripts of the build whose interpreter is not known, by the names of their processes.
    :ivar led: the name of a process -> the programs that a link among the build's own files led to.
    """

    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    directories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    led: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def note(self, files: Files, path: str, processes: Sequence[str]) -> str:
        """Note that these processes have opened ``path``; what it is, as a :class:`Way` says."""
        way = files.way(path)
        if not way.kind:
            return ""
        for link in way.links:
            self.files[link] = _more(self.files.get(link, ()), processes)
        kept = self.directories if way.kind == "directory" else self.files
        kept[way.end] = _more(kept.get(way.end, ()), processes)
        return way.kind

    def note_program(self, files: Files, path: str, process: str, starters: Sequence[str]) -> bool:
        """Note that ``starters`` have started ``path`` as ``process``; whether it is there."""
        if self.note(files, path, starters) != "file":
            return False
        for needed in files.interpreters(path):
            self.note(files, needed, (process,))
        return True


def used(seen: Seen, files: Files, plan: Plan) -> Used:
    """All that was used, with what only the kernel opened."""
    found = Used()
    for path, processes in seen.opened.items():
        found.note(files, path, processes)
    for program, starters in seen.started.items():
        if program.startswith("/"):
            found.note_program(files, program, process_name(program), starters)
    _follow(found, seen, files, plan)
    for script in seen.scripts:
        name = process_name(script)
        own = _in_tree(script, plan)
        if own is None:
            found.unknown.add(name)
        elif first := interpreter(_beginning(own)):
            for needed in (first, *files.interpreters(first)):
                found.note(files, needed, (name,))
    return found


def _follow(found: Used, seen: Seen, files: Files, plan: Plan) -> None:
    """Note the programs that were run by links among the build's own files."""
    for program, starters in seen.ran.items():
        name = process_name(program)
        for end in _ends(program, seen, plan):
            if found.note_program(files, end, name, starters):
                found.led[name] = _more(found.led.get(name, ()), (end,))


def process_name(program: str) -> str:
    """What the kernel calls a process of a program."""
    return os.path.basename(program)[:15]


@dataclass(frozen=True, slots=True)
class Book:
    """The lists of files of all packages that a build saw."""

    directories: tuple[Path, ...]
    links: Mapping[str, str]
    diverted: tuple[diversions.Diversion, ...]

    @classmethod
    def of(cls, plan: Plan) -> Book:
        """Those of the build of this plan.

        :raises HostError: dpkg's database does not parse.
        """
        if plan.ground is not None:
            tops = [top / "var/lib/dpkg" for top in (plan.ground.layer.upper, plan.ground.base.root)]
            links = plan.ground.root_names
        else:
            tops, links = [DIRECTORY], plan.host.root_names
        text = next((file for top in tops if (file := top / "diversions").exists()), None)
        found = diversions.parse(text.read_text(encoding="utf-8")) if text else ()
        return cls(tuple(top / "info" for top in tops), links, found)

    def paths(self, package: Package) -> list[str]:
        """What a package has; nothing if it has no list."""
        for directory in self.directories:
            if (directory / f"{package.file_stem}.list").exists():
                try:
                    return Lists(directory, self.links).paths(package.file_stem)
                except HostError:
                    break
        return []

    def owners(self, packages: Iterable[Package], wanted: Iterable[str]) -> dict[str, list[str]]:
        """Path -> ids of the packages that have it; Python's compiled modules are those of their modules'."""
        spelt: dict[str, list[str]] = {}
        for path in wanted:
            spelt.setdefault(_owned_as(path), []).append(path)
        normal = Lists(self.directories[0], self.links).normalised
        moved = {normal(d.diverted): d.normalised(normal) for d in self.diverted}
        for path in [path for path in spelt if path in moved]:
            spelt.setdefault(moved[path].original, [])
        diverting = {normal(d.original): d for d in self.diverted}
        found: dict[str, list[str]] = {}
        for package in packages:
            for owned in spelt.keys() & set(self.paths(package)):
                for path in self._actual(owned, package, diverting, spelt):
                    found.setdefault(path, []).append(package.id)
        return found

    def _actual(
        self,
        owned: str,
        package: Package,
        diverting: Mapping[str, diversions.Diversion],
        spelt: Mapping[str, list[str]],
    ) -> list[str]:
        diversion = diverting.get(owned)
        if diversion is None or diversion.package == package.name:
            return spelt[owned]
        # Another one's file of that name lies elsewhere.
        normal = Lists(self.directories[0], self.links).normalised
        return spelt.get(normal(diversion.diverted), [])


def makers(path: str, packages: Iterable[Package]) -> list[str]:
    """The ids of those packages that have made a path that none owns."""
    patterns = generated.makers(path)
    return [p.id for p in packages if any(fnmatchcase(p.name, pattern) for pattern in patterns)]


def _owned_as(path: str) -> str:
    module = _BYTECODE.fullmatch(path)
    return f"{module[1]}/{module[2]}.py" if module else path


def _in_tree(script: str, plan: Plan) -> Path | None:
    """The file of the real tree that a path inside is."""
    inside = plan.sandbox.workspace.inside
    path = PurePosixPath(script)
    if not path.is_relative_to(inside):
        return None
    found = plan.source.tree / path.relative_to(inside)
    return found if found.is_file() else None


def _ends(program: str, seen: Seen, plan: Plan) -> Iterator[str]:
    """Which programs of the system one in the build's own directories may have been a link to."""
    inside = plan.sandbox.workspace.inside

    def found(link: str) -> Iterator[str]:
        path = PurePosixPath(link)
        if path.is_relative_to(inside):
            with suppress(OSError):
                yield os.readlink(plan.source.tree / path.relative_to(inside))

    return links.ends(program, seen.links, found, (str(inside.parent), *TEMPORARY))


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def _more(before: tuple[str, ...], processes: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *processes)))[:4]
