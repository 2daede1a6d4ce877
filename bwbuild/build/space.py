"""The room that a workspace takes, on disk and in memory."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from bwbuild.build import scratch as scratches
from bwbuild.build.plan import Plan
from bwbuild.build.scan import Excerpt
from bwbuild.build.scratch import Scratch
from bwbuild.sandbox.spec import Layering

#: A file system in memory with fewer free bytes has no room for what compilers write in one piece.
_NO_ROOM = 8 << 20


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes of a workspace in memory at the end of its build."""

    used: int
    free: int


def taken(plan: Plan, scratch: Scratch) -> int | None:
    """The bytes that a workspace takes at the end of its build; None where nobody can tell.

    :raises BwbuildError: it can't be measured.
    """
    workspace = plan.sandbox.workspace
    if workspace.layering not in (Layering.OVERLAY, Layering.COPY):
        return None
    use = _memory_use(scratch) if workspace.memory is not None else None
    return scratches.size(scratch.path, scratch.record) + (use.used if use else 0)


def memory_is_full(plan: Plan, scratch: Scratch, excerpt: Excerpt) -> bool:
    """Whether a build in memory may have failed for want of room, which a disk could have."""
    if plan.sandbox.workspace.memory is None:
        return False
    use = _memory_use(scratch)
    if use is not None and use.free < _NO_ROOM:
        return True
    return any(os.strerror(errno.ENOSPC) in line for line in (*excerpt.errors, *excerpt.tail))


def _memory_use(scratch: Scratch) -> MemoryUse | None:
    """What a build left of its memory, as its launcher wrote it; None if the launcher came to no end."""
    try:
        blocks, free, size = map(int, (scratch.path / "used").read_text(encoding="ascii").split())
    except (FileNotFoundError, ValueError):
        return None
    return MemoryUse((blocks - free) * size, free * size)
