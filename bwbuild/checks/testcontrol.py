"""debian/tests/control: which tests there are, and what has to be installed for them: pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from bwbuild.deb.relations import parse, reduce

#: Restrictions that nothing here can meet, for they want a machine, or the world; autopkgtest itself skips
#: the tests that have them, and says why.
UNMET = frozenset(
    {"isolation-container", "isolation-machine", "needs-internet", "needs-reboot", "breaks-testbed"}
)
_NETWORK = "needs-internet"
#: Marks a paragraph that is no test.
_HINT = "hint-testsuite-triggers"
_FILE = "debian/tests/control"


@dataclass(frozen=True, slots=True)
class Package:
    """A binary package that was built."""

    name: str
    version: str
    recommends: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Tests with the same dependencies, which autopkgtest calls by ``names``.

    :ivar depends: relations for apt, separated by commas.
    :ivar optional: they are skipped where these can't be had.
    """

    names: tuple[str, ...]
    depends: str
    optional: bool = False


def paragraphs(text: str) -> list[dict[str, str]]:
    """The paragraphs of a control file, each with its fields by their lower-case names."""
    found: list[dict[str, str]] = [{}]
    name = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            found.append({})
        elif line[0] in " \t":
            found[-1][name] = f"{found[-1].get(name, '')} {line.strip()}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            found[-1][name] = value.strip()
    return [paragraph for paragraph in found if paragraph]


def packages(text: str) -> tuple[Package, ...]:
    """What ``dpkg-deb --field FILE Package Version Recommends`` says of each, with blank lines between."""
    return tuple(
        Package(item.get("package", ""), item.get("version", ""), item.get("recommends", ""))
        for item in paragraphs(text)
    )


def of_the_network(text: str) -> tuple[str, ...]:
    """The names of the tests that say that they need it."""
    return tuple(name for names, item in _tests(text) if _NETWORK in _restrictions(item) for name in names)


@dataclass(frozen=True, slots=True)
class Reader:
    """Expands what tests depend on.

    :ivar build_depends: the fields of the source, separated by commas.
    :ivar network: they have it.
    """

    built: tuple[Package, ...]
    build_depends: str
    architecture: str
    network: bool = False

    def groups(self, text: str) -> tuple[Group, ...]:
        """The groups of tests that can be tried here, in the order of the file.

        :raises SourceError: a relation does not parse.
        """
        return tuple(self._groups(text))

    def _groups(self, text: str) -> Iterator[Group]:
        unmet = UNMET - {_NETWORK} if self.network else UNMET
        for names, item in _tests(text):
            restrictions = _restrictions(item)
            if restrictions & {*unmet, _HINT}:
                continue
            asked = item.get("depends", "@")
            if "needs-recommends" in restrictions:
                asked += ", @recommends@"
            if "build-needed" in restrictions:
                asked += ", @builddeps@"
            depends = ", ".join(dict.fromkeys(self._expanded(asked)))
            yield Group(names, depends, "skip-not-installable" in restrictions)

    def _expanded(self, text: str) -> Iterator[str]:
        for part in (part.strip() for part in text.split(",")):
            if part == "@":
                yield from (f"{package.name} (= {package.version})" for package in self.built)
            elif part == "@builddeps@":
                yield "build-essential"
                yield from self._reduced("Build-Depends", self.build_depends)
            elif part == "@recommends@":
                yield from chain(*(self._reduced("Recommends", package.recommends) for package in self.built))
            else:
                yield from self._reduced("Depends", part)

    def _reduced(self, field: str, text: str) -> Iterator[str]:
        for group in reduce(parse(field, text, _FILE), self.architecture):
            # As in build dependencies; of alternatives the first counts unless it is of this source.
            own = {package.name for package in self.built}
            relation = next((relation for relation in group if relation.name in own), group[0])
            yield str(replace(relation, architectures=(), profiles=()))


def together(groups: Sequence[Group]) -> str:
    """The relations of all groups at once."""
    texts = chain(*(group.depends.split(", ") for group in groups if group.depends))
    return ", ".join(dict.fromkeys(texts))


def _tests(text: str) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """The names of each paragraph's tests, and the paragraph."""
    commands = 0
    for item in paragraphs(text):
        names = tuple(_words(item.get("tests", "")))
        if "test-command" in item:
            commands, names = commands + 1, (_name(item) or f"command{commands + 1}",)
        if names:
            yield names, item


def _restrictions(item: dict[str, str]) -> frozenset[str]:
    return frozenset(_words(item.get("restrictions", "")))


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _name(item: dict[str, str]) -> str:
    features = _words(item.get("features", ""))
    return next((word.partition("=")[2] for word in features if word.startswith("test-name=")), "")
