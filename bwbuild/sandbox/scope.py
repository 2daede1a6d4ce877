"""The control group of a build, where the systemd of the caller's session gives one: pure.

What is sampled otherwise, the kernel counts there: no burst is missed, and memory that no process has counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from bwbuild.host.manager import Manager

#: From this version on a scope can say that nothing of it lives on when the kernel has killed one process.
KILLS_ALL = 253
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

    None is made where nobody can make one, or nothing is to be limited.
    """
    if manager is None or (memory is None and processes is None):
        return NO_SCOPE
    properties = []
    if memory is not None:
        properties += [f"MemoryMax={memory}", "MemorySwapMax=0"]
        if manager.version >= KILLS_ALL:
            properties.append("OOMPolicy=kill")
    if processes is not None:
        properties.append(f"TasksMax={processes + AROUND}")
    words = ["systemd-run", "--user", "--scope", "--quiet", "--collect"]
    words += [f"--property={text}" for text in properties]
    hidden = [word for name, _ in manager.address for word in ("-u", name)]
    return Scope((*words, "--", "env", *hidden), manager.address)
