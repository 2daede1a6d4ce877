"""A source package: its .dsc, and the files beside it that the .dsc lists.

All of it is a stranger's. The .dsc is read by :mod:`bwbuild.deb.paragraph`, so that there is one way to
understand it, and nothing but its control text goes on to a program that unpacks; a file that it lists is
known by its sums alone, so links to it are followed, as uscan and git-buildpackage leave them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bwbuild.deb import relations
from bwbuild.deb.changes import ChangesFile, Listing, source_listing
from bwbuild.deb.clearsign import signed_text
from bwbuild.deb.names import is_source_file, printable, upstream_version, without_epoch
from bwbuild.deb.paragraph import MAX_SIZE, Paragraph, as_text, parse
from bwbuild.deb.source import RELATION_FIELDS, Source
from bwbuild.errors import OutputError, SigningError, SourceError, VerificationError

#: Formats that are unpacked; Debian's archive has no other.
FORMATS = ("1.0", "3.0 (native)", "3.0 (quilt)")

_FRAME = "-----BEGIN PGP"
_AGAIN = "get it again, with all files that it lists: dget URL, or apt-get source --download-only NAME"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Dsc:
    """A .dsc: ``files`` are in its order, ``relations`` as :class:`~bwbuild.deb.source.Source` has them."""

    path: Path
    name: str
    version: str
    format: str
    #: file name -> size and sums
    files: Mapping[str, ChangesFile]
    relations: Mapping[str, str]
    #: it is in the frame of a signature, which says nothing about whose or whether it holds
    signed: bool
    #: the file as it was read
    data: bytes = field(repr=False)
    #: its control text, without a signature's frame
    text: str = field(repr=False)

    @property
    def file_name(self) -> str:
        """The name that the archive gives it."""
        return f"{self.name}_{without_epoch(self.version)}.dsc"

    @property
    def directory(self) -> str:
        """The name of the unpacked directory on Debian's build machines."""
        return f"{self.name}-{upstream_version(self.version)}"

    def as_source(self) -> Source:
        """What the .dsc alone says of the source: enough to look at its build dependencies."""
        return Source(
            tree=self.path,
            name=self.name,
            version=self.version,
            distribution="",
            changed_by="",
            format=self.format,
            binaries=(),
            relations=self.relations,
            given=str(self.path),
        )


def read_dsc(path: Path) -> Dsc:
    """Read the .dsc at ``path``, signed or not; whether a signature holds is not looked at.

    :raises SourceError: it can't be read, is malformed, contradicts itself, lists a file that can't be its
        own, or is of a format that can't be unpacked.
    """
    path = path.absolute()
    with _opened(
        path, f"there is no {path}", "give the path of a .dsc, or the directory of a tree"
    ) as stream:
        data = stream.read(MAX_SIZE + 1)
    try:
        text = as_text(data, path.name)
        signed = _FRAME in text
        if signed:
            text = signed_text(text, path.name) + "\n"
        paragraph = parse(text, path.name)
        listing = source_listing(paragraph, _any_name)
    except (VerificationError, SigningError) as error:
        raise SourceError(error.message, hint=_AGAIN) from None
    form = paragraph.line("format")
    _check(path.name, form, listing)
    return Dsc(
        path=path,
        name=listing.source,
        version=listing.version,
        format=form,
        files={file.name: file for file in listing.files},
        relations=_relations(paragraph),
        signed=signed,
        data=data,
        text=text,
    )


def check_files(dsc: Dsc, into: Path | None = None) -> None:
    """Compare each file that ``dsc`` lists with size and sums; each is read once.

    :param into: copy what is compared to this directory, so that it is what will be used.
    :raises SourceError: a file is missing, is no plain file, or is not what the .dsc says.
    :raises OutputError: ``into`` can't hold the copies.
    """
    for file in dsc.files.values():
        path = dsc.path.parent / file.name
        missing = f"{file.name} is missing, which {dsc.path.name} lists: it must be in {path.parent}"
        with _opened(path, missing, _AGAIN) as stream:
            found = os.fstat(stream.fileno()).st_size
            # Before a byte is read: a sparse file of a terabyte costs nothing.
            if found != file.size:
                what = "is cut off" if found < file.size else "is too long"
                raise SourceError(
                    f"{path} {what}: it has {found} bytes, {dsc.path.name} says {file.size}", hint=_AGAIN
                )
            if into is None:
                _compare(stream, None, file, dsc.path.name)
                continue
            with _new(into / file.name) as copy:
                _compare(stream, copy, file, dsc.path.name)


def _any_name(_name: str) -> None:
    """Names are looked at when name and version of the source are known, which they must begin with."""


def _check(name: str, form: str, listing: Listing) -> None:
    if form not in FORMATS:
        known = ", ".join(FORMATS)
        raise SourceError(
            f"{name}: source packages of the format {form} are not unpacked", hint=f"known formats: {known}"
        )
    for file in listing.files:
        if not is_source_file(file.name, listing.source, listing.version):
            raise SourceError(
                f"{name} lists {printable(file.name)}, no file of {listing.source} {listing.version}",
                hint="a source package has tarballs and diffs of its own name and version only",
            )


def _relations(paragraph: Paragraph) -> dict[str, str]:
    found = {}
    for name in RELATION_FIELDS:
        lines = paragraph.fields.get(name.lower())
        if lines is not None:
            found[name] = "\n ".join(lines).strip()
            relations.check(name, found[name], paragraph.file)
    return found


@contextmanager
def _opened(path: Path, missing: str, hint: str) -> Iterator[BinaryIO]:
    """The plain file ``path``, for reading; nothing that could block is waited for."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise SourceError(missing, hint=hint) from None
        raise SourceError(f"{path} can't be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(f"{path} is not a plain file", hint=hint)
    with os.fdopen(descriptor, "rb") as stream:
        yield stream


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("xb") as stream:
            yield stream
    except OSError as error:
        hint = "free some space, or name another directory: --scratch DIR"
        raise OutputError(f"{path} can't be written: {error.strerror}", hint=hint) from error


def _compare(stream: BinaryIO, copy: BinaryIO | None, file: ChangesFile, dsc: str) -> None:
    sums = {kind: hashlib.new(kind, usedforsecurity=False) for kind in ("sha256", "sha1", "md5")}
    left = file.size
    while left and (chunk := stream.read(min(_CHUNK, left))):
        left -= len(chunk)
        for each in sums.values():
            each.update(chunk)
        if copy is not None:
            copy.write(chunk)
    for kind, each in sums.items():
        wanted, found = getattr(file, kind), each.hexdigest()
        if found != wanted:
            raise SourceError(
                f"{file.name} is not what {dsc} lists: its {kind.upper()} sum is another one",
                hint=_AGAIN,
                details=[f"found: {found}", f"expected: {wanted}"],
            )
