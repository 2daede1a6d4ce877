"""What /sys of this machine is like: whether a sandbox can have one of its own, and where cards are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild.host.mounts import Mounted

SYS = "/sys"
#: Where the kernel has made empty directories for other file systems: what is mounted there hides nothing.
_MADE_FOR_MOUNTS = frozenset(
    f"{SYS}/{name}"
    for name in (
        *("firmware/efi/efivars", "fs/bpf", "fs/cgroup", "fs/fuse/connections", "fs/pstore", "fs/resctrl"),
        *("fs/selinux", "fs/smackfs", "kernel/config", "kernel/debug", "kernel/security", "kernel/tracing"),
    )
)
#: Classes of devices that have an address no other machine has.
_CLASSES = ("net", "ieee80211")


@dataclass(frozen=True, slots=True)
class Sysfs:
    """What decides about /sys of a sandbox.

    :ivar whole: nothing hides a part of it; else the kernel gives no namespace one of its own.
    :ivar groups: control groups are mounted there.
    :ivar networks: the directories in it that name network cards, sorted.
    """

    whole: bool = True
    groups: bool = False
    networks: tuple[str, ...] = ()


#: Nothing of it is hidden, and nothing is mounted there.
PLAIN = Sysfs()


def read_sysfs(mounts: Sequence[Mounted]) -> Sysfs:
    """Look at /sys, where ``mounts`` are those of this process."""
    points = {mount.point for mount in mounts}
    whole = is_whole(mounts)
    return Sysfs(whole, f"{SYS}/fs/cgroup" in points, () if whole else _networks(Path(SYS, "class")))


def is_whole(mounts: Sequence[Mounted]) -> bool:
    """Whether one of ``mounts`` shows all of sysfs, by the kernel's own rule (``mnt_already_visible``)."""
    tops = {mount.number for mount in mounts if mount.kind == "sysfs" and mount.root == "/"}
    covered = {mount.parent for mount in mounts if mount.point not in _MADE_FOR_MOUNTS}
    return bool(tops - covered)


def _networks(classes: Path) -> tuple[str, ...]:
    found = set()
    for directory in (classes / name for name in _CLASSES):
        if directory.is_dir():
            found.add(str(directory))
            found.update(str(card.resolve().parent) for card in directory.iterdir())
    return tuple(sorted(found))
