"""The room that a workspace takes, on disk and in memory."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from bwbuild.build import scratch as scratches
from bwbuild.build.plan import Plan
from bwbuild.build.scan import Excerpt
from bwbuild.build.scratch import Scratch
from bwbuild.build.watch.limits import disk_reserve
from bwbuild.errors import OutputError
from bwbuild.sandbox.spec import Layering
from bwbuild.units import human_size

#: A file system in memory with fewer free bytes has no room for what compilers write in one piece.
_NO_ROOM = 8 << 20


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes of a workspace in memory at the end of its build."""

    used: int
    free: int


def file_system(path: Path) -> tuple[int, int]:
    """The free bytes and all bytes of the file system at ``path``."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def check(plan: Plan, base: Path) -> None:
    """Return if the disk has room for the build, as far as earlier builds of its source tell.

    :param base: where scratch directories are, or will be.
    :raises OutputError: it has not.
    """
    workspace = plan.sandbox.workspace
    if workspace.memory is not None or workspace.layering not in (Layering.OVERLAY, Layering.COPY):
        return
    # A build that goes on has much of it already.
    wanted = plan.past.space if plan.past and not plan.options.no_clean else 0
    place = next(path for path in (base, *base.parents) if path.exists())
    free, size = file_system(place)
    reserve = disk_reserve(plan.limits, size)
    if free >= wanted + reserve:
        return
    needs = f"the build needs about {human_size(wanted)}, and " if wanted else ""
    raise OutputError(
        f"{needs}{human_size(reserve)} have to stay free, but {place} has {human_size(free)}",
        hint="free some space, or name another place: --scratch DIR; --limit-disk-reserve SIZE keeps less",
    )


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
