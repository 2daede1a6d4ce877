"""Lowering of a :class:`~bwbuild.sandbox.spec.Sandbox` to the words of bwrap's command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import singledispatch

from bwbuild.sandbox.spec import (
    Bind,
    Directory,
    Filter,
    Guest,
    IdentityKind,
    Kernel,
    Mount,
    Place,
    ReadOnly,
    Sandbox,
    Scratch,
    Symlink,
    Tmpfs,
    Variable,
)

#: A word of a command line; a place in the scratch directory gets its full name when it is written out.
Word = str | Scratch

#: The descriptor of the sandbox's first filter; that of the options is 3.
FIRST_FILTER = 4
#: The descriptor on which ``init`` tells what an attended command left.
TOLD = 7
#: Where the helpers of bwbuild are inside.
HELPERS = Guest("/run/bwbuild")


def argv(sandbox: Sandbox) -> tuple[Word | Variable, ...]:
    """All words after ``bwrap`` itself, except ``--json-status-fd``."""
    return tuple(_words(sandbox))


def _words(sandbox: Sandbox) -> Iterator[Word | Variable]:
    for namespace in sandbox.namespaces:
        yield f"--unshare-{namespace}"
    yield from ("--hostname", sandbox.hostname, "--die-with-parent")
    if not sandbox.interactive:
        yield "--new-session"  # no ioctl on the caller's terminal; it also ends job control
    yield from ("--cap-drop", "ALL")
    for capability in sandbox.capabilities:
        yield from ("--cap-add", "CAP_" + capability.upper())
    yield from filter_words(sandbox.restraints.filters)
    yield "--clearenv"
    for name, value in sorted(sandbox.environment.items()):
        yield from ("--setenv", name)
        yield Variable(name) if name in sandbox.by_name else value
    for mount in sandbox.mounts:
        yield from mount_words(mount)
    yield from ("--chdir", str(sandbox.workspace.inside), "--")
    yield from inner_command(sandbox)


def inner_command(sandbox: Sandbox) -> tuple[str, ...]:
    """The command that bwrap starts: with a range of ids, ``init`` chooses the user for the real one."""
    if sandbox.identity.kind is IdentityKind.SINGLE:
        return sandbox.command
    if sandbox.attended:
        kind = "attended-with-groups" if sandbox.groups else "attended"
        attended = (kind, str(sandbox.identity.uid), str(sandbox.identity.gid))
        return (str(HELPERS / "init"), *attended, *sandbox.command)
    if sandbox.broker:
        kind = "user-with-groups" if sandbox.groups else "user"
        user = (kind, str(sandbox.identity.uid), str(sandbox.identity.gid))
        return (str(HELPERS / "init"), *user, *sandbox.command)
    return (str(HELPERS / "init"), "root", "0", "0", *sandbox.command)


def filter_words(filters: Sequence[Filter]) -> Iterator[str]:
    """The words for ``filters``, whose programs are read from descriptors from :data:`FIRST_FILTER` on."""
    for number, _ in enumerate(filters, FIRST_FILTER):
        yield from ("--add-seccomp-fd", str(number))


@singledispatch
def mount_words(mount: Mount) -> tuple[Word, ...]:
    """The words for one mount."""
    raise TypeError(mount)


@mount_words.register
def _(mount: Bind) -> tuple[Word, ...]:
    word = "--dev-bind" if mount.devices else "--bind" if mount.writable else "--ro-bind"
    source = mount.held if mount.looked else mount.source
    return (word + ("-try" if mount.optional else ""), _source(source), str(mount.target))


@mount_words.register
def _(mount: Tmpfs) -> tuple[Word, ...]:
    size = () if mount.size is None else ("--size", str(mount.size))
    words: tuple[Word, ...] = ("--perms", f"{mount.mode:04o}", *size, "--tmpfs", str(mount.target))
    return (*words, "--remount-ro", str(mount.target)) if mount.read_only else words


@mount_words.register
def _(mount: Directory) -> tuple[Word, ...]:
    return ("--perms", f"{mount.mode:04o}", "--dir", str(mount.target))


@mount_words.register
def _(mount: Symlink) -> tuple[Word, ...]:
    return ("--symlink", mount.text, str(mount.target))


@mount_words.register
def _(mount: Kernel) -> tuple[Word, ...]:
    return (f"--{mount.kind}", str(mount.target))


@mount_words.register
def _(mount: ReadOnly) -> tuple[Word, ...]:
    return ("--remount-ro", str(mount.target))


def _source(place: Place) -> Word:
    return place if isinstance(place, Scratch) else str(place)
