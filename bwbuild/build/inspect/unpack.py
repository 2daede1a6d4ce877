"""A source package as a build will see it: checked, unpacked in a sandbox, in a scratch directory of its own.

The directory has ``files`` (what the .dsc lists, compared while it was copied), ``unpacked`` (all that the
sandbox may write), and ``parent``, to which the tree is moved when the sandbox is gone, beside the upstream
tarballs, which it could only read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bwbuild.build import scratch as scratches
from bwbuild.build.inspect.helper import Reader
from bwbuild.build.scratch import Record, Scratch
from bwbuild.build.start import DscFile, Fetch, Named, needs_suite
from bwbuild.deb.dsc import Dsc, check_files, read_dsc
from bwbuild.deb.names import is_orig_tarball, upstream_version
from bwbuild.deb.signature import Verdict, check_signature
from bwbuild.deb.source import Source
from bwbuild.errors import SourceError
from bwbuild.events import Field, Level, Notice, Observer, Text
from bwbuild.interrupt import interruptions
from bwbuild.sandbox import unpack
from bwbuild.sandbox.spec import Identity, IdentityKind, Layering
from bwbuild.sandbox.unpack import FILES, UNPACKED

#: What bwbuild itself reads of a tree: links of a stranger's tree could lead to the caller's own files.
_READ = tuple(Path("debian", name) for name in ("changelog", "control", "rules", "source/format"))


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A source package and its tree; ``note`` says what is known of its signature."""

    dsc: Dsc
    tree: Path
    note: Notice

    def check(self, source: Source) -> None:
        """Refuse a tree that is not of the package that its .dsc names.

        :raises SourceError: name or version differ.
        """
        if (source.name, source.version) != (self.dsc.name, self.dsc.version):
            raise SourceError(
                f"{self.dsc.path.name} says {self.dsc.name} {self.dsc.version}, "
                f"but its debian/changelog says {source.name} {source.version}",
                hint="make the source package again: dpkg-source --build TREE",
            )


@contextmanager
def unpacked(
    start: DscFile | Named,
    base: Path,
    tell: Observer,
    reader: Reader,
    *,
    fetch: Fetch | None = None,
    lasting: bool = False,
) -> Iterator[Unpacked]:
    """Check and unpack ``start`` in a new scratch directory below ``base``.

    At the end it is removed, unless a workspace was kept that lies over the tree.

    :param reader: how dpkg-source is run.
    :param fetch: brings a source package of which only the name is known.
    :param lasting: it stays in any case.
    :raises SourceError: it is not a usable source package.
    :raises HostError: the sandbox does not start.
    :raises LimitError: it takes more than it may.
    :raises OutputError: the scratch directory can't hold it.
    """
    dsc = read_dsc(start.path) if isinstance(start, DscFile) else None
    if isinstance(start, Named) and fetch is None:
        raise needs_suite(start)
    with interruptions():
        scratches.sweep(base, tell)
        with scratches.fresh(base, _record(start, dsc)) as scratch:
            if isinstance(start, Named) and fetch is not None:
                dsc = _fetched(start, fetch, scratch, tell)
            assert dsc is not None  # noqa: S101 - for the type checker: read above, or fetched
            note = signature_note(dsc)
            tell(Field("Source package", str(dsc.path if isinstance(start, DscFile) else start)))
            tell(Field("Signature", note.text))
            tree = _unpack(dsc, scratch, reader, tell)
            try:
                yield Unpacked(dsc, tree, note)
            finally:
                if lasting:
                    _keep(base, scratch, "unpacked for --dry-run")
                elif any(_is_below(record, scratch.path) for _, record in scratches.kept(base)):
                    _keep(base, scratch, "the tree of a kept workspace")


def signature_note(dsc: Dsc) -> Notice:
    """What is known of the signature, as a sentence; a warning unless it holds.

    :raises SourceError: it does not hold.
    """
    signature = check_signature(dsc)
    # Keys of old packages expire, and their new dates come with a newer keyring: that says nothing bad.
    holds = signature.verdict in (Verdict.GOOD, Verdict.EXPIRED)
    level = Level.INFO if holds else Level.WARNING
    return Notice(level, f"{dsc.path.name} {signature.text}")


def _record(start: DscFile | Named, dsc: Dsc | None) -> Record:
    names = (dsc.name, dsc.version) if dsc else (str(start).partition("=")[0], "")
    place = start.path if isinstance(start, DscFile) else Path(str(start))
    return scratches.new_record(place, names, Layering.COPY, Identity(IdentityKind.SINGLE, 0, 0))


def _fetched(named: Named, fetch: Fetch, scratch: Scratch, tell: Observer) -> Dsc:
    place = scratch.path / "fetched"
    place.mkdir(mode=0o700)
    dsc = read_dsc(fetch(named.name, named.version, place, tell))
    if dsc.name != named.name or dsc.version != (named.version or dsc.version):
        raise SourceError(f"{named} was asked for, but {dsc.name} {dsc.version} came")
    return dsc


def _unpack(dsc: Dsc, scratch: Scratch, reader: Reader, tell: Observer) -> Path:
    """The tree of ``dsc``, made in ``scratch``."""
    files, made, parent = (scratch.path / name for name in (FILES.name, UNPACKED.name, "parent"))
    for place in (files, made, parent):
        place.mkdir(mode=0o755)
    check_files(dsc, files)
    sums = [f"{file.sha256} {file.size} {file.name}" for file in dsc.files.values()]
    tell(Text("\n".join(["Sizes and checksums are those that the .dsc lists:", *sums])))
    (files / dsc.file_name).write_text(dsc.text, encoding="utf-8")
    _run_dpkg_source(dsc, scratch, reader)
    tree = parent / dsc.directory
    try:
        if not stat.S_ISDIR((made / dsc.directory).lstat().st_mode):
            raise SourceError(f"{dsc.path.name} did not unpack to a directory")
        # Of all that the sandbox may have written only this leaves its directory.
        (made / dsc.directory).rename(tree)
    except FileNotFoundError:
        raise SourceError(f"{dsc.path.name} did not unpack to a directory") from None
    _check_links(dsc, tree)
    for name in dsc.files:
        if is_orig_tarball(name, dsc.name, upstream_version(dsc.version)):
            (files / name).rename(parent / name)
    return tree


def _check_links(dsc: Dsc, tree: Path) -> None:
    if not os.path.lexists(tree / _READ[0]):
        raise SourceError(f"{dsc.path.name} has no {_READ[0]}", hint="it is no Debian source package")
    top = os.path.realpath(tree)
    for name in _READ:
        if not Path(os.path.realpath(tree / name)).is_relative_to(top):
            raise SourceError(
                f"{dsc.path.name}: {name} is a link that leads out of the tree",
                hint="no package of the archive has this: look at it before you do anything with it",
            )


def _run_dpkg_source(dsc: Dsc, scratch: Scratch, reader: Reader) -> None:
    what = f"unpacking {dsc.path.name}"
    status, lines = reader.run(what, scratch, unpack.source(dsc.file_name, dsc.directory))
    if status != 0:
        raise SourceError(
            f"dpkg-source can't unpack {dsc.path.name} (exit status {status})",
            hint="its checksums are right, so it was made like this",
            details=lines,
        )


def _keep(base: Path, scratch: Scratch, why: str) -> None:
    """Let the tree stay, in place of older ones of the same source and of the workspaces over them."""
    kept = scratches.kept(base)
    older = [path for path, record in kept if record.tree == scratch.record.tree and path != scratch.path]
    for path, record in kept:
        if any(_is_below(record, tree) for tree in older):
            scratches.discard(path, record)
    scratches.keep(base, scratch, why)


def _is_below(record: Record, path: Path) -> bool:
    return Path(record.tree).is_relative_to(os.path.realpath(path))
