"""The workers of a run: which of them fit, how many jobs they have places for, and who is refused and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bwbuild.corpus.cluster.offers import Offer, Terms, fitting, nobody, refusal
from bwbuild.errors import HostError
from bwbuild.events import Level, Notice

#: Seconds between two looks.
LOOK = 2.0
#: Seconds for which a worker is waited for where none is connected,
PATIENCE = 600.0
#: and one that fits where those that are connected do not.
GRACE = 10.0


class Crew:
    """What was seen of the workers at the last look.

    :param jobs: how many may run at once at most; None: as many as there are processors.
    :param tell: hears of those that are refused.
    """

    def __init__(self, terms: Terms, jobs: int | None, tell: Callable[[Notice], None]) -> None:
        self._terms = terms
        self._jobs = jobs
        self._tell = tell
        self._looked = 0.0
        self._missed = 0.0
        self._told: set[str] = set()
        self._all: Sequence[Offer] = ()
        self.fitting: list[Offer] = []
        #: address -> why a worker that fits gets nothing more
        self.banned: dict[str, str] = {}
        self.is_new = True

    def wants_to_look(self) -> bool:
        """Whether it is time for another look."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return False
        self._looked = now
        return True

    def see(self, found: Sequence[Offer], *, busy: bool) -> None:
        """These workers are connected; ``busy``: some of them have begun jobs.

        :raises HostError: none that fits was there for long.
        """
        self.is_new = False
        self._all = found
        self._choose()
        for offer in found:
            self._say(refusal(offer, self._terms))
        now = time.monotonic()
        if self.fitting or busy:
            self._missed = 0.0
            return
        self._missed = self._missed or now
        if not found:
            self._say("no worker is connected to the scheduler; waiting for one")
        if now - self._missed > (GRACE if found else PATIENCE):
            raise self._nobody()

    def ban(self, address: str, why: str) -> None:
        """Give a worker nothing more."""
        if address not in self.banned:
            self.banned[address] = why
            names = [offer.name for offer in self._all if offer.address == address]
            self._say(f"the worker {names[0] if names else address} gets no more jobs: {why}")
            self._choose()

    @property
    def places(self) -> int:
        """How many jobs are to be with dask: one for each processor and each worker."""
        number = sum(offer.processors for offer in self.fitting) + len(self.fitting)
        return number if self._jobs is None else min(number, self._jobs)

    def only(self) -> list[str] | None:
        """The addresses of those that a job may go to; None: of any that has what it needs."""
        return [offer.address for offer in self.fitting] if self.banned else None

    def _choose(self) -> None:
        self.fitting = [item for item in fitting(self._all, self._terms) if item.address not in self.banned]

    def _nobody(self) -> HostError:
        left = [
            reason for address, reason in self.banned.items() if address in {o.address for o in self._all}
        ]
        if left:
            return HostError(
                f"no worker is left that can build: {left[-1]}", hint="mend that, and start it again"
            )
        return nobody(self._all, self._terms)

    def _say(self, text: str) -> None:
        if text and text not in self._told:
            self._told.add(text)
            self._tell(Notice(Level.WARNING, text))
