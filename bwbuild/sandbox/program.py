"""The sandbox of a program that is tried: a whole root, a home, and what is granted: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bwbuild.host.sysfs import PLAIN, Sysfs
from bwbuild.sandbox import traced
from bwbuild.sandbox.permits import NO_PERMITS, Permits
from bwbuild.sandbox.policy import ROOT_CAPABILITIES, RootView, boot_id, sys_mounts
from bwbuild.sandbox.spec import (
    NO_CEILINGS,
    Bind,
    Ceilings,
    Directory,
    Guest,
    Handed,
    Identity,
    Kernel,
    Layering,
    Mount,
    ReadOnly,
    Restraints,
    Sandbox,
    Scratch,
    Tmpfs,
    Workspace,
)

#: Who the program is run as, and where his home is: not where the caller's is, which may be shown beside it.
USER = "bwbuild"
HOME = Guest("/home") / USER
#: The directory of the scratch directory that is the user's directory for sockets inside.
RUNTIME = "runtime"
#: Bytes of file systems in memory that hold nothing but mount points.
_SMALL = 1 << 20
#: A path that is granted may be looked at alone, or changed without being opened.
_TRACED = traced.Wanted(looks=True, touches=True)


@dataclass(frozen=True, slots=True)
class Program:
    """All that decides about the sandbox of a program.

    :ivar home: the directory outside that is its home.
    :ivar permits: what is granted; ``handed``: of it, what the caller alone may enter.
    :ivar start: the directory inside in which it starts.
    """

    identity: Identity
    view: RootView
    home: Path
    environment: Mapping[str, str]
    command: tuple[str, ...]
    restraints: Restraints
    ceilings: Ceilings = NO_CEILINGS
    sysfs: Sysfs = PLAIN
    permits: Permits = NO_PERMITS
    handed: tuple[Handed, ...] = ()
    interactive: bool = False
    traced: bool = False
    start: Guest = HOME


def runtime(identity: Identity) -> Guest:
    """Where the user's directory for sockets is inside."""
    return Guest("/run/user") / str(identity.uid)


def environment(identity: Identity, caller: Mapping[str, str]) -> dict[str, str]:
    """What a session sets; of the caller's environment only what his terminal is."""
    passed = {name: caller[name] for name in ("TERM", "COLORTERM") if name in caller}
    return {
        "TERM": "dumb",
        **passed,
        "HOME": str(HOME),
        "LANG": "C.UTF-8",
        "LOGNAME": USER,
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games:/usr/sbin:/sbin",
        "SHELL": "/bin/bash",
        "USER": USER,
        "XDG_RUNTIME_DIR": str(runtime(identity)),
    }


def etc_files(files: Mapping[str, str]) -> dict[str, str]:
    """The files over /etc with a home for the user, and a number for the machine, which is no machine's."""
    passwd = files["passwd"].replace(":build user:/nonexistent:/bin/sh", f":{USER}:{HOME}:/bin/bash")
    return {**files, "passwd": passwd, "machine-id": "0123456789abcdef0123456789abcdef\n"}


def compose(program: Program) -> Sandbox:
    """The sandbox for ``program``."""
    size = program.ceilings.tmp
    mounts: tuple[Mount, ...] = (
        *program.view.mounts,  # the ground for all others
        Kernel("proc", Guest("/proc")),
        *boot_id(program.restraints),
        Kernel("dev", Guest("/dev")),
        Tmpfs(Guest("/dev/shm"), 0o1777, size=program.ceilings.shm),
        *sys_mounts(program.sysfs),
        Tmpfs(Guest("/tmp"), 0o1777, size=size),
        Tmpfs(Guest("/var/tmp"), 0o1777, size=size),
        Tmpfs(Guest("/run"), 0o755, size=size),
        Directory(Guest("/run/lock"), 0o1777),
        Directory(Guest("/run/user")),
        Tmpfs(Guest("/root"), 0o000, read_only=True),
        Tmpfs(Guest("/home"), 0o755, size=_SMALL),
        Bind(program.home, HOME, writable=True),
        Bind(Scratch(RUNTIME), runtime(program.identity), writable=True),
        Bind(Scratch("ns/inside"), Guest("/run/bwbuild")),
        *program.permits.mounts,  # at places that no earlier run can have changed
        ReadOnly(Guest("/")),
    )
    kept = ("pid", "ipc", "uts", "cgroup") + ("net",) * (program.permits.network is None)
    environment = {**program.environment, **program.permits.environment}
    return Sandbox(
        identity=program.identity,
        workspace=Workspace(program.home, Layering.NONE, program.start),
        environment=dict(sorted(environment.items())),
        given=program.view.given,
        overlays=program.view.overlays,
        handed=program.handed,
        mounts=mounts,
        namespaces=kept,
        capabilities=ROOT_CAPABILITIES,
        restraints=program.restraints,
        ceilings=program.ceilings,
        network=program.permits.network,
        groups=program.permits.groups,
        own_sys=program.sysfs.whole,
        hostname="bwbuild",
        attended=True,
        interactive=program.interactive,
        traced=traced.words(_TRACED) if program.traced else (),
        command=program.command,
    )
