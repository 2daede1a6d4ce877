"""What holds back the system calls of a build, by the settings, and what is said of a weaker choice."""

from __future__ import annotations

from collections.abc import Iterator

from bwbuild.config.settings import Settings, Workspace
from bwbuild.events import Level, Notice
from bwbuild.permissions.words import USERNS
from bwbuild.sandbox import syscalls
from bwbuild.sandbox.spec import Filter, Restraints
from bwbuild.sandbox.syscalls import Group

#: Debian's names of architectures whose C library hides a socket's family from filters.
_SOCKETCALL = ("i386", "s390x")


def restraints(settings: Settings, architecture: str) -> Restraints:
    """The restraints of a build on a machine of Debian's ``architecture``."""
    nesting = USERNS in settings.allow
    policy = _policy(architecture, settings.foreign_abi)
    filters = [policy] if settings.seccomp else []
    # In place the build writes what is to last.
    if settings.seccomp and settings.suppress_sync and settings.workspace is Workspace.PRIVATE:
        filters.append(Filter("sync", (Group.SYNC,), settings.foreign_abi))
    found = Restraints(tuple(filters), nesting, syscalls.KEYCTL.get(architecture))
    return found.lifting(*syscalls.NESTING) if nesting else found


def for_checks(settings: Settings, architecture: str) -> Restraints:
    """The restraints of a check, which may be root of a root of its own, as dpkg and autopkgtest want it."""
    return restraints(settings, architecture).lifting(Group.CHROOT)


def for_unpacking(settings: Settings, architecture: str, *, foreign: bool = False) -> Restraints:
    """The restraints of dpkg-source, which needs nothing that a build may be allowed.

    :param foreign: programs of other ABIs run.
    """
    filters = (_policy(architecture, foreign),) if settings.seccomp else ()
    # A machine where the limit for namespaces can't be set may be why it is allowed.
    return Restraints(filters, USERNS in settings.allow, syscalls.KEYCTL.get(architecture))


def for_installing(settings: Settings, architecture: str, *, foreign: bool) -> Restraints:
    """The restraints of apt, dpkg and maintainer scripts.

    :param foreign: packages of other architectures are among what is installed.
    """
    held = for_unpacking(settings, architecture, foreign=foreign or settings.foreign_abi)
    return held.lifting(Group.CHROOT)


def _policy(architecture: str, foreign: bool) -> Filter:
    return Filter("policy", _filterable(syscalls.HELD_BACK, architecture), foreign)


def _filterable(groups: tuple[Group, ...], architecture: str) -> tuple[Group, ...]:
    """Those of ``groups`` that a filter on a machine of ``architecture`` can tell apart."""
    return tuple(group for group in groups if group is not Group.SOCKETS or architecture not in _SOCKETCALL)


def weakenings(settings: Settings, architecture: str) -> Iterator[Notice]:
    """What the settings or the machine take from the usual restraints."""
    said = []
    if not settings.seccomp:
        said.append("system calls are not filtered (--no-seccomp): all of the kernel can be attacked")
    if USERNS in settings.allow:
        said.append("the build may make user namespaces (--allow userns): more of the kernel can be attacked")
    if settings.seccomp and settings.foreign_abi:
        said.append("programs of other ABIs run (--foreign-abi), and not all of their sockets are filtered")
    if settings.seccomp and architecture in _SOCKETCALL:
        said.append(f"the families of sockets can't be filtered on {architecture}")
    if architecture not in syscalls.KEYCTL:
        said.append(f"the build has the caller's session keyring: keyctl of {architecture} is not known")
    yield from (Notice(Level.WARNING, text) for text in said)
