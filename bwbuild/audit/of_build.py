"""The facts of a build's sandbox: the very words that bwrap gets, and what the launcher does besides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bwbuild.audit.facts import RESOURCES, Descriptors, End, Exit, Facts, Signer, Streams, System, Users
from bwbuild.audit.of_line import Around, facts_of_line
from bwbuild.audit.words import Line, Mounted, mounts, read
from bwbuild.host.sysfs import SYS
from bwbuild.sandbox import bwrap
from bwbuild.sandbox.permits import PLACE
from bwbuild.sandbox.policy import OWN_SYS
from bwbuild.sandbox.spec import IdentityKind, Layering, Place, Sandbox, Scratch
from bwbuild.sandbox.syscalls import HELD_BACK

#: Stands for the scratch directory, which no directory of the machine is in or holds.
_SCRATCH = "/scratch directory of the build"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a build has that its sandbox does not say.

    :ivar home: the caller's; ``root``: the caller is root.
    :ivar system: what of the machine the view shows.
    :ivar signs: results may be signed.
    :ivar limits: which of the resources have a limit; ``sampled``: no control group keeps that of memory.
    """

    home: Path
    root: bool
    system: System
    signs: bool
    limits: frozenset[str]
    sampled: bool


def facts_of_build(sandbox: Sandbox, setting: Setting) -> Facts:
    """What is known of the sandbox of a build."""
    line = read(tuple(_words(sandbox)))
    workspace, restraints = sandbox.workspace, sandbox.restraints
    # In the namespace that the launcher makes, root starts bwrap.
    home, tree = (PurePosixPath(path) for path in (setting.home, workspace.tree))
    facts = facts_of_line(line, Around(home, tree, root=True, guarded=workspace.inside))
    held = frozenset(group for wanted in restraints.filters for group in wanted.groups)
    in_place = workspace.layering is Layering.NONE
    return replace(
        facts,
        users=_users(sandbox, root=setting.root),
        # The launcher makes the namespace where a helper leads out of it.
        shared=facts.shared - ({"net"} if sandbox.network else set()),
        network=sandbox.network is not None,
        sockets=(*facts.sockets, *_sockets(line)),
        nesting=restraints.nesting,
        capabilities=frozenset() if sandbox.broker else facts.capabilities,
        root_side=facts.capabilities if sandbox.broker else frozenset(),
        unfiltered=frozenset(group for group in HELD_BACK if group not in held),
        foreign=not restraints.filters or any(wanted.foreign for wanted in restraints.filters),
        keyring=restraints.keyctl is None,
        same_session=facts.same_session and not sandbox.interactive,
        streams=Streams.OWN_TERMINAL if sandbox.interactive else Streams.PIPES,
        descriptors=Descriptors.NONE,
        end=End.AWAITED if facts.end is End.WITH_PARENT else facts.end,
        system=setting.system,
        etc=setting.system,
        exit=Exit.IN_PLACE if in_place else Exit.COPIED,
        signer=Signer.COPIES if setting.signs else Signer.NOTHING,
        unlimited=RESOURCES - setting.limits,
        sampled=setting.sampled,
    )


def _sockets(line: Line) -> tuple[str, ...]:
    """Those that were granted."""
    places = (PLACE, PurePosixPath("/tmp/.X11-unix"))
    return tuple(
        str(mount.source) for mount in mounts(line) if mount.source and mount.target.parent in places
    )


def mounts_of_build(sandbox: Sandbox) -> tuple[Mounted, ...]:
    """What is mounted in it, where ``source`` is None of what is the build's own."""
    found = mounts(read(tuple(_words(sandbox))))
    own = PurePosixPath(_SCRATCH)
    return tuple(
        replace(mount, source=None) if mount.source and mount.source.is_relative_to(own) else mount
        for mount in found
    )


def _words(sandbox: Sandbox) -> Iterator[str]:
    lowers: dict[Place, Place] = {overlay.mounted: overlay.lower for overlay in sandbox.overlays}
    # A /sys of its own shows the machine's make all the same.
    lowers[OWN_SYS] = Path(SYS)
    for word in bwrap.argv(sandbox):
        # What of the machine an overlay shows is what lies lowest in it.
        place = lowers.get(word, word) if isinstance(word, Scratch) else word
        yield f"{_SCRATCH}/{place.name}" if isinstance(place, Scratch) else str(place)


def _users(sandbox: Sandbox, *, root: bool) -> Users:
    if sandbox.identity.kind is IdentityKind.RANGE:
        return Users.OTHERS
    return Users.MACHINE if root else Users.ALONE
