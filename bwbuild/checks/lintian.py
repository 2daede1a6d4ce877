"""lintian of a suite, on what was built: it runs as an ordinary user, without the network."""

from __future__ import annotations

import re

from bwbuild.checks.bench import Bench, Ended, Room, Subject
from bwbuild.checks.result import LONGEST, MOST, Result, Tag, Verdict, broken, counted

NAME = "lintian"
_SEVERITIES = {
    "E": "error",
    "W": "warning",
    "I": "info",
    "P": "pedantic",
    "X": "experimental",
    "C": "classification",
    "O": "overridden",
    "M": "masked",
}
_TAG = re.compile(
    r"([EWIPXCOM]): ([a-z0-9][a-z0-9+.-]*)(?: (source|udeb|changes|buildinfo))?: "
    r"([A-Za-z0-9][\w+.-]*)(?: (.*))?"
)
_VERDICTS = {"error": Verdict.ERROR, "warning": Verdict.WARNING, "info": Verdict.INFO}
#: lintian says with it that there are tags, and which of them is the caller's word alone.
_FOUND = 2


def check(bench: Bench, subject: Subject, options: tuple[str, ...]) -> Result:
    """Run lintian on the .changes.

    :param options: further words for it.
    """
    words = (
        NAME,
        "--color=never",
        "--display-info",
        "--fail-on=none",
        *options,
        subject.inside(subject.changes),
    )
    with bench.tools(NAME) as layer:
        ended = bench.run(words, Room((layer,), subject.shown))
    return judged(ended)


def judged(ended: Ended) -> Result:
    """What lintian's output comes to."""
    tags = parse(ended.text)
    if ended.why:
        return broken(NAME, ended.why, ended.seconds)
    if ended.status not in (0, _FOUND):
        last = next((line for line in reversed(ended.text.splitlines()) if line.strip()), "")
        return broken(NAME, f"exit status {ended.status}: {last}", ended.seconds)
    found = {tag.severity for tag in tags}
    verdict = next((_VERDICTS[word] for word in _VERDICTS if word in found), Verdict.PASS)
    counts = counted((tag.severity for tag in tags), _SEVERITIES.values())
    return Result(NAME, verdict, counts=counts, tags=tags[:MOST], seconds=ended.seconds)


def parse(text: str) -> tuple[Tag, ...]:
    """The tags in lintian's output, in its order."""
    found = (_TAG.fullmatch(line) for line in text.splitlines())
    return tuple(
        Tag(_SEVERITIES[match[1]], match[2], match[3] or "binary", match[4], (match[5] or "")[:LONGEST])
        for match in found
        if match
    )
