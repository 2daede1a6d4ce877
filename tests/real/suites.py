"""What the test suites of packages say of themselves in a build's log, reduced so that two can be compared.

A suite that finds something missing often skips and passes. Only the numbers of a build without a sandbox
show that, so every summary is reduced to a text without times, paths and random names, and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

_TIME = r"[\d.]+ ?(?:s|secs?|seconds?|wallclock secs)\b"

#: A kind of suite, the line that it writes, and what of the line counts: its groups, joined.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("automake", re.compile(r"^# (TOTAL|PASS|SKIP|XFAIL|FAIL|XPASS|ERROR): +(\d+)$")),
    ("automake", re.compile(r"^(SKIP|XFAIL|FAIL|XPASS|ERROR): (\S+)")),
    ("perl", re.compile(r"^(Files=\d+, Tests=\d+),")),
    ("perl", re.compile(r"^(Result: \w+)$")),
    ("perl", re.compile(r"^(\S+\.t) \.+ (skipped: .*|ok|Failed .*|Dubious.*)$")),
    ("pytest", re.compile(r"^=+ ((?:\d+ \w+(?:, )?)+) in [\d.]+s.*=+$")),
    ("unittest", re.compile(r"^(Ran \d+ tests?) in ")),
    ("unittest", re.compile(r"^((?:OK|FAILED) \(.*\)|OK)$")),
    ("go", re.compile(r"^(ok|FAIL|\?) *\t(\S+)\t")),
    ("go", re.compile(r"^ *--- (PASS|SKIP|FAIL): (\S+)")),
    ("meson", re.compile(r"^(Ok|Fail|Skipped|Timeout|Expected Fail|Unexpected Pass): +(\d+) *$")),
    ("meson", re.compile(r"^ *\d+/\d+ (\S+(?: / \S+)*) +(OK|SKIP|FAIL|TIMEOUT|EXPECTEDFAIL)\b")),
    ("subtests", re.compile(r"(\d+ subtests passed)")),
    ("ctest", re.compile(r"^(\d+% tests passed, \d+ tests failed out of \d+)$")),
    ("commands", re.compile(r"^(\d+ commands \(\d+ passed, \d+ failed\))")),
    ("dejagnu", re.compile(r"^# of (.*?)\t+(\d+)$")),
)
_CHECK = re.compile(r"^checking (.+?)\.\.\. ?(.+)$")
_TAP = re.compile(r"^\s*(ok|not ok)\b *\d*(?:.*?# *(skip|todo)\b)?", re.IGNORECASE)
_SKIP = re.compile(r"\bskip(?:s|ped|ping)?\b", re.IGNORECASE)
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
#: What differs from one run of a suite to the next.
_RANDOM: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(_TIME), "TIME"),
    (re.compile(r"/\S+/"), ""),
    (re.compile(r"\d+"), "N"),
)


def results(log: str) -> Counter[str]:
    """The summaries and the single results in ``log``, each with the number of its occurrences.

    Single results of TAP are counted by kind, not by name: a suite of thousands is one entry.
    """
    found: Counter[str] = Counter()
    for raw in log.splitlines():
        line = _ESCAPE.sub("", raw).rstrip()
        for reader in _READERS:
            found.update(reader(line))
    return found


def _patterns(line: str) -> Iterator[str]:
    for kind, pattern in _PATTERNS:
        match = pattern.search(line)
        if match:
            yield f"{kind}: " + " ".join(group for group in match.groups() if group)


def _tap(line: str) -> Iterator[str]:
    match = _TAP.match(line)
    if match and "\t" not in line:
        yield f"tap: {match[1].lower()}{' # ' + match[2].lower() if match[2] else ''}"


def _configure(line: str) -> Iterator[str]:
    """What a configure script found: a feature that goes missing takes its tests with it."""
    match = _CHECK.match(line)
    if match:
        yield f"configure: {_anonymous(match[1])}: {_anonymous(match[2])}"


def _skips(line: str) -> Iterator[str]:
    if _SKIP.search(line):
        yield f"skips: {_anonymous(line)}"


def _anonymous(line: str) -> str:
    for pattern, text in _RANDOM:
        line = pattern.sub(text, line)
    return line.strip()


_READERS: tuple[Callable[[str], Iterator[str]], ...] = (_patterns, _tap, _configure, _skips)


def differences(plain: Counter[str], sandbox: Counter[str]) -> list[str]:
    """What one log has more often than the other: ``-Nx result`` for what the sandbox lost, ``+`` for new."""
    lost, new = plain - sandbox, sandbox - plain
    return [
        *(f"-{number}x {result}" for result, number in sorted(lost.items())),
        *(f"+{number}x {result}" for result, number in sorted(new.items())),
    ]
