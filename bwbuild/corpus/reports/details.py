"""What the page has of each source: a row of the table, and what is seen when it is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes

from bwbuild.build.record.report import utc
from bwbuild.corpus.reports.logs import Cut, cut, log_path
from bwbuild.corpus.reports.sections import Part, parts, place
from bwbuild.corpus.reports.text import (
    BAD,
    harmless,
    headline,
    indented,
    number_of,
    of_path,
    one_line,
    reason,
)
from bwbuild.corpus.values import Build, Run
from bwbuild.errors import OutputError
from bwbuild.units import human_duration, human_size

#: Bytes that the page takes of a log at most, and of all logs: of builds that went wrong, and of the others.
LONGEST_FAILED, ALL_FAILED = 256 << 10, 64 << 20
LONGEST_PASSED, ALL_PASSED = 32 << 10, 16 << 20
_LEAST = 2 << 10
#: Steps that are shown apart, and the share of the time that is worth it.
_MOST_STEPS, _WORTH = 40, 0.01
_MOST_LINES, _MOST_FILES = 50, 500


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes that the page has of each log at most."""

    failed: int
    passed: int

    @classmethod
    def of(cls, builds: Sequence[Build]) -> Limits:
        """So that all logs together have room in one page."""
        bad = number_of(builds, *BAD)
        return cls(
            failed=_share(ALL_FAILED, bad, LONGEST_FAILED),
            passed=_share(ALL_PASSED, len(builds) - bad, LONGEST_PASSED),
        )

    def for_build(self, build: Build) -> int:
        """Those of one log."""
        return self.failed if build.verdict in BAD else self.passed


def _share(everything: int, number: int, longest: int) -> int:
    return max(_LEAST, min(longest, everything // max(1, number)))


def row(build: Build) -> dict[str, object]:
    """What the table has; figures with the text that is shown."""
    return {
        "key": harmless(build.key),
        "source": one_line(build.source, 200),
        "version": one_line(build.version, 100),
        "architecture": one_line(build.architecture, 40),
        "verdict": build.verdict.value,
        "status": one_line(build.status or build.verdict.value, 40),
        "time": [round(build.wall, 3), human_duration(build.wall) if build.started else ""],
        "cpu": [round(build.cpu, 3), human_duration(build.cpu) if build.started else ""],
        "memory": [build.memory, human_size(build.memory) if build.memory else ""],
        "message": one_line(reason(build), 300),
        "headline": one_line(headline(build), 300),
        "errors": _errors(build)[:5] if build.verdict in BAD else [],
        "log": of_path(build.log) if build.log else "",
    }


def details(run: Run, build: Build, limits: Limits, page: Path) -> dict[str, object]:
    """What is shown of one source; ``page`` is the directory that the page is written to."""
    found, log = _log(run, build, limits, page)
    errors = [[number or place(text, found), text] for number, text in _errors(build)]
    return {
        "facts": [[label, text] for label, text in _facts(build) if text],
        "problems": _lines(build.problems),
        "lost": _lines(build.lost),
        "errors": errors,
        "undeclared": _lines(build.undeclared),
        "hidden": _lines(build.hidden),
        "steps": _steps(build),
        "artifacts": [
            [one_line(item.name, 300), human_size(item.size), one_line(item.sha256, 64)]
            for item in build.artifacts[:_MOST_FILES]
        ],
        "log": log,
    }


def _errors(build: Build) -> list[tuple[int, str]]:
    # With their indent, by which compilers point at a column.
    return [(line.number, indented(line.text, 500)) for line in build.errors[:_MOST_LINES]]


def _lines(texts: Sequence[str]) -> list[str]:
    shown = [one_line(text, 500) for text in texts[:_MOST_LINES]]
    more = len(texts) - len(shown)
    return [*shown, f"… and {more} more"] if more else shown


def _facts(build: Build) -> list[tuple[str, str]]:
    measured = build.started is not None
    return [
        ("Source", one_line(f"{build.source} {build.version}", 300)),
        ("Architecture", one_line(build.architecture, 40)),
        ("Status", one_line(f"{build.status} ({build.exit_status})", 60) if build.status else ""),
        ("Time", human_duration(build.wall) if measured else ""),
        ("Processor time", human_duration(build.cpu) if measured else ""),
        ("Memory", human_size(build.memory) if build.memory else ""),
        ("Disk", human_size(build.space) if build.space else ""),
        ("Started", utc(build.started) if build.started else ""),
        ("Attempts", str(build.attempts) if build.attempts != 1 else ""),
        ("Worker", one_line(build.worker, 200)),
        ("Report", of_path(build.report) if build.report else ""),
    ]


def _steps(build: Build) -> list[list[object]]:
    """Name, text and share of the time of the steps that took long, in their order."""
    ends = (
        [begin for _, begin in build.steps[1:]] + [max(build.wall, build.steps[-1][1])] if build.steps else []
    )
    took = [(name, max(0.0, end - begin)) for (name, begin), end in zip(build.steps, ends, strict=True)]
    whole = sum(seconds for _, seconds in took)
    least = sorted((seconds for _, seconds in took), reverse=True)[:_MOST_STEPS]
    worth = max(whole * _WORTH, least[-1] if least else 0.0)
    long = [(name, seconds) for name, seconds in took if seconds >= worth > 0][:_MOST_STEPS]
    rest = whole - sum(seconds for _, seconds in long)
    if len(took) > len(long) and whole:
        long.append((f"shorter ones: {len(took) - len(long)}", rest))
    return [[one_line(name, 100), human_duration(took), round(took / whole, 4)] for name, took in long]


def _log(run: Run, build: Build, limits: Limits, page: Path) -> tuple[tuple[Part, ...], dict[str, object]]:
    try:
        path = log_path(run, build)
        taken = cut(path, limits.for_build(build), [line.number for line in build.errors[:_MOST_LINES]])
    except OutputError as error:
        return (), {"problem": error.message, "parts": []}
    found = parts(taken)
    written = [[part.title, part.level, part.first, "\n".join(part.lines), part.missing] for part in found]
    return found, {
        "parts": written,
        "note": _note(taken),
        "file": of_path(build.log or path),
        "link": _link(path, page),
    }


def _note(taken: Cut) -> str:
    whole = f"{taken.lines} lines, {human_size(taken.size)}"
    return f"{whole}; {human_size(taken.missing)} of them not in this page" if taken.missing else whole


def _link(path: Path, page: Path) -> str:
    """From the page to the log where it is below the page's directory, so that both travel together."""
    way = os.path.relpath(path, page)
    return "" if way.startswith("../") else f"./{quote_from_bytes(os.fsencode(way))}"
