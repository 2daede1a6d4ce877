"""What is mounted where."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mounted:
    """One line of mountinfo.

    :ivar number: of the mount; ``parent``: of the one that it lies on.
    :ivar root: the directory of the file system that is seen; ``kind``: the file system's type.
    """

    number: int
    parent: int
    root: str
    point: str
    kind: str


def type_of(path: Path) -> str:
    """The type of the file system that holds ``path`` or, where it does not exist yet, its nearest parent."""
    while not os.access(path, os.F_OK) and path != path.parent:
        path = path.parent
    return parse_type(_text(), os.path.realpath(path))


def mounted() -> tuple[Mounted, ...]:
    """All mounts of this mount namespace, in their order."""
    return tuple(parse(_text()))


def parse_type(mountinfo: str, path: str) -> str:
    """The type of the file system at the absolute ``path``, from the text of /proc/self/mountinfo.

    The last mount at the longest mount point above the path counts; "" if there is none.
    """
    best, found = "", ""
    for mount in parse(mountinfo):
        point = mount.point
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, found = point, mount.kind
    return found


def parse(mountinfo: str) -> Iterator[Mounted]:
    """The mounts in the text of /proc/self/mountinfo."""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) >= 5:
            root, point = (
                re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), field)
                for field in fields[3:5]
            )
            yield Mounted(int(fields[0]), int(fields[1]), root, point, after.split(" ")[0])


def _text() -> str:
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
