"""What the packages of a build hold, as sets of lines that can be compared: pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bwbuild.corpus.values import Build, Package

#: Fields with relations to packages.
RELATIONS = frozenset(
    (
        *("Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances"),
        *("Breaks", "Conflicts", "Replaces", "Provides"),
    )
)
#: Fields that differ with every rebuild, or follow from what is compared by itself.
_PASSING = frozenset(("Version", "Installed-Size", "Build-Ids", "Source"))
#: With the directory, which is called after the id too.
_BUILD_ID = re.compile(r"/\.build-id/[0-9a-f]{2}(/([0-9a-f]+(\.debug)?)?|$)")


def differences(old: Sequence[set[str]], new: Sequence[set[str]]) -> list[str]:
    """What every old build has and no new one (``- ``), and the other way round (``+ ``).

    What varies by itself from build to build is no change.
    """
    gone = _in_all(old) - _in_any(new)
    come = _in_all(new) - _in_any(old)
    return [*(f"- {line}" for line in sorted(gone)), *(f"+ {line}" for line in sorted(come))]


def _in_all(sides: Sequence[set[str]]) -> set[str]:
    return sides[0].intersection(*sides[1:])


def _in_any(sides: Sequence[set[str]]) -> set[str]:
    return sides[0].union(*sides[1:])


def members(build: Build) -> set[str]:
    """Every member of every package, without its size; those of a list that was cut can't be compared."""
    found = set()
    for package in build.packages:
        for line in package.files if package.complete else ():
            mode, owner, path = _parts(line)
            path = _BUILD_ID.sub("/.build-id/…", path)
            found.add(f"{_name(package)}: {mode} {owner} {_unversioned(path, build)}")
    return found


def relations(build: Build) -> set[str]:
    """Every relation of every package, one a line."""
    return {
        f"{_name(package)}: {field}: {_unversioned(relation.strip(), build)}"
        for package in build.packages
        for field, value in package.control
        if field in RELATIONS
        for relation in value.split(",")
    }


def control(build: Build) -> set[str]:
    """Every other field of every package that has to stay the same."""
    return {
        f"{_name(package)}: {field}: {_unversioned(value, build)}"
        for package in build.packages
        for field, value in package.control
        if field not in RELATIONS and field not in _PASSING
    }


def _parts(line: str) -> tuple[str, str, str]:
    """Mode, owner and path of a member."""
    mode, _, rest = line.partition(" ")
    owner, _, rest = rest.partition(" ")
    return mode, owner, rest.partition(" ")[2]


def _name(package: Package) -> str:
    return package.name.partition("_")[0]


def _unversioned(text: str, build: Build) -> str:
    """``text`` without the source's own version, which is another one after every upload."""
    version = build.version
    return text.replace(version, "${version}") if len(version) > 2 else text
