"""Names and versions of Debian: what they may look like, and what they tell.

Every check is a full match: ``$`` in a regular expression also accepts a trailing newline, which is how a
name with a line break slips through elsewhere.
"""

from __future__ import annotations

import re

from bwbuild.errors import VerificationError

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
BINARY_NAME = SOURCE_NAME
VERSION = re.compile(r"(?:[0-9]+:)?[0-9][A-Za-z0-9.+~-]*")
ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")

#: What the archive's software accepts as the name of an uploaded file; ASCII, and never an option or a path.
SAFE_FILE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.~+-]*")
#: The longest name that every Linux file system takes, in bytes.
MAX_NAME = 255

_COMPRESSION = r"(?:gz|xz|bz2|lzma|zst)"
_SUFFIX = re.compile(
    r".*\.(?:u?deb|ddeb"
    rf"|(?:dsc|changes|buildinfo|tar(?:\.{_COMPRESSION})?|diff(?:\.{_COMPRESSION})?)(?:\.asc)?"
    # By-hand files and raw translations, which debian/files may name freely: documents, images, archives.
    rf"|txt|html|pdf|ps|json|zip|iso|img|exe|{_COMPRESSION})"
)
_BINARY_FILE = re.compile(rf"({BINARY_NAME.pattern})_([^_]+)_({ARCHITECTURE.pattern})\.(?:u?deb|ddeb)")


def check_source_name(name: str) -> None:
    """Refuse what can't be a source package's name.

    :raises VerificationError: quotes it.
    """
    _check(SOURCE_NAME, name, "source package's name")


def check_binary_name(name: str) -> None:
    """Refuse what can't be a binary package's name.

    :raises VerificationError: quotes it.
    """
    _check(BINARY_NAME, name, "binary package's name")


def check_version(version: str) -> None:
    """Refuse what is no version, with or without epoch and revision.

    :raises VerificationError: quotes it.
    """
    _check(VERSION, version, "version")


def check_architecture(name: str) -> None:
    """Refuse what has not the form of an architecture; ``all`` and ``source`` have it too.

    :raises VerificationError: quotes it.
    """
    _check(ARCHITECTURE, name, "architecture")


def without_epoch(version: str) -> str:
    """``version`` as it stands in file names: ``2:1.0-1`` is ``1.0-1``."""
    return version.split(":", 1)[-1]


def upstream_version(version: str) -> str:
    """``version`` without epoch and Debian revision: ``2:1.0-rc1-1`` is ``1.0-rc1``."""
    return without_epoch(version).rsplit("-", 1)[0]


def is_orig_tarball(file_name: str, source: str, upstream: str) -> bool:
    """Whether ``file_name`` is an upstream tarball of ``source``, a component's, or a signature of one."""
    pattern = rf"{re.escape(f'{source}_{upstream}')}\.orig(?:-[A-Za-z0-9-]+)?\.tar\.{_COMPRESSION}(?:\.asc)?"
    return re.fullmatch(pattern, file_name) is not None


def is_source_file(file_name: str, source: str, version: str) -> bool:
    """Whether a .dsc of ``source`` in ``version`` may list ``file_name``: a tarball or a diff of its own."""
    own = re.escape(f"{source}_{without_epoch(version)}")
    pattern = rf"{own}\.(?:tar\.{_COMPRESSION}(?:\.asc)?|debian\.tar\.{_COMPRESSION}|diff\.gz)"
    if len(file_name) > MAX_NAME:
        return False
    is_orig = is_orig_tarball(file_name, source, upstream_version(version))
    return is_orig or re.fullmatch(pattern, file_name) is not None


def binary_file(file_name: str) -> tuple[str, str, str] | None:
    """Package, version without epoch and architecture that the name of a .deb, .udeb or .ddeb says."""
    match = _BINARY_FILE.fullmatch(file_name)
    return (match[1], match[2], match[3]) if match else None


def printable(name: str) -> str:
    """``name`` for a message: quoted, without anything that a terminal would obey, at most 100 characters."""
    shown = ascii(name)
    return shown if len(shown) <= 100 else shown[:97] + "..."


def check_artifact_name(name: str) -> None:
    """Refuse a file name that a build has no reason to publish.

    It must be a plain ASCII name as the archive accepts it, begin with a package's name and ``_``, and end
    in a suffix of Debian's formats or of a by-hand file (documents, images, archives, never scripts).

    :raises VerificationError: the name is none.
    """
    if SAFE_FILE_NAME.fullmatch(name) is None:
        raise _bad_name(
            name, "only ASCII letters, digits and _ . ~ + - are allowed, the first a letter or digit"
        )
    if len(name) > MAX_NAME:
        raise _bad_name(name, f"it has {len(name)} characters, {MAX_NAME} are allowed")
    package, underscore, _ = name.partition("_")
    if not underscore or BINARY_NAME.fullmatch(package) is None:
        raise _bad_name(name, "it does not begin with a package's name and _")
    if _SUFFIX.fullmatch(name) is None:
        raise _bad_name(name, "its suffix is none of a Debian artifact")


def _check(pattern: re.Pattern[str], text: str, what: str) -> None:
    if len(text) > MAX_NAME or pattern.fullmatch(text) is None:
        raise VerificationError(f"{printable(text)} is no {what}")


def _bad_name(name: str, why: str) -> VerificationError:
    return VerificationError(
        f"the build named a file {printable(name)}, which can't be published: {why}",
        hint="dpkg-distaddfile in debian/rules adds such names; they should be PACKAGE_VERSION_ARCH.SUFFIX",
    )
