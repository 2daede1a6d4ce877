"""Going down a path without following a link on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def opened(top: str | os.PathLike[str], names: Sequence[str], flags: int) -> Iterator[int]:
    """A descriptor of what is at ``names`` below the directory ``top``, whose own links are followed.

    :param flags: with which each name is opened, besides those against links.
    :raises OSError: something is not there, may not be opened, or is a link.
    """
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            below = os.open(name, flags, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)
