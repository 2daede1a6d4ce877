"""Permissions of a build: what settings make of them: pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bwbuild.build.granted import compilercache
from bwbuild.build.watch.limits import Limits
from bwbuild.config.permits import limit
from bwbuild.config.settings import Settings
from bwbuild.events import Level, Notice
from bwbuild.permissions.answers import Answer, Decision, Meaning, Why, Wishes
from bwbuild.permissions.asked import FILE, Purpose, Request
from bwbuild.permissions.words import (
    FOREIGN_ABI,
    RAW_SYNC,
    USERNS,
    Permission,
    meant,
    of_sandboxes,
)
from bwbuild.sandbox.environment import FIXED

#: Variables that are the sandbox's own.
_OWN = frozenset({*FIXED, "USER", "LOGNAME"})
#: What a build has no sensible use for, and why.
_SENSELESS = {
    "x11": "who draws on your display reads all your keys; xvfb-run of xvfb in Build-Depends gives it one",
    "session-bus": "dbus-run-session of dbus-daemon in Build-Depends gives it a bus of its own",
}
#: What :mod:`bwbuild.build.restraints` tells of.
_TOLD = (USERNS, FOREIGN_ABI)
_SENSELESS_KEYS = {
    "talk": "a build is not given your session bus",
    "own": "a build is not given your session bus",
}


def purposes(settings: Settings, *, command: bool) -> tuple[Purpose, ...]:
    """What is to run: of requests for anything else nothing is asked or told, and they end no build.

    :param command: it is a command in place of a build.
    """
    tests = settings.autopkgtest and not command
    return (Purpose.BUILD, Purpose.TESTS) if tests else (Purpose.BUILD,)


def wishes(
    settings: Settings, kept: Mapping[Request, Answer], places: Mapping[str, str] | None = None
) -> Wishes:
    """What the user said beforehand, the older options for the same things among it.

    :param places: what his names of directories mean, see :func:`bwbuild.permissions.words.absolute`.
    """
    older = ((FOREIGN_ABI, settings.foreign_abi), (RAW_SYNC, not settings.suppress_sync))
    more = (permission for permission, is_given in older if is_given)
    cache = compilercache.permission(settings)
    allow = tuple(dict.fromkeys((*settings.allow, *more, *cache)))
    return Wishes(allow, settings.deny, kept, meaning(places or {}))


def meaning(places: Mapping[str, str]) -> Meaning:
    """What writes permissions so that they can be compared."""

    def write(permission: Permission) -> Permission:
        if permission.key != "limit":
            return meant(permission, places)
        name, number = limit(permission)
        return replace(permission, value=f"{name}:{number}")

    return write


def applied(settings: Settings, permissions: Collection[Permission]) -> Settings:
    """The settings of a build that is granted ``permissions`` and no others."""
    return replace(
        settings,
        allow=tuple(permissions),
        foreign_abi=FOREIGN_ABI in permissions,
        suppress_sync=RAW_SYNC not in permissions,
    )


def raised(limits: Limits, permissions: Collection[Permission]) -> Limits:
    """The limits, of which those that permissions name are at least what they say."""
    found: dict[str, Any] = {}
    for permission in permissions:
        if permission.key == "limit":
            name, number = limit(permission)
            present = found.get(name, getattr(limits, name))
            found[name] = None if present is None else max(present, number)
    if "files" in found:
        # A source that asks for more has programs that don't.
        found["files_at_first"] = found["files"] or limits.files_at_first
    return replace(limits, **found)


def senseless(permission: Permission) -> str:
    """Why a build on no machine can be given this; empty if it can, as far as the words tell."""
    key, value = permission.key, permission.value
    if key in _SENSELESS_KEYS:
        return _SENSELESS_KEYS[key]
    if key == "filesystem" and value.startswith("/"):
        return of_sandboxes(value)
    if key == "env" and (value in _OWN or value.startswith("BWBUILD_")):
        return f"{value} is the sandbox's own"
    return _SENSELESS.get(value, "") if key == "socket" else ""


def notes(decisions: Collection[Decision], places: Mapping[str, str] | None = None) -> Iterator[Notice]:
    """What is said before a build of what it has; what it was denied is said when that is decided."""
    for decision in decisions:
        told = decision.purpose is Purpose.BUILD or decision.request is not None
        if decision.granted and told and decision.permission not in _TOLD:
            yield _given(decision, places or {})


def denial(source: str, decision: Decision, among: Collection[Decision] = ()) -> str:
    """What is denied and what it was for, in one line, with what would grant it.

    :param among: all decisions, of which it is one.
    """
    request = decision.request
    reason = f" ({request.reason})" if request else ""
    remedy = ""
    if why := senseless(decision.permission):
        remedy = f"; {why}"
    elif decision.why is Why.UNASKED:
        remedy = f"; {command(source, decision, among)} grants it"
    elif decision.why is Why.NEVER:
        remedy = f"; {command(source, decision, among, verb='revoke')} has it asked again"
    return f"denied, {decision.why.value}: {request or decision.permission}{reason}{remedy}"


def command(source: str, decision: Decision, among: Collection[Decision] = (), *, verb: str = "grant") -> str:
    """What grants it for this source, and nothing else: to be pasted into a shell.

    :param among: all decisions: where the source asks it for another purpose too, the command names this one.
    """
    asked = {item.purpose for item in among if item.request and item.permission == decision.permission}
    needed = decision.purpose is Purpose.TESTS or len(asked) > 1
    purpose = f" --for {decision.purpose.value}" if needed else ""
    return f"bwbuild {verb} {shlex.quote(source)} {quoted(decision.permission)}{purpose}"


def quoted(permission: Permission) -> str:
    """It as a word of a shell: a path may have any printable character, and a shell looks for ~ behind =."""
    return shlex.quote(str(permission))


def of_tests(source: str, permission: Permission, decisions: Collection[Decision]) -> str:
    """What would have the tests be granted what they are not, to end a sentence."""
    about = [item for item in decisions if item.permission == permission]
    asked = [item for item in about if item.request]
    mine = next((item for item in asked if item.purpose is Purpose.TESTS), None)
    if any(item.why is Why.OPTION and not item.granted for item in about):
        return f"--deny {quoted(permission)} forbids it"
    if mine is not None:
        return f"{command(source, mine, decisions)} grants it"
    if asked:
        return f"{FILE} asks for it for the build alone, and not for the tests"
    return f"--allow {quoted(permission)} grants it"


def taking_back(source: str, decision: Decision) -> str:
    """What takes back what was granted for good; empty where that was for one build."""
    if decision.why is not Why.ALWAYS:
        return ""
    return f"{command(source, decision, verb='revoke')} takes it back"


def _given(decision: Decision, places: Mapping[str, str]) -> Notice:
    from bwbuild.audit.of_permission import explained  # noqa: PLC0415 - few builds have any

    tests = " to the tests" if decision.purpose is Purpose.TESTS else ""
    exposes = explained(decision.permission, places)[0]
    text = f"granted{tests}, {decision.why.value}: {decision.permission}: {exposes}"
    weakens = decision.permission != RAW_SYNC and decision.permission.key != "limit"
    return Notice(Level.WARNING if weakens else Level.INFO, text)
