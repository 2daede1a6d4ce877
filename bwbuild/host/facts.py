"""What this machine and its caller are: read once, handed on as a value."""

from __future__ import annotations

import os
import pwd
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bwbuild.host import mounts
from bwbuild.host.manager import Manager, read_manager
from bwbuild.host.memory import Memory, read_memory
from bwbuild.host.sysfs import PLAIN, Sysfs, read_sysfs
from bwbuild.process import run

#: Top-level names that are links into /usr on a merged system.
ROOT_NAMES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who runs bwbuild, and which subordinate ids are his."""

    uid: int
    gid: int
    name: str
    subuids: tuple[range, ...] = ()
    subgids: tuple[range, ...] = ()

    @property
    def is_root(self) -> bool:
        """Whether he is the superuser of this machine or container."""
        return self.uid == 0


@dataclass(frozen=True, slots=True)
class Processors:
    """How many are on, as ``getconf _NPROCESSORS_ONLN`` says, and how many of them this process may use."""

    on: int
    usable: int


@dataclass(frozen=True, slots=True)
class Host:
    """The facts about the machine that decide what the sandbox looks like."""

    caller: Caller
    architecture: str
    kernel: tuple[int, int]
    #: top-level name -> text of the link; "" for a directory of its own
    root_names: Mapping[str, str]
    has_usr_local: bool
    mount_points: frozenset[str]
    passwd: str
    group: str
    #: ids of this user namespace that the caller may map: start -> count, from /proc/self/uid_map
    mapped_ids: tuple[range, ...]
    #: ids that something on this machine uses already: users, groups and everybody's subordinate ids
    taken_ids: tuple[range, ...]
    memory: Memory
    processors: Processors = Processors(1, 1)
    #: files that a process may have open at most; None: any number
    files: int | None = None
    #: processes and threads that the caller may have at most; None: any number
    tasks: int | None = None
    #: files that the caller's programs may have open before they ask for more
    open_files: int = 0
    #: the systemd of the caller's session
    manager: Manager | None = None
    sysfs: Sysfs = PLAIN
    #: what the kernel lets each user have, such as ``inotify_instances``
    shares: Mapping[str, int] = field(default_factory=dict)

    def has_mounts_below(self, path: Path) -> bool:
        """Whether something is mounted below ``path``; the kernel refuses it as an overlay's layer then."""
        return any(Path(point) != path and Path(point).is_relative_to(path) for point in self.mount_points)


def read_host() -> Host:
    """Read the facts of this machine.

    :raises HostError: dpkg is missing.
    """
    caller = read_caller()
    passwd, group = _text("/etc/passwd"), _text("/etc/group")
    open_files, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, tasks = resource.getrlimit(resource.RLIMIT_NPROC)
    mounted = mounts.mounted()
    return Host(
        caller=caller,
        architecture=run(["dpkg", "--print-architecture"]).text,
        kernel=parse_kernel(os.uname().release),
        root_names=root_names(Path("/")),
        has_usr_local=os.path.lexists("/usr/local"),
        mount_points=frozenset(mount.point for mount in mounted),
        passwd=passwd,
        group=group,
        mapped_ids=parse_id_map(_text("/proc/self/uid_map")),
        taken_ids=(*_account_ids(passwd), *_account_ids(group), *_every_subordinate_id()),
        memory=read_memory(),
        processors=Processors(os.sysconf("SC_NPROCESSORS_ONLN"), len(os.sched_getaffinity(0))),
        files=None if files == resource.RLIM_INFINITY else files,
        tasks=None if tasks == resource.RLIM_INFINITY else tasks,
        open_files=sys.maxsize if open_files == resource.RLIM_INFINITY else open_files,
        manager=read_manager(caller.uid),
        sysfs=read_sysfs(mounted),
        shares=_shares(Path("/proc/sys/user")),
    )


def read_caller() -> Caller:
    """Who runs this process."""
    uid, gid = os.getuid(), os.getgid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""  # containers run processes under ids without an account
    subuids = parse_subordinate(_text("/etc/subuid"), name, uid)
    return Caller(uid, gid, name, subuids, parse_subordinate(_text("/etc/subgid"), name, uid))


def parse_subordinate(text: str, name: str, uid: int) -> tuple[range, ...]:
    """The ranges of a user in the text of /etc/subuid or /etc/subgid; other lines are passed over."""
    ranges = []
    for line in text.splitlines():
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if owner in (name, str(uid)) and owner and first.isdigit() and count.isdigit() and int(count) > 0:
            ranges.append(range(int(first), int(first) + int(count)))
    return tuple(ranges)


def parse_kernel(release: str) -> tuple[int, int]:
    """Major and minor number of a kernel's release such as ``6.1.0-18-amd64``."""
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def parse_id_map(text: str) -> tuple[range, ...]:
    """The ids that exist in a user namespace, from the text of its uid_map."""
    rows = [line.split() for line in text.splitlines()]
    return tuple(range(int(row[0]), int(row[0]) + int(row[2])) for row in rows if len(row) == 3)


def free_ids(taken: Sequence[range]) -> int:
    """The first id of a block of 65536 that nobody has, at the places where useradd puts them."""
    for start in range(100000, 600100000, 65536):
        if not any(ids.start < start + 65536 and start < ids.stop for ids in taken):
            return start
    return 1 << 30


def _account_ids(text: str) -> tuple[range, ...]:
    fields = [line.split(":") for line in text.splitlines()]
    ids = [int(field[2]) for field in fields if len(field) > 2 and field[2].isdigit()]
    return tuple(range(number, number + 1) for number in ids)


def _every_subordinate_id() -> tuple[range, ...]:
    lines = (_text("/etc/subuid") + "\n" + _text("/etc/subgid")).splitlines()
    owners = {line.partition(":")[0] for line in lines if line.strip()}
    return tuple(
        block for owner in sorted(owners) for block in parse_subordinate("\n".join(lines), owner, -1)
    )


def root_names(root: Path) -> dict[str, str]:
    """The top-level names at ``root`` that are links into /usr on a merged system: see :class:`Host`."""
    found = {}
    for name in ROOT_NAMES:
        path = root / name
        if path.is_symlink():
            found[name] = os.fspath(path.readlink()).removeprefix("/")
        elif path.is_dir():
            found[name] = ""
    return found


def _shares(directory: Path) -> dict[str, int]:
    """The numbers in ``directory`` by name, without ``max_``; a kernel may lack it."""
    texts = {path.name.removeprefix("max_"): _text(str(path)).strip() for path in directory.glob("max_*")}
    return {name: int(text) for name, text in sorted(texts.items()) if text.isdigit()}


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
