"""What is known of a sandbox, as one value that can be judged: :class:`Facts`.

Every field is ordered: a larger number, a larger set or a longer tuple is the weaker sandbox, and the default
of each is the worst case. So what is not known counts as the worst, and two sights of the same sandbox are
put together by :func:`worse`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from bwbuild.sandbox.syscalls import HELD_BACK, Group

#: Namespaces besides that for mounts, without which there is no sandbox.
NAMESPACES = frozenset({"net", "pid", "ipc", "uts", "cgroup"})
#: What a build can take too much of.
RESOURCES = frozenset(
    {"time", "silence", "memory", "processes", "open files", "disk", "free disk", "/tmp", "/dev/shm", "log"}
)
#: Stands for all capabilities, among them those that are not known yet.
ALL_CAPABILITIES = frozenset({"all"})


class Access(IntEnum):
    """What of a directory of the machine can be reached inside."""

    NONE = 0
    #: something below it
    PART = 1
    READ = 2
    WRITE = 3


class Users(IntEnum):
    """Whose the processes inside are outside."""

    #: the caller and his subordinate ids, or an ordinary user's alone
    OTHERS = 0
    #: the caller's, and root is the only user inside
    ALONE = 1
    #: root of the machine
    MACHINE = 2


class System(IntEnum):
    """What of the machine's system is visible."""

    NONE = 0
    #: what belongs to the packages that the source declares
    DECLARED = 1
    #: all packages, without what is secret or local
    PACKAGES = 2
    ALL = 3


class Environment(IntEnum):
    """What of the caller's environment gets in."""

    CHOSEN = 0
    #: all but some variables
    MOST = 1
    ALL = 2


class Streams(IntEnum):
    """What the three standard streams are inside."""

    #: nothing to read, and pipes
    PIPES = 0
    #: a terminal of its own
    OWN_TERMINAL = 1
    #: the caller's, perhaps his terminal
    CALLERS = 2


class Descriptors(IntEnum):
    """Whether open files of the caller beyond the three streams get in."""

    NONE = 0
    #: they would, and he has none open
    WOULD = 1
    DO = 2


class End(IntEnum):
    """When the sandbox ends."""

    #: with its starter, and it is waited for until its last process is gone
    AWAITED = 0
    #: with its starter
    WITH_PARENT = 1
    NEVER = 2


class Exit(IntEnum):
    """How results come out."""

    #: copies of what the build listed are verified
    COPIED = 0
    #: so they are, but beside files that the build could write
    IN_PLACE = 1
    #: as the build left them
    RAW = 2


class Signer(IntEnum):
    """What a signing program is given."""

    NOTHING = 0
    #: debsign, with verified copies
    COPIES = 1
    RAW = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides how exposed the machine is."""

    #: words of a command line that mean nothing known
    unknown: tuple[str, ...] = ("all",)
    #: namespaces that are the machine's
    shared: frozenset[str] = NAMESPACES
    users: Users = Users.MACHINE
    #: other machines can be reached, whosever the network namespace is
    network: bool = True
    #: user namespaces can be made inside
    nesting: bool = True
    #: capabilities of the build, and of the root that works for it
    capabilities: frozenset[str] = ALL_CAPABILITIES
    root_side: frozenset[str] = ALL_CAPABILITIES
    #: setuid programs give their owner's rights
    gaining: bool = True
    #: groups of system calls that are not held back
    unfiltered: frozenset[Group] = frozenset(HELD_BACK)
    #: programs of other ABIs run, past the filter or with less of it
    foreign: bool = True
    #: the session keyring is the caller's
    keyring: bool = True
    #: the terminal is the caller's to type on: no session of its own
    same_session: bool = True
    streams: Streams = Streams.CALLERS
    descriptors: Descriptors = Descriptors.DO
    environment: Environment = Environment.ALL
    end: End = End.NEVER
    #: directories of the machine
    home: Access = Access.WRITE
    keys: Access = Access.WRITE
    tmp: Access = Access.WRITE
    parent: Access = Access.WRITE
    tree: Access = Access.WRITE
    #: places of the machine where sockets and FIFOs lie, or such themselves
    sockets: tuple[str, ...] = ("/",)
    devices: Access = Access.WRITE
    sys: Access = Access.WRITE
    #: /proc shows processes of the machine
    proc: bool = True
    system: System = System.ALL
    etc: System = System.ALL
    #: directories of the system that can be written
    writable: tuple[str, ...] = ("/",)
    #: mount points below what a build can write, which a link may lead elsewhere
    mount_points: tuple[str, ...] = ("/",)
    exit: Exit = Exit.RAW
    signer: Signer = Signer.RAW
    #: what has no limit
    unlimited: frozenset[str] = RESOURCES
    #: memory is looked at now and then, no control group keeps it
    sampled: bool = True


#: Nothing is known.
WORST = Facts()


def worse(one: object, other: object) -> object:
    """The weaker of two values of the same field, or both where they are sets."""
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return one | other
    if isinstance(one, tuple) and isinstance(other, tuple):
        return (*one, *(item for item in other if item not in one))
    assert isinstance(one, int)  # noqa: S101 - for the type checker; so is every other field
    assert isinstance(other, int)  # noqa: S101
    return max(one, other)


def weakened(facts: Facts, **seen: object) -> Facts:
    """``facts`` with the weaker of its own and of ``seen`` in each field."""
    found: dict[str, Any] = {name: worse(getattr(facts, name), value) for name, value in seen.items()}
    return replace(facts, **found)
