"""The sandbox as a value. Guest paths are ``PurePosixPath``, paths of the host are ``Path`` or ``Scratch``.

A :class:`Sandbox` holds no time, no random name and no order of a map: the same build gives the same value.
What lies in the scratch directory is named relative to it, since only the runner knows where that is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path, PurePosixPath

from bwbuild.sandbox.syscalls import Group

Guest = PurePosixPath


@dataclass(frozen=True, slots=True)
class Scratch:
    """A path below the scratch directory of the build."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """The value that a variable has where the launcher is started, in place of one that it would show."""

    name: str


Place = Path | Scratch


@dataclass(frozen=True, slots=True)
class Given:
    """A directory of the cache that is to be had as ``ns/NAME``; ``proof`` is in it while it is whole."""

    name: str
    path: Path
    proof: str


@dataclass(frozen=True, slots=True)
class Bind:
    """``source`` of the outside appears at ``target``, with all that is mounted below it."""

    source: Place
    target: Guest
    writable: bool = False
    #: leave it out where the host lacks it
    optional: bool = False
    #: device nodes in it work
    devices: bool = False
    #: the only file that may be there, as ``stat -c %d:%i`` names it; empty: whichever it is
    looked: str = ""

    @property
    def held(self) -> Scratch:
        """Where :mod:`bwbuild.sandbox.pinned` has what was looked at."""
        return Scratch(f"ns/held.{hashlib.sha256(str(self.target).encode()).hexdigest()[:16]}")


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A fresh file system in memory at ``target``; ``size`` in bytes, None: as the kernel has it."""

    target: Guest
    mode: int
    read_only: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """An empty directory."""

    target: Guest
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link with the text ``text``."""

    text: str
    target: Guest


@dataclass(frozen=True, slots=True)
class Kernel:
    """A file system of the kernel's: ``proc`` or ``dev``."""

    kind: str
    target: Guest


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """What is mounted at ``target`` becomes read-only; for ``/`` the last mount of all."""

    target: Guest


Mount = Bind | Tmpfs | Directory | Symlink | Kernel | ReadOnly


@dataclass(frozen=True, slots=True)
class Overlay:
    """An overlay that the namespace mounts before bwrap starts.

    ``hidden`` are relative paths of ``lower`` that do not exist in the result; ``listed`` is a file with more
    of them, each ended by a null byte. ``files`` is a directory that lies over ``lower``, and ``mask`` one
    between both.
    """

    name: str
    lower: Place
    hidden: tuple[str, ...] = ()
    files: Scratch | None = None
    mask: Scratch | None = None
    listed: Scratch | None = None
    #: ``lower`` is copied first, without what the caller can't read
    copied: bool = False
    #: leave it out where the host lacks ``lower``
    optional: bool = False

    @property
    def mounted(self) -> Scratch:
        """Where the result is to be had for a :class:`Bind`."""
        return Scratch(f"ns/{self.name}")


class IdentityKind(Enum):
    """``range``: root and system users are subordinate ids. ``single``: only uid 0 exists."""

    RANGE = "range"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which users exist inside.

    ``uid`` and ``gid`` are the build user's numbers inside. ``outer_first`` is the first id outside of the
    block that the caller, being root, maps himself; None where newuidmap maps a user's subordinate ids.
    """

    kind: IdentityKind
    uid: int
    gid: int
    outer_first: int | None = None
    count: int = 65536


class Layering(Enum):
    """How a private workspace is laid over the tree.

    ``overlay``: the upper layer is in the scratch directory; ``memory``: on a tmpfs of the namespace;
    ``copy``: the tree is copied; ``none``: the real tree is bound.
    """

    OVERLAY = "overlay"
    MEMORY = "memory"
    COPY = "copy"
    NONE = "none"


class Saved(Enum):
    """When a layer in memory is saved into the scratch directory before it is gone."""

    NEVER = "never"
    FAILURE = "failure"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tree that is built, where it comes from and where it is inside."""

    tree: Path
    layering: Layering
    inside: Guest
    #: top-level names of the tree that do not exist inside
    hidden: tuple[str, ...] = ()
    #: files that are copied into the parent directory
    beside: tuple[Path, ...] = ()
    #: concerns a layer in memory alone
    saved: Saved = Saved.NEVER
    #: text before the tree's own debian/changelog, for the helper with-changelog; None: it is not called
    changelog: str | None = None
    #: the overlay's upper layer is on a tmpfs of so many bytes, and is saved to disk; None: it is on disk
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of system calls: what :data:`bwbuild.sandbox.syscalls.TABLE` has about these groups."""

    name: str
    groups: tuple[Group, ...]
    #: programs of the machine's other ABIs run too, as of i386 on amd64
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Restraints:
    """What holds back the system calls of all processes inside."""

    filters: tuple[Filter, ...] = ()
    #: user namespaces can be made inside; else the kernel's limit for them is 0, with a filter and without
    nesting: bool = True
    #: the number of the system call keyctl, by which the sandbox gets a session keyring of its own
    keyctl: int | None = None

    def lifting(self, *groups: Group) -> Restraints:
        """The same without ``groups`` among what is held back."""
        filters = (
            replace(each, groups=tuple(group for group in each.groups if group not in groups))
            for each in self.filters
        )
        return replace(self, filters=tuple(filters))


NO_RESTRAINTS = Restraints()


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the kernel lets all processes inside take; None: as much as outside."""

    #: processes and threads of one user inside
    processes: int | None = None
    #: files that one process may have open at first, and that it may ask for
    files: tuple[int, int] | None = None
    #: bytes of /tmp, of /var/tmp and of /run
    tmp: int | None = None
    #: bytes of /dev/shm
    shm: int | None = None
    #: bytes of what the namespace has in memory, the upper layer of a workspace above all
    layer: int | None = None
    #: what each user inside may have of the kernel's objects that count for the caller too: name and number
    shares: tuple[tuple[str, int], ...] = ()


NO_CEILINGS = Ceilings()


class Network(Enum):
    """What leads out of the network namespace of a sandbox to which the network was granted."""

    PASTA = "pasta"
    SLIRP = "slirp4netns"


@dataclass(frozen=True, slots=True)
class Handed:
    """A directory that its owner alone may enter, root of the namespace not, as one of FUSE.

    The launcher mounts it as him, before bwrap starts, at ``place``, so that it comes
    along where that lies below what is bound.
    """

    source: Path
    place: Scratch


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Everything that decides what a process in the sandbox sees and may do."""

    identity: Identity
    workspace: Workspace
    environment: Mapping[str, str]
    #: those of its variables that the launcher names only, and takes from its own environment
    by_name: frozenset[str] = frozenset()
    #: directories of the cache that overlays are made of
    given: tuple[Given, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    handed: tuple[Handed, ...] = ()
    mounts: tuple[Mount, ...] = ()
    #: namespaces as in bwrap's options: pid, ipc, uts, net, cgroup
    namespaces: tuple[str, ...] = ()
    #: capabilities that the root side keeps
    capabilities: tuple[str, ...] = ()
    #: what holds back the system calls of all processes inside
    restraints: Restraints = NO_RESTRAINTS
    ceilings: Ceilings = NO_CEILINGS
    #: the namespace has a /sys of its own
    own_sys: bool = False
    #: what leads to other machines, which the launcher starts; None: nothing does
    network: Network | None = None
    #: the caller's supplementary groups stay the build's
    groups: bool = False
    hostname: str = "localhost"
    #: the command runs as the build user, beside a broker that runs commands as root of the sandbox
    broker: bool = False
    #: the command runs as the build user, nobody runs anything as root, and ``told`` has what it left
    attended: bool = False
    #: a terminal is passed in and job control works
    interactive: bool = False
    #: the words of strace, which then follows all processes and writes what they do to a file of the scratch
    #: directory
    traced: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
