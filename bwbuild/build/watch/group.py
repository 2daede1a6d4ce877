"""The control group of a build, in which the kernel holds back and ends what grows too fast to be sampled.

A group is gone with its last process, and the kernel's account of it too. The group around it stays, and
counts what happened in those that it had.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

#: Where the unified hierarchy is; where it is elsewhere there is no scope.
GROUPS = Path("/sys/fs/cgroup")


class Group:
    """A group that is somebody's to write to, and that is watched.

    :param path: its directory.
    :param memory: bytes that a sample may find; None: as many as there are.
    """

    def __init__(self, path: Path, memory: int | None) -> None:
        self._path = path
        self._memory = memory
        self._before = _killed(path.parent)
        if memory is not None:
            # What the kernel counts besides samples, such as page tables, needs some room. Past that it lets
            # processes wait, which gives a sample the time to find out what they are.
            self._write("memory.high", memory + memory // 16)
            # A build is ended as a whole; not every systemd can be told so for a scope.
            self._write("memory.oom.group", 1)

    @property
    def full(self) -> bool:
        """Whether it has more than a sample may find. To ask costs less than a sample."""
        if self._memory is None:
            return False
        counts = re.findall(r"^(?:anon|shmem) (\d+)$", _read(self._path / "memory.stat"), re.MULTILINE)
        return sum(map(int, counts)) > self._memory

    @property
    def killed(self) -> bool:
        """Whether the kernel ended it for its memory."""
        return _killed(self._path) > 0 or _killed(self._path.parent) > self._before

    def _write(self, name: str, value: int) -> None:
        # It may have ended already, which the kernel says in several ways.
        with suppress(OSError), (self._path / name).open("r+", encoding="ascii") as file:
            file.write(str(value))


def group_of(pid: int, memory: int | None) -> Group | None:
    """The group of the process ``pid``; None when it is gone."""
    found = re.search(r"^0::/(.+)$", _read(Path(f"/proc/{pid}/cgroup")), re.MULTILINE)
    return Group(GROUPS / found[1], memory) if found else None


def _killed(group: Path) -> int:
    found = re.search(r"^oom_kill (\d+)$", _read(group / "memory.events"), re.MULTILINE)
    return int(found[1]) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # it is gone: the kernel says so in several ways
