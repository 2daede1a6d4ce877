"""What a program has written in its home: two looks at the directory, compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

#: Files that are looked at; of a home with more not all is said.
MOST = 200_000

Look = Mapping[str, tuple[int, int, int]]


def look(home: Path) -> Look:
    """Each file below ``home``: relative path -> inode, time of the last change in nanoseconds, size.

    A directory that its program has closed, of whose files nothing is known, stands with a slash behind it.
    """
    found: dict[str, tuple[int, int, int]] = {}
    todo = [""]
    while todo and len(found) < MOST:
        prefix = todo.pop()
        entries = _entries(home / prefix)
        if entries is None:
            found[prefix or "/"] = (0, 0, 0)
        for entry in entries or ():
            if entry.is_dir(follow_symlinks=False):
                todo.append(f"{prefix}{entry.name}/")
            else:
                status = entry.stat(follow_symlinks=False)
                found[prefix + entry.name] = (status.st_ino, status.st_ctime_ns, status.st_size)
    return found


def _entries(directory: Path) -> list[os.DirEntry[str]] | None:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except PermissionError:
        return None
    except OSError:
        return []  # deeper than paths are long


def compare(before: Look, after: Look) -> tuple[tuple[str, str, int], ...]:
    """What is new (``+``), another one (``~``) and gone (``-``): sign, path and size, by path."""
    found = []
    closed = tuple(path for path in before.keys() | after.keys() if path.endswith("/"))
    for path in sorted(before.keys() | after.keys()):
        if path.endswith("/") or (closed and path.startswith(closed)):
            continue
        if path not in before:
            found.append(("+", path, after[path][2]))
        elif path not in after:
            found.append(("-", path, before[path][2]))
        elif before[path] != after[path]:
            found.append(("~", path, after[path][2]))
    return tuple(found)
