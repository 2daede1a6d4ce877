"""What comes of requests: pure.

``decide`` takes what a source asks for, what was granted before, the user's options and what he answered just
now, and says of each permission whether it is granted, and why. ``granted`` are those for the build or for
the tests, which :mod:`bwbuild.sandbox.permits` turns into mounts and the like.

The user is the master: he may allow what nobody asked for, and what he denies is denied whatever else was
said. A request that nobody answered is denied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from bwbuild.permissions.asked import Purpose, Request
from bwbuild.permissions.words import Permission


class Answer(Enum):
    """What a user may say to a request; ``once`` and ``no`` are for this build alone."""

    ONCE = "once"
    ALWAYS = "always"
    NO = "no"
    NEVER = "never"


class Why(Enum):
    """Why something is granted or denied, in words that fit behind either."""

    OPTION = "by option"
    ONCE = "once"
    ALWAYS = "always"
    NO = "when asked"
    NEVER = "never to be granted"
    UNASKED = "nobody was asked"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of one permission.

    :ivar request: what the source asked; None: the user gave it unasked.
    """

    permission: Permission
    purpose: Purpose
    granted: bool
    why: Why
    request: Request | None = None

    @property
    def required(self) -> bool:
        """Without it there is no sense in a build."""
        return self.request is not None and self.request.required

    def __str__(self) -> str:
        tests = " for the tests" if self.purpose is Purpose.TESTS else ""
        return f"{self.permission}{tests}: {'granted' if self.granted else 'denied'}, {self.why.value}"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user said beforehand.

    :ivar allow: permissions of options and settings; ``deny``: those that win over all others.
    :ivar kept: answers to these very requests that were kept: always or never.
    """

    allow: tuple[Permission, ...] = ()
    deny: tuple[Permission, ...] = ()
    kept: Mapping[Request, Answer] | None = None


def open_questions(requests: Iterable[Request], wishes: Wishes) -> tuple[Request, ...]:
    """The requests that neither options nor kept answers decide: those to ask the user about."""
    return tuple(request for request in requests if _decided(request, wishes) is None)


def decide(
    requests: Iterable[Request], wishes: Wishes, answers: Mapping[Request, Answer] | None = None
) -> tuple[Decision, ...]:
    """One decision for each request, then those for what is given unasked.

    :param answers: what the user said just now to :func:`open_questions`.
    """
    found = [_decision(request, wishes, answers or {}) for request in requests]
    asked = {decision.permission for decision in found}
    return (*found, *_unasked(wishes, asked))


def granted(decisions: Iterable[Decision], purpose: Purpose = Purpose.BUILD) -> tuple[Permission, ...]:
    """What the build, or the tests, are given, each once."""
    given = (item.permission for item in decisions if item.granted and item.purpose is purpose)
    return tuple(dict.fromkeys(given))


def denied(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """What was asked for and is not given."""
    return tuple(item for item in decisions if item.request is not None and not item.granted)


def unmet(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """What is denied though it is required: the build ends before it starts."""
    return tuple(item for item in denied(decisions) if item.required)


def _decision(request: Request, wishes: Wishes, answers: Mapping[Request, Answer]) -> Decision:
    is_granted, why = _decided(request, wishes) or _answered(answers.get(request))
    return Decision(request.permission, request.purpose, is_granted, why, request)


def _decided(request: Request, wishes: Wishes) -> tuple[bool, Why] | None:
    if _denies(wishes.deny, request.permission):
        return False, Why.OPTION
    if any(permission.covers(request.permission) for permission in wishes.allow):
        return True, Why.OPTION
    kept = (wishes.kept or {}).get(request)
    return None if kept is None else _answered(kept)


def _answered(answer: Answer | None) -> tuple[bool, Why]:
    if answer is None:
        return False, Why.UNASKED
    return answer in (Answer.ONCE, Answer.ALWAYS), Why[answer.name]


def _denies(deny: Iterable[Permission], permission: Permission) -> bool:
    """Who denies to read a path denies to write it too."""
    return any(permission.covers(denied) for denied in deny)


def _unasked(wishes: Wishes, asked: Collection[Permission]) -> Iterator[Decision]:
    for permission in dict.fromkeys(wishes.allow):
        if permission in asked:
            continue  # it is for what the source asked it for, and no more
        is_granted = not _denies(wishes.deny, permission)
        yield from (Decision(permission, purpose, is_granted, Why.OPTION) for purpose in Purpose)
