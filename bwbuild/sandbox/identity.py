"""Which users exist inside: the choice between a range of ids and root alone."""

from __future__ import annotations

from collections.abc import Sequence

from bwbuild.errors import HostError
from bwbuild.host.facts import Host, free_ids
from bwbuild.sandbox.spec import Identity, IdentityKind

#: The build user's name inside, and his number where the caller's own can't be his: the caller is root.
BUILD_USER = "bwbuild"
BUILD_UID = 1000

FULL = 65536
#: systemd's block for containers, above all ordinary users; a caller who is root takes his ids from here.
#: First come those that useradd gives to nobody (SUB_UID_MAX of login.defs is 600100000): a user who is made
#: while a build runs does not get the ids of its processes.
CONTAINER_IDS = (range(9157 * FULL, 1879048192), range(524288, 9157 * FULL))
#: Debian's system accounts and some room for the packages'; nobody (65534) is missing then.
REDUCED = 4096


def choose(host: Host, wanted: IdentityKind | None) -> Identity:
    """The identity for ``wanted``; None takes a range where there is one.

    :raises HostError: a range is wanted and can't be had.
    """
    if wanted is IdentityKind.SINGLE:
        return _single()
    if host.caller.is_root:
        block = free_block(host.mapped_ids, host.taken_ids)
        if block is not None:
            return Identity(IdentityKind.RANGE, BUILD_UID, BUILD_UID, block.start, len(block))
        # Root inside would be root outside: never without the caller's own word.
        raise HostError(
            "no block of unused ids can be mapped here, so root of the sandbox would be root of this machine",
            hint="run bwbuild as an ordinary user, or accept it: bwbuild --identity single",
        )
    if host.caller.subuids and host.caller.subgids:
        return Identity(IdentityKind.RANGE, host.caller.uid, host.caller.gid)
    if wanted is IdentityKind.RANGE:
        name = host.caller.name or str(host.caller.uid)
        raise HostError(
            f"{name} has no subordinate ids in /etc/subuid and /etc/subgid",
            hint=f"echo {name}:{free_ids(host.taken_ids)}:{FULL} | sudo tee -a /etc/subuid /etc/subgid",
        )
    return _single()


def free_block(mapped: Sequence[range], taken: Sequence[range]) -> range | None:
    """A block of ids that exist in this user namespace and that nothing uses.

    It is a full one of the containers' ids where these exist, else the highest free one of ``REDUCED`` ids.
    """
    highest = max((ids.stop for ids in mapped), default=0)
    for containers in CONTAINER_IDS:
        for start in range(containers.start, min(containers.stop, highest), FULL):
            block = range(start, start + FULL)
            if any(block.start in ids and block[-1] in ids for ids in mapped) and not _overlaps(block, taken):
                return block
    for ids in sorted(mapped, key=lambda ids: ids.stop, reverse=True):
        for start in range(ids.stop - REDUCED, max(ids.start, REDUCED) - 1, -REDUCED):
            block = range(start, start + REDUCED)
            if not _overlaps(block, taken):
                return block
    return None


def _overlaps(block: range, taken: Sequence[range]) -> bool:
    return any(ids.start < block.stop and block.start < ids.stop for ids in taken)


def _single() -> Identity:
    return Identity(IdentityKind.SINGLE, 0, 0)
