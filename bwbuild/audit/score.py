"""The sum over all findings, with the arithmetic and the labels of ``systemd-analyze security``.

A sum hides one fatal flaw among many good points, so an assessment may have a floor below which the exposure
does not come while its flaw is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bwbuild.audit.facts import Facts

#: From so many tenths on, the exposure is called so.
LABELS = (
    (100, "DANGEROUS"),
    (90, "UNSAFE"),
    (75, "EXPOSED"),
    (50, "MEDIUM"),
    (10, "OK"),
    (1, "SAFE"),
    (0, "PERFECT"),
)


@dataclass(frozen=True, slots=True)
class Assessment:
    """One thing that is judged.

    :ivar name: a word or two for the table.
    :ivar states: what is the case, by badness from 0 to the highest, which is the range.
    :ivar why: what somebody inside could do with it.
    :ivar change: bwbuild's option that decides about it; empty where none does.
    :ivar words: bwrap's options for it, for other sandboxes than bwbuild's.
    :ivar judge: facts -> badness, a key of ``states``; None: it does not apply.
    :ivar depends: fields of the facts that ``judge`` looks at, or ``calls: GROUP``.
    :ivar floor: tenths below which the exposure does not come at a badness of ``fatal`` or more.
    """

    name: str
    weight: int
    states: Mapping[int, str]
    why: str
    judge: Callable[[Facts], int | None]
    depends: frozenset[str]
    change: str = ""
    words: str = ""
    floor: int = 0
    fatal: int = 0

    @property
    def range(self) -> int:
        """The highest badness."""
        return max(self.states)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: ``tenths`` is its share of the exposure, ``floor`` the one that is in force."""

    assessment: Assessment
    badness: int | None
    tenths: int
    floor: int

    @property
    def state(self) -> str:
        """What is the case."""
        return "does not apply" if self.badness is None else self.assessment.states[self.badness]


@dataclass(frozen=True, slots=True)
class Score:
    """All findings, and the exposure in tenths: 0 to 100."""

    findings: tuple[Finding, ...]
    tenths: int

    @property
    def exposure(self) -> float:
        """0.0 (nothing found) to 10.0."""
        return self.tenths / 10

    @property
    def label(self) -> str:
        """The word for it."""
        return next(label for least, label in LABELS if self.tenths >= least)

    @property
    def fatal(self) -> tuple[Finding, ...]:
        """The findings whose floor is the exposure, as the sum alone is lower."""
        raised = self.tenths > sum_of(self.findings)
        return tuple(finding for finding in self.findings if raised and finding.floor == self.tenths)


def score(facts: Facts, assessments: Iterable[Assessment]) -> Score:
    """Judge ``facts``."""
    judged = tuple((assessment, assessment.judge(facts)) for assessment in assessments)
    total = sum(assessment.weight for assessment, badness in judged if badness is not None)
    findings = tuple(_finding(assessment, badness, total) for assessment, badness in judged)
    floor = max((finding.floor for finding in findings), default=0)
    return Score(findings, max(sum_of(findings), floor))


def sum_of(findings: Iterable[Finding]) -> int:
    """The exposure in tenths without floors."""
    counted = [(f.assessment, f.badness) for f in findings if f.badness is not None]
    total = sum(assessment.weight for assessment, _ in counted)
    bad = sum(_up(badness * assessment.weight, assessment.range) for assessment, badness in counted)
    return _up(bad * 100, total) if total else 0


def _finding(assessment: Assessment, badness: int | None, total: int) -> Finding:
    if badness is None:
        return Finding(assessment, None, 0, 0)
    share = _up(_up(badness * assessment.weight * 100, assessment.range), total)
    fatal = badness >= (assessment.fatal or assessment.range)
    return Finding(assessment, badness, share, assessment.floor if fatal else 0)


def _up(number: int, divisor: int) -> int:
    """``number`` over ``divisor``, rounded up."""
    return -(-number // divisor)
