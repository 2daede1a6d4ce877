"""What a command line gives to build: a tree, a .dsc, or the name of a source package."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bwbuild.deb.names import SOURCE_NAME, VERSION
from bwbuild.errors import SourceError
from bwbuild.events import Observer

#: Fetches a source package, given its name, its version or None for the newest, the directory that it goes
#: to, and whom to tell what goes on; returns the path of its .dsc.
Fetch = Callable[[str, str | None, Path, Observer], Path]


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory in a source tree."""

    path: Path


@dataclass(frozen=True, slots=True)
class DscFile:
    """The path of a .dsc."""

    path: Path


@dataclass(frozen=True, slots=True)
class Named:
    """A source package to fetch; without a version the newest one."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name}={self.version}" if self.version else self.name


Start = Tree | DscFile | Named


def decide(word: str) -> Start:
    """Which of the three ``word`` is; what exists comes before a name that is spelt the same.

    :raises SourceError: none of them.
    """
    path = Path(word)
    if word and path.is_dir():
        return Tree(path)
    if word.endswith(".dsc"):
        return DscFile(path)
    name, equals, version = word.partition("=")
    is_name = SOURCE_NAME.fullmatch(name) and (VERSION.fullmatch(version) or not equals)
    if is_name and not os.path.lexists(path):
        return Named(name, version or None)
    raise SourceError(
        f"{word or repr(word)} is not a directory, nor a .dsc, nor the name of a source package",
        hint="give the directory of an unpacked source, the path of a .dsc, or NAME or NAME=VERSION",
    )


def needs_suite(named: Named) -> SourceError:
    """The error for a name where nothing can be fetched from."""
    return SourceError(
        f"{named} is not a directory here, and as the name of a source package it needs a suite to come from",
        hint="name the suite: -d SUITE; or give the directory of an unpacked source or the path of a .dsc",
    )
