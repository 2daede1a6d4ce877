"""A Debian source tree, read: what debian/changelog and debian/control say of it.

The tree is untrusted: nothing in it is executed, and every value is checked before it becomes part of a path.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwbuild.deb import names, relations
from bwbuild.errors import SourceError, VerificationError

#: Directories of version control at a tree's top; buildds do not have them, so the sandbox does not either.
VERSION_CONTROL = (".git", ".hg", ".bzr", ".svn")
#: Bytes; Debian's longest changelogs have a tenth of it.
_LARGEST = 32 << 20
#: Characters of a changelog's line with name and version, or with maintainer and date.
_LONGEST_LINE = 2000


#: Fields of the source's stanza that say what the build needs.
RELATION_FIELDS = tuple(
    f"Build-{kind}{part}" for kind in ("Depends", "Conflicts") for part in ("", "-Arch", "-Indep")
)


@dataclass(frozen=True, slots=True)
class Source:
    """A source tree and its first changelog entry."""

    tree: Path
    name: str
    version: str
    distribution: str
    changed_by: str
    format: str
    binaries: tuple[str, ...]
    #: fields that debian/control adds to the .changes: XC-Foo adds Foo
    extra_fields: tuple[str, ...] = ()
    #: Build-Depends, Build-Conflicts-Indep and so on: field -> text
    relations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: what the caller named in place of the tree, such as the path of a .dsc
    given: str = ""
    #: the first entry is that of a binary-only build: the source itself has the version of the second
    binary_only: bool = False
    #: the field Rules-Requires-Root; empty where it is absent
    needs_root: str = ""

    @property
    def job(self) -> str:
        """What is built, in words that apt-get build-dep knows as well."""
        return self.given or str(self.tree)

    @property
    def upstream(self) -> str:
        """The upstream version: no epoch, no Debian revision."""
        return names.upstream_version(self.version)

    @property
    def file_version(self) -> str:
        """The version as it stands in file names: no epoch."""
        return names.without_epoch(self.version)

    @property
    def directory(self) -> str:
        """The name of the unpacked directory on Debian's build machines."""
        return f"{self.name}-{self.upstream}"


def find_tree(start: Path) -> Path:
    """The source tree at or above ``start``: the first that has debian/changelog, as debuild climbs.

    :raises SourceError: there is none.
    """
    start = start.absolute()
    if not start.is_dir():
        raise SourceError(f"{start} is not a directory", hint="give the directory of an unpacked source")
    for directory in (start, *start.parents):
        if (directory / "debian" / "changelog").exists():
            return directory
    raise SourceError(
        f"neither {start} nor a directory above it has debian/changelog",
        hint="run bwbuild in an unpacked Debian source, or give its directory: bwbuild TREE",
    )


def read_source(tree: Path) -> Source:
    """Read the tree's changelog and control file.

    :raises SourceError: one of them is missing, does not parse or contradicts the other.
    """
    changelog = tree / "debian" / "changelog"
    entry = _first_entry(changelog)
    try:
        name, version = str(entry.package or ""), str(entry.version or "")
        names.check_source_name(name)
        names.check_version(version)
    except VerificationError as error:
        raise SourceError(f"{changelog}: {error.message}", hint=error.hint) from None
    except ValueError as error:  # python-debian reads the version only when it is asked for
        raise SourceError(f"{changelog}: {error}") from None
    stanzas = _control_stanzas(tree / "debian" / "control")
    declared = field_value(stanzas[0], "Source")
    if declared != name:
        raise SourceError(
            f"debian/control says Source: {declared}, debian/changelog says {name}",
            hint="make both name the same source package",
        )
    needs = {field: text for field in RELATION_FIELDS if (text := field_value(stanzas[0], field)) is not None}
    for field, text in needs.items():
        relations.check(field, text)
    return Source(
        tree=tree,
        name=name,
        version=version,
        distribution=str(entry.distributions or "UNRELEASED").split()[0],
        changed_by=str(entry.author or ""),
        format=_format(tree),
        binaries=tuple(filter(None, (field_value(stanza, "Package") for stanza in stanzas[1:]))),
        extra_fields=tuple(sorted({extra for stanza in stanzas for extra in _extra_fields(stanza)})),
        relations=needs,
        needs_root=" ".join((field_value(stanzas[0], "Rules-Requires-Root") or "").split()),
        binary_only=any(
            key.lower() == "binary-only" and value.lower() == "yes"
            for key, value in entry.other_pairs.items()
        ),
    )


def check_rules(source: Source) -> None:
    """Refuse a tree that has no debian/rules, which nothing else can be in place of.

    :raises SourceError: it is missing.
    """
    if not (source.tree / "debian" / "rules").is_file():
        raise SourceError(f"{source.tree} has no debian/rules", hint="a Debian source needs debian/rules")


def orig_tarballs(source: Source) -> dict[str, Path]:
    """The orig tarballs of ``source`` beside its tree, and their signatures: name -> file, by name."""
    found = {}
    with os.scandir(source.tree.parent) as entries:
        for entry in entries:
            # git-buildpackage leaves links to its tarball directory here, so links are followed.
            if names.is_orig_tarball(entry.name, source.name, source.upstream) and entry.is_file():
                found[entry.name] = Path(entry.path)
    return dict(sorted(found.items()))


def version_control(tree: Path) -> tuple[str, ...]:
    """Which directories of version control the tree has at its top."""
    return tuple(name for name in VERSION_CONTROL if os.path.lexists(tree / name))


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at all files of a tree shows.

    :ivar foreign: the first file whose user or group has no number in the sandbox; an overlay can't copy such
        a file up. None: there is none.
    :ivar size: bytes that the files take on disk; only up to ``foreign`` where there is one.
    """

    foreign: Path | None
    size: int


def survey(tree: Path, uids: frozenset[range], gids: frozenset[range]) -> Survey:
    """Look at all files of a tree; ``uids`` and ``gids`` are those that the sandbox has numbers for."""
    known: dict[tuple[int, int], bool] = {}

    def is_foreign(status: os.stat_result) -> bool:
        owner = (status.st_uid, status.st_gid)
        if owner not in known:  # a tree has few owners and many files
            has_number = any(owner[0] in ids for ids in uids), any(owner[1] in ids for ids in gids)
            known[owner] = all(has_number)
        return not known[owner]

    if is_foreign(tree.stat()):
        return Survey(tree, 0)
    size = 0
    todo = [os.fspath(tree)]
    while todo:
        directory = todo.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if directory == os.fspath(tree) and entry.name in VERSION_CONTROL:
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if is_foreign(status):
                        return Survey(Path(entry.path), size)
                    size += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except PermissionError:
            # A directory that its owner can't read has nothing that his build could read either.
            continue
    return Survey(None, size)


def _read(path: Path) -> str:
    """The text of a regular file of the tree; a FIFO or a device there could keep its reader for ever."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, f"it is larger than {_LARGEST} bytes")
    return data.decode("utf-8")


def _first_entry(path: Path) -> Any:  # python-debian has no types
    from debian.changelog import Changelog, ChangelogParseError  # noqa: PLC0415 - 50 ms

    try:
        changelog = Changelog(_bounded(path, _read(path)), max_blocks=1, strict=True)
    except (ChangelogParseError, ValueError) as error:
        raise SourceError(
            f"{path} does not parse: {error}", hint="dpkg-parsechangelog shows the line"
        ) from None
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}") from None
    blocks = list(changelog)
    if not blocks:
        raise SourceError(f"{path} has no entry", hint="dch --create makes one")
    return blocks[0]


def _bounded(path: Path, text: str) -> Iterator[str]:
    """The lines of a changelog, as far as they are read: of a long one the parser makes quadratic work."""
    for number, line in enumerate(text.splitlines(), start=1):
        # What begins with two blanks is text of an entry, which may be long.
        if len(line) > _LONGEST_LINE and not line[:2].isspace():
            raise SourceError(
                f"{path}:{number}: a line of {len(line)} characters that is no text of an entry",
                hint="dpkg-parsechangelog shows what a changelog has to look like",
            )
        yield line


def _control_stanzas(path: Path) -> list[dict[str, str]]:
    try:
        text = _read(path)
    except FileNotFoundError:
        raise SourceError(f"there is no {path}", hint="a Debian source needs debian/control") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} can't be read: {error}") from None
    stanzas = parse_control(text, str(path))
    if not stanzas or field_value(stanzas[0], "Source") is None:
        raise SourceError(
            f"{path} has no Source stanza", hint="its first stanza must name the source package"
        )
    return stanzas


def parse_control(text: str, name: str) -> list[dict[str, str]]:
    """The stanzas of a debian/control: field -> value, with the lines of a value joined by newlines.

    python-debian passes over lines that it does not understand, which a builder must not; and to import it
    takes a fifth of the time from the start of bwbuild to that of the build.

    :param name: the file's name for messages.
    :raises SourceError: a line is neither a field nor part of one.
    """
    stanzas: list[dict[str, str]] = [{}]
    field = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            field = ""
            if stanzas[-1]:
                stanzas.append({})
        elif line.startswith("#"):
            continue
        elif line[0] in " \t":
            if not field:
                raise SourceError(f"{name}:{number}: a continuation line outside a field")
            stanzas[-1][field] += "\n" + line.rstrip()
        else:
            field, colon, value = line.partition(":")
            if not colon or not field or any(character.isspace() for character in field):
                raise SourceError(f"{name}:{number}: expected 'Field: value', found {line[:60]!r}")
            if field_value(stanzas[-1], field) is not None:
                raise SourceError(f"{name}:{number}: the field {field} stands twice in its stanza")
            stanzas[-1][field] = value.strip()
    return [stanza for stanza in stanzas if stanza]


def field_value(stanza: Mapping[str, str], field: str) -> str | None:
    """The value of a field, whose name may be written in upper or lower case; None if it is not there."""
    wanted = field.lower()
    return next((text for name, text in stanza.items() if name.lower() == wanted), None)


def _extra_fields(stanza: Mapping[str, str]) -> Iterator[str]:
    for name in stanza:
        # Between X and the hyphen stand the files that a field goes to; C is the .changes.
        prefix, hyphen, rest = name.partition("-")
        letters = prefix.upper()
        if hyphen and letters.startswith("X") and "C" in letters and set(letters) <= set("XSBC"):
            yield rest


def _format(tree: Path) -> str:
    try:
        return _read(tree / "debian" / "source" / "format").strip() or "1.0"
    except OSError:
        return "1.0"  # dpkg-source's own default where the file is missing
    except UnicodeDecodeError:
        raise SourceError(f"{tree}/debian/source/format is not text") from None
