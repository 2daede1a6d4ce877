"""What .changes, .dsc and .buildinfo list: names, sizes and sums.

Read with our own parser (:mod:`bwbuild.deb.paragraph`): python-debian keeps the last one of a field that
stands there twice, skips what it does not understand, and unwraps signatures. That is right for reading an
archive and wrong for deciding what to sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bwbuild.deb.clearsign import signed_text
from bwbuild.deb.names import (
    check_architecture,
    check_artifact_name,
    check_source_name,
    check_version,
    printable,
)
from bwbuild.deb.paragraph import Paragraph, parse, read_paragraph, read_text
from bwbuild.errors import SigningError, VerificationError

#: Lower case. The last line: what dpkg's vendor hooks and the usual X…C- fields of debian/control bring.
# fmt: off
CHANGES_FIELDS = frozenset({
    "format", "date", "source", "binary", "binary-only", "built-for-profiles", "architecture", "version",
    "distribution", "urgency", "maintainer", "changed-by", "description", "closes", "changes",
    "checksums-sha1", "checksums-sha256", "files",
    "launchpad-bugs-fixed", "original-maintainer", "package-type",
})
BUILDINFO_FIELDS = frozenset({
    "format", "source", "binary", "architecture", "version", "binary-only-changes", "checksums-md5",
    "checksums-sha1", "checksums-sha256", "build-origin", "build-architecture", "build-kernel-version",
    "build-date", "build-path", "build-tainted-by", "installed-build-depends", "environment",
})
# fmt: on

_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64}
_SOURCE = re.compile(r"([^ ]+)(?: \(([^()]+)\))?")
_DSC_FORMAT = re.compile(r"[0-9]\.[0-9](?: \([a-z0-9]+\))?")
#: The two further words of a line in Files of a .changes: section and priority.
_SECTION_PRIORITY = r"[A-Za-z0-9][A-Za-z0-9+./-]* [a-z]+|[A-Za-z0-9][A-Za-z0-9+./-]* -|- [a-z]+|- -"


@dataclass(frozen=True, slots=True)
class ChangesFile:
    """One file, as listed or as found: size in bytes, sums in lower-case hexadecimal."""

    name: str
    size: int
    md5: str
    sha1: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a .dsc or .buildinfo says it belongs to, and the files that it lists, in its order."""

    source: str
    version: str
    files: tuple[ChangesFile, ...]
    #: of the source, other than ``version`` for a binNMU
    source_version: str


@dataclass(frozen=True, slots=True)
class Changes:
    """A .changes: ``source`` is the bare name, ``version`` the field Version (for a binNMU the binaries')."""

    format: str
    source: str
    version: str
    distribution: str
    architectures: tuple[str, ...]
    changed_by: str
    files: tuple[ChangesFile, ...]
    #: of the source, other than ``version`` for a binNMU
    source_version: str

    def listed(self, suffix: str) -> ChangesFile | None:
        """The listed file whose name ends in ``suffix``, such as ``.dsc``, of which there is at most one."""
        return next((file for file in self.files if file.name.endswith(suffix)), None)


def read_changes(path: Path, *, extra: Collection[str] = ()) -> Changes:
    """Read the unsigned .changes at ``path``.

    :param extra: names of further fields that are all right, such as the package's own X…C- fields.
    :raises VerificationError: anything in it is not as dpkg-genchanges writes it, or contradicts the rest.
    """
    paragraph = read_paragraph(path)
    paragraph.check_known(CHANGES_FIELDS | {name.lower() for name in extra})
    return _changes(paragraph)


def _changes(paragraph: Paragraph) -> Changes:
    form = paragraph.line("format")
    if form != "1.8":
        raise VerificationError(f"{paragraph.file}: the format {printable(form)} is not 1.8")
    source, version, source_version = _identity(paragraph)
    architectures = tuple(paragraph.line("architecture").split(" "))
    for architecture in architectures:
        check_architecture(architecture)
    files = _files(paragraph, {"md5": "files", "sha1": "checksums-sha1", "sha256": "checksums-sha256"})
    _check_kinds(paragraph.file, files)
    return Changes(
        format=form,
        source=source,
        version=version,
        distribution=paragraph.line("distribution"),
        architectures=architectures,
        changed_by=paragraph.line("changed-by" if "changed-by" in paragraph.fields else "maintainer"),
        files=files,
        source_version=source_version,
    )


def read_uploaded(path: Path) -> Changes:
    """Read the .changes at ``path``, signed or not, with whatever fields; nobody has checked the signature.

    :raises VerificationError: it is malformed or contradicts itself.
    """
    text = read_text(path)
    if text.startswith("-----BEGIN PGP SIGNED MESSAGE-----"):
        try:
            text = signed_text(text, path.name)
        except SigningError as error:
            raise VerificationError(error.message) from None
    return _changes(parse(text, path.name))


def read_dsc(path: Path) -> Listing:
    """Read the unsigned .dsc at ``path``.

    Unlike in the other two, any field name is all right: packages put their own there (XS-…), and nothing but
    the identity and the lists is used.

    :raises VerificationError: it is malformed or contradicts itself.
    """
    return source_listing(read_paragraph(path))


def source_listing(paragraph: Paragraph, check_name: Callable[[str], None] = check_artifact_name) -> Listing:
    """What the paragraph of a .dsc lists.

    :param check_name: refuses a name that a listed file must not have.
    :raises VerificationError: it is malformed or contradicts itself.
    """
    form = paragraph.line("format")
    if _DSC_FORMAT.fullmatch(form) is None:
        raise VerificationError(f"{paragraph.file}: {printable(form)} is no format of a source package")
    fields = {"md5": "files", "sha1": "checksums-sha1", "sha256": "checksums-sha256"}
    source, version, source_version = _identity(paragraph)
    return Listing(source, version, _files(paragraph, fields, check_name), source_version)


def read_buildinfo(path: Path) -> Listing:
    """Read the unsigned .buildinfo at ``path``.

    :raises VerificationError: it is malformed, has unknown fields or contradicts itself.
    """
    paragraph = read_paragraph(path)
    paragraph.check_known(BUILDINFO_FIELDS)
    form = paragraph.line("format")
    if form != "1.0":
        raise VerificationError(f"{path.name}: the format {printable(form)} is not 1.0")
    fields = {"md5": "checksums-md5", "sha1": "checksums-sha1", "sha256": "checksums-sha256"}
    source, version, source_version = _identity(paragraph)
    return Listing(source, version, _files(paragraph, fields), source_version)


def with_sums(text: str, changed: Mapping[str, ChangesFile]) -> str:
    """The control file ``text`` with sizes and sums of the files ``changed`` (by name) put in."""
    algorithm_of = {
        "files": "md5",
        "checksums-md5": "md5",
        "checksums-sha1": "sha1",
        "checksums-sha256": "sha256",
    }
    algorithm: str | None = None
    lines = []
    for line in text.split("\n"):
        words = line.split(" ")
        if not line.startswith(" "):
            algorithm = algorithm_of.get(line.partition(":")[0].lower())
        elif algorithm and words[-1] in changed:
            file = changed[words[-1]]
            words[1:3] = [getattr(file, algorithm), str(file.size)]
        lines.append(" ".join(words))
    return "\n".join(lines)


def _identity(paragraph: Paragraph) -> tuple[str, str, str]:
    """Name, version, and the version of the source."""
    match = _SOURCE.fullmatch(paragraph.line("source"))
    if match is None:
        raise VerificationError(f"{paragraph.file}: Source is neither a name nor a name with a version")
    version = paragraph.line("version")
    check_source_name(match[1])
    check_version(match[2] or version)
    check_version(version)
    return match[1], version, match[2] or version


def _files(
    paragraph: Paragraph,
    field_of: Mapping[str, str],
    check_name: Callable[[str], None] = check_artifact_name,
) -> tuple[ChangesFile, ...]:
    """The files of the lists; ``field_of`` gives the field of each sum."""
    lists = {kind: _entries(paragraph, field, kind, check_name) for kind, field in field_of.items()}
    first = lists["md5"]
    for algorithm, entries in lists.items():
        for name in sorted(first.keys() ^ entries.keys()):
            without = field_of[algorithm] if name in first else field_of["md5"]
            raise VerificationError(f"{paragraph.file}: {name} is listed, but not in {without}")
        for name, (_, size) in entries.items():
            if size != first[name][1]:
                raise VerificationError(
                    f"{paragraph.file}: the size of {name} is {first[name][1]} in {field_of['md5']}, "
                    f"but {size} in {field_of[algorithm]}"
                )
    return tuple(
        ChangesFile(name, size, md5, lists["sha1"][name][0], lists["sha256"][name][0])
        for name, (md5, size) in first.items()
    )


def _entries(
    paragraph: Paragraph, field: str, algorithm: str, check_name: Callable[[str], None]
) -> dict[str, tuple[str, int]]:
    """Name to sum and size of one list."""
    middle = f" (?:{_SECTION_PRIORITY})" if field == "files" and paragraph.file.endswith(".changes") else ""
    # 15 digits are a petabyte; a size without bound would be a number of a million digits to convert.
    pattern = re.compile(rf"([0-9a-f]{{{_DIGITS[algorithm]}}}) (0|[1-9][0-9]{{0,14}}){middle} (.+)")
    entries: dict[str, tuple[str, int]] = {}
    for line in paragraph.lines(field):
        match = pattern.fullmatch(line)
        if match is None:
            raise VerificationError(f"{paragraph.file}: this line of {field} is malformed: {printable(line)}")
        check_name(match[3])
        if match[3] in entries:
            raise VerificationError(f"{paragraph.file}: {match[3]} stands twice in {field}")
        entries[match[3]] = (match[1], int(match[2]))
    if not entries:
        raise VerificationError(f"{paragraph.file}: the list {field} is empty")
    return entries


def _check_kinds(changes: str, files: tuple[ChangesFile, ...]) -> None:
    """debsign signs the first .dsc and .buildinfo that it finds; a second one would go out unsigned."""
    for suffix, most in ((".changes", 0), (".dsc", 1), (".buildinfo", 1)):
        names = [file.name for file in files if file.name.endswith((suffix, suffix + ".asc"))]
        if len(names) > most:
            raise VerificationError(f"{changes}: more than {most} {suffix} listed: {', '.join(names)}")
