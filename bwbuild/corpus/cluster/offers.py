"""What workers offer and jobs need, as resources of dask: pure.

A processor and a byte of memory are used up while a job has them. A version, an architecture and a base are
resources too, with more of each than can ever be used up: dask gives a job to no worker without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bwbuild import __version__
from bwbuild.corpus.values import Job, Machine
from bwbuild.errors import HostError

PROCESSORS, MEMORY = "processors", "memory"
_VERSION, _ARCHITECTURE, _BASE = "bwbuild ", "architecture ", "base "
#: Of what is there or not, and is not used up.
PLENTY = 1e9


@dataclass(frozen=True, slots=True)
class Offer:
    """A worker as the scheduler tells of it.

    :ivar address: by which the scheduler knows it; another each time that it connects.
    """

    address: str
    name: str
    resources: Mapping[str, float]

    @property
    def version(self) -> str:
        """Of its bwbuild; empty if it has none."""
        found = [name for name in self.resources if name.startswith(_VERSION)]
        return found[0].removeprefix(_VERSION) if found else ""

    @property
    def bases(self) -> list[str]:
        """The suites that it has bases of."""
        return sorted(name.removeprefix(_BASE) for name in self.resources if name.startswith(_BASE))

    @property
    def memory(self) -> int:
        """Bytes that its builds may take together."""
        return int(self.resources.get(MEMORY, 0))

    @property
    def processors(self) -> int:
        """How many builds it may run at once."""
        return int(self.resources.get(PROCESSORS, 0))


@dataclass(frozen=True, slots=True)
class Terms:
    """What every worker of a run must have.

    :ivar suite: that the builds are for; None: the worker's own system.
    """

    architecture: str
    suite: str | None = None
    version: str = __version__

    @property
    def resources(self) -> dict[str, float]:
        """As dask wants them."""
        names = [_VERSION + self.version, _ARCHITECTURE + self.architecture]
        names += [_BASE + self.suite] if self.suite else []
        return dict.fromkeys(names, 1.0)


def advertised(machine: Machine, bases: Iterable[str], version: str = __version__) -> dict[str, float]:
    """The resources of a worker on ``machine``; ``bases``: the suites of those that are there."""
    names = [_VERSION + version, _ARCHITECTURE + machine.architecture, *(_BASE + suite for suite in bases)]
    return {PROCESSORS: machine.processors, MEMORY: machine.memory, **dict.fromkeys(names, PLENTY)}


def offers(identity: Mapping[str, Mapping[str, object]]) -> list[Offer]:
    """The workers in what the scheduler tells of itself: address -> worker."""
    found = []
    for address, worker in identity.items():
        resources = worker.get("resources")
        known = (
            {str(key): float(value) for key, value in resources.items()}
            if isinstance(resources, dict)
            else {}
        )
        found.append(Offer(address, str(worker.get("name", address)), known))
    return found


def fitting(found: Iterable[Offer], terms: Terms) -> list[Offer]:
    """Those that have what every worker must have."""
    wanted = terms.resources
    return [offer for offer in found if all(offer.resources.get(name, 0.0) >= 1 for name in wanted)]


def needs(job: Job, terms: Terms, found: Sequence[Offer], share: int = 1) -> dict[str, float]:
    """The resources that ``job`` takes; never more than the largest of the fitting workers has."""
    memory = min(job.demand.memory, max((offer.memory for offer in found), default=job.demand.memory))
    processors = min(share, max((offer.processors for offer in found), default=share))
    return {PROCESSORS: processors, MEMORY: memory, **terms.resources}


def can_take(found: Iterable[Offer], wanted: Mapping[str, float]) -> bool:
    """Whether any of these workers has as much as is ``wanted``, were it free."""
    return any(
        all(offer.resources.get(name, 0.0) >= number for name, number in wanted.items()) for offer in found
    )


def is_alone(job: Job, found: Sequence[Offer]) -> bool:
    """Whether ``job`` is thought to take more than any worker has."""
    return bool(found) and job.demand.memory > max(offer.memory for offer in found)


def refusal(offer: Offer, terms: Terms) -> str:
    """Why a worker gets nothing, in one sentence; empty if it fits."""
    resources = offer.resources
    if not offer.version:
        return f"the worker {offer.name} is no worker of bwbuild"
    if offer.version != terms.version:
        return f"the worker {offer.name} has bwbuild {offer.version}, this is bwbuild {terms.version}"
    if _ARCHITECTURE + terms.architecture not in resources:
        names = [name.removeprefix(_ARCHITECTURE) for name in resources if name.startswith(_ARCHITECTURE)]
        return f"the worker {offer.name} is {', '.join(names)}, and the sources are for {terms.architecture}"
    if terms.suite and _BASE + terms.suite not in resources:
        has = f"it has {', '.join(offer.bases)}" if offer.bases else "it has none"
        return f"the worker {offer.name} has no base of {terms.suite}; {has}"
    return ""


def nobody(found: Sequence[Offer], terms: Terms) -> HostError:
    """The error for a cluster of which no worker fits."""
    if not found:
        return HostError("no worker is connected to the scheduler", hint="start one: bwbuild worker ADDRESS")
    reasons = [refusal(offer, terms) for offer in found]
    if any("no base" in reason for reason in reasons):
        hint = f"on a worker: bwbuild root create {terms.suite}, then start it again"
    else:
        hint = "install the same version of bwbuild here and on the workers"
    return HostError(f"no worker can take a job: {reasons[0]}", hint=hint, details=reasons[1:20])
