"""What is mounted where."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path


def type_of(path: Path) -> str:
    """The type of the file system that holds ``path`` or, where it does not exist yet, its nearest parent."""
    while not os.access(path, os.F_OK) and path != path.parent:
        path = path.parent
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return parse_type(text, os.path.realpath(path))


def points() -> frozenset[str]:
    """All mount points of this mount namespace."""
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return frozenset(point for point, _ in _mounts(text))


def parse_type(mountinfo: str, path: str) -> str:
    """The type of the file system at the absolute ``path``, from the text of /proc/self/mountinfo.

    The last mount at the longest mount point above the path counts; "" if there is none.
    """
    best, found = "", ""
    for point, kind in _mounts(mountinfo):
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, found = point, kind
    return found


def _mounts(mountinfo: str) -> Iterator[tuple[str, str]]:
    """Mount point and type of each line."""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) >= 5:
            point = re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), fields[4])
            yield point, after.split(" ")[0]
