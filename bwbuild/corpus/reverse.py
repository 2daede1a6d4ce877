"""What build-depends on a package, by the index of the sources of a suite."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from bwbuild.build.ground import index
from bwbuild.config.settings import Settings
from bwbuild.deb import relations
from bwbuild.deb.names import BINARY_NAME, SOURCE_NAME, VERSION
from bwbuild.deb.relations import Relation
from bwbuild.deb.versions import sort_key
from bwbuild.errors import SourceError, UsageError
from bwbuild.events import Observer
from bwbuild.host.facts import read_host

#: Characters of one source in an index: the longest of Debian has a tenth of it.
LONGEST_STANZA = 4 << 20
#: Relations that make a source one that needs what it names.
_FIELDS = ("Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep")
_KEPT = frozenset((*_FIELDS, "Package", "Version", "Binary"))


def reverse_depends(settings: Settings, words: Iterable[str], tell: Observer) -> list[str]:
    """The sources, as ``NAME=VERSION``, that build-depend on any of ``words`` in the suite of the settings.

    :param words: names of binary packages; ``src:NAME`` stands for all of a source.
    :raises UsageError: a word is no name, or there is no suite.
    :raises SourceError: the index can't be fetched, or nothing depends on them.
    """
    wanted = list(words)
    for word in wanted:
        kind = SOURCE_NAME if word.startswith("src:") else BINARY_NAME
        if not kind.fullmatch(word.removeprefix("src:")):
            raise UsageError(f"--reverse-depends: {word!r} is no name of a package", hint="NAME or src:NAME")
    if settings.dist in (None, "auto"):
        raise UsageError("--reverse-depends needs a suite to look into", hint="name it: -d SUITE")
    assert settings.dist is not None  # noqa: S101 - for the type checker
    with tempfile.TemporaryDirectory(prefix="bwbuild-") as directory:
        # Ids of the base come through to it, and back to what is the caller's.
        Path(directory).chmod(0o755)
        found = Path(directory, "index")
        found.mkdir()
        path = index(settings, read_host(), found, tell)
        with path.open(encoding="utf-8", errors="replace") as stream:
            stanzas = newest(read_index(stream))
    names = select(stanzas, wanted)
    if not names:
        raise SourceError(
            f"nothing in {settings.dist} build-depends on {', '.join(wanted)}",
            hint="name binary packages, such as libfoo-dev, or src:NAME for all of a source",
        )
    return names


def read_index(lines: Iterable[str]) -> Iterator[Mapping[str, str]]:
    """The stanzas of a Sources index, as far as their fields are needed here."""
    stanza: dict[str, list[str]] = {}
    field, size = "", 0
    for line in chain(lines, ("\n",)):
        size += len(line)
        if not line.strip():
            if stanza:
                yield {name: " ".join(values) for name, values in stanza.items()}
            stanza, field, size = {}, "", 0
        elif size > LONGEST_STANZA:
            continue
        elif line[0] in " \t":
            stanza.get(field, []).append(line.strip())
        else:
            field, _, value = line.partition(":")
            if field in _KEPT:
                stanza[field] = [value.strip()]


def newest(stanzas: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Of each source the stanza with the highest version."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for stanza in stanzas:
        name, version = stanza.get("Package", ""), stanza.get("Version", "")
        if SOURCE_NAME.fullmatch(name) and VERSION.fullmatch(version):
            found.setdefault(name, []).append(stanza)
    return [sorted(group, key=_version)[-1] for group in found.values()]


def _version(stanza: Mapping[str, str]) -> Any:
    return sort_key(stanza["Version"])


def select(stanzas: Iterable[Mapping[str, str]], words: Iterable[str]) -> list[str]:
    """The sources among ``stanzas`` that need one of the packages, as ``NAME=VERSION`` in order."""
    known = list(stanzas)
    packages = set(_packages(known, words))
    return sorted(f"{each['Package']}={each['Version']}" for each in known if packages & _needs(each))


def _packages(stanzas: Iterable[Mapping[str, str]], words: Iterable[str]) -> Iterator[str]:
    """The binary packages that the words stand for."""
    binaries = {
        stanza["Package"]: [name.strip() for name in stanza.get("Binary", "").split(",")]
        for stanza in stanzas
    }
    for word in words:
        if not word.startswith("src:"):
            yield word
            continue
        name = word.removeprefix("src:")
        if name not in binaries:
            raise SourceError(f"the suite has no source {name}", hint="rmadison shows which suites have it")
        yield from binaries[name]


def _needs(stanza: Mapping[str, str]) -> set[str]:
    """The packages that any of a source's build dependencies names; what does not parse names none."""
    found: set[Relation] = set()
    for field in _FIELDS:
        try:
            groups = relations.parse(field, stanza.get(field, ""), stanza["Package"])
        except SourceError:
            continue
        found.update(relation for group in groups for relation in group)
    return {relation.name for relation in found}
