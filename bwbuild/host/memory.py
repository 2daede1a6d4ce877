"""How much memory there is for this process: the machine's, or what its control groups leave of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: all that may be used, and what of it is free or can be freed without swapping."""

    total: int
    available: int


@dataclass(frozen=True, slots=True)
class _Files:
    """What a version of control groups calls its files."""

    limit: str
    usage: str
    cache: str


_V1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Files("memory.max", "memory.current", "inactive_file")


def read_memory(proc: Path = Path("/proc"), groups: Path = _GROUPS) -> Memory:
    """What there is now. A limit in a container counts although /proc/meminfo does not show it."""
    of_machine, available = _meminfo(proc, "MemTotal", "MemAvailable")
    total = of_machine
    membership = (proc / "self" / "cgroup").read_text(encoding="utf-8", errors="surrogateescape")
    for group, files in _memory_groups(membership, groups):
        limit = _number(group / files.limit)
        if limit is None or limit >= of_machine:
            continue
        usage, statistics = _number(group / files.usage) or 0, _statistics(group / "memory.stat")
        total = min(total, limit)
        available = min(available, max(0, limit - usage + statistics.get(files.cache, 0)))
    return Memory(total, available)


def read_shared(proc: Path = Path("/proc")) -> int:
    """The bytes of shared memory and of files in memory that the whole machine has."""
    (shared,) = _meminfo(proc, "Shmem")
    return shared


def _memory_groups(membership: str, groups: Path) -> Iterator[tuple[Path, _Files]]:
    """The groups that hold this process, the innermost first; limits of those above count too.

    In a container without a namespace of control groups the path is the machine's, and only the container's
    own group is mounted, as the top.
    """
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, files = groups, _V2
        elif "memory" in controllers.split(","):
            top, files = groups / "memory", _V1
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for part in (inside, *inside.parents):
            if (top / part / files.limit).exists():
                yield top / part, files


def _meminfo(proc: Path, *names: str) -> tuple[int, ...]:
    text = (proc / "meminfo").read_text(encoding="ascii")
    fields = {name: value for name, _, value in (line.partition(":") for line in text.splitlines())}
    return tuple(int(fields[name].split()[0]) * 1024 for name in names)


def _number(path: Path) -> int | None:
    """The number in a file; None for ``max``, or where there is no such file."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _statistics(path: Path) -> Mapping[str, int]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines)
    return {name: int(value) for name, value in pairs}
