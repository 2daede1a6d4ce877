"""What a job that runs and whoever started it tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is.

    :ivar step: such as ``dh_auto_build``; empty before the first.
    :ivar memory: bytes of its process tree now; ``peak``: at the worst moment until now.
    :ivar expected: how many seconds it is to take by earlier builds; None where that is not known.
    """

    step: str = ""
    memory: int = 0
    peak: int = 0
    expected: float | None = None


NO_PROGRESS = Progress()


class Stop:
    """The wish to stop: the first time builds are asked to end in order, the second time they are killed.

    Any thread may ask at any time, a signal handler too.
    """

    def __init__(self) -> None:
        # A number and no lock: a signal handler would wait for ever for one that it has interrupted.
        self._times = 0

    def ask(self) -> None:
        """Ask once more."""
        self._times += 1

    @property
    def asked(self) -> bool:
        """Whether anybody wants it to stop."""
        return self._times > 0

    @property
    def at_once(self) -> bool:
        """Whether nothing is to be waited for."""
        return self._times > 1


@dataclass(frozen=True, slots=True)
class Watch:
    """What a builder gets beside its job: whom it tells, and whether it has to stop."""

    tell: Callable[[Progress], None]
    stop: Stop
