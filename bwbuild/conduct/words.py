"""Experiments and findings as people and programs read them: pure.

The JSON document has ``version`` 1 and these members:

* ``source``: ``name``, ``version``, ``tree``;
* ``built``: whether the first build came to packages; where not, the rest says what was seen until then;
* ``failure``: why not, a list of lines;
* ``experiments``: each with ``name``, ``paragraph`` of Debian Policy, ``rule``, and ``state``: ``passed``,
  ``found``, ``unchecked`` with the reason in ``why``, or ``no-question`` where it does not concern the
  source, with ``why`` too;
* ``findings``: each with ``name``, ``paragraph``, ``text``, ``evidence`` (a list of lines), and ``process``
  (null where it is not known) with ``command`` and ``target``, that of debian/rules it worked for;
* ``builds``: what was built, by what for, each with ``name``, ``succeeded``, ``seconds``, ``jobs``,
  ``one_processor``, ``umask``, ``rooted`` and ``home_exists``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bwbuild.build.record.escaping import visible
from bwbuild.build.record.findings import Line
from bwbuild.conduct.experiments import EXPERIMENTS, experiment
from bwbuild.conduct.values import AGAIN, FIRST, SECOND, UNTRACED, Actor, Conditions, Evidence, Finding
from bwbuild.units import human_duration

if TYPE_CHECKING:
    from bwbuild.conduct.steps import Step
    from bwbuild.deb.source import Source

FORMAT_VERSION = 1
#: What findings may count for the exit status, besides names of experiments.
MUST, ALL, NONE, UNCHECKED = "must", "all", "none", "unchecked"
#: Rules that Policy has a "must" for.
_FIRM = ("4.9", "5.6.31")
#: Characters that are shown of a command line, and of any other text of the package.
_LONGEST_COMMAND, _LONGEST_TEXT = 120, 300
_STYLES = {"found": "bold red", "unchecked": "yellow"}
_WORDS = {
    FIRST: "first build",
    UNTRACED: "first build once more, without strace",
    SECOND: "second build in the same tree",
    AGAIN: "build under the same conditions",
}


@dataclass(frozen=True, slots=True)
class State:
    """How an experiment ended.

    :ivar state: ``passed``, ``found``, ``unchecked`` or ``no-question``; ``why`` is for the last two.
    """

    name: str
    state: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Conduct:
    """A source, and all that was seen of it."""

    source: Source
    evidence: Evidence

    @property
    def is_built(self) -> bool:
        """Whether the first build came to packages."""
        reference = self.evidence.reference
        return reference is not None and reference.usable

    @property
    def failure(self) -> tuple[str, ...]:
        """Why it did not."""
        reference = self.evidence.reference
        return () if reference is None or reference.usable else reference.errors

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the experiments."""
        chosen = self.evidence.subject.chosen
        return tuple(
            finding for one in EXPERIMENTS if one.name in chosen for finding in one.judge(self.evidence)
        )

    @property
    def states(self) -> tuple[State, ...]:
        """How each experiment ended that was asked for."""
        found = {finding.name for finding in self.findings}
        return tuple(self._state(one.name, found) for one in EXPERIMENTS if one.name in self._asked)

    def failing(self, words: Sequence[str]) -> bool:
        """Whether something was found that counts by ``words``: names of experiments, and those above."""
        counted = {finding.name for finding in self.findings}
        gaps = any(state.state == "unchecked" for state in self.states)
        firm = any(experiment(name).paragraph in _FIRM for name in counted)
        return (
            (ALL in words and bool(counted))
            or (MUST in words and firm)
            or (UNCHECKED in words and gaps)
            or bool(counted & set(words))
        )

    @property
    def _asked(self) -> tuple[str, ...]:
        return (*self.evidence.subject.chosen, *self.evidence.subject.idle)

    def _state(self, name: str, found: set[str]) -> State:
        subject = self.evidence.subject
        if name in found:
            return State(name, "found")
        if name in subject.idle:
            return State(name, "no-question", subject.idle[name])
        why = subject.unchecked.get(name) or self._gap(name)
        return State(name, "unchecked", why) if why else State(name, "passed")

    def _gap(self, name: str) -> str:
        """Why an experiment could not be carried through; empty if it was."""
        evidence = self.evidence
        if not self.is_built:
            return "the source does not build, and no more than that was seen"
        if experiment(name).traced and evidence.traced is None:
            return "nobody looked at the processes of the build"
        if name == "clean" and evidence.after is None:
            return "the tree could not be looked at"
        if name == "twice" and not evidence.tries(SECOND):
            return "after the first build clean fails"
        return ""


def described(step: Step) -> str:
    """A build in words."""
    words = _WORDS.get(step.name, "build with ")
    return words + _conditions(step.conditions) if words.endswith(" ") else words


def lines(conduct: Conduct) -> list[Line]:
    """A line for each finding, for what was not checked, and for all of it."""
    return [*_lines(conduct)]


def as_json(conduct: Conduct) -> dict[str, Any]:
    """The JSON document, see above."""
    source, evidence = conduct.source, conduct.evidence
    return {
        "version": FORMAT_VERSION,
        "source": {"name": source.name, "version": source.version, "tree": source.job},
        "built": conduct.is_built,
        "failure": list(conduct.failure),
        "experiments": [
            {
                "name": state.name,
                "paragraph": experiment(state.name).paragraph,
                "rule": experiment(state.name).rule,
                "state": state.state,
                "why": state.why,
            }
            for state in conduct.states
        ],
        "findings": [_finding(finding) for finding in conduct.findings],
        "builds": [
            {
                "name": name,
                "succeeded": built.succeeded,
                "seconds": round(built.seconds, 1),
                "jobs": built.conditions.jobs,
                "one_processor": built.conditions.confined,
                "umask": f"{built.conditions.umask:04o}",
                "rooted": built.conditions.rooted,
                "home_exists": built.conditions.housed,
            }
            for name, tries in evidence.builds.items()
            for built in tries
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    actor = finding.actor
    return {
        "name": finding.name,
        "paragraph": experiment(finding.name).paragraph,
        "text": finding.text,
        "evidence": list(finding.evidence),
        "process": {"command": actor.command, "target": actor.target} if actor else None,
    }


def _lines(conduct: Conduct) -> Iterator[Line]:
    width = max(len(one.name) for one in EXPERIMENTS)
    for finding in conduct.findings:
        who = f"; by {_actor(finding.actor)}" if finding.actor else ""
        text = f"{_cut(finding.text, _LONGEST_TEXT)}{who}"
        paragraph = f"Policy {experiment(finding.name).paragraph}"
        yield Line(f"{finding.name:{width}}  {paragraph:13}  {text}", _STYLES["found"])
    for word, kind in (("not checked", "unchecked"), ("no question", "no-question")):
        states = [state for state in conduct.states if state.state == kind]
        for why in dict.fromkeys(state.why for state in states):
            names = ", ".join(state.name for state in states if state.why == why)
            yield Line(f"{word}: {names}: {_cut(why, _LONGEST_TEXT)}", _STYLES.get(kind, ""))
    for text in conduct.failure:
        yield Line(f"does not build: {_cut(text, _LONGEST_TEXT)}", "bold red")
    yield _summary(conduct)


def _summary(conduct: Conduct) -> Line:
    builds = [built for tries in conduct.evidence.builds.values() for built in tries]
    took = human_duration(sum(built.seconds for built in builds))
    number = len(conduct.findings)
    found = "nothing found" if not number else "1 finding" if number == 1 else f"{number} findings"
    if not conduct.is_built:
        found = f"does not build; until then {found}"
    title = f"{conduct.source.name} {conduct.source.version}"
    how = f"{len(builds)} build{'s' if len(builds) != 1 else ''}, {took}"
    clean = conduct.is_built and not number
    return Line(f"{title}: {found} ({how})", "green" if clean else "bold")


def _actor(actor: Actor) -> str:
    target = f" (debian/rules {_cut(actor.target, _LONGEST_COMMAND)})" if actor.target else ""
    return f"{_cut(actor.command, _LONGEST_COMMAND)}{target}"


def _cut(text: str, length: int) -> str:
    text = visible(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _conditions(conditions: Conditions) -> str:
    parts = [f"{conditions.jobs} job{'s' if conditions.jobs != 1 else ''}"]
    if conditions.confined:
        parts.append("one processor")
    if conditions.umask != 0o022:
        parts.append(f"umask {conditions.umask:04o}")
    if conditions.rooted:
        parts.append("debian/rules binary as root")
    if conditions.housed:
        parts.append("a HOME")
    return ", ".join(parts)
