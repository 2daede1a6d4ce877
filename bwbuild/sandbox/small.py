"""A small sandbox for one program of this machine that reads what a stranger made.

It sees the machine's /usr read-only and what it is given; no network, no /proc, nothing of the caller's.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild.host.facts import Host
from bwbuild.sandbox import guard
from bwbuild.sandbox.bwrap import Word, filter_words, mount_words
from bwbuild.sandbox.environment import FIXED
from bwbuild.sandbox.parcel import parcel
from bwbuild.sandbox.spec import (
    NO_CEILINGS,
    Bind,
    Ceilings,
    Directory,
    Guest,
    Kernel,
    Mount,
    ReadOnly,
    Restraints,
    Scratch,
    Symlink,
    Tmpfs,
)

#: Where such a program can write to file systems in memory.
WRITABLE = (Guest("/dev"), Guest("/tmp"))
_NOBODY = 65534
_NAMESPACES = ("user", "pid", "ipc", "uts", "cgroup", "net")


@dataclass(frozen=True, slots=True)
class Small:
    """What runs, and what it is given.

    :ivar mounts: what it is given.
    :ivar start: where the command starts; None: in the last of the mounts.
    :ivar tmp: bytes that /tmp may hold; None: as many as the kernel allows.
    :ivar ceilings: what the kernel lets it take; of them ``tmp`` does not count.
    :ivar anonymous: the caller has another number than his own: as root's, tar would try to give files away.
    """

    command: Sequence[str]
    mounts: tuple[Mount, ...]
    start: Guest | None = None
    tmp: int | None = None
    anonymous: bool = False
    ceilings: Ceilings = NO_CEILINGS


def launcher(host: Host, restraints: Restraints, small: Small) -> str:
    """A shell script that starts it.

    It is run as launchers of builds are, with the same variables; see :mod:`bwbuild.sandbox.script`.
    """
    restraining = [*filter_words(restraints.filters), *([] if restraints.nesting else ["--disable-userns"])]
    # Behind bwrap: before it, the caller's own processes would count.
    command = (*guard.limited(small.ceilings), *small.command)
    words = (*restraining, *_options(host, small), "--", *command)
    quoted = [f'"$BWBUILD_SCRATCH"/{w.name}' if isinstance(w, Scratch) else shlex.quote(w) for w in words]
    bwrap = f'{guard.start(restraints)} --json-status-fd "$BWBUILD_STATUS" {guard.TIED}'
    start = " ".join(["exec setpriv --pdeathsig KILL", bwrap, *quoted])
    lines = (
        "#!/bin/sh",
        "set -eu",
        "umask 022",
        '[ "$PPID" = "$BWBUILD_PARENT" ] || exit 125',
        'cd "$BWBUILD_SCRATCH"',
        *guard.described(restraints.filters),
        *parcel(*guard.files(restraints.filters)),
        start + guard.opened(restraints.filters),
    )
    return "\n".join(lines) + "\n"


def _options(host: Host, small: Small) -> Iterator[Word]:
    for namespace in _NAMESPACES:
        yield f"--unshare-{namespace}"
    caller = host.caller
    uid, gid = (_NOBODY, _NOBODY) if small.anonymous else (caller.uid, caller.gid)
    yield from ("--uid", str(uid), "--gid", str(gid))
    yield from ("--hostname", "bwbuild", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
    yield "--clearenv"
    for name, value in sorted({**FIXED, "TMPDIR": "/tmp", "DPKG_COLORS": "never"}.items()):
        yield from ("--setenv", name, value)
    for mount in _mounts(host, small):
        yield from mount_words(mount)
    yield from ("--chdir", str(small.start or small.mounts[-1].target))


def _mounts(host: Host, small: Small) -> Iterator[Mount]:
    yield Bind(Path("/usr"), Guest("/usr"))
    if host.has_usr_local:
        yield Tmpfs(Guest("/usr/local"), 0o755, read_only=True)
    for name, text in sorted(host.root_names.items()):
        target = Guest("/", name)
        yield Symlink(text, target) if text else Bind(Path("/", name), target)
    yield Directory(Guest("/etc"))
    # Which distribution's series of patches is applied depends on it.
    yield Bind(Path("/etc/dpkg/origins"), Guest("/etc/dpkg/origins"), optional=True)
    yield Kernel("dev", Guest("/dev"))
    yield Tmpfs(Guest("/tmp"), 0o1777, size=small.tmp)
    yield from small.mounts
    yield ReadOnly(Guest("/"))
