"""dpkg's database: which packages the host has, in which state, and which of them satisfy a relation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bwbuild.deb.relations import Relation
from bwbuild.errors import HostError

DIRECTORY = Path("/var/lib/dpkg")

_ARCHITECTURE, _VERSION = "\nArchitecture: ", "\nVersion: "
#: From the one that apt prefers among providers to the one that it likes least.
_PRIORITIES = {"required": 0, "important": 1, "standard": 2, "optional": 3, "extra": 4}
#: The state of a package between dpkg's calls.
_HALFWAY = re.compile(rb"^Status: \S+ \S+ (?:unpacked|half-|triggers-)", re.MULTILINE)
_PROVIDED = re.compile(r"([^\s,:()]+)(?::([a-z0-9-]+))?(?: \((\S+) ([^\s()]+)\))?")


@dataclass(frozen=True, slots=True)
class Package:
    """One stanza of dpkg's status file.

    status is dpkg's third word, error its second; multi_arch is ``""``, ``same``, ``foreign`` or ``allowed``;
    depends, pre_depends and provides are the fields' text; paragraph is the stanza without its last newline.
    """

    name: str
    architecture: str
    version: str
    status: str
    error: str
    multi_arch: str
    essential: bool
    priority: str
    depends: str
    pre_depends: str
    provides: str
    paragraph: str

    @property
    def id(self) -> str:
        """``name:architecture``, which no other package of the database has."""
        return f"{self.name}:{self.architecture}"

    @property
    def file_stem(self) -> str:
        """What the names of its files in dpkg's info directory begin with."""
        return self.id if self.multi_arch == "same" else self.name

    @property
    def is_present(self) -> bool:
        """Whether more of it is there than its configuration."""
        return self.status not in ("not-installed", "config-files")

    @property
    def is_usable(self) -> bool:
        """Whether it satisfies dependencies, as dpkg-checkbuilddeps sees it: ``Status: ... ok installed``.

        triggers-pending and triggers-awaited are out, though dpkg takes the first for a Depends: inside the
        sandbox dpkg-checkbuilddeps reads the same stanza, and refuses it.
        """
        return self.status == "installed" and self.error == "ok"

    @property
    def state(self) -> str:
        """The state in which it is, in dpkg's words."""
        return self.status if self.error == "ok" else f"{self.status}, {self.error}"

    @property
    def source(self) -> str:
        """The name of its source package."""
        return self.field("Source").split(" ")[0] or self.name

    def field(self, name: str) -> str:
        """The value of any field, such as Conflicts or Conffiles, its lines joined by newlines."""
        found = re.search(rf"^{name}:((?:.*)(?:\n .*)*)", self.paragraph, re.MULTILINE)
        return found[1].strip() if found else ""

    @property
    def rank(self) -> tuple[int, str, str]:
        """Sorts providers of one virtual package: the preferred one first."""
        return _PRIORITIES.get(self.priority, len(_PRIORITIES)), self.name, self.architecture


@dataclass(frozen=True, slots=True)
class Provider:
    """A package that provides a virtual one; version is None if it does not say which."""

    package: Package
    version: str | None
    architecture: str


@dataclass(frozen=True, slots=True)
class Side:
    """Who asks: what an unqualified relation means, and what ``:native`` and ``Architecture: all`` stand for.

    from_source: whether the relation is the source's, for which dpkg-checkbuilddeps takes ``:amd64``
    literally: a package of architecture all does not satisfy it.
    """

    architecture: str
    native: str
    from_source: bool = False

    def accepts(self, package: Package, architecture: str, relation: Relation) -> bool:
        """Whether ``package`` is of an architecture that ``relation`` means.

        :param architecture: the package's, or the one that its Provides names.
        """
        own = self.native if architecture == "all" else architecture
        if not relation.qualifier:
            return package.multi_arch == "foreign" or own == self.architecture
        if relation.qualifier == "any":
            return package.multi_arch == "allowed" or architecture == "any"
        if relation.qualifier == "native":
            return own == self.native
        return relation.qualifier == (architecture if self.from_source else own)


@dataclass(frozen=True, slots=True)
class Database:
    """All packages that dpkg knows, by id, by name, and by the virtual packages that they provide."""

    packages: Mapping[str, Package]
    by_name: Mapping[str, tuple[Package, ...]]
    providers: Mapping[str, tuple[Provider, ...]]

    def satisfying(self, relation: Relation, side: Side) -> tuple[Package, ...]:
        """The usable packages that satisfy ``relation``, the preferred first: real ones, then providers.

        :raises HostError: a version of the database is none.
        """
        real = [
            package
            for package in self.by_name.get(relation.name, ())
            if package.is_usable
            and _accepts_real(side, package, relation)
            and _has_version(package.version, relation)
        ]
        if len(real) > 1:
            real.sort(key=lambda package: (package.architecture != side.architecture, package.architecture))
        provided = {
            provider.package.rank: provider.package
            for provider in self.providers.get(relation.name, ())
            if provider.package.is_usable
            and side.accepts(provider.package, provider.architecture, relation)
            and _has_version(provider.version, relation)
        }
        return tuple(dict.fromkeys([*real, *(provided[rank] for rank in sorted(provided))]))

    def why_not(self, relation: Relation, side: Side) -> str:
        """Why no package satisfies ``relation``, such as ``1.2-1 is installed, but >= 2.0 is declared``."""
        present = [package for package in self.by_name.get(relation.name, ()) if package.is_present]
        if not present:
            return self._why_not_provided(relation, side)
        fitting = [package for package in present if _accepts_real(side, package, relation)]
        if not fitting:
            return _wrong_architecture("installed", present, relation)
        for package in fitting:
            if not package.is_usable:
                return package.state
        return f"{fitting[0].version} is installed, but {relation.operator} {relation.version} is declared"

    def _why_not_provided(self, relation: Relation, side: Side) -> str:
        providers = self.providers.get(relation.name, ())
        if not providers:
            return "not installed"
        fitting = [p for p in providers if side.accepts(p.package, p.architecture, relation)]
        if not fitting:
            return _wrong_architecture("provided", [provider.package for provider in providers], relation)
        for provider in fitting:
            if not provider.package.is_usable:
                return f"provided by {provider.package.name}, which is {provider.package.state}"
        for provider in fitting:
            if provider.version is not None:
                return (
                    f"{provider.version} is provided by {provider.package.name}, "
                    f"but {relation.operator} {relation.version} is declared"
                )
        return "only provided without a version"


def parse_status(text: str) -> Database:
    """The database in ``text``, the content of dpkg's status file.

    dpkg writes one field a line, with its canonical name, so that finding them needs no parser of the format:
    it is read before every build, and has 20,000 lines on a small host.

    :raises HostError: a stanza names no package or has no state.
    """
    packages: dict[str, Package] = {}
    names: dict[str, list[Package]] = {}
    providers: dict[str, list[Provider]] = {}
    for paragraph in text.split("\n\n"):
        if not paragraph.strip():
            continue
        package = _package(paragraph.strip("\n"))
        packages[package.id] = package
        names.setdefault(package.name, []).append(package)
        if package.provides and package.is_present:
            for name, provider in _provided(package):
                providers.setdefault(name, []).append(provider)
    return Database(
        packages,
        {name: tuple(found) for name, found in names.items()},
        {name: tuple(found) for name, found in providers.items()},
    )


def installed(text: str) -> dict[str, str]:
    """The installed packages of a status file with the content ``text``: id -> version.

    Much quicker than :func:`parse_status`, for those who ask nothing else.
    """
    found = {}
    for paragraph in text.split("\n\n"):
        if _value(paragraph, "\nStatus: ").endswith(" installed"):
            name = paragraph.strip("\n").partition("\n")[0].partition(": ")[2]
            found[f"{name}:{_value(paragraph, _ARCHITECTURE)}"] = _value(paragraph, _VERSION)
    return found


def read_database(directory: Path = DIRECTORY) -> Database:
    """dpkg's database in ``directory``; bytes that are no UTF-8 are kept as surrogate escapes.

    :raises HostError: it can't be read, does not parse, or dpkg has not finished with it.
    """
    updates, status = directory / "updates", directory / "status"
    try:
        # Before the status file: what dpkg begins after this look is not in the file yet.
        if _is_begun(updates):
            raise HostError("dpkg is at work or was interrupted", hint="sudo dpkg --configure -a")
        text = status.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise HostError(
            f"dpkg's database {status} can't be read: {error.strerror}",
            hint="bwbuild builds on systems that dpkg manages, where everybody may read this file",
        ) from None
    return parse_status(text)


def is_at_work(directory: Path = DIRECTORY) -> bool:
    """Whether dpkg, or apt by several calls of it, changes what is installed right now.

    False too where nobody can tell. A lock alone says nothing: apt has it while it waits for an answer.
    """
    try:
        # Nobody but root may open the locks, but all may read who has which.
        numbers = [(directory / name).stat().st_ino for name in ("lock", "lock-frontend")]
        locks = Path("/proc/locks").read_text(encoding="ascii")
        if not any(f":{number} " in locks for number in numbers):
            return False
        return _is_begun(directory / "updates") or bool(_HALFWAY.search((directory / "status").read_bytes()))
    except OSError:
        return False


def _is_begun(updates: Path) -> bool:
    return updates.is_dir() and any(entry.name.isdecimal() for entry in updates.iterdir())


def _package(paragraph: str) -> Package:
    words = _value(paragraph, "\nStatus: ").split()
    first, _, name = paragraph.partition("\n")[0].partition(": ")
    if first != "Package" or not name or len(words) != 3:
        raise HostError(
            f"dpkg's database has a stanza without a package or its state: {paragraph[:60]!r}",
            hint="sudo dpkg --audit; /var/lib/dpkg/status-old is the file before dpkg's last change",
        )
    return Package(
        name,
        _value(paragraph, _ARCHITECTURE),
        _value(paragraph, _VERSION),
        words[2],
        words[1],
        _value(paragraph, "\nMulti-Arch: "),
        "\nEssential: yes" in paragraph,
        _value(paragraph, "\nPriority: "),
        _value(paragraph, "\nDepends: "),
        _value(paragraph, "\nPre-Depends: "),
        _value(paragraph, "\nProvides: "),
        paragraph,
    )


def _value(paragraph: str, key: str) -> str:
    start = paragraph.find(key)
    if start < 0:
        return ""
    start += len(key)
    end = paragraph.find("\n", start)
    return paragraph[start:end] if end >= 0 else paragraph[start:]


def _provided(package: Package) -> Iterator[tuple[str, Provider]]:
    for name, architecture, operator, version in _PROVIDED.findall(package.provides):
        # Debian knows no other operator here; dpkg ignores a Provides that has one.
        if operator in ("", "="):
            yield name, Provider(package, version or None, architecture or package.architecture)


def _accepts_real(side: Side, package: Package, relation: Relation) -> bool:
    # Of a foreign package nobody may ask for the native one; a virtual package has no such field of its own.
    asks_foreign = relation.qualifier == "native" and package.multi_arch == "foreign"
    return not asks_foreign and side.accepts(package, package.architecture, relation)


def _wrong_architecture(how: str, packages: list[Package], relation: Relation) -> str:
    if relation.qualifier == "any":
        return f"{how}, but not Multi-Arch: allowed"
    if relation.qualifier == "native" and all(package.multi_arch == "foreign" for package in packages):
        return f"{how}, but Multi-Arch: foreign, for which there is no :native"
    return f"only {how} for {' '.join(sorted({package.architecture for package in packages}))}"


def _has_version(version: str | None, relation: Relation) -> bool:
    if not relation.operator:
        return True
    return version is not None and _compares(version, relation.operator, relation.version)


@lru_cache(maxsize=1 << 14)
def _compares(left: str, operator: str, right: str) -> bool:
    if left == right:
        return "=" in operator
    from debian.debian_support import Version  # noqa: PLC0415 - 13 ms

    try:
        ours, theirs = Version(left), Version(right)
    except ValueError as error:
        raise HostError(
            f"dpkg's database has a version that is none: {error}", hint="sudo dpkg --audit names the package"
        ) from None
    if operator == "=":
        return bool(ours == theirs)
    if operator == "<<":
        return bool(ours < theirs)
    if operator == "<=":
        return bool(ours <= theirs)
    return bool(ours > theirs if operator == ">>" else ours >= theirs)
