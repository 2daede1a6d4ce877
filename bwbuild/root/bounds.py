"""What programs of strangers may do and take in a chamber, and who watches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bwbuild.sandbox import runner
from bwbuild.sandbox.scope import NO_SCOPE, Scope
from bwbuild.sandbox.spec import NO_CEILINGS, NO_RESTRAINTS, Ceilings, Restraints
from bwbuild.sandbox.syscalls import Group


class Attendant(Protocol):
    """Watches a program while it runs."""

    def output(self, data: bytes) -> None:
        """It wrote that."""

    def tick(self, running: runner.Running) -> bool:
        """Look at it; whether it is to be ended."""

    def judge(self, outcome: runner.Outcome) -> None:
        """Return unless it was ended.

        :raises LimitError: at a limit.
        """


class _Nobody:
    """An attendant who looks away."""

    def output(self, _data: bytes) -> None:
        pass

    def tick(self, _running: runner.Running) -> bool:
        return False

    def judge(self, _outcome: runner.Outcome) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Bounds:
    """How such programs are run.

    :ivar restraints: what holds back their system calls; also of programs that nobody watches.
    :ivar ceilings: what the kernel lets them take; ``scope``: what starts them in a control group.
    :ivar timeout: seconds after which one is killed; None: never.
    :ivar attend: makes the attendant of one that writes below a directory.
    """

    restraints: Restraints = NO_RESTRAINTS
    ceilings: Ceilings = NO_CEILINGS
    scope: Scope = NO_SCOPE
    timeout: float | None = None
    attend: Callable[[Path], Attendant] = lambda _: _Nobody()

    def lifting(self, *groups: Group) -> Bounds:
        """The same without these groups of system calls among what is held back."""
        return replace(self, restraints=self.restraints.lifting(*groups))


NO_BOUNDS = Bounds()
