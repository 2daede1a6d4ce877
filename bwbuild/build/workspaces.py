"""Where a build writes: the choice of the workspace, pure like the plan that it is a part of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bwbuild.config.settings import Keep, Settings
from bwbuild.config.settings import Workspace as WorkspaceChoice
from bwbuild.deb.names import upstream_version
from bwbuild.deb.rebuild import Entry
from bwbuild.errors import ConfigurationError, HostError
from bwbuild.events import Level, Notice
from bwbuild.host.sockets import CLOSED, remedy
from bwbuild.sandbox.policy import PARENT, SYSTEM, is_free
from bwbuild.sandbox.spec import Guest, Identity, Layering, Saved, Workspace
from bwbuild.units import human_size

if TYPE_CHECKING:
    from bwbuild.build.plan import Inputs

#: File systems that refuse to be the upper layer of an overlay in a user namespace.
NO_UPPER = frozenset(
    {"overlay", "aufs", "ecryptfs", "vfat", "exfat", "ntfs3", "fuse", "fuseblk", "virtiofs", "9p"}
    | {"nfs", "nfs4", "cifs", "smb3", "afs", "ceph"}
)
#: Directories of many owners and purposes, with sockets of agents and sessions: never writable for a build.
SHARED = frozenset(
    {"/", "/dev", "/etc", "/home", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/srv", "/sys", "/tmp"}
    | {"/usr", "/var", "/var/lib", "/var/tmp"}
)
#: From this kernel on a tmpfs has the user attributes that an upper layer needs.
TMPFS_UPPER = (6, 6)
#: What is assumed that a build of an unknown source writes: so many times its tree, and bytes on top.
UNKNOWN_FACTOR, UNKNOWN_REST = 32, 256 << 20


def choose_workspace(
    inputs: Inputs, identity: Identity, entry: Entry | None
) -> tuple[Workspace, tuple[Notice, ...]]:
    """The workspace, and what the caller should know of it.

    :param entry: goes before the changelog.
    :raises ConfigurationError: settings that contradict each other.
    :raises HostError: the real tree can't be had.
    """
    source = inputs.source
    directory = f"{source.name}-{upstream_version((entry or source).version)}"
    if inputs.settings.workspace is WorkspaceChoice.IN_PLACE:
        return _in_place(inputs, identity)
    layering, why = choose_layering(inputs, identity)
    memory = in_memory(inputs) if layering is Layering.OVERLAY else None
    if memory is not None:
        memory = min(memory, inputs.settings.limit_disk or memory)
        why = f"workspace: in memory, at most {human_size(memory)}; --workspace-memory never forbids it"
    workspace = Workspace(
        tree=source.tree,
        layering=layering,
        inside=_build_path(inputs.settings) / directory,
        hidden=inputs.version_control,
        beside=tuple(inputs.origs[name] for name in sorted(inputs.origs)),
        saved=_saved(inputs),
        memory=memory,
        changelog=entry.text if entry else _own_changelog(inputs),
    )
    return workspace, (Notice(Level.INFO, why),) if why else ()


def choose_layering(inputs: Inputs, identity: Identity) -> tuple[Layering, str]:
    """How the private workspace is laid over the tree, and why if not by the usual overlay."""
    if identity.outer_first is not None:
        return Layering.COPY, "workspace: a copy of the tree, since the caller is root and root is not inside"
    if inputs.foreign is not None:
        return (
            Layering.COPY,
            f"workspace: a copy of the tree, since {inputs.foreign} belongs to somebody else",
        )
    if inputs.host.has_mounts_below(inputs.source.tree):
        return Layering.COPY, "workspace: a copy of the tree, since something is mounted below it"
    if inputs.scratch_type not in NO_UPPER:
        return Layering.OVERLAY, ""
    where = (
        f"the scratch directory's file system ({inputs.scratch_type}) can't carry an overlay's upper layer"
    )
    if inputs.host.kernel >= TMPFS_UPPER:
        return Layering.MEMORY, f"workspace: in memory, since {where}; --scratch DIR names another one"
    return Layering.COPY, f"workspace: a copy of the tree, since {where}; --scratch DIR names another one"


def in_memory(inputs: Inputs) -> int | None:
    """The bytes that the private layer may take in memory; None: it belongs on disk.

    A build surely fits where its workspace, as far as is known, takes a good deal less than a quarter of all
    memory, and half of that is free. One that is to be gone on with, or that the user has named a place for,
    is on disk.

    :raises HostError: memory was asked for and can't be had.
    """
    settings, memory = inputs.settings, inputs.host.memory
    if settings.workspace_memory == 0:
        return None
    if settings.workspace_memory is not None:
        if inputs.host.kernel < TMPFS_UPPER:
            release = ".".join(map(str, TMPFS_UPPER))
            raise HostError(
                f"a workspace in memory needs Linux {release}, for overlays on a tmpfs",
                hint="--workspace-memory never",
            )
        return settings.workspace_memory
    limit = memory.total // 4
    lasts = inputs.command or _saved(inputs) is Saved.ALWAYS or settings.scratch is not None
    if lasts or inputs.host.kernel < TMPFS_UPPER or memory.available < memory.total // 2:
        return None
    expected = inputs.past.space if inputs.past else 0
    expected = expected or inputs.tree_size * UNKNOWN_FACTOR + UNKNOWN_REST
    return limit if expected * 3 // 2 < limit else None


def _own_changelog(inputs: Inputs) -> str | None:
    """What stands before the tree's changelog in a build of its own version: nothing.

    The workspace in which -nc goes on may have the changelog of a rebuild, so the tree's comes back.
    """
    return "" if inputs.options.no_clean and not inputs.command else None


def _build_path(settings: Settings) -> Guest:
    """Where the tree's parent is inside.

    :raises ConfigurationError: the sandbox has something of its own there.
    """
    parent = settings.build_path or PARENT
    if is_free(parent):
        return parent
    taken = ", ".join(f"/{name}" for name in sorted(SYSTEM))
    raise ConfigurationError(
        f"the tree can't be built in {parent}: the sandbox has something of its own there",
        hint=f"name a directory such as /build/NAME, not / nor one at or below /lib… or {taken}",
    )


def _saved(inputs: Inputs) -> Saved:
    """A build with -nc goes on in a kept workspace, which stays kept."""
    if inputs.options.no_clean or not inputs.options.makes_changes:
        return Saved.ALWAYS
    if inputs.settings.shell_on_failure and inputs.settings.keep is Keep.NEVER:
        return Saved.FAILURE
    return Saved(inputs.settings.keep.value)


def _in_place(inputs: Inputs, identity: Identity) -> tuple[Workspace, tuple[Notice, ...]]:
    tree = inputs.source.tree
    if inputs.settings.build_path is not None:
        raise ConfigurationError(
            "--in-place builds the tree where it is, and --build-path elsewhere",
            hint="leave out one of them",
        )
    if identity.outer_first is not None:
        raise HostError(
            "--in-place as root needs root inside to be root outside, who alone may write this tree",
            hint="leave out --in-place, run bwbuild as the tree's owner, or accept it: --identity single",
        )
    if str(tree.parent) in SHARED or inputs.home.is_relative_to(tree.parent):
        raise ConfigurationError(
            f"--in-place would give the build all of {tree.parent}",
            hint="move the tree into a directory of its own, or leave out --in-place",
        )
    if inputs.opening is not None:
        path, kind = inputs.opening
        whom = "what it may hide" if kind == CLOSED else "whoever is at its other end"
        raise ConfigurationError(
            f"--in-place would give the build {path}, {kind}, and {whom}",
            hint=f"{remedy(kind)}, or leave out --in-place",
        )
    warning = (
        f"in-place: the build can change all of {tree.parent}, with hooks in .git and other packages' trees"
    )
    return Workspace(tree, Layering.NONE, Guest(tree)), (Notice(Level.WARNING, warning),)
