"""What comes of requests: pure.

``decide`` takes what a source asks for, what was granted before, the user's options and what he answered just
now, and says of each permission whether it is granted, and why. ``granted`` are those for the build or for
the tests, which :mod:`bwbuild.sandbox.permits` turns into mounts and the like.

The user is the master: he may allow what nobody asked for, and what he denies is denied whatever else was
said. A request that nobody answered is denied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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


#: What a permission means, as another one that is written so that both can be compared.
Meaning = Callable[[Permission], Permission]


def itself(permission: Permission) -> Permission:
    """What is compared as it is written."""
    return permission


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user said beforehand.

    :ivar allow: permissions of options and settings; ``deny``: those that win over all others.
    :ivar kept: answers to these very requests that were kept: always or never.
    :ivar meaning: writes a permission as it is to be compared: paths in full, limits as plain numbers.
    """

    allow: tuple[Permission, ...] = ()
    deny: tuple[Permission, ...] = ()
    kept: Mapping[Request, Answer] | None = None
    meaning: Meaning = itself


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
    asked = {wishes.meaning(decision.permission) for decision in found}
    return (*found, *_unasked(wishes, asked))


def granted(
    decisions: Iterable[Decision], purpose: Purpose = Purpose.BUILD, meaning: Meaning = itself
) -> tuple[Permission, ...]:
    """What the build, or the tests, are given, each once.

    A path that is asked for below one that the user gave unasked to be written is given with that already.
    """
    given = [item for item in decisions if item.granted and item.purpose is purpose]
    wide = [meaning(item.permission) for item in given if item.request is None and item.permission.writable]
    needed = (item for item in given if item.request is None or not _is_below(meaning(item.permission), wide))
    return tuple(dict.fromkeys(item.permission for item in needed))


def denied(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """What was asked for and is not given."""
    return tuple(item for item in decisions if item.request is not None and not item.granted)


def unmet(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """What is denied though it is required: the build ends before it starts."""
    return tuple(item for item in denied(decisions) if item.required)


def _is_below(path: Permission, wide: Iterable[Permission]) -> bool:
    return any(top.covers(path) and top.value != path.value for top in wide)


def _decision(request: Request, wishes: Wishes, answers: Mapping[Request, Answer]) -> Decision:
    is_granted, why = _decided(request, wishes) or _answered(answers.get(request))
    return Decision(request.permission, request.purpose, is_granted, why, request)


def _decided(request: Request, wishes: Wishes) -> tuple[bool, Why] | None:
    if _denies(wishes, request.permission):
        return False, Why.OPTION
    wanted = wishes.meaning(request.permission)
    if any(wishes.meaning(permission).covers(wanted) for permission in wishes.allow):
        return True, Why.OPTION
    kept = (wishes.kept or {}).get(request)
    return None if kept is None else _answered(kept)


def _answered(answer: Answer | None) -> tuple[bool, Why]:
    if answer is None:
        return False, Why.UNASKED
    return answer in (Answer.ONCE, Answer.ALWAYS), Why[answer.name]


def _denies(wishes: Wishes, permission: Permission) -> bool:
    wanted = wishes.meaning(permission)
    return any(wishes.meaning(denied).denies(wanted) for denied in wishes.deny)


def _unasked(wishes: Wishes, asked: Collection[Permission]) -> Iterator[Decision]:
    for permission in dict.fromkeys(wishes.allow):
        if wishes.meaning(permission) in asked:
            continue  # it is for what the source asked it for, and no more
        is_granted = not _denies(wishes, permission)
        yield from (Decision(permission, purpose, is_granted, Why.OPTION) for purpose in Purpose)
