"""Which build comes next, by what was seen so far: as few as tell the experiments apart. Pure.

A package that behaves takes three: the first, whose processes and tree are looked at; a second one in the
same tree; and one under all varied conditions together. Only where something differs or fails more builds
follow: one for each experiment alone, and others unchanged, for what is never the same twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from bwbuild.conduct.effects import effects
from bwbuild.conduct.experiments import EXPERIMENTS
from bwbuild.conduct.values import (
    AGAIN,
    FIRST,
    SECOND,
    TOGETHER,
    UNTRACED,
    Conditions,
    Evidence,
    Experiment,
    Kind,
    Subject,
)

#: What may be the reason that a build fails, in the order in which it is tried.
_EXCUSES = ("root", "processors")


@dataclass(frozen=True, slots=True)
class Step:
    """A build: what for, and under which conditions.

    :ivar looked: somebody looks at its tree before and after it, and it is cleaned at its end.
    :ivar traced: somebody looks at its processes.
    :ivar same_tree: it follows the one that was looked at, in its tree.
    """

    name: str
    conditions: Conditions
    looked: bool = False
    traced: bool = False
    same_tree: bool = False


def next_step(evidence: Evidence) -> Step | None:
    """The next build; None where there is nothing more to learn."""
    subject = evidence.subject
    if evidence.last(FIRST) is None:
        return Step(FIRST, subject.base, looked=True, traced=_is_traced(subject))
    reference = evidence.reference
    if reference is None or not reference.usable:
        return _excuse(evidence)
    return _second(evidence) or _varied(evidence)


def varied(evidence: Evidence) -> tuple[Experiment, ...]:
    """The experiments that need other conditions; what was seen without a HOME needs none."""
    housed = any(built.conditions.housed for tries in evidence.builds.values() for built in tries)
    known = {"home"} if evidence.acts(Kind.HOME) and not housed else set()
    subject = evidence.subject
    return tuple(
        one for one in EXPERIMENTS if one.varies and subject.checks(one.name) and one.name not in known
    )


def _is_traced(subject: Subject) -> bool:
    return any(one.traced and subject.checks(one.name) for one in EXPERIMENTS)


def _excuse(evidence: Evidence) -> Step | None:
    """What did not build may do so under other conditions."""
    subject = evidence.subject
    if _is_traced(subject) and not evidence.tries(UNTRACED):
        return Step(UNTRACED, subject.base, looked=True)
    for experiment in (one for name in _EXCUSES for one in varied(evidence) if one.name == name):
        last = evidence.last(experiment.name)
        if last is None:
            return Step(experiment.name, experiment.differs(subject.base))
        if last.usable:
            # Whether it fails each time under its own conditions must be known before they are blamed.
            failures = [*evidence.tries(FIRST), *evidence.tries(UNTRACED), *evidence.tries(AGAIN)]
            return Step(AGAIN, subject.base) if len(failures) < 2 else None
    return None


def _second(evidence: Evidence) -> Step | None:
    subject, tries = evidence.subject, evidence.tries(SECOND)
    reference = evidence.reference
    if not subject.checks("twice") or reference is None or not reference.succeeded:
        return None
    # One that fails may be a test that fails now and then.
    if not tries or (len(tries) == 1 and not tries[0].usable):
        return Step(SECOND, subject.base, same_tree=True)
    return None


def _varied(evidence: Evidence) -> Step | None:
    subject, experiments = evidence.subject, varied(evidence)
    name = TOGETHER if len(experiments) > 1 else experiments[0].name if experiments else ""
    if experiments and not evidence.tries(name):
        conditions = _together(experiments, subject.base)
        # Many write to HOME only where it is there. Who can't be traced, as a debugger, is not traced again.
        traced = conditions.housed and not evidence.tries(UNTRACED)
        return Step(name, conditions, traced=traced)
    if _is_moot(evidence):
        return Step(AGAIN, subject.base)
    together = evidence.last(TOGETHER)
    if together is None or not together.usable or effects(evidence, together):
        for experiment in experiments:
            tries = evidence.tries(experiment.name)
            if not tries or (len(tries) == 1 and not tries[0].usable):
                return Step(experiment.name, experiment.differs(subject.base))
    # What changes with the time of day must not be blamed on the conditions: the last build is unchanged.
    if _has_effects(evidence) and evidence.order[-1] != AGAIN:
        return Step(AGAIN, subject.base)
    return None


def _is_moot(evidence: Evidence) -> bool:
    """Whether it must be known first what is never the same twice."""
    if evidence.tries(AGAIN):
        return False
    second = evidence.last(SECOND)
    if second is None or not second.usable:
        return evidence.subject.checks("reproducible") or _has_effects(evidence)
    return bool(effects(evidence, second))


def _has_effects(evidence: Evidence) -> bool:
    names = (SECOND, TOGETHER, *(one.name for one in varied(evidence)))
    return any(effects(evidence, built) for built in map(evidence.last, names) if built is not None)


def _together(experiments: Sequence[Experiment], base: Conditions) -> Conditions:
    return reduce(lambda conditions, experiment: experiment.differs(conditions), experiments, base)
