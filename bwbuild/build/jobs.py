"""How many jobs dpkg-buildpackage runs at once: as many as there are processors, and memory for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.host.facts import Processors
from bwbuild.units import human_size

if TYPE_CHECKING:
    from bwbuild.build.plan import Inputs
    from bwbuild.build.watch.limits import Limits

_OPTION = re.compile(r"(?:--jobs(?:-try|-force)?|-[jJ])=?(\d*|auto)")
_PARALLEL = re.compile(r"(?:^|\s)parallel=(\d+)")


@dataclass(frozen=True, slots=True)
class Demand:
    """What earlier builds of a source took.

    :ivar memory: bytes at the peak of the one that took the most; ``jobs``: how many it ran at once.
    :ivar ended: it did not get as much as it wanted.
    """

    memory: int
    jobs: int
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller says; ``environment`` is his DEB_BUILD_OPTIONS."""

    options: BuildOptions
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Jobs:
    """How many jobs run at once.

    :ivar number: None where the caller has left it to make, or nothing is built.
    :ivar options: what dpkg-buildpackage has to be told; nothing where it comes to that number by itself.
        .buildinfo records the number in either case.
    :ivar notes: why there are fewer than processors.
    """

    number: int | None
    options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def jobs_of(inputs: Inputs, limits: Limits) -> Jobs:
    """The jobs of what is to be run."""
    if inputs.command:
        return Jobs(None)
    given = inputs.caller_environment.get("DEB_BUILD_OPTIONS", "")
    return decide_jobs(Given(inputs.options, given), inputs.host.processors, limits.memory, inputs.demand)


def decide_jobs(given: Given, processors: Processors, memory: int | None, past: Demand | None) -> Jobs:
    """The jobs of a build that may take ``memory`` bytes."""
    decided = _decided(given, processors)
    if decided is not None:
        return decided
    number = processors.usable
    notes: tuple[str, ...] = ()
    fitting = number if memory is None or past is None else _fitting(memory, past)
    if past is not None and fitting < number:
        took = f"{human_size(past.memory)}{' and more' if past.ended else ''} with {past.jobs}"
        text = f"jobs: {fitting} at once on {number} processors, since an earlier build took {took}"
        number, notes = fitting, (f"{text}; -jNUMBER decides otherwise",)
    return Jobs(number, () if number == processors.on else (f"-J{number}",), notes)


def _fitting(memory: int, past: Demand) -> int:
    # Of one that was killed nobody knows how much it wanted; half as many jobs surely need less.
    each = past.memory * (2 if past.ended else 1) / past.jobs
    return max(1, int(memory / each))


def _decided(given: Given, processors: Processors) -> Jobs | None:
    """What the caller decided; None if nothing."""
    matches = (_OPTION.fullmatch(word) for word in given.options.passed)
    words = [match[1] for match in matches if match] or _PARALLEL.findall(given.environment)
    if not words:
        return None
    number = processors.on if words[-1] == "auto" else int(words[-1] or 0)
    return Jobs(number or None)
