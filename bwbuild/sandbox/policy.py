"""The policy of the sandbox: an ordered fold of pure functions, each of which adds one aspect.

``compose`` is the whole of it. A function takes the request and the sandbox so far and returns the next one.
The comment beside an entry of ``LAYERS`` gives the reason for its place: for mounts the order decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bwbuild.host.sysfs import PLAIN, SYS, Sysfs
from bwbuild.sandbox.permits import NO_PERMITS, Permits
from bwbuild.sandbox.spec import (
    NO_CEILINGS,
    Bind,
    Ceilings,
    Directory,
    Given,
    Guest,
    Identity,
    IdentityKind,
    Kernel,
    Layering,
    Mount,
    Overlay,
    ReadOnly,
    Restraints,
    Sandbox,
    Scratch,
    Symlink,
    Tmpfs,
    Workspace,
)

#: The parent of the tree inside; the same on every build machine of Debian, so .buildinfo records it.
PARENT = Guest("/build/reproducible-path")

#: Names in / that the sandbox fills itself, and so do lib32, lib64 and the like.
SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"}
)

#: What the root side keeps: all that fakeroot pretends. Never sys_admin: with it package code could remount
#: what is read-only. setpcap serves init to empty the bounding set, and is gone before the build starts.
ROOT_CAPABILITIES = (
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setfcap",
    "setpcap",
)


#: Where the launcher mounts a /sys that shows no network card of the machine.
OWN_SYS = Scratch("ns/sys")

#: Directories of the Filesystem Hierarchy Standard that test suites and configure scripts look for.
EMPTY = ("/media", "/mnt", "/var/log", "/var/mail", "/var/opt", "/var/spool")


@dataclass(frozen=True, slots=True)
class RootView:
    """What of a root file system is visible: overlays to mount first, then mounts.

    ``given`` are the directories of the cache of which they are made.
    """

    overlays: tuple[Overlay, ...]
    mounts: tuple[Mount, ...]
    given: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """All that decides about the sandbox."""

    identity: Identity
    workspace: Workspace
    view: RootView
    environment: Mapping[str, str]
    command: tuple[str, ...]
    restraints: Restraints
    ceilings: Ceilings = NO_CEILINGS
    sysfs: Sysfs = PLAIN
    #: run the command as root of the sandbox
    as_root: bool = False
    interactive: bool = False
    permits: Permits = NO_PERMITS


def _namespaces(_request: Request, sandbox: Sandbox) -> Sandbox:
    # The user namespace is made outside of bwrap, with the map of the identity.
    return replace(sandbox, namespaces=("pid", "ipc", "uts", "cgroup", "net"), hostname="bwbuild")


def _root(request: Request, sandbox: Sandbox) -> Sandbox:
    view = request.view
    return replace(sandbox, given=view.given, overlays=view.overlays, mounts=sandbox.mounts + view.mounts)


def _kernel(request: Request, sandbox: Sandbox) -> Sandbox:
    mounts = (
        Kernel("proc", Guest("/proc")),
        *boot_id(request.restraints),
        Kernel("dev", Guest("/dev")),
        # After the rest of /dev; bwrap's own is for root alone.
        Tmpfs(Guest("/dev/shm"), 0o1777, size=request.ceilings.shm),
        *sys_mounts(request.sysfs),
    )
    return replace(sandbox, mounts=sandbox.mounts + mounts, own_sys=request.sysfs.whole)


def boot_id(restraints: Restraints) -> Iterator[Mount]:
    """What hides the number of the machine's start."""
    # Over a /proc of which something is hidden the kernel lets no nested namespace mount another.
    if not restraints.nesting:
        yield Bind(Scratch("ns/inside/boot-id"), Guest("/proc/sys/kernel/random/boot_id"))


def sys_mounts(sysfs: Sysfs) -> Iterator[Mount]:
    """/sys, without the machine's network cards."""
    if not sysfs.whole:
        yield Bind(Path(SYS), Guest(SYS))
        yield from (Tmpfs(Guest(path), 0o755, read_only=True) for path in sysfs.networks)
        return
    yield Bind(OWN_SYS, Guest(SYS))
    if sysfs.groups:
        yield Bind(Path(SYS, "fs/cgroup"), Guest(SYS, "fs/cgroup"))


def _fresh(request: Request, sandbox: Sandbox) -> Sandbox:
    size = request.ceilings.tmp
    mounts: tuple[Mount, ...] = (
        Tmpfs(Guest("/tmp"), 0o1777, size=size),
        Tmpfs(Guest("/var/tmp"), 0o1777, size=size),
        Tmpfs(Guest("/run"), 0o755, size=size),
        Directory(Guest("/run/lock"), 0o1777),
        Symlink("/dev/shm", Guest("/run/shm")),  # test suites of rsync and others look here
        Symlink("/run/lock", Guest("/var/lock")),
        Symlink("/run", Guest("/var/run")),
        *(Directory(Guest(path)) for path in EMPTY),
        Symlink("../mail", Guest("/var/spool/mail")),
        # bubblewrap's own test suite and others need a directory that nobody may enter.
        Tmpfs(Guest("/root"), 0o000, read_only=True),
        Bind(Scratch("ns/inside"), Guest("/run/bwbuild")),
    )
    return replace(sandbox, mounts=sandbox.mounts + mounts)


def _workspace(request: Request, sandbox: Sandbox) -> Sandbox:
    workspace = request.workspace
    parent = Guest(workspace.inside.parent)
    # bwrap makes missing parents of a mount point with mode 0700, which the build user could not pass.
    above = tuple(Directory(Guest(path)) for path in reversed(parent.parents) if path != Guest("/"))
    if workspace.layering is Layering.NONE:
        bind = Bind(workspace.tree.parent, parent, writable=True)
        return replace(sandbox, workspace=workspace, mounts=(*sandbox.mounts, *above, bind))
    tree = Bind(workspace_source(workspace), workspace.inside, writable=True)
    beside = Scratch("ns/parent" if workspace.layering is Layering.OVERLAY else "parent")
    mounts: tuple[Mount, ...] = (*above, Bind(beside, parent, writable=True), tree)
    return replace(sandbox, workspace=workspace, mounts=sandbox.mounts + mounts)


def is_free(parent: Guest) -> bool:
    """Whether the tree's parent may be at ``parent``, where the sandbox has nothing of its own."""
    top = parent.parts[1] if len(parent.parts) > 1 else ""
    return bool(top) and top not in SYSTEM and not top.startswith("lib")


def workspace_source(workspace: Workspace) -> Scratch:
    """Where the launcher lays the private tree."""
    return Scratch("tree" if workspace.layering is Layering.COPY else "ns/tree")


def _identity(request: Request, sandbox: Sandbox) -> Sandbox:
    ranged = request.identity.kind is IdentityKind.RANGE
    return replace(
        sandbox,
        identity=request.identity,
        capabilities=ROOT_CAPABILITIES if ranged else (),
        broker=ranged and not request.as_root,
    )


def _permits(request: Request, sandbox: Sandbox) -> Sandbox:
    permits = request.permits
    # The launcher then makes the network namespace, which its helper has to find.
    kept = tuple(name for name in sandbox.namespaces if name != "net" or not permits.network)
    return replace(
        sandbox,
        namespaces=kept,
        mounts=sandbox.mounts + permits.mounts,
        network=permits.network,
        groups=permits.groups,
    )


def _restraints(request: Request, sandbox: Sandbox) -> Sandbox:
    return replace(sandbox, restraints=request.restraints, ceilings=request.ceilings)


def _command(request: Request, sandbox: Sandbox) -> Sandbox:
    return replace(
        sandbox,
        environment=dict(sorted({**request.environment, **request.permits.environment}.items())),
        interactive=request.interactive,
        command=request.command,
    )


def _sealed(_request: Request, sandbox: Sandbox) -> Sandbox:
    return replace(sandbox, mounts=(*sandbox.mounts, ReadOnly(Guest("/"))))


Layer = Callable[[Request, Sandbox], Sandbox]

LAYERS: tuple[Layer, ...] = (
    _namespaces,
    _root,  # the read-only system is the ground on which all other mounts lie
    _kernel,  # over a root that may have its own /proc and /dev
    _fresh,  # hides what the root has in /tmp, /run and /root
    _workspace,  # after the fresh /tmp, or a tree below /tmp would vanish
    _permits,  # over all of these, at places that the build can't have changed
    _identity,
    _restraints,
    _command,
    _sealed,  # last: nothing can be mounted in / any more
)


def compose(request: Request) -> Sandbox:
    """The sandbox for ``request``."""
    sandbox = Sandbox(request.identity, request.workspace, environment={})
    for layer in LAYERS:
        sandbox = layer(request, sandbox)
    return sandbox
