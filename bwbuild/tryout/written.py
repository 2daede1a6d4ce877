"""What a program has written in its home: two looks at the directory, compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

#: Files that are looked at; of a home with more not all is said.
MOST = 200_000

Look = Mapping[str, tuple[int, int, int]]


def look(home: Path) -> Look:
    """Each file below ``home``: relative path -> inode, time of the last change in nanoseconds, size."""
    found: dict[str, tuple[int, int, int]] = {}
    todo = [""]
    while todo and len(found) < MOST:
        prefix = todo.pop()
        for entry in _entries(home / prefix):
            if entry.is_dir(follow_symlinks=False):
                todo.append(f"{prefix}{entry.name}/")
            else:
                status = entry.stat(follow_symlinks=False)
                found[prefix + entry.name] = (status.st_ino, status.st_ctime_ns, status.st_size)
    return found


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []  # closed by the program itself, or deeper than paths are long


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
