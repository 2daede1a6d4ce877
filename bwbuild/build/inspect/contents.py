"""What is in the binary packages of a build, as values for the report: control fields and lists of files.

It is read from what :mod:`bwbuild.build.inspect.inspection` had looked up in its sandbox. All of it is the
package's own word: what is kept is bounded, and without control characters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bwbuild.build.record.escaping import escape, visible
from bwbuild.build.record.report import Package
from bwbuild.deb.names import binary_file
from bwbuild.deb.paragraph import MAX_SIZE
from bwbuild.handover import files
from bwbuild.handover.artifacts import Artifact
from bwbuild.sandbox.inspection import ANSWERS, CONTENTS, CONTROL

#: Bytes that are read of the list of one package, and of all lists of a build.
LONGEST_LIST = 8 << 20
ALL_LISTS = 24 << 20
#: Characters that are kept of a longer line.
LONGEST_LINE = 1 << 16

_MEMBER = re.compile(r"(\S+) (\S+) +(\S+) \d{4}-\d\d-\d\d \d\d:\d\d (.*)")


def read(artifacts: Sequence[Artifact], scratch: Path) -> tuple[Package, ...]:
    """What the packages among ``artifacts`` hold, which were looked into in ``scratch``, in their order."""
    found = []
    left = ALL_LISTS
    with files.directory(scratch / ANSWERS.name) as answers:
        for number, package in enumerate(item for item in artifacts if binary_file(item.name)):
            control, _ = _text(f"{number}.{CONTROL}", answers, MAX_SIZE)
            limit = min(left, LONGEST_LIST)
            listing, whole = _text(f"{number}.{CONTENTS}", answers, limit)
            left -= len(listing)
            lines = listing.split("\n") if whole else listing.split("\n")[:-1]
            members = sorted((member(line) for line in lines if line), key=_path)
            found.append(Package(package.name, tuple(fields(control)), tuple(members), whole))
    return tuple(found)


def fields(text: str) -> Iterator[tuple[str, str]]:
    """The fields of a control file in their order, the lines of a value joined by newlines."""
    name, value = "", ""
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            value += f"\n{_clean(line.strip())}"
            continue
        if name:
            yield name, value
        name, _, value = (_clean(part.strip()) for part in line.partition(":"))
    if name:
        yield name, value


def member(line: str) -> str:
    """A line of tar's long list as ``MODE OWNER/GROUP SIZE PATH``; any other line as it is."""
    match = _MEMBER.fullmatch(line)
    return _clean(" ".join(match.groups()) if match else line)


def _path(line: str) -> str:
    return line.split(" ", 3)[-1]


def _clean(text: str) -> str:
    return visible(text[:LONGEST_LINE])


def _text(name: str, answers: int, limit: int) -> tuple[str, bool]:
    """An answer up to ``limit`` bytes, and whether that is all of it."""
    with files.untrusted(name, answers) as opened:
        data = b""
        while len(data) <= limit and (chunk := os.read(opened, limit + 1 - len(data))):
            data += chunk
    return escape(data[:limit]).decode("utf-8", "backslashreplace"), len(data) <= limit
