"""Lowering of a :class:`~bwbuild.sandbox.spec.Filter` to the program that the kernel runs at each call.

It is libseccomp that writes it, by its own Python module, which is in Debian's package python3-seccomp alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import product
from types import ModuleType
from typing import Any

from bwbuild.errors import HostError
from bwbuild.sandbox import syscalls
from bwbuild.sandbox.spec import Filter
from bwbuild.sandbox.syscalls import Group, Masked, Rule

PACKAGE = "python3-seccomp"
#: Bytes of one instruction.
INSTRUCTION = 8


def library() -> ModuleType:
    """libseccomp's Python module.

    :raises HostError: it is not installed.
    """
    try:
        import seccomp  # noqa: PLC0415 - a sandbox without a filter needs none
    except ImportError as error:
        raise HostError(
            f"system calls can't be filtered: libseccomp's Python module is missing ({PACKAGE})",
            hint=f"sudo apt install {PACKAGE}  # or do without: bwbuild --no-seccomp",
            details=[
                f"{error}; PyPI does not have it, so a virtual environment needs --system-site-packages"
            ],
        ) from error
    module: ModuleType = seccomp
    return module


@cache
def program(wanted: Filter) -> bytes:
    """The instructions for ``wanted``: the same bytes for the same libseccomp and kind of machine.

    :raises HostError: libseccomp's Python module is not installed.
    """
    seccomp = library()
    made = seccomp.SyscallFilter(seccomp.ALLOW)
    made.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)  # a binary tree in place of a list
    native = _architectures(seccomp)[seccomp.system_arch()]
    # A program of an ABI that the filter does not know could not even end: exit would be an error to it too.
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    _fill(seccomp, made, native, wanted.groups)
    for name in syscalls.FOREIGN.get(native, ()) if wanted.foreign else ():
        made.merge(_foreign(seccomp, name, wanted.groups))
    with open(os.memfd_create("filter"), "w+b") as file:  # noqa: PTH123 - a descriptor
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _architectures(seccomp: ModuleType) -> dict[int, str]:
    """The kernel's numbers of architectures and libseccomp's names."""
    names = (name for name in dir(seccomp.Arch) if name.isupper() and name != "NATIVE")
    return {getattr(seccomp.Arch, name) & syscalls.INT: name.lower() for name in names}


def _arch(seccomp: ModuleType, name: str) -> Any:
    # The module does not take every name that it has, but its own machine's always.
    native = _architectures(seccomp)[seccomp.system_arch()] == name
    return seccomp.Arch(seccomp.Arch.NATIVE if native else getattr(seccomp.Arch, name.upper()))


def _foreign(seccomp: ModuleType, architecture: str, groups: tuple[Group, ...]) -> Any:
    made = seccomp.SyscallFilter(seccomp.ALLOW)
    made.remove_arch(seccomp.Arch(seccomp.Arch.NATIVE))
    made.add_arch(_arch(seccomp, architecture))
    _fill(seccomp, made, architecture, groups)
    return made


def _fill(seccomp: ModuleType, made: Any, architecture: str, groups: tuple[Group, ...]) -> None:
    """Add the rules of ``groups`` to ``made``, a filter for ``architecture`` alone."""
    native = _architectures(seccomp)[seccomp.system_arch()] == architecture
    for rule in syscalls.TABLE:
        if rule.group not in groups or not applies(rule, architecture):
            continue
        for name in rule.calls:
            call = _call(seccomp, name, architecture, native=native)
            if call is None:
                continue
            for case in cases(rule, swapped=name == "clone" and architecture in syscalls.CLONE_SWAPPED):
                words = [seccomp.Arg(c.argument, seccomp.MASKED_EQ, c.mask, c.value) for c in case]
                made.add_rule(seccomp.ERRNO(rule.errno), call, *words)


def _call(seccomp: ModuleType, name: str, architecture: str, *, native: bool) -> str | int | None:
    """What libseccomp takes for the call; None if the architecture lacks it."""
    number = seccomp.resolve_syscall(_arch(seccomp, architecture), name)
    if number >= 0:
        return name
    if number < -1 or name not in syscalls.YOUNG or not native:
        return None  # numbers are the native ones, whatever the filter is for
    return syscalls.YOUNG[name] + (syscalls.MIPS64 if architecture.startswith("mips") else 0)


def applies(rule: Rule, architecture: str) -> bool:
    """Whether ``rule`` can be kept on an architecture of libseccomp's name."""
    return rule.group is not Group.SOCKETS or architecture not in syscalls.SOCKETCALL


def cases(rule: Rule, *, swapped: bool = False) -> Iterator[tuple[Masked, ...]]:
    """The comparisons of ``rule``: it holds where all of one of these tuples do.

    :param swapped: arguments 0 and 1 have changed places.
    """
    for case in product(*(condition.cases() for condition in rule.when)):
        if swapped:
            yield tuple(Masked({0: 1, 1: 0}.get(c.argument, c.argument), c.mask, c.value) for c in case)
        else:
            yield case
