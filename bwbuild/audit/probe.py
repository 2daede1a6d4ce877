"""What a look around inside a sandbox says, compared with a look outside: pure.

The look itself is the Perl program beside this module, since Perl is what every sandbox of a build shows.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from bwbuild.audit.facts import (
    ALL_CAPABILITIES,
    NAMESPACES,
    Access,
    Descriptors,
    Environment,
    Facts,
    weakened,
)
from bwbuild.audit.words import Mounted
from bwbuild.sandbox.syscalls import KEYCTL, Group

#: Numbers of the system calls that are tried, by Debian's names of architectures. Newer architectures share
#: theirs; where none are known, calls are not tried.
_CALLS = ("mount", "setns", "unshare", "ioctl", "personality", "io_uring_setup")
_NEWER = (40, 268, 97, 29, 92, 425)
_NUMBERS = {
    "amd64": (165, 308, 272, 16, 135, 425),
    **dict.fromkeys(("arm64", "riscv64", "loong64"), _NEWER),
}
_REFUSED = frozenset({errno.EPERM, errno.ENOSYS})
_NO_FAMILY = _REFUSED | {errno.EAFNOSUPPORT}
#: Which call shows which group, and with what errors a filter answers it.
_SHOWN: Mapping[str, tuple[Group, frozenset[int]]] = {
    "mount": (Group.MOUNTS, _REFUSED),
    "setns": (Group.NAMESPACES, _REFUSED),
    "io_uring": (Group.SURFACE, _REFUSED),
    "ioctl": (Group.TERMINAL, _REFUSED),
    "keyctl": (Group.KEYRING, _REFUSED),
    "personality": (Group.PERSONALITY, _REFUSED),
    "socket40": (Group.SOCKETS, _NO_FAMILY),
    "socket38": (Group.SOCKETS, _NO_FAMILY),
}
PERL = "/usr/bin/perl"
#: Variables that shells and the launcher of every command add.
_USUAL = frozenset({"PWD", "OLDPWD", "SHLVL", "_"})


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look saw.

    :ivar namespaces: name -> the kernel's name for it; ``status``: fields of /proc/self/status.
    :ivar keyring: the number of the session keyring; 0: there is none; None: nobody looked.
    :ivar places: directory -> device and inode, and whether it can be written.
    :ivar variables, descriptors: names and numbers of what got in; ``calls``: name -> errno, 0 for success.
    :ivar writable: directories of the system that can be written -> device and inode.
    :ivar sockets: sockets and FIFOs; ``unseen``: directories that there was no time for.
    """

    namespaces: Mapping[str, str]
    status: Mapping[str, str]
    keyring: int | None
    places: Mapping[str, tuple[str, bool]]
    variables: frozenset[str]
    descriptors: tuple[int, ...]
    calls: Mapping[str, int]
    writable: Mapping[str, str]
    sockets: tuple[str, ...]
    unseen: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What may be seen inside.

    :ivar marker: a variable of the caller's that nobody chose.
    :ivar variables: names of the environment that were chosen; None: they are not known.
    :ivar extra: a descriptor that is open for the look alone, to see whether it gets in.
    :ivar mounts: what is mounted, where ``source`` is None of what is the sandbox's own.
    :ivar serving: programs of the sandbox's own run there already, which may have sockets.
    """

    marker: str
    variables: frozenset[str] | None = None
    mounts: tuple[Mounted, ...] = ()
    extra: int | None = None
    serving: bool = True


def command(side: str, architecture: str, places: Iterable[str | Path]) -> tuple[str, ...]:
    """The command that looks; ``side`` is ``inside`` or ``outside``."""
    numbers = dict(zip(_CALLS, _NUMBERS.get(architecture, ()), strict=False))
    if architecture in KEYCTL:
        numbers["keyctl"] = KEYCTL[architecture]
    text = Path(__file__).with_name("look").read_text(encoding="ascii")
    calls = (f"{name}={number}" for name, number in numbers.items())
    return (PERL, "-e", text, side, *calls, "--", *map(str, places))


def on_input(words: Sequence[str]) -> tuple[tuple[str, ...], bytes]:
    """The same command with its program on standard input: perl -e fails where there is no /dev/null."""
    perl, _, text, *rest = words
    return (perl, "-", *rest), text.encode("ascii")


def read(output: str, side: str) -> Sight | None:
    """What the look printed; None if it did not come to its end."""
    rows = [
        [unquote(word, errors="surrogateescape") for word in line.split("\t")] for line in output.splitlines()
    ]
    if ["end", side] not in rows:
        return None

    def of(kind: str) -> list[list[str]]:
        return [row[1:] for row in rows if row[0] == kind]

    return Sight(
        namespaces=dict(of("namespace")),
        status=dict(of("status")),
        keyring=next((int(row[0]) for row in of("keyring")), None),
        places={name: (number, writable == "1") for name, number, writable in of("place")},
        variables=frozenset(row[0] for row in of("variable")),
        descriptors=tuple(int(row[0]) for row in of("descriptor")),
        calls={name: int(number) for name, number in of("call")},
        writable=dict(of("writable")),
        sockets=tuple(row[0] for row in of("socket")),
        unseen=sum(int(row[0]) for row in of("unseen")),
    )


def seen(inside: Sight, outside: Sight, expected: Expected) -> dict[str, Any]:
    """Fields of the facts as they were seen; what nobody could look at is not among them."""
    found: dict[str, Any] = {
        "descriptors": _descriptors(inside, expected),
        "environment": _environment(inside, expected),
        "sockets": tuple(path for path in inside.sockets if not _is_own(path, expected)),
        "writable": tuple(
            name for name, number in inside.writable.items() if _place(outside, name) == number
        ),
    }
    if inside.unseen and not found["sockets"]:
        del found["sockets"]
    if inside.namespaces:
        shared = [name for name, link in inside.namespaces.items() if outside.namespaces.get(name) == link]
        found["shared"] = NAMESPACES & frozenset(shared)
    if inside.status:
        capabilities = int(inside.status.get("CapEff", "0"), 16) | int(inside.status.get("CapPrm", "0"), 16)
        found["capabilities"] = ALL_CAPABILITIES if capabilities else frozenset()
        found["gaining"] = inside.status.get("NoNewPrivs") != "1"
    if "unshare" in inside.calls:
        found["nesting"] = inside.calls["unshare"] == 0
    if inside.keyring is not None and outside.keyring:
        found["keyring"] = inside.keyring == outside.keyring
    return found


def confirmed(facts: Facts, looked: Mapping[str, object], inside: Sight, *, filtered: bool) -> Facts:
    """``facts`` with what was seen, where that is worse.

    :param filtered: there is a filter of which nothing is known, so what was seen of it counts instead.
    """
    held = held_back(inside)
    if filtered and inside.status.get("Seccomp") == "2":
        # What a filter does about these can't be told: without capabilities such calls fail anyway.
        known = held | {Group.HOST, Group.CHROOT} if held else held
        facts = replace(facts, unfiltered=facts.unfiltered - known)
    return weakened(facts, **_known(facts, looked), unfiltered=_groups(inside) - held)


def alone(facts: Facts, looked: Mapping[str, object], inside: Sight) -> Facts:
    """``facts`` with what was seen in place of what is known of it otherwise."""
    tried = _groups(inside)
    unfiltered = (facts.unfiltered - tried) | (tried - held_back(inside))
    return replace(replace(facts, **_known(facts, looked)), unfiltered=unfiltered)


def names_of(inside: Sight, looked: Iterable[str]) -> frozenset[str]:
    """What was looked at, as assessments name it."""
    return frozenset(looked) | {f"calls: {group.value}" for group in _groups(inside)}


def _known(facts: Facts, looked: Mapping[str, object]) -> dict[str, Any]:
    """What was seen, where something more exact is known of the same."""
    found = dict(looked)
    if facts.capabilities and found.get("capabilities"):
        found["capabilities"] = facts.capabilities
    if found.get("environment"):  # one variable that nobody chose shows that some get in, not how many
        found["environment"] = max(facts.environment, Environment.MOST)
    return found


def _groups(inside: Sight) -> frozenset[Group]:
    return frozenset(_SHOWN[name][0] for name in inside.calls if name in _SHOWN)


def held_back(inside: Sight) -> frozenset[Group]:
    """The groups of which every call that was tried is held back."""
    tried = [(*_SHOWN[name], got) for name, got in inside.calls.items() if name in _SHOWN]
    through = {group for group, errors, got in tried if got not in errors}
    return frozenset(group for group, _, _ in tried if group not in through)


def whereabouts(name: str, mounts: Iterable[Mounted]) -> tuple[str, ...]:
    """Where a directory of the machine can be inside, whatever is mounted by whichever of its names."""
    place = PurePosixPath(name)
    below = [place.relative_to(top) for top in (place, *place.parents)]
    targets = [mount.target for mount in mounts if mount.source is not None]
    return tuple(dict.fromkeys((name, *(str(target / rest) for target in targets for rest in below))))


def accesses(
    inside: Sight, outside: Sight, places: Mapping[str, Sequence[str]], mounts: Sequence[Mounted] = ()
) -> dict[str, Access]:
    """For each field of ``places`` the widest access to one of its directories of the machine.

    In an overlay directories have other numbers, so that nothing was seen says nothing there.
    """
    layered = any(mount.layer and mount.source is not None for mount in mounts)
    found = {}
    for field, names in places.items():
        seen = max((_access(inside, outside, name, mounts) for name in names), default=Access.NONE)
        if seen is not Access.NONE or not layered:
            found[field] = seen
    return found


def _access(inside: Sight, outside: Sight, name: str, mounts: Sequence[Mounted]) -> Access:
    number = _place(outside, name)
    there = [place for place in whereabouts(name, mounts) if number and _place(inside, place) == number]
    return max(
        (Access.WRITE if inside.places[place][1] else Access.READ for place in there), default=Access.NONE
    )


def _place(sight: Sight, name: str) -> str | None:
    return sight.places[name][0] if name in sight.places else None


def _descriptors(inside: Sight, expected: Expected) -> Descriptors:
    if not inside.descriptors:
        return Descriptors.NONE
    return Descriptors.WOULD if set(inside.descriptors) == {expected.extra} else Descriptors.DO


def _environment(inside: Sight, expected: Expected) -> Environment:
    chosen = inside.variables if expected.variables is None else expected.variables
    surplus = inside.variables - chosen - _USUAL
    return Environment.MOST if surplus or expected.marker in inside.variables else Environment.CHOSEN


def _is_own(path: str, expected: Expected) -> bool:
    if not expected.serving:
        return False
    over = [mount for mount in expected.mounts if PurePosixPath(path).is_relative_to(mount.target)]
    return not over or over[-1].source is None
