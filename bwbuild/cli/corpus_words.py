"""Runs and results in words, for the terminal: pure, and without control characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bwbuild.build.record.escaping import visible
from bwbuild.build.record.summary import Line
from bwbuild.corpus.values import Build, Run, Verdict
from bwbuild.units import human_duration, human_size

STYLES = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "bold red",
    Verdict.SKIPPED: "yellow",
    Verdict.LOST: "bold red",
    Verdict.LEFT: "yellow",
}
#: How many failures a conclusion names, and how many columns of a message it shows.
MOST_NAMED = 50
WIDEST = 160


def why(build: Build) -> str:
    """Why a build is not as it should be, in one line; empty where it is."""
    if build.verdict is Verdict.PASSED:
        return ""
    first = build.problems[0] if build.problems else ""
    error = build.errors[0].text if build.errors else ""
    message = first or build.message
    text = f"{message}: {error}" if error and error not in message else message
    return visible(text)[:WIDEST]


def of_build(build: Build) -> Line:
    """A result as one line."""
    reason = why(build)
    figures = [human_duration(build.wall)] if build.wall else []
    figures += [human_size(build.memory)] if build.memory else []
    figures += [f"{build.attempts} attempts"] if build.attempts > 1 else []
    told = f" ({', '.join(figures)})" if figures else ""
    text = f"{build.key}: {build.verdict.value}{told}{f': {reason}' if reason else ''}"
    return Line(text, STYLES[build.verdict] if reason else "")


def counts(builds: Sequence[Build]) -> str:
    """How many results of each kind there are: ``12 passed, 1 failed``."""
    numbers = Counter(build.verdict for build in builds)
    return ", ".join(f"{number} {verdict.value}" for verdict, number in sorted_counts(numbers))


def sorted_counts(numbers: Mapping[Verdict, int]) -> list[tuple[Verdict, int]]:
    """What there is any of, in the order of the verdicts."""
    return [(verdict, numbers[verdict]) for verdict in Verdict if numbers.get(verdict)]


def conclusion(run: Run) -> Iterator[Line]:
    """How a run ended: what is not as it should be, and how many of each kind there are."""
    bad = [build for build in run.builds if build.verdict not in (Verdict.PASSED, Verdict.LEFT)]
    yield from map(of_build, bad[:MOST_NAMED])
    if len(bad) > MOST_NAMED:
        yield Line(f"and {len(bad) - MOST_NAMED} more: bwbuild corpus show {run.name}")
    yield from summary(run)


def summary(run: Run) -> Iterator[Line]:
    """How many results of each kind a run has, and how to go on where it was stopped."""
    took = f" in {human_duration((run.finished - run.started).total_seconds())}" if run.finished else ""
    style = "bold green" if all_passed(run) else "bold red"
    yield Line(f"bwbuild: run {run.name}: {counts(run.builds)}{took}", style)
    if run.stopped:
        yield Line(f"bwbuild: it was stopped: {visible(run.stopped)}")
        yield Line(f"go on with it: bwbuild corpus run --resume {run.name}", "bold")


def all_passed(run: Run) -> bool:
    """Whether each result is as it should be; what was skipped says nothing."""
    return all(build.verdict in (Verdict.PASSED, Verdict.SKIPPED) for build in run.builds)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """``rows`` in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
