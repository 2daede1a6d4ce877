"""What a build packed as the source, against the tree that it was given.

dpkg-buildpackage runs the package's own clean target before dpkg-source packs the tree, and what a target of
the package adds or changes there would be signed as if the user had written it. A clean target may remove
what it likes. All of what was packed is read in a small sandbox.
"""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bwbuild import process
from bwbuild.build.inspect.helper import Reader
from bwbuild.build.plan import Plan
from bwbuild.build.scratch import Scratch
from bwbuild.config.settings import Keep
from bwbuild.deb.changes import read_dsc
from bwbuild.deb.names import is_orig_tarball, printable, upstream_version
from bwbuild.errors import VerificationError
from bwbuild.handover.artifacts import Verified
from bwbuild.sandbox import unpack
from bwbuild.sandbox.spec import Layering

#: Directories of the unpacked source, and of the upstream source alone.
_PACKED, _UPSTREAM = "packed", "upstream"
#: What dpkg-source leaves out when it unpacks.
_IGNORED = ".pc"
#: debconf-updatepo brings them up to date with the templates.
_TRANSLATIONS = ("debian/po/*.po", "debian/po/templates.pot")
#: Differences that are shown; in the log and the report there need not be more.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that was packed otherwise than it is in the tree; ``how`` is ``added`` or ``changed``."""

    path: str
    how: str

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.how}: {printable(self.path)}"


def check(plan: Plan, verified: Verified, scratch: Scratch) -> tuple[str, ...]:
    """Compare; what differs and is usual, or accepted by the settings, one sentence each.

    :raises VerificationError: something else differs, or what was packed can't be unpacked.
    :raises LimitError: to unpack it takes more than it may.
    """
    dsc = verified.named(".dsc")
    # A build in the real tree has nothing to compare with.
    if dsc is None or plan.sandbox.workspace.layering is Layering.NONE:
        return ()
    found = _Packed(plan, verified, scratch).differences()
    usual = [one for one in found if _is_usual(one, plan.source.tree)]
    accepted = [
        one for one in found if one not in usual and _is_accepted(one, plan.settings.accept_from_clean)
    ]
    refused = [one for one in found if one not in (*usual, *accepted)]
    if refused:
        raise VerificationError(
            f"{dsc.name} would have what your tree has not: {refused[0].text}"
            + (f", and {len(refused) - 1} more" if refused[1:] else ""),
            hint="targets of debian/rules did it, such as clean: take over what is right into the tree,"
            " or accept it with --accept-from-clean PATTERN",
            details=[*_shown(refused), *_comparison(plan, scratch)],
        )
    return (
        *(f"{text} by the build, in {dsc.name}; look at it" for text in _shown(usual)),
        *(f"{text} by the build, in {dsc.name} (--accept-from-clean)" for text in _shown(accepted)),
    )


def _comparison(plan: Plan, scratch: Scratch) -> Iterator[str]:
    if plan.settings.keep is not Keep.NEVER:
        packed = scratch.path / unpack.UNPACKED.name / _PACKED
        yield f"to compare: {process.pasteable(['diff', '-ru', plan.source.tree, packed])}"


def _shown(found: list[Difference]) -> list[str]:
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return [one.text for one in found[:_SHOWN]] + more


def _is_usual(difference: Difference, tree: Path) -> bool:
    """Whether many packages make the file anew in their clean target, from others that are in the tree."""
    if difference.how != "changed":
        return False
    if difference.path == "debian/control":
        return (tree / "debian" / "control.in").is_file()
    return any(fnmatchcase(difference.path, pattern) for pattern in _TRANSLATIONS)


def _is_accepted(difference: Difference, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(difference.path, pattern) for pattern in patterns)


class _Packed:
    """The files of a .dsc, and what is in them."""

    def __init__(self, plan: Plan, verified: Verified, scratch: Scratch) -> None:
        self._plan = plan
        self._scratch = scratch
        self._reader = Reader.of(plan.settings, plan.host)
        self._quarantine = verified.directory
        dsc = verified.named(".dsc")
        assert dsc is not None  # noqa: S101 - for the type checker: it was asked before
        self._dsc = dsc
        self._names = tuple(file.name for file in read_dsc(dsc.path).files)

    def differences(self) -> list[Difference]:
        """What was packed otherwise than it is in the tree, by name."""
        upstream = upstream_version(self._plan.version)
        origs = [name for name in self._names if is_orig_tarball(name, self._plan.source.name, upstream)]
        made = [Difference(f"../{name}", "added") for name in origs if name not in self._plan.origs]
        if made:
            return made
        for name in (unpack.FILES.name, unpack.UNPACKED.name):
            (self._scratch.path / name).mkdir(mode=0o755)
        archive = next((name for name in self._names if ".debian.tar" in name), None)
        if archive is not None:
            # The rest is byte for byte what the build was given.
            self._bring(archive)
            self._run(unpack.archive(archive, _PACKED))
            return self._compared()
        for name in (*self._names, self._dsc.name):
            self._bring(name)
        self._run(unpack.source(self._dsc.name, _PACKED))
        found = self._compared()
        if not found or not origs:
            return found
        # In format 1.0 what was removed from the tree comes back from upstream.
        self._run(unpack.source(self._dsc.name, _UPSTREAM, "--skip-debianization"))
        own, given = (self._scratch.path / unpack.UNPACKED.name / name for name in (_PACKED, _UPSTREAM))
        return [one for one in found if not _same(own / one.path, given / one.path)]

    def _compared(self) -> list[Difference]:
        packed = self._scratch.path / unpack.UNPACKED.name / _PACKED
        return sorted(compare(packed, self._plan.source.tree), key=lambda one: one.path)

    def _bring(self, name: str) -> None:
        own = self._quarantine / name
        source = own if own.exists() else self._plan.origs[name]
        process.run(["cp", "--reflink=auto", "--", source, self._scratch.path / unpack.FILES.name / name])

    def _run(self, command: tuple[str, ...]) -> None:
        status, lines = self._reader.run(f"unpacking {self._dsc.name}", self._scratch, command)
        if status != 0:
            raise VerificationError(f"{self._dsc.name} can't be unpacked again", details=lines)


def compare(packed: Path, tree: Path) -> Iterator[Difference]:
    """Files below ``packed`` that are not the same in ``tree``; nothing is followed in either.

    Modes do not count: of them dpkg-source keeps next to nothing.
    """
    todo = [""]
    while todo:
        directory = todo.pop()
        with os.scandir(packed / directory) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            path = f"{directory}/{name}" if directory else name
            if path == _IGNORED:
                continue
            own, given = _kind(packed / path), _kind(tree / path)
            if own == stat.S_IFDIR and given in (stat.S_IFDIR, 0):
                todo.append(path)
            elif not _same(packed / path, tree / path):
                yield Difference(path, "changed" if given else "added")


def _kind(path: Path) -> int:
    """The type of the file; 0 where there is none."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _same(one: Path, other: Path) -> bool:
    kind = _kind(one)
    if kind != _kind(other):
        return False
    if kind == stat.S_IFLNK:
        return one.readlink() == other.readlink()
    return kind == stat.S_IFREG and filecmp.cmp(one, other, shallow=False)
