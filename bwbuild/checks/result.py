"""What a check found: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from bwbuild.errors import CheckError

#: Tags and tests that a result holds at most, and characters of a text among them.
MOST, LONGEST = 1000, 500


class Verdict(Enum):
    """What it comes to."""

    PASS = "pass"  # noqa: S105 - no password
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    SKIP = "skip"
    FAIL = "fail"
    #: there was nothing to check
    NONE = "none"
    #: the check itself could not be carried out
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Tag:
    """What lintian has to say about a package.

    :ivar severity: ``error``, ``warning``, ``info``, ``pedantic``, ``experimental``, ``classification``,
        ``overridden`` or ``masked``.
    :ivar kind: of the package: ``binary``, ``source``, ``udeb``, ``changes`` or ``buildinfo``.
    :ivar info: what follows the tag; may be empty.
    """

    severity: str
    package: str
    kind: str
    tag: str
    info: str


@dataclass(frozen=True, slots=True)
class OwnTest:
    """One of the source's own tests; ``outcome`` is ``pass``, ``fail``, ``skip`` or ``flaky``.

    :ivar reason: why it was skipped, or how it failed; may be empty.
    """

    name: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Count:
    """How many there were of something."""

    what: str
    number: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found.

    :ivar check: ``lintian``, ``autopkgtest`` or ``piuparts``.
    :ivar reason: why it is broken, skipped or failed, or there was nothing to check; may be empty.
    :ivar counts: of tags by severity, or of tests by outcome.
    :ivar tags: the first ``MOST`` of them; so are ``tests``. ``counts`` has all.
    :ivar seconds: that it took.
    :ivar limit: the one at which it was ended, such as ``memory``; empty if it was not.
    """

    check: str
    verdict: Verdict
    reason: str = ""
    counts: tuple[Count, ...] = ()
    tags: tuple[Tag, ...] = ()
    tests: tuple[OwnTest, ...] = ()
    seconds: float = 0.0
    limit: str = ""

    @property
    def text(self) -> str:
        """The verdict in words, such as ``error: 1 error, 2 warnings``."""
        word = {Verdict.BROKEN: "could not be run", Verdict.NONE: "nothing to check"}.get(
            self.verdict, self.verdict.value
        )
        numbers = ", ".join(_plural(count) for count in self.counts)
        return ": ".join(filter(None, (word, self.reason or numbers)))

    def counts_as_failure(self, limits: Collection[str]) -> bool:
        """Whether one of ``limits``, each ``CHECK=LEVEL``, is reached.

        A check that could not be carried out reaches all of its own.
        """
        own = [level for check, _, level in (limit.partition("=") for limit in limits) if check == self.check]
        return any(self.verdict in _REACHED[level] for level in own)


_REACHED = {
    "info": {Verdict.INFO, Verdict.WARNING, Verdict.ERROR, Verdict.BROKEN},
    "warning": {Verdict.WARNING, Verdict.ERROR, Verdict.BROKEN},
    "error": {Verdict.ERROR, Verdict.BROKEN},
    "skip": {Verdict.SKIP, Verdict.FAIL, Verdict.BROKEN},
    "fail": {Verdict.FAIL, Verdict.BROKEN},
}


def judge(results: Sequence[Result], limits: Collection[str]) -> None:
    """Return unless something was found that ``limits``, each ``CHECK=LEVEL``, say is a failure.

    :raises CheckError: it was.
    """
    failed = [result for result in results if result.counts_as_failure(limits)]
    if failed:
        raise CheckError(
            "; ".join(f"{result.check}: {result.text}" for result in failed),
            hint="the results are published all the same; the log has all that the checks say",
        )


def broken(check: str, reason: str, seconds: float = 0.0) -> Result:
    """The result of a check that could not be carried out."""
    return Result(check, Verdict.BROKEN, reason[:LONGEST], seconds=seconds)


def counted(words: Iterable[str], order: Collection[str]) -> tuple[Count, ...]:
    """How often each of ``words`` is there, those in ``order`` first."""
    numbers = Counter(words)
    known = [word for word in order if numbers[word]]
    return tuple(Count(word, numbers[word]) for word in (*known, *sorted(numbers.keys() - set(order))))


def _plural(count: Count) -> str:
    plain = count.what in ("error", "warning", "info")
    word = f"{count.what}s" if plain and count.number != 1 else count.what
    return f"{count.number} {word}"
