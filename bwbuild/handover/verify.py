"""Take what the build left into the quarantine, byte for byte as its .changes says, or refuse it.

The order is names, then contents: the .changes is copied first and read from the copy; its names are judged
before the first of them is opened; each file is copied into a new inode while it is hashed, and from then on
the original does not exist for us. What the .changes does not list is never opened and never leaves.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bwbuild.deb.changes import Changes, ChangesFile, read_buildinfo, read_changes, read_dsc
from bwbuild.deb.names import check_artifact_name, is_orig_tarball, printable, upstream_version
from bwbuild.deb.paragraph import MAX_SIZE
from bwbuild.errors import VerificationError
from bwbuild.handover import files
from bwbuild.handover.artifacts import (
    Artifact,
    Expected,
    Verified,
    check_common,
    check_complete,
    check_equal,
    check_identity,
    check_source_changes,
)

__all__ = ["LARGEST", "Artifact", "Expected", "Verified", "collect", "unlisted"]

#: The largest file that is taken, in bytes, whatever the .changes says: 64 GiB.
LARGEST = 64 << 30


def collect(parent: Path, quarantine: Path, expected: Expected, *, largest: int = LARGEST) -> Verified:
    """Copy the .changes, or both, and all that is listed from ``parent`` to ``quarantine``, verified.

    :param parent: the directory that the sandbox wrote; no process of the sandbox may be alive.
    :param quarantine: an empty directory of the caller's with mode 0700.
    :param largest: refuse files beyond this many bytes.
    :raises VerificationError: anything is not as the .changes says, or the .changes not as expected.
    :raises OutputError: the quarantine can't hold the copies.
    """
    for name in filter(None, (expected.changes, expected.source_changes)):
        check_artifact_name(name)
    with files.directory(parent) as source, files.directory(quarantine) as target:
        _check_private(quarantine, target)
        intake = _Intake(source, target, quarantine, expected)
        own = intake.take_changes(expected.changes)
        changes = read_changes(quarantine / expected.changes, extra=expected.extra_fields)
        check_identity(changes, expected)
        for file in changes.files:
            if file.size > largest:
                raise VerificationError(f"{file.name} has {file.size} bytes, more than the {largest} allowed")
        taken = [intake.take(file) for file in changes.files]
        _check_documents(quarantine, changes, expected)
        if not expected.source_changes:
            return Verified(quarantine, own, (*taken, own))
        of_source = intake.take_changes(expected.source_changes)
        found = read_changes(of_source.path, extra=expected.extra_fields)
        check_source_changes(found, changes, expected)
        _check_documents(quarantine, found, expected)
    return Verified(quarantine, own, (*taken, of_source, own), of_source)


def unlisted(parent: Path, verified: Verified, before: Collection[str] = ()) -> tuple[str, ...]:
    """Names in ``parent`` that look like artifacts but are not listed, so that they stay behind; sorted.

    :param before: names that were there before the build.
    """
    known = {artifact.name for artifact in verified.artifacts}.union(before)
    return tuple(
        sorted(path.name for path in parent.iterdir() if path.name not in known and _is_artifact(path.name))
    )


@dataclass(frozen=True, slots=True)
class _Intake:
    """Both directories as descriptors, and where the copies go by name."""

    source: int
    target: int
    quarantine: Path
    expected: Expected

    def take_changes(self, name: str) -> Artifact:
        if files.kind_of(name, self.source) is None:
            # pathlib can't list a descriptor, and the path may be another directory by now.
            entries = sorted(os.listdir(self.source))  # noqa: PTH208
            others = [entry for entry in entries if entry.endswith(".changes")]
            raise VerificationError(
                f"the build did not leave {name}",
                hint="source, version or architecture of the build are not what was expected",
                details=[f"found: {printable(entry)}" for entry in others[:5]],
            )
        with files.untrusted(name, self.source) as opened:
            return self._artifact(self._copy(opened, name, MAX_SIZE))

    def take(self, wanted: ChangesFile) -> Artifact:
        """Copy one listed file; an upstream tarball may come from outside."""
        original = self._original(wanted.name)
        if original is not None:
            check_equal(
                files.describe(original, wanted.name),
                wanted,
                f"{wanted.name} differs between the input {original} and what the .changes lists",
            )
            if self._is_input(wanted.name, original):
                return self._take_input(original, wanted)
        with files.untrusted(wanted.name, self.source) as opened:
            # The size is compared before a byte is read: a sparse file of a terabyte costs nothing.
            size = os.fstat(opened).st_size
            if size != wanted.size:
                raise VerificationError(
                    f"{wanted.name} has another size than {self.expected.changes} says",
                    details=[f"found: {size}", f"expected: {wanted.size}"],
                )
            return self._take_open(opened, wanted)

    def _original(self, name: str) -> Path | None:
        upstream = upstream_version(self.expected.version)
        if is_orig_tarball(name, self.expected.source, upstream):
            return self.expected.origs.get(name)
        return None

    def _is_input(self, name: str, original: Path) -> bool:
        """Whether nothing but the input is there: no file, a link (uscan and gbp make such), the same inode.

        The link is not followed: the caller knows where the input is.
        """
        kind = files.kind_of(name, self.source)
        if kind in (None, "a symbolic link"):
            return True
        return kind == "a file" and os.path.samestat(
            os.stat(name, dir_fd=self.source, follow_symlinks=False), original.stat()
        )

    def _take_input(self, original: Path, wanted: ChangesFile) -> Artifact:
        opened = os.open(original, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._take_open(opened, wanted)
        finally:
            os.close(opened)

    def _take_open(self, opened: int, wanted: ChangesFile) -> Artifact:
        found = self._copy(opened, wanted.name, wanted.size)
        check_equal(found, wanted, f"{wanted.name} is not what {self.expected.changes} says")
        return self._artifact(found)

    def _copy(self, opened: int, name: str, limit: int) -> ChangesFile:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            copied = os.open(name, flags, 0o600, dir_fd=self.target)
            try:
                return files.copy(opened, copied, name, limit)
            finally:
                os.close(copied)
        except OSError as error:
            raise files.output_error(f"{name} can't be copied to {self.quarantine}", error) from error

    def _artifact(self, found: ChangesFile) -> Artifact:
        return Artifact(found.name, found.size, found.sha256, self.quarantine / found.name)


def _check_private(quarantine: Path, opened: int) -> None:
    """Somebody else who can write there could change what was verified before it is signed."""
    status = os.fstat(opened)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077 or os.listdir(opened):
        raise VerificationError(f"{quarantine} is not an empty directory of yours with mode 0700")


def _check_documents(quarantine: Path, changes: Changes, expected: Expected) -> None:
    """What .dsc and .buildinfo list must agree with the .changes, and with the tarballs that were given."""
    if buildinfo := changes.listed(".buildinfo"):
        check_common(read_buildinfo(quarantine / buildinfo.name), buildinfo.name, changes)
    if dsc := changes.listed(".dsc"):
        listing = read_dsc(quarantine / dsc.name)
        check_common(listing, dsc.name, changes)
        for file in check_complete(listing, changes):
            if original := expected.origs.get(file.name):
                found = files.describe(original, file.name)
                check_equal(found, file, f"{file.name} differs between the input {original} and {dsc.name}")


def _is_artifact(name: str) -> bool:
    try:
        check_artifact_name(name)
    except VerificationError:
        return False
    return True
