"""What the launchers' scripts do about restraints: filters, the session keyring, limits of the kernel's."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from bwbuild import tether
from bwbuild.sandbox import seccomp
from bwbuild.sandbox.bwrap import FIRST_FILTER
from bwbuild.sandbox.parcel import File
from bwbuild.sandbox.spec import NO_CEILINGS, Ceilings, Filter, Restraints

#: Goes behind bwrap where a launcher starts it: the first process inside keeps the tie.
TIED = f'--sync-fd "${tether.VARIABLE}"'

#: Run as root of the namespace. The limit counts for it and all below, and inside nobody may raise it again.
NO_NESTING = "echo 0 > /proc/sys/user/max_user_namespaces"

#: Else a build would have the keys of the caller's session. Where the kernel has no keys, or a filter around
#: this process keeps them away, JOIN_SESSION_KEYRING (1) fails, but then GET_KEYRING_ID (0) does too.
_KEYRING = (
    "if (syscall({keyctl}, 1, 0) < 0) {{ my $why = $!;"
    ' die "bwbuild: no session keyring of its own: $why\\n" if syscall({keyctl}, 0, -3, 0) >= 0 }}'
    ' exec @ARGV; die "exec: $ARGV[0]: $!\\n"'
)


def lowered(restraints: Restraints, ceilings: Ceilings) -> Iterator[str]:
    """The lines that lower the namespace's own limits."""
    if not restraints.nesting:
        yield NO_NESTING
    for name, number in ceilings.shares:
        place = f"/proc/sys/user/max_{name}"
        # Namespaces may be allowed because nothing can be written there.
        yield f"{f'[ ! -w {place} ] || ' if restraints.nesting else ''}echo {number} > {place}"


def described(filters: Iterable[Filter]) -> Iterator[str]:
    """A comment for each of :func:`files`, which nobody can read."""
    for wanted in filters:
        yield f"# filter.{wanted.name}: {', '.join(group.value for group in wanted.groups)}."


def files(filters: Iterable[Filter]) -> Iterator[File]:
    """The programs of ``filters``, as the kernel takes them.

    :raises HostError: there is nothing here to make them with.
    """
    for wanted in filters:
        yield File(f"filter.{wanted.name}", seccomp.program(wanted))


def opened(filters: Iterable[Filter]) -> str:
    """What opens these files for bwrap at the end of its command line."""
    return "".join(f" {number}< filter.{wanted.name}" for number, wanted in enumerate(filters, FIRST_FILTER))


def start(restraints: Restraints, ceilings: Ceilings = NO_CEILINGS) -> str:
    """The beginning of bwrap's command line: no environment but PATH, an own keyring, ceilings."""
    keyring = (
        ""
        if restraints.keyctl is None
        else f"perl -e {shlex.quote(_KEYRING.format(keyctl=restraints.keyctl))} "
    )
    return f'env -i PATH="$PATH" {"".join(f"{word} " for word in limited(ceilings))}{keyring}bwrap'


def limited(ceilings: Ceilings) -> Iterator[str]:
    """The words that give a program, which comes after them, the limits that processes inherit.

    They are given in the namespace: there the kernel counts its processes alone, not all of the caller's.
    """
    if ceilings == NO_CEILINGS:
        return
    yield from ("prlimit", "--core=0")
    if ceilings.processes is not None:
        yield f"--nproc={ceilings.processes}"
    if ceilings.files is not None:
        yield f"--nofile={ceilings.files[0]}:{ceilings.files[1]}"
    yield "--"
