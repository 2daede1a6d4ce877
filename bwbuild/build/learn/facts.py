"""The facts of a traced build: what it asked for, whose files it used, and what needs what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from bwbuild.build.learn import owners
from bwbuild.build.learn.analyse import Asked, Evidence, Facts
from bwbuild.build.learn.files import Files
from bwbuild.build.learn.owners import Book, Used, process_name
from bwbuild.build.learn.seen import Seen
from bwbuild.build.plan import Plan
from bwbuild.build.study import dependencies
from bwbuild.build.study.deps import Dependencies, entries
from bwbuild.deb import relations
from bwbuild.deb.closure import BUILD_ESSENTIAL, ESSENTIAL, chain, close
from bwbuild.deb.database import DIRECTORY, Database, Package, Side, read_database

#: What a package may have that serves no build.
_DOCUMENTS = ("/usr/share/doc", "/usr/share/lintian", "/usr/share/man", "/usr/share/bug")


def dependencies_of(plan: Plan, environment: Mapping[str, str]) -> Dependencies:
    """What the build of this plan asks for, of what it saw.

    :raises HostError: dpkg's database does not parse.
    """
    asked = dependencies.wanted(plan.source, plan.options, plan.host.architecture, environment)
    database = read_database(_directory(plan))
    return Dependencies(plan.source, plan.options, asked, database, close(database, asked))


def _directory(plan: Plan) -> Path:
    if plan.ground is None:
        return DIRECTORY
    own = plan.ground.layer.upper / "var/lib/dpkg"
    return own if (own / "status").exists() else plan.ground.base.root / "var/lib/dpkg"


def gather(found: Dependencies, used: Used, seen: Seen, files: Files, plan: Plan) -> Facts:
    """All that is judged."""
    closure = frozenset(found.closure.packages)
    packages = [p for p in found.database.packages.values() if p.is_present and _is_seen(p, closure, plan)]
    book = Book.of(plan)
    whose = book.owners(packages, (*used.files, *used.directories))
    evidence = _evidence(used, whose, packages)
    builtin = frozenset(p for p in closure if _is_builtin(found, p))
    asked = tuple(_asked(found, evidence, book))
    return Facts(
        asked=asked,
        evidence=evidence,
        depends=graph(found.database, packages),
        builtin=builtin,
        closure=closure,
        programs=_programs(seen, used, files, whose),
        starters=_starters(seen),
        own=frozenset(process_name(p) for p in seen.started if not p.startswith("/")) - used.led.keys(),
        sources={package.id: package.source for package in packages},
        unknown=frozenset(used.unknown),
        shipping=_shipping(found.database, asked, book) if used.unknown else frozenset(),
    )


def _is_seen(package: Package, closure: Collection[str], plan: Plan) -> bool:
    return plan.view is None or package.id in closure


def _is_builtin(found: Dependencies, package: str) -> bool:
    return chain(found.closure, package)[0][1].field in (ESSENTIAL, BUILD_ESSENTIAL)


def _evidence(
    used: Used, whose: Mapping[str, list[str]], packages: Iterable[Package]
) -> dict[str, tuple[Evidence, ...]]:
    found: defaultdict[str, list[Evidence]] = defaultdict(list)
    everybody = list(packages)
    for path, processes in used.files.items():
        for package in whose.get(path) or owners.makers(path, everybody):
            found[package].append(Evidence(path, processes))
    for path, processes in used.directories.items():
        # To read a directory that nobody else has is to look for what is in it.
        if len(whose.get(path, ())) == 1:
            found[whose[path][0]].append(Evidence(path, processes))
    return {package: tuple(items) for package, items in found.items()}


def _asked(found: Dependencies, evidence: Mapping[str, tuple[Evidence, ...]], book: Book) -> Iterable[Asked]:
    for entry in entries(found):
        if entry.met_by is None:
            yield Asked(entry.field, entry.relation, "")
            continue
        package = entry.met_by.id
        strong = any(not item.is_passing for item in evidence.get(package, ()))
        yield Asked(
            entry.field,
            entry.relation,
            package,
            is_meta=not strong and _is_meta(book.paths(entry.met_by)),
            only=frozenset() if strong else _only(found, entry.field, entry.relation),
        )


def _is_meta(paths: Iterable[str]) -> bool:
    """Whether there are no files but documents: what lies deepest is no directory."""
    listed = set(paths)
    parents = {path.rpartition("/")[0] for path in listed}
    return all(path in parents or path == "/." or path.startswith(_DOCUMENTS) for path in listed)


def _only(found: Dependencies, field: str, relation: str) -> frozenset[str]:
    """The packages that would not be there without one relation."""
    asked = found.wanted
    groups = relations.reduce(
        relations.parse(field, asked.depends[field]), asked.host_architecture, asked.profiles
    )
    rest = [text for group in groups if (text := relations.group_text(group)) != relation]
    less = replace(asked, depends={**asked.depends, field: ", ".join(rest)})
    return frozenset(found.closure.packages) - frozenset(close(found.database, less).packages)


def graph(database: Database, packages: Iterable[Package]) -> dict[str, frozenset[str]]:
    """Package -> what of ``packages`` it needs: of alternatives the first that is among them."""
    among = {package.id: package for package in packages}
    native = next((p.architecture for p in among.values() if p.architecture != "all"), "all")
    found: dict[str, frozenset[str]] = {}
    for package in among.values():
        own = native if package.architecture == "all" else package.architecture
        side = Side(own, native)
        needed = set()
        for text in (package.depends, package.pre_depends):
            for group in relations.parse("Depends", text) if text else ():
                there = (p.id for r in group for p in database.satisfying(r, side) if p.id in among)
                if first := next(there, None):
                    needed.add(first)
        found[package.id] = frozenset(needed)
    return found


def _programs(
    seen: Seen, used: Used, files: Files, whose: Mapping[str, list[str]]
) -> dict[str, frozenset[str]]:
    started = [(process_name(program), program) for program in seen.started if program.startswith("/")]
    started += [(process, program) for process, ends in used.led.items() for program in ends]
    found: defaultdict[str, set[str]] = defaultdict(set)
    for process, program in started:
        way = files.way(program)
        for path in (*way.links, way.end):
            found[process] |= set(whose.get(path, ()))
    return {process: frozenset(packages) for process, packages in found.items()}


def _starters(seen: Seen) -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for program, starters in seen.started.items():
        found[process_name(program)] |= set(starters)
    return {process: frozenset(starters) for process, starters in found.items()}


def _shipping(database: Database, asked: Iterable[Asked], book: Book) -> frozenset[str]:
    return frozenset(
        item.package
        for item in asked
        if item.package and any("/bin/" in path for path in book.paths(database.packages[item.package]))
    )
