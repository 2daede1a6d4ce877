"""What a build made of its dependencies: pure. docs/learning.md says how each thing is decided, and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

#: Files that programs read because they read all of their kind, whoever needs it.
_PASSING = re.compile(
    r"/usr/share/aclocal(?:-[\d.]+)?/[^/]+\.m4"
    r"|/usr/lib/python3[^/]*/.*\.(?:dist|egg)-info(?:/.*)?"
    r"|/usr/lib/python3[^/]*/(?:dist-packages|site-packages)/[^/]+\.pth"
    r"|/usr/share/gettext(?:-[\d.]+)?/its/[^/]+"
    r"|/etc/(?:ld\.so\.conf|fonts/conf|fonts/conf\.avail|dpkg/dpkg\.cfg|bash_completion)\.d/[^/]+"
    # dpkg's tools load these if they are there.
    r"|/usr/lib/.*perl5?/.*/(?:Locale/gettext\.pm|auto/Locale/gettext/.*|File/FcntlLock.*|auto/File/FcntlLock.*)"
    r"|/usr/share/zoneinfo/(?:Etc/)?UTC"
    r"|/usr/share/(?:doc|lintian|bug|fontconfig|mime|applications|locale)/.*"
)
#: Where the files of one kind are, such as headers, which bring one another in.
_KINDS = (
    ("headers", re.compile(r"/usr/include/.*|/usr/lib/gcc/.*/include/.*")),
    ("pkg-config", re.compile(r".*/pkgconfig/[^/]+\.pc")),
    ("Perl", re.compile(r"/usr/(?:share|lib)/.*perl.*")),
    ("Python", re.compile(r"/usr/(?:lib|share)/python.*")),
    ("Ruby", re.compile(r"/usr/(?:lib|share)/(?:.*/)?(?:ruby|rubygems).*")),
    ("Java", re.compile(r"/usr/share/(?:java|maven-repo)/.*")),
    ("OCaml", re.compile(r"/usr/lib/ocaml/.*")),
    ("Haskell", re.compile(r"/(?:usr|var)/lib/.*ghc.*")),
    ("Go", re.compile(r"/usr/share/gocode/.*")),
    ("Rust", re.compile(r"/usr/share/cargo/.*")),
    ("JavaScript", re.compile(r"/usr/(?:share|lib)/(?:.*/)?(?:nodejs|node_modules)/.*")),
    ("libraries", re.compile(r"/usr/lib/.*\.(?:so(?:\.[\d.]+)?|a|la|o)")),
)
#: Libraries that programs load; who links with one has the package with the name that ends in .so.
_LOADED = re.compile(r"/usr/lib/(?:[^/]+/)?lib[^/]+\.so\.[\d.]+")
_PROGRAM = re.compile(r"/(?:usr/)?(?:s?bin|games)/.*")
#: Programs that do what others tell them.
_OBEDIENT = frozenset(
    {
        *("sh", "dash", "bash", "ksh", "zsh", "make", "gmake", "bmake", "ninja"),
        *("samu", "cmake", "ctest", "meson", "scons", "waf", "env", "xargs", "find"),
        *("nice", "nohup", "time", "timeout", "xvfb-run", "prove", "perl", "python3", "ruby"),
        *("tclsh", "lua", "node", "setpriv"),
    }
)
#: How many of a package's files are named.
NAMED = 5


class Use(Enum):
    """What became of a declared dependency."""

    USED = "used"
    #: only files were read of which all of their kind are read
    PASSING = "in passing"
    #: nothing of its own was opened, but of packages that are there because of it
    THROUGH = "through others"
    NEVER = "never opened"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file of a package that was used, and the processes that used it."""

    path: str
    processes: tuple[str, ...]

    @property
    def is_passing(self) -> bool:
        """Whether it would have been read in any case."""
        return _PASSING.fullmatch(self.path) is not None


@dataclass(frozen=True, slots=True)
class Asked:
    """One relation of the source.

    :ivar package: the id of what meets it; empty if nothing does. ``is_meta``: that has no files but
        documents.
    :ivar only: the packages that would not be there without it.
    """

    field: str
    relation: str
    package: str
    is_meta: bool = False
    only: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is judged.

    :ivar evidence: id -> what of the package was used.
    :ivar depends: id -> ids of what the package needs, for all that the build may see.
    :ivar builtin: ids of what every build has. ``closure``: ids of what is declared, with that.
    :ivar programs: the name of a process -> ids of the packages that have a program of that name that ran.
    :ivar starters: the name of a process -> those of processes that started it.
    :ivar own: the names of processes that are scripts and programs of the build.
    :ivar sources: id -> name of the source package.
    :ivar unknown: scripts of the build whose interpreter is not known, by the names of their processes.
    :ivar shipping: ids of packages that have programs.
    """

    asked: tuple[Asked, ...]
    evidence: Mapping[str, tuple[Evidence, ...]]
    depends: Mapping[str, frozenset[str]]
    builtin: frozenset[str]
    closure: frozenset[str]
    programs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    starters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    sources: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    shipping: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one relation; ``why`` is for people, ``files`` are some that were used."""

    field: str
    relation: str
    package: str
    use: Use
    why: str = ""
    files: tuple[str, ...] = ()

    @property
    def seems_unused(self) -> bool:
        """Whether the build may do without."""
        return self.use in (Use.NEVER, Use.PASSING) and bool(self.package)


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A package that was used and is not declared.

    :ivar through: the id of a declared package that it is there because of; empty if there is none.
    :ivar perhaps: the id of a used package that may have been the one who used it; empty: it was the source.
    """

    package: str
    through: str
    perhaps: str
    files: tuple[str, ...]
    processes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about the dependencies."""

    entries: tuple[Entry, ...]
    #: there because something else depends on them
    transitive: tuple[Undeclared, ...] = ()
    #: there because all of this machine is
    undeclared: tuple[Undeclared, ...] = ()


def judge(facts: Facts) -> Verdict:
    """The verdict on all dependencies."""
    entries = tuple(_entry(asked, facts) for asked in facts.asked)
    declared = {asked.package for asked in facts.asked}
    rest = [
        _undeclared(package, found, facts)
        for package, found in sorted(facts.evidence.items())
        if package not in declared | facts.builtin
    ]
    known = [found for found in rest if found is not None]
    return Verdict(
        entries,
        tuple(found for found in known if found.package in facts.closure),
        tuple(found for found in known if found.package not in facts.closure),
    )


def _entry(asked: Asked, facts: Facts) -> Entry:
    package = asked.package
    evidence = facts.evidence.get(package, ())
    strong = [found for found in evidence if not found.is_passing]
    known = (asked.field, asked.relation, package)
    if strong:
        return Entry(*known, Use.USED, "", _named(strong))
    if not package:
        return Entry(*known, Use.NEVER, "nothing that the build saw meets it")
    if (script := _may_interpret(package, facts)) is not None:
        return Entry(*known, Use.USED, f"it may be what runs {script}")
    needed = asked.only - {package}
    if package in facts.builtin:
        # It stays without being declared, as perl does; what it stands for are packages that it needs.
        needed |= facts.depends.get(package, frozenset())
    elif asked.is_meta:
        # What it stands for may be there without it today, and not on another day or machine.
        needed |= reachable(package, facts.depends) - facts.builtin - {package}
    through = sorted(_strongly(needed, facts))
    if through:
        files = [found for other in through for found in facts.evidence[other] if not found.is_passing]
        return Entry(*known, Use.THROUGH, ", ".join(map(name, through[:NAMED])), _named(files))
    if evidence:
        return Entry(*known, Use.PASSING, "read with all others of their kind", _named(evidence))
    return Entry(*known, Use.NEVER, "it stays without it" if package in facts.builtin else "")


def _may_interpret(package: str, facts: Facts) -> str | None:
    """A script that the package may have run: one that opened a library which the package needs."""
    if package not in facts.shipping:
        return None
    for other in facts.depends.get(package, frozenset()) - facts.builtin:
        for found in facts.evidence.get(other, ()):
            if script := next((process for process in found.processes if process in facts.unknown), None):
                return script
    return None


def _undeclared(package: str, evidence: Iterable[Evidence], facts: Facts) -> Undeclared | None:
    """The package, unless all of its use was the business of a program that needs it."""
    own = [found for found in evidence if not found.is_passing and not _is_explained(package, found, facts)]
    if not own:
        return None
    others = [(found, _companion(package, found, facts)) for found in own]
    direct = [found for found, other in others if not other]
    perhaps = "" if direct else others[0][1]
    shown = direct or own
    return Undeclared(
        package,
        next((a.package for a in facts.asked if package in reachable(a.package, facts.depends)), ""),
        perhaps,
        _named(shown),
        tuple(dict.fromkeys(process for found in shown for process in found.processes))[:NAMED],
    )


def _is_explained(package: str, found: Evidence, facts: Facts) -> bool:
    """Whether those who used it, or one who started them, are of a package that needs it.

    Or whether it is a library, or a part of another used package, and such a package needs it.
    """
    loaded = _LOADED.fullmatch(found.path) is not None
    source = facts.sources.get(package)
    for other in _strongly(facts.evidence, facts):
        related = loaded or (source is not None and facts.sources.get(other) == source)
        # Of packages that need each other neither is there for the other.
        mutual = other in reachable(package, facts.depends)
        if related and not mutual and package in reachable(other, facts.depends):
            return True
    return bool(found.processes) and all(
        any(
            owner == package or package in reachable(owner, facts.depends)
            for starter in ancestors(process, facts)
            for owner in facts.programs.get(starter, ())
        )
        for process in found.processes
    )


def _companion(package: str, found: Evidence, facts: Facts) -> str:
    """A used package that needs this one and has files of the same kind, which may have led to it."""
    kind = kind_of(found.path)
    for other, evidence in facts.evidence.items():
        if other in facts.builtin or package not in reachable(other, facts.depends):
            continue
        if other in reachable(package, facts.depends):
            continue  # itself, or one that needs it as it needs that
        if any(kind_of(item.path) == kind and not item.is_passing for item in evidence):
            return other
    return ""


def kind_of(path: str) -> str:
    """The kind of a file."""
    if _PROGRAM.fullmatch(path):
        return "programs"
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(path)), "data")


def ancestors(process: str, facts: Facts) -> set[str]:
    """The process and all who may have started it of their own accord, by their names.

    What a shell, make or a script of the source starts, it starts for whoever wrote its instructions.
    """
    found, todo = set[str](), [process]
    while todo:
        here = todo.pop()
        if here not in found and here not in _OBEDIENT and here not in facts.own:
            found.add(here)
            todo += facts.starters.get(here, ())
    return found


def reachable(package: str, depends: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The package and all that it needs."""
    return _reachable(package, _Graph(depends))


class _Graph:
    """A graph that the cache can tell from others."""

    def __init__(self, depends: Mapping[str, frozenset[str]]) -> None:
        self.depends = depends

    def __hash__(self) -> int:
        return id(self.depends)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Graph) and self.depends is other.depends


@lru_cache(maxsize=4096)
def _reachable(package: str, graph: _Graph) -> frozenset[str]:
    found, todo = {package}, [package]
    while todo:
        for needed in graph.depends.get(todo.pop(), ()):
            if needed not in found:
                found.add(needed)
                todo.append(needed)
    return frozenset(found)


def name(package: str) -> str:
    """A package without its architecture."""
    return package.partition(":")[0]


def _strongly(packages: Collection[str], facts: Facts) -> Iterator[str]:
    for package in packages:
        if any(not found.is_passing for found in facts.evidence.get(package, ())):
            yield package


def _named(evidence: Iterable[Evidence]) -> tuple[str, ...]:
    return tuple(sorted({found.path for found in evidence}, key=lambda path: (len(path), path))[:NAMED])
