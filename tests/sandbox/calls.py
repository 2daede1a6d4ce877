"""System calls to try in the sandbox: their numbers, and arguments that do no harm where they work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import seccomp
from support import Desk

from bwbuild.sandbox.syscalls import TABLE, YOUNG

PROBER = (Path(__file__).parent / "prober.py").read_text(encoding="utf-8")
NEWUSER = 0x10000000
SIGCHLD = 17
#: Bad pointers and bad descriptors: where a call is let through, the kernel says EFAULT, EBADF or EINVAL.
BAD = -1
ANYTHING = (BAD, BAD, BAD, BAD, BAD, BAD)
#: Arguments for rules that look at them: the rule holds for these.
HELD = {
    "clone": (NEWUSER | SIGCHLD, 0, 0, 0, 0),
    "unshare": (NEWUSER,),
    "ioctl": (0, 0x5412, 0),
    "socket": (40, 1, 0),
    "socketpair": (40, 1, 0, 0),
    "personality": (0x0400000,),
}
Call = tuple[str, int, tuple[int, ...]]


def number(name: str, architecture: str = "NATIVE") -> int:
    """The number of a call; below 0 where the architecture lacks it."""
    arch = seccomp.Arch(getattr(seccomp.Arch, architecture))
    found: int = seccomp.resolve_syscall(arch, name)
    return YOUNG.get(name, found) if found == -1 else found


def held_back() -> dict[str, tuple[Call, int]]:
    """Every call of the policy's table that this machine has, by name, and the error that it must give."""
    names = {name: rule.errno for rule in TABLE for name in rule.calls if rule.errno}
    return {
        name: ((name, number(name), HELD.get(name, ANYTHING)), error)
        for name, error in names.items()
        if number(name) >= 0
    }


def tried(desk: Desk, calls: list[Any], *options: str, as_root: bool = False) -> dict[str, str]:
    """What ``calls`` answer inside: label -> "" for success, else the error or signal."""
    words = ["/run/bwbuild/as-root"] if as_root else []
    done = desk.ok("run", *options, "--", *words, "python3", "-c", PROBER, json.dumps(calls))
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found
