"""One paragraph of Debian's control format, read so strictly that no two programs can read it differently.

.changes, .dsc and .buildinfo come out of the sandbox and are then read by debsign (sed and perl), by the
archive (python) and by dpkg (perl). What those accept differs: a field twice, a line of blanks, a carriage
return. Here all of it is refused, so that what was verified is what everybody else will see.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bwbuild.deb.names import printable
from bwbuild.errors import VerificationError

#: No real .changes, .dsc or .buildinfo comes near this many bytes.
MAX_SIZE = 1 << 20

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(?: (.*)|)")
#: C0 without tab and line feed, DEL, and C1, which some terminals obey.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """The fields of the control file called ``file``: lower-case name to the lines of the value.

    The first line is what stands behind the colon; the others are without their leading space.
    """

    file: str
    fields: Mapping[str, tuple[str, ...]]

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of the multi-line field ``name``, whose first line must be empty.

        :raises VerificationError: the field is missing or begins on the line of its name.
        """
        first, *rest = self._value(name)
        if first:
            raise VerificationError(f"{self.file}: the list {name} begins on the line of its name")
        return tuple(rest)

    def line(self, name: str) -> str:
        """The value of the field ``name``, which must be one line and not empty.

        :raises VerificationError: it is not.
        """
        first, *rest = self._value(name)
        if rest or not first:
            raise VerificationError(f"{self.file}: the field {name} is not one line of text")
        return first

    def check_known(self, known: Collection[str]) -> None:
        """Refuse fields that are not in ``known`` (lower case).

        :raises VerificationError: names the first of them.
        """
        for name in self.fields:
            if name not in known:
                raise VerificationError(
                    f"{self.file}: the field {printable(name)} is unknown",
                    hint="a field that debian/control hands on with an X…C- prefix has to be allowed by name",
                )

    def _value(self, name: str) -> tuple[str, ...]:
        if name not in self.fields:
            raise VerificationError(f"{self.file}: the field {name} is missing")
        return self.fields[name]


def read_text(path: Path) -> str:
    """The control file at ``path`` as text.

    :raises VerificationError: it is no regular file, larger than 1 MiB, not UTF-8, or has control characters.
    """
    # Without O_NONBLOCK a FIFO is waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise VerificationError(f"{path.name} is no regular file")
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(MAX_SIZE + 1)
    return as_text(data, path.name)


def as_text(data: bytes, file: str) -> str:
    """The bytes ``data`` of the control file called ``file`` as text.

    :raises VerificationError: they are more than 1 MiB, not UTF-8, or have control characters.
    """
    if len(data) > MAX_SIZE:
        raise VerificationError(f"{file} is larger than {MAX_SIZE} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VerificationError(f"{file} is not UTF-8 at byte {error.start}") from error
    if found := _CONTROL.search(text):
        number = text.count("\n", 0, found.start()) + 1
        raise VerificationError(
            f"{file}: line {number} has the control character U+{ord(found[0]):04X}",
            hint="it usually comes from debian/changelog or debian/control",
        )
    return text


def parse(text: str, file: str) -> Paragraph:
    """The one paragraph of ``text``, the contents of ``file``.

    :raises VerificationError: it is signed, has several paragraphs, a field twice, or other lines.
    """
    if not text.endswith("\n"):
        raise VerificationError(f"{file} does not end with a line break: it is cut off or empty")
    fields: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(text.rstrip("\n").split("\n"), 1):
        if line.startswith(" ") and line.strip() and current is not None:
            current.append(line[1:])
            continue
        current = _new_field(line, f"{file}: line {number}", fields)
    return Paragraph(file, {name: tuple(lines) for name, lines in fields.items()})


def read_paragraph(path: Path) -> Paragraph:
    """The one paragraph of the control file at ``path``.

    :raises VerificationError: see :func:`read_text` and :func:`parse`.
    """
    return parse(read_text(path), path.name)


def _new_field(line: str, where: str, fields: dict[str, list[str]]) -> list[str]:
    if line.startswith("-----BEGIN PGP"):
        raise VerificationError(
            f"{where}: the build signed it already",
            hint="signatures are made outside the sandbox; the package's build must not sign",
        )
    if not line.strip():
        raise VerificationError(f"{where} is blank: there must be exactly one paragraph")
    match = _FIELD.fullmatch(line)
    if match is None:
        raise VerificationError(f"{where} is neither a field nor goes on with one: {printable(line)}")
    name = match[1].lower()
    if name in fields:
        raise VerificationError(f"{where}: the field {printable(match[1])} stands there twice")
    fields[name] = [match[2] or ""]
    return fields[name]
