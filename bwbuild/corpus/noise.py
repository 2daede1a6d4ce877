"""Telling growth from noise: pure.

The times and the memory of the same build differ from one time to the next, so that one sample of each says
nothing. A figure has grown where all of this holds:

- there are at least :data:`LEAST` samples on each side,
- the median has grown by more than an absolute and a relative least change, below which nobody cares,
- it has grown by more than :data:`SPREADS` times the spread of both sides together, which is the median
  absolute deviation from the own side's median, scaled to what is the standard deviation of a normal
  distribution,
- every new sample is above every old one.

The median and the median absolute deviation are taken since one sample that is far off, as of a machine that
was busy for a moment, moves neither. A machine that is busier all the time makes all builds slower: what half
of all sources have grown by is divided out before (:func:`drift`), and is said of the whole run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: How many samples a side must have.
LEAST = 3
#: How many spreads a median must have moved.
SPREADS = 4.0
#: The standard deviation of a normal distribution whose median absolute deviation is 1.
_SCALE = 1.4826
#: With fewer sources than this nothing can be said about all of them.
LEAST_SOURCES = 5


@dataclass(frozen=True, slots=True)
class Least:
    """The least change that counts: absolute, in the figure's own unit, and as a share of what it was."""

    absolute: float
    relative: float


TIME = Least(2.0, 0.25)
MEMORY = Least(32 << 20, 0.25)
#: Sizes of packages hardly differ between builds of the same source, so that one sample is enough.
SIZE = Least(16 << 10, 0.05)


@dataclass(frozen=True, slots=True)
class Growth:
    """A figure that has grown: the medians of the old and of the new samples."""

    old: float
    new: float

    @property
    def share(self) -> float:
        """By how much, as a share of what it was."""
        return (self.new - self.old) / self.old if self.old else 0.0


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def spread(old: Sequence[float], new: Sequence[float]) -> float:
    """How far samples lie from the median of their own side, scaled to a standard deviation."""
    deviations = [abs(value - median(side)) for side in (old, new) for value in side]
    return _SCALE * median(deviations)


def grown(
    old: Sequence[float], new: Sequence[float], least: Least, *, samples: int = LEAST, drift: float = 1.0
) -> Growth | None:
    """Whether a figure has grown beyond noise; None if not, or if there are too few samples to tell.

    :param drift: by which all new samples are divided first.
    """
    if min(len(old), len(new)) < samples:
        return None
    new = [value / drift for value in new]
    before, after = median(old), median(new)
    change = after - before
    if change <= max(least.absolute, least.relative * before, SPREADS * spread(old, new)):
        return None
    return Growth(before, after) if min(new) > max(old) else None


def drift(pairs: Iterable[tuple[Sequence[float], Sequence[float]]]) -> float:
    """By how much the figures of a typical source have grown; 1.0: not at all, or too few sources tell."""
    ratios = [median(new) / median(old) for old, new in pairs if old and new and median(old) > 0]
    return max(1.0, median(ratios)) if len(ratios) >= LEAST_SOURCES else 1.0
