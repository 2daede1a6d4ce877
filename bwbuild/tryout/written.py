"""What a program has written in its home: two looks at the directory, compared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

#: Files that are looked at; of a home with more nothing is said.
MOST = 200_000

Look = Mapping[str, tuple[int, int, int]]


def look(home: Path) -> Look:
    """Each file below ``home``: relative path -> inode, time of the last change in nanoseconds, size."""
    found: dict[str, tuple[int, int, int]] = {}
    for path, entry in _walk(home, ""):
        status = entry.stat(follow_symlinks=False)
        found[path] = (status.st_ino, status.st_ctime_ns, status.st_size)
        if len(found) > MOST:
            break
    return found


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return  # closed by the program itself
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(directory / entry.name, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry


def compare(before: Look, after: Look) -> tuple[tuple[str, str, int], ...]:
    """What is new (``+``), another one (``~``) and gone (``-``): sign, path and size, by path."""
    found = []
    for path in sorted(before.keys() | after.keys()):
        if path not in before:
            found.append(("+", path, after[path][2]))
        elif path not in after:
            found.append(("-", path, before[path][2]))
        elif before[path] != after[path]:
            found.append(("~", path, after[path][2]))
    return tuple(found)
