"""What a source asks for: ``debian/bwbuild.toml``, which can ask and do nothing else.

The file is the source's own text, so it is hostile until it is shown otherwise: it is read only where it is
a regular file of a modest size, and whatever is not as it has to be ends the build with the file and the key.

.. code-block:: toml

    [[request]]
    permission = "share=network"
    reason = "the tests of the downloader fetch from a server"
    for = "tests"
    required = true

``read(tree)`` is all that others need; ``requests(content)`` is its pure half.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bwbuild.errors import SourceError
from bwbuild.permissions.words import Permission, parse

#: The file, from the top of the tree.
FILE = "debian/bwbuild.toml"
#: Bytes of the file, characters of one of its lines, requests, and characters of a reason.
LARGEST, LONGEST_LINE, MOST, LONGEST_REASON = 64 << 10, 4096, 64, 500
#: Characters that look like a blank or like nothing, though they are letters, marks and signs by Unicode; a
#: selector of a variant is one where it has nothing to select from.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
    "|(?:^|[ \ufe00-\ufe0f])[\ufe00-\ufe0f]"
)
_NO_GAPS = "without characters that look like blanks, and without two blanks in a row"
_KEYS = frozenset({"permission", "reason", "for", "required"})


class Purpose(Enum):
    """When a permission is wanted: while the package is built, or while its own tests run afterwards."""

    BUILD = "build"
    TESTS = "tests"


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that a source asks for. Another reason or purpose makes it another request.

    :ivar required: without it there is no sense in a build.
    """

    permission: Permission
    reason: str
    purpose: Purpose = Purpose.BUILD
    required: bool = False

    def __str__(self) -> str:
        tests = " for its tests" if self.purpose is Purpose.TESTS else ""
        return f"{self.permission}{tests}"


def read(tree: Path) -> tuple[Request, ...]:
    """The requests of the source in ``tree``; none where it has no such file.

    :raises SourceError: the file is no such file, or says something else.
    """
    try:
        # Not through a link, and without waiting for who would write into a FIFO.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(tree / FILE, flags)
    except FileNotFoundError:
        return ()
    except OSError as error:
        link = (tree / FILE).is_symlink()
        raise _wrong("it is a symbolic link" if link else error.strerror or "can't be read") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _wrong("it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return requests(file.read(LARGEST + 1))
    finally:
        os.close(descriptor)


def requests(content: bytes) -> tuple[Request, ...]:
    """The requests in the text of such a file, in its order.

    :raises SourceError: it says something else.
    """
    document = _document(content)
    unknown = sorted(key for key in document if key != "request")
    if unknown:
        raise _wrong(f"unknown key {_shown(unknown[0])}", "the file has [[request]] tables alone")
    tables = document.get("request", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _wrong("request is no array of tables", "write each below a line [[request]]")
    if len(tables) > MOST:
        raise _wrong(f"it has {len(tables)} requests", f"{MOST} are the most")
    found = tuple(_request(number, table) for number, table in enumerate(tables, 1))
    seen: set[tuple[Permission, Purpose]] = set()
    for number, request in enumerate(found, 1):
        if (request.permission, request.purpose) in seen:
            raise _wrong(f"request {number}: {request} is asked for twice")
        seen.add((request.permission, request.purpose))
    return found


def _document(content: bytes) -> Mapping[str, object]:
    import tomllib  # noqa: PLC0415 - most sources ask for nothing

    if len(content) > LARGEST:
        raise _wrong(f"it is larger than {LARGEST >> 10} KiB")
    # The parser takes its time for keys of thousands of parts.
    if any(len(line) > LONGEST_LINE for line in content.splitlines()):
        raise _wrong(f"it has a line of more than {LONGEST_LINE} bytes")
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(f"it is not valid TOML: {_shown(str(error))}") from None
    except RecursionError:  # the parser's own way through lists in lists
        raise _wrong("it is nested too deeply") from None


def _request(number: int, table: Mapping[str, object]) -> Request:
    where = f"request {number}"
    unknown = sorted(key for key in table if key not in _KEYS)
    if unknown:
        raise _wrong(f"{where}: unknown key {_shown(unknown[0])}", "known: " + ", ".join(sorted(_KEYS)))
    text = table.get("permission")
    if not isinstance(text, str):
        raise _wrong(f"{where}: permission is {_kind(text)}", "expected a string such as share=network")
    try:
        permission = parse(text)
    except ValueError as error:
        raise _wrong(f"{where}: permission is {_shown(text)}", f"expected {error}") from None
    if "  " in text or _BLANK.search(text):
        raise _wrong(f"{where}: permission is {_shown(text)}", f"expected a path {_NO_GAPS}")
    return Request(permission, _reason(where, table), _purpose(where, table), _required(where, table))


def _reason(where: str, table: Mapping[str, object]) -> str:
    reason = table.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise _wrong(f"{where}: reason is {_kind(reason)}", "a user has to be told what it is for")
    # A gap as wide as a terminal would let the rest look like the prompt's own words.
    if not reason.isprintable() or len(reason) > LONGEST_REASON or _BLANK.search(reason):
        raise _wrong(
            f"{where}: reason is {_shown(reason)}",
            f"expected one line of printable text, of at most {LONGEST_REASON} characters, none of which"
            " looks like a blank",
        )
    return " ".join(reason.split())


def _purpose(where: str, table: Mapping[str, object]) -> Purpose:
    value = table.get("for", Purpose.BUILD.value)
    try:
        return Purpose(value)
    except ValueError:
        shown = _shown(value) if isinstance(value, str) else _kind(value)
        raise _wrong(f"{where}: for is {shown}", "expected build or tests") from None


def _required(where: str, table: Mapping[str, object]) -> bool:
    value = table.get("required", False)
    if not isinstance(value, bool):
        raise _wrong(f"{where}: required is {_kind(value)}", "expected true or false")
    return value


def _kind(value: object) -> str:
    return (
        "missing"
        if value is None
        else "empty"
        if value == ""
        else f"a value of another kind ({_name(value)})"
    )


def _name(value: object) -> str:
    return type(value).__name__


def _shown(text: str) -> str:
    """The beginning of hostile text, without control characters and what looks like nothing."""
    return (
        ascii(text if len(text) <= 80 else f"{text[:80]}…")
        if not text.isprintable() or _BLANK.search(text)
        else repr(text if len(text) <= 80 else f"{text[:80]}…")
    )


def _wrong(what: str, hint: str = "") -> SourceError:
    return SourceError(
        f"{FILE}: {what}", hint=hint or "man bwbuild.toml says what such a file has: REQUESTS OF A SOURCE"
    )
