"""Looking for sockets and FIFOs: whoever has one bound, read-only or not, reaches the process behind it."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def first_below(top: Path) -> tuple[Path, str] | None:
    """A socket or FIFO below ``top`` and what it is; directories that the caller can't read are left out."""
    todo = [os.fspath(top)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                        continue
                    kind = _kind(entry)
                    if kind:
                        return Path(entry.path), kind
        except (PermissionError, FileNotFoundError):
            continue  # a build of the same user can't go there either
    return None


def _kind(entry: os.DirEntry[str]) -> str:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a FIFO" if stat.S_ISFIFO(mode) else ""
