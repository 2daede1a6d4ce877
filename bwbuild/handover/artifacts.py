"""The values of the handover, and what a .changes must agree with: pure, nothing is opened here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bwbuild.deb.changes import Changes, ChangesFile, Listing
from bwbuild.deb.names import (
    binary_file,
    is_orig_tarball,
    is_source_file,
    printable,
    upstream_version,
    without_epoch,
)
from bwbuild.errors import VerificationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was known of the build before it ran.

    :param version: the field Version of the .changes, so with ``+b1`` for a binNMU.
    :param source_version: the source's, where that is another one; None where any is all right.
    :param changes: file name of the .changes.
    :param source_changes: file name of the one that lists the source alone; empty where none is made.
    :param origs: name to the upstream tarball (or its signature) outside that the build was given.
    :param distribution: the field Distribution; None where any is all right.
    :param architectures: what may stand in Architecture and in names of packages; None: any.
    :param binaries: binary packages that debian/control declares; ``-dbgsym`` is added; None: any.
    :param extra_fields: fields of the .changes that debian/control brings (``XC-Foo`` is ``Foo``).
    """

    source: str
    version: str
    changes: str
    origs: Mapping[str, Path]
    source_version: str | None = None
    source_changes: str = ""
    distribution: str | None = None
    architectures: frozenset[str] | None = None
    binaries: frozenset[str] | None = None
    extra_fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified file: ``size`` in bytes, ``sha256`` in hexadecimal, ``path`` in the quarantine."""

    name: str
    size: int
    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class Verified:
    """Artifacts in the quarantine ``directory``.

    :ivar changes: lists all others but ``source_changes``, which lists the source alone.
    :ivar artifacts: everything to publish; ``source_changes`` and ``changes`` come last.
    """

    directory: Path
    changes: Artifact
    artifacts: tuple[Artifact, ...]
    source_changes: Artifact | None = None

    def named(self, suffix: str) -> Artifact | None:
        """The artifact whose name ends in ``suffix``, such as ``.dsc``."""
        return next((artifact for artifact in self.artifacts if artifact.name.endswith(suffix)), None)


def check_identity(changes: Changes, expected: Expected) -> None:
    """Refuse a .changes of another package, version, distribution or architecture.

    :raises VerificationError: says what was found and what was expected.
    """
    pairs = [("Source", changes.source, expected.source), ("Version", changes.version, expected.version)]
    if expected.source_version is not None:
        pairs.append(("the version of the source", changes.source_version, expected.source_version))
    if expected.distribution is not None:
        pairs.append(("Distribution", changes.distribution, expected.distribution))
    for field, found, wanted in pairs:
        if found != wanted:
            raise mismatch(f"{expected.changes}: {field} is not the one that was to be built", found, wanted)
    strange = _strange(changes.architectures, expected.architectures)
    if strange:
        raise VerificationError(f"{expected.changes}: the architecture {strange} was not to be built")
    for file in changes.files:
        _check_belongs(file.name, expected)


def check_source_changes(found: Changes, changes: Changes, expected: Expected) -> None:
    """Refuse a .changes of the source alone that has anything else, or contradicts the other one.

    :raises VerificationError: says where they differ.
    """
    name = expected.source_changes
    check_identity(found, replace(expected, changes=name, distribution=changes.distribution))
    if found.architectures != ("source",):
        raise mismatch(f"{name}: Architecture is not the source's", " ".join(found.architectures), "source")
    listed = {file.name: file for file in changes.files}
    for file in found.files:
        part = is_source_file(file.name, found.source, found.version)
        if file.name not in listed or not (part or file.name.endswith((".dsc", ".buildinfo"))):
            raise VerificationError(f"{name} lists {file.name}, which is no part of the source")
        check_equal(file, listed[file.name], f"{name} and {expected.changes} disagree about {file.name}")
    if found.listed(".dsc") is None:
        raise VerificationError(f"{name} lists no .dsc")


def check_common(listing: Listing, file_name: str, changes: Changes) -> None:
    """Refuse a .dsc or .buildinfo that names another source or contradicts the .changes about a file.

    :raises VerificationError: names the file that they disagree on.
    """
    if listing.source != changes.source:
        raise mismatch(f"{file_name}: Source is not the one of the .changes", listing.source, changes.source)
    if listing.version != changes.version:
        raise mismatch(
            f"{file_name}: Version is not the one of the .changes", listing.version, changes.version
        )
    if listing.source_version != changes.source_version:
        raise mismatch(
            f"{file_name}: the version of the source is not the one of the .changes",
            listing.source_version,
            changes.source_version,
        )
    ours = {file.name: file for file in changes.files}
    for file in listing.files:
        if file.name in ours:
            check_equal(file, ours[file.name], f"{file_name} and the .changes disagree about {file.name}")


def check_complete(dsc: Listing, changes: Changes) -> tuple[ChangesFile, ...]:
    """The files of the .dsc that the .changes leaves out, which only upstream tarballs may be.

    :raises VerificationError: another one is left out.
    """
    ours = {file.name for file in changes.files}
    rest = tuple(file for file in dsc.files if file.name not in ours)
    upstream = upstream_version(dsc.version)
    for file in rest:
        if not is_orig_tarball(file.name, dsc.source, upstream):
            raise VerificationError(f"the .dsc needs {file.name}, which the .changes does not list")
    return rest


def check_equal(found: ChangesFile, wanted: ChangesFile, message: str) -> None:
    """Refuse two descriptions of a file that differ; ``message`` says which two.

    :raises VerificationError: with the first difference.
    """
    for what in ("size", "md5", "sha1", "sha256"):
        here, there = str(getattr(found, what)), str(getattr(wanted, what))
        if here != there:
            raise mismatch(f"{message}: {what}", here, there)


def mismatch(message: str, found: str, wanted: str) -> VerificationError:
    """The error for something that is not what it should be."""
    return VerificationError(
        message, details=[f"found: {printable(found)}", f"expected: {printable(wanted)}"]
    )


def _check_belongs(name: str, expected: Expected) -> None:
    """A file of another package would replace that package's file where this one is published."""
    binary = binary_file(name)
    if binary is None:
        _check_source_part(name, expected)
        return
    package, _, architecture = binary
    if _strange([package.removesuffix("-dbgsym")], expected.binaries) and _strange(
        [package], expected.binaries
    ):
        raise VerificationError(
            f"{expected.changes} lists {name}, but debian/control declares no package {package}"
        )
    if _strange([architecture], expected.architectures):
        raise VerificationError(f"{expected.changes} lists {name}: {architecture} was not to be built")


def _check_source_part(name: str, expected: Expected) -> None:
    version = without_epoch(expected.version)
    if name.endswith(".dsc") and name != f"{expected.source}_{version}.dsc":
        raise mismatch("the .dsc has another name than its source", name, f"{expected.source}_{version}.dsc")
    if name.endswith(".buildinfo") and not name.startswith(f"{expected.source}_"):
        raise mismatch(
            "the .buildinfo is of another source", name, f"{expected.source}_{version}_….buildinfo"
        )
    if ".orig" in name or ".debian.tar" in name or ".diff." in name:
        start = f"{expected.source}_{upstream_version(expected.version)}"
        if not name.startswith((f"{start}.", f"{start}-")):
            raise mismatch("a part of the source has another name than the source", name, f"{start}.…")


def _strange(found: Collection[str], allowed: Collection[str] | None) -> str:
    """Those of ``found`` that are not allowed, for a message; empty when all are."""
    return "" if allowed is None else ", ".join(name for name in found if name not in allowed)
