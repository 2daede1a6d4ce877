"""What a declared view consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cover:
    """A directory of the host that is seen through the mask ``name``.

    ``listed``: what is hidden stands in the file ``name.hidden`` too, since no whiteouts could be made.
    """

    name: str
    top: str
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Contents:
    """What a view consists of.

    :ivar covers: directories seen through a mask. ``bound``: directories that are seen as they are.
    :ivar read: the files and directories of the host that decided about it, sorted.
    :ivar failed: generated files that could not be made again and are as the host has them, each with why.
    """

    covers: tuple[Cover, ...]
    bound: tuple[str, ...]
    read: tuple[str, ...]
    failed: tuple[str, ...] = ()
