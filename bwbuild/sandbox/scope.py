"""The control group of a build, where the systemd of the caller's session gives one: pure.

What is sampled otherwise, the kernel counts there: no burst is missed, and memory that no process has counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from bwbuild.host.manager import Manager

#: From this version on systemd ends a scope in which the kernel has killed a process, unless told not to.
ENDS_ALL = 253
#: From this version on systemd-run looks for variables in the command, and warns of all that looks like one.
EXPANDS = 254
#: Processes around the sandbox that are in its group too.
AROUND = 32


@dataclass(frozen=True, slots=True)
class Scope:
    """What starts a command in a control group of its own.

    :ivar words: come before the command, which takes the place of the process that they start.
    :ivar address: variables that they need, as pairs; the command does not get them.
    """

    words: tuple[str, ...] = ()
    address: tuple[tuple[str, str], ...] = ()


NO_SCOPE = Scope()


def scope(manager: Manager | None, memory: int | None, processes: int | None) -> Scope:
    """The scope for a build that may take ``memory`` bytes and so many ``processes``.

    None is made where nobody can make one, or nothing is to be limited. The kernel ends what takes an eighth
    more: what is sampled is less than what it counts, and tells more of who takes it.
    """
    if manager is None or (memory is None and processes is None):
        return NO_SCOPE
    properties = []
    if memory is not None:
        properties += [f"MemoryMax={memory + memory // 8}", "MemorySwapMax=0"]
        if manager.version >= ENDS_ALL:
            properties.append("OOMPolicy=continue")
    if processes is not None:
        properties.append(f"TasksMax={processes + AROUND}")
    words = ["systemd-run", "--user", "--scope", "--quiet", "--collect"]
    if manager.version >= EXPANDS:
        words.append("--expand-environment=no")
    words += [f"--property={text}" for text in properties]
    hidden = [word for name, _ in manager.address for word in ("-u", name)]
    return Scope((*words, "--", "env", *hidden), manager.address)
