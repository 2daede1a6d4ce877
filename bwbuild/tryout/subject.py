"""What is to be tried: packages by their paths, those of a .changes, or packages of the archive by name."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild.deb import source as sources
from bwbuild.deb.changes import read_uploaded
from bwbuild.deb.names import BINARY_NAME, printable
from bwbuild.errors import SourceError, UsageError, VerificationError

#: Names of packages that nobody tries: symbols for debuggers.
_SYMBOLS = "-dbgsym"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be tried, none of it read yet but a .changes.

    :ivar debs: paths of packages; ``names``: of packages of the archive.
    :ivar distribution: what the .changes names; empty where there is none.
    """

    debs: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    distribution: str = ""


def find(words: Sequence[str], here: Path, output: Path | None = None) -> Subject:
    """What ``words`` mean; without any, what was built last of the tree around ``here``.

    :param output: where results go; None: beside the tree.
    :raises UsageError: a word means nothing that can be tried.
    :raises SourceError: there is no tree, or nothing was built of it.
    :raises VerificationError: a .changes is malformed, or its packages are other ones.
    """
    if not words:
        return _of_changes(Path(os.path.realpath(newest(here, output))))
    changes = [word for word in words if word.endswith(".changes")]
    if changes and len(words) > 1:
        raise UsageError(
            f"{printable(changes[0])} and more: one .changes is tried alone",
            hint="name its packages: A.deb B.deb; or what else is to be there: --with NAME",
        )
    if changes:
        return _of_changes(Path(os.path.realpath(changes[0])))
    debs = tuple(Path(word) for word in words if word.endswith(".deb"))
    names = tuple(word for word in words if not word.endswith(".deb"))
    for name in names:
        check_name(name)
    return Subject(debs, names)


def check_name(name: str, flag: str = "") -> None:
    """Refuse what is no name of a package.

    :param flag: the option that it was given to, with a space.
    :raises UsageError: it can't be one.
    """
    if flag and not BINARY_NAME.fullmatch(name):
        raise UsageError(f"{flag}{printable(name)}: that is no name of a package", hint="such as libc6")
    if not BINARY_NAME.fullmatch(name):
        raise UsageError(
            f"{printable(name)} is neither a .changes nor a .deb, and no name of a package either",
            hint="bwbuild try X.changes, A.deb or NAME; a command goes behind --",
        )


def newest(here: Path, output: Path | None = None) -> Path:
    """The .changes with packages that was written last for the tree around ``here``.

    :param output: where it is; None: beside the tree.
    :raises SourceError: there is none.
    """
    try:
        tree = sources.find_tree(here)
    except SourceError as error:
        hint = "name what is to be tried: bwbuild try X.changes, A.deb or NAME"
        raise SourceError(error.message, hint=hint) from error
    name = sources.read_source(tree).name
    place = tree.parent if output is None else output
    found = [
        path
        for path in place.glob(f"{name}_*.changes")
        if not path.name.endswith("_source.changes") and path.is_file()
    ]
    if not found:
        raise SourceError(
            f"nothing that was built of {name} is in {place}",
            hint="build it first, or name what is to be tried: bwbuild try X.changes",
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def _of_changes(path: Path) -> Subject:
    changes = read_uploaded(path)
    wanted = [
        file
        for file in changes.files
        if file.name.endswith(".deb") and not file.name.partition("_")[0].endswith(_SYMBOLS)
    ]
    if not wanted:
        raise UsageError(f"{path.name} has no package to try", hint="build binary packages: bwbuild -b")
    for file in wanted:
        _check(path.parent / file.name, file.size, file.sha256)
    return Subject(tuple(path.parent / file.name for file in wanted), (), changes.distribution)


def _check(path: Path, size: int, sha256: str) -> None:
    digest = hashlib.sha256()
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{path} is no regular file", hint="build it again")
            while data := file.read(_CHUNK):
                digest.update(data)
            found = file.tell()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}", hint="build it again") from error
    if (found, digest.hexdigest()) != (size, sha256):
        raise VerificationError(f"{path} is not the file that the .changes lists", hint="build it again")
