"""Reading below a directory that a package has filled: no link of it leads anywhere."""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath

from bwbuild.host.unfollowed import opened

#: Bytes of a file that are read.
_LARGEST = 16 << 20


def text(top: Path, path: str | PurePosixPath) -> str | None:
    """The text of the regular file at the relative ``path``; None where there is none that may be read."""
    relative = PurePosixPath(path)
    with suppress(OSError), _opened(top, relative.parent) as directory:
        descriptor = os.open(
            relative.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory
        )
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return file.read(_LARGEST).decode("utf-8", "surrogateescape")
    return None


def names(top: Path, path: str | PurePosixPath) -> set[str]:
    """The names in the directory at the relative ``path``, but for what an overlay hides."""
    with suppress(OSError), _opened(top, PurePosixPath(path)) as directory, os.scandir(directory) as entries:
        return {
            entry.name for entry in entries if not stat.S_ISCHR(entry.stat(follow_symlinks=False).st_mode)
        }
    return set()


def _opened(top: Path, relative: PurePosixPath) -> AbstractContextManager[int]:
    return opened(top, relative.parts, os.O_RDONLY | os.O_DIRECTORY)
