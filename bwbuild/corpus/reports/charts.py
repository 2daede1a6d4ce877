"""The charts of a run, as paths for SVG: pure. The picture is always 1000 wide and 100 high."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from bwbuild.corpus.reports.text import VERDICTS
from bwbuild.corpus.values import Build, Run, Verdict
from bwbuild.units import human_duration, human_size

WIDTH, HEIGHT = 1000, 100
#: Steps of the memory's outline at most: more could not be seen.
_MOST_STEPS = 500


@dataclass(frozen=True, slots=True)
class Drawn:
    """A path in a picture.

    :ivar kind: what its colour and style stand for: a verdict, ``memory`` or ``limit``.
    :ivar path: as SVG's ``d``.
    """

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with the words for it.

    :ivar text: what it shows, for those who don't see it.
    :ivar top: what its upper edge stands for, or empty; ``marks``: the times below it, at equal distances.
    """

    title: str
    text: str
    top: str
    marks: tuple[str, ...]
    drawn: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A build on the time axis: seconds from the run's start."""

    begin: float
    end: float
    build: Build


def charts(run: Run) -> tuple[Chart, ...]:
    """The charts of ``run``: builds over time, and their memory; none if nothing was built."""
    spans = _spans(run)
    if not spans:
        return ()
    length = max([0.001, *(span.end for span in spans)])
    if run.finished is not None:
        length = max(length, (run.finished - run.started).total_seconds())
    marks = tuple(human_duration(length * part / 4) if part else "0" for part in range(5))
    return _builds(spans, length, marks), _memory(spans, length, marks, run.machine.memory)


def _spans(run: Run) -> list[Span]:
    spans = []
    for build in run.builds:
        if build.started is not None and build.finished is not None:
            begin = _seconds(run, build.started)
            # A clock that was set back must not turn the picture around.
            spans.append(Span(begin, max(begin, _seconds(run, build.finished)), build))
    return sorted(spans, key=lambda span: (span.begin, span.build.key))


def _seconds(run: Run, when: datetime) -> float:
    return max(0.0, (when - run.started).total_seconds())


def _builds(spans: Sequence[Span], length: float, marks: tuple[str, ...]) -> Chart:
    lanes = _lanes(spans)
    number = max(lanes) + 1
    busy = sum(span.end - span.begin for span in spans)
    high = HEIGHT / number
    boxes: dict[Verdict, list[str]] = {verdict: [] for verdict in VERDICTS}
    for span, lane in zip(spans, lanes, strict=True):
        left = span.begin / length * WIDTH
        wide = max((span.end - span.begin) / length * WIDTH - 0.4, 0.6)
        box = f"M{left:.1f} {lane * high + high * 0.08:.2f}h{wide:.1f}v{high * 0.84:.2f}h-{wide:.1f}z"
        boxes[span.build.verdict].append(box)
    return Chart(
        title="Builds",
        text=f"{_plural(len(spans), 'build')} in {human_duration(length)}, {number} at once at most "
        f"and {busy / length:.1f} on average",
        top="",
        marks=marks,
        drawn=tuple(Drawn(verdict.value, "".join(paths)) for verdict, paths in boxes.items() if paths),
    )


def _lanes(spans: Iterable[Span]) -> list[int]:
    """A lane for each of ``spans``, which are in the order of their begin: none has two builds at once."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    lanes = []
    number = 0
    for span in spans:
        while busy and busy[0][0] <= span.begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, number = number, number + 1
        heapq.heappush(busy, (span.end, lane))
        lanes.append(lane)
    return lanes


def _memory(spans: Sequence[Span], length: float, marks: tuple[str, ...], machine: int) -> Chart:
    heights = _sums(spans, length)
    peak = max(heights)
    # What would be a line at the bottom beside the whole machine is shown large.
    top = max(peak, machine if machine < 8 * peak else 0, 1)
    wide = WIDTH / len(heights)
    steps = "".join(f"V{HEIGHT - height / top * HEIGHT:.1f}h{wide:.2f}" for height in heights)
    drawn = [Drawn("memory", f"M0 {HEIGHT}{steps}V{HEIGHT}z")]
    if machine and machine < top:
        drawn.append(Drawn("limit", f"M0 {HEIGHT - machine / top * HEIGHT:.1f}h{WIDTH}"))
    of = f" of {human_size(machine)}" if machine else ""
    return Chart(
        title="Memory",
        text=f"The peaks of the builds that ran at the same time, added up: {human_size(peak)}{of} at most",
        top=human_size(top),
        marks=marks,
        drawn=tuple(drawn),
    )


def _sums(spans: Sequence[Span], length: float) -> list[int]:
    """The highest sum of peaks in each of equal parts of the time."""
    changes: dict[float, int] = {}
    for span in spans:
        changes[span.begin] = changes.get(span.begin, 0) + span.build.memory
        changes[span.end] = changes.get(span.end, 0) - span.build.memory
    times = sorted(changes)
    sums = accumulate(changes[time] for time in times)
    parts = [0] * _MOST_STEPS
    for begin, end, height in zip(times, [*times[1:], length], sums, strict=True):
        first = min(int(begin / length * _MOST_STEPS), _MOST_STEPS - 1)
        for part in range(first, min(int(end / length * _MOST_STEPS), _MOST_STEPS - 1) + 1):
            parts[part] = max(parts[part], height)
    return parts


def _plural(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
