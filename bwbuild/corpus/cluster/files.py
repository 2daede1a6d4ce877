"""Files on their way: how a source is packed and unpacked, and how it is seen that they arrived whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from bwbuild import process
from bwbuild.corpus.cluster.besides import besides
from bwbuild.corpus.cluster.values import File, Parcel
from bwbuild.corpus.expectations import source_name
from bwbuild.corpus.values import Job, Kind
from bwbuild.deb.dsc import read_dsc
from bwbuild.deb.names import is_orig_tarball, upstream_version
from bwbuild.errors import BwbuildError, OutputError, SourceError

#: Bytes that travel at once: what one transfer takes of the memory of the run, of the scheduler and of a
#: worker is a few times as much, however long the file.
CHUNK = 4 << 20
ARCHIVE = "tree.tar"
#: What a failed job leaves in its directory that does not travel: the copy of its tree.
_STAYS = "trial"


class DamagedError(BwbuildError):
    """A file did not arrive as it was sent."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A parcel, and where its files are: name -> path."""

    parcel: Parcel
    paths: Mapping[str, Path]


def pack(job: Job, cwd: Path, spool: Path) -> Packed:
    """The source of ``job`` as files, and what its options name, whose paths are relative to ``cwd``.

    :param spool: a directory that is made, for the archive of a tree.
    :raises SourceError: it can't be read.
    :raises OSError: ``spool`` can't be written.
    """
    more = besides(job.options, cwd)
    source = Path(job.source)
    paths, start, archive = {}, job.source, ""
    if job.kind is Kind.DSC:
        paths, start = _files_of(source), source.name
    elif job.kind is Kind.TREE:
        # The name of the parent counts for a tree whose changelog has none.
        parent = source.parent.name or "sources"
        beside = [] if job.expected else list(_tarballs(source))
        spool.mkdir(parents=True, exist_ok=True)
        _archived(source, spool / ARCHIVE)
        paths = {ARCHIVE: spool / ARCHIVE} | {f"{parent}/{path.name}": path for path in beside}
        start, archive = f"{parent}/{source.name}", ARCHIVE
    paths |= dict(more.paths)
    return Packed(Parcel(_described(paths), archive, start, more.options), paths)


def _files_of(dsc: Path) -> dict[str, Path]:
    """A .dsc and what it lists; one that can't be read goes alone, and the build says what is wrong."""
    try:
        names = list(read_dsc(dsc).files)
    except SourceError:
        names = []
    return {path.name: path for path in (dsc, *(dsc.parent / name for name in names)) if path.is_file()}


def _tarballs(tree: Path) -> Iterator[Path]:
    """The upstream tarballs beside a tree, which a source package is made with."""
    try:
        name, version = source_name(tree)
        version = upstream_version(version)
        yield from (
            path for path in sorted(tree.parent.iterdir()) if is_orig_tarball(path.name, name, version)
        )
    except (OSError, UnicodeDecodeError):
        return  # what is wrong with the changelog is for the build to say


def _archived(tree: Path, archive: Path) -> None:
    if not tree.is_dir():
        raise SourceError(f"there is no directory {tree} any more", hint="give the directory of a tree")
    # Times in the format gnu have no fractions.
    words = [
        "tar",
        "--create",
        "--format=posix",
        "--numeric-owner",
        f"--file={archive}",
        f"--directory={tree}",
    ]
    done = process.run([*words, "."], check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SourceError(f"{tree} can't be packed: {said[0] if said else 'tar failed'}", details=said[-5:])


def _described(paths: Mapping[str, Path]) -> tuple[File, ...]:
    try:
        return tuple(describe(path, name) for name, path in paths.items())
    except OSError as error:
        raise SourceError(f"{error.filename} can't be read: {error.strerror}") from error


def describe(path: Path, name: str) -> File:
    """The file at ``path`` as ``name``."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return File(name, os.fstat(stream.fileno()).st_size, digest)


def unpack(parcel: Parcel, top: Path, into: Path) -> str:
    """The source whose files have arrived in ``top``; an archive is unpacked below ``into``.

    :raises OutputError: there is no space for it.
    """
    if not parcel.archive:
        start = top / parcel.start
        return str(start) if parcel.start in {file.name for file in parcel.files} else parcel.start
    tree = into / safe(parcel.start)
    tree.mkdir(parents=True)
    words = [
        "tar",
        "--extract",
        "--no-same-owner",
        "--preserve-permissions",
        f"--file={top / parcel.archive}",
    ]
    try:
        process.run([*words, f"--directory={tree}"])
    except BwbuildError as error:
        raise OutputError(f"the source can't be unpacked: {error.message}", details=error.details) from error
    if top != into:
        for tarball in (top / parcel.start).parent.glob("*.tar.*"):
            (tree.parent / tarball.name).symlink_to(tarball)
    return str(tree)


def results(directory: Path) -> tuple[File, ...]:
    """What a job has left in its directory and what comes back of it."""
    found = []
    for top, directories, names in os.walk(directory):
        here = Path(top)
        if here == directory and _STAYS in directories:
            directories.remove(_STAYS)
        paths = [here / name for name in sorted(names)]
        found += [
            describe(path, str(path.relative_to(directory)))
            for path in paths
            if path.is_file() and not path.is_symlink()
        ]
    return tuple(found)


def safe(name: str) -> PurePosixPath:
    """The relative path that ``name`` is.

    :raises OutputError: it leads out of its directory.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
        raise OutputError(f"{name!r} is no name of a file that may travel")
    return path


class Arriving:
    """A file that arrives in ``directory`` chunk by chunk; nobody may use it before :meth:`finish`."""

    def __init__(self, directory: Path, file: File) -> None:
        self._file = file
        self.path = directory / safe(file.name)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream: BinaryIO = self.path.open("wb")
        self._sum = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """The next chunk.

        :raises OSError: it can't be written.
        """
        self._stream.write(data)
        self._sum.update(data)
        self.size += len(data)

    def finish(self) -> None:
        """All has come.

        :raises DamagedError: it is not what was sent.
        """
        self.close()
        if (self.size, self._sum.hexdigest()) != (self._file.size, self._file.sha256):
            raise DamagedError(f"{self._file.name} did not arrive as it was sent")

    def close(self) -> None:
        """Write no more."""
        self._stream.close()


def chunks(path: Path) -> Iterator[bytes]:
    """The file at ``path`` piece by piece."""
    with path.open("rb") as stream:
        while data := stream.read(CHUNK):
            yield data


def copy(source: Path, directory: Path, file: File) -> None:
    """Copy what lies at ``source`` into ``directory`` as ``file``.

    :raises DamagedError: it is another file by now.
    :raises OSError: it can't be read or written.
    """
    arriving = Arriving(directory, file)
    try:
        for data in chunks(source):
            arriving.write(data)
        arriving.finish()
    finally:
        arriving.close()
