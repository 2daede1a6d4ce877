"""What the checks after a build found, for the terminal and for the summary of the log: pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bwbuild.build.record.escaping import visible
from bwbuild.checks.result import Result, Tag, Verdict

#: Findings of one check that the terminal shows.
_MOST = 10
#: sbuild's words, where they are others.
_SBUILD = {Verdict.WARNING: "warn", Verdict.BROKEN: "failed", Verdict.NONE: "no tests"}
_LETTERS = {"error": ("E", "red"), "warning": ("W", "yellow")}
_OUTCOMES = {"fail": "red", "flaky": "yellow", "skip": "yellow"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line for the terminal, without control characters; ``style`` is one of rich's styles or empty."""

    text: str
    style: str = ""


def summary_values(results: Sequence[Result]) -> dict[str, str]:
    """The keys that sbuild has for the checks, with its words."""
    return {
        result.check.capitalize(): _SBUILD.get(result.verdict, result.verdict.value) for result in results
    }


def lines(results: Sequence[Result]) -> list[Line]:
    """What is bad among the findings: errors, warnings, tests that did not pass."""
    found: list[Line] = []
    for result in results:
        bad = [*_tags(result), *_tests(result)]
        if bad:
            found += [Line(f"{result.check}:", "bold"), *bad[:_MOST]]
            if len(bad) > _MOST:
                found.append(Line(f"  and {len(bad) - _MOST} more, which the log has"))
            found.append(Line(""))
    return found


def _tags(result: Result) -> Iterator[Line]:
    for severity, (letter, style) in _LETTERS.items():
        for tag in result.tags:
            if tag.severity == severity:
                yield Line(f"  {letter}: {visible(_text(tag))}", style)


def _tests(result: Result) -> Iterator[Line]:
    for test in result.tests:
        if test.outcome in _OUTCOMES:
            reason = f": {test.reason}" if test.reason else ""
            yield Line(f"  {visible(f'{test.outcome} {test.name}{reason}')}", _OUTCOMES[test.outcome])


def _text(tag: Tag) -> str:
    kind = "" if tag.kind == "binary" else f" {tag.kind}"
    return f"{tag.package}{kind}: {tag.tag} {tag.info}".rstrip()
