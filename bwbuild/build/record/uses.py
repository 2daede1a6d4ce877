"""What a build did with permissions: asked, granted, denied, used, as far as it is known. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bwbuild.events import Event, Section, Text
from bwbuild.permissions.answers import Decision
from bwbuild.permissions.asked import Purpose
from bwbuild.permissions.words import NETWORK, Permission

if TYPE_CHECKING:
    from bwbuild.sandbox.pcap import Contacts

#: How many addresses the terminal shows.
_SHOWN = 8
#: What ``used`` may say; what was denied has nothing there.
YES, NO, UNKNOWN = "yes", "no", "unknown"
_LEARN = "bwbuild learn shows it"
#: The key of a permission -> why its use may not be known after a build, and what shows it all the same.
_UNSEEN = {
    "device": ("who opens a device leaves no mark", _LEARN),
    "filesystem": ("who reads leaves no mark", _LEARN),
    "persist": ("nothing was written, and who reads leaves no mark", _LEARN),
    "socket": ("who connects leaves no mark", _LEARN),
    "allow": ("such calls leave no mark", _LEARN),
    "env": ("who reads a variable leaves no mark", ""),
    "limit": ("how much of it was taken is not measured here", ""),
    "share": ("slirp4netns keeps no record", "pasta does: sudo apt install passt"),
    "talk": ("nothing records it", ""),
    "own": ("nothing records it", ""),
}
#: The keys of permissions whose use no build shows that nobody traces.
BLIND = frozenset({"device", "socket", "allow", "env"})


@dataclass(frozen=True, slots=True)
class Use:
    """A permission and what became of it.

    :ivar permission: as ``share=network``.
    :ivar purpose: ``build`` or ``tests``.
    :ivar asked: the source asks for it; ``reason`` and ``required`` are what it says then.
    :ivar granted: whether it is; ``why``: who decided it, and when.
    :ivar used: ``yes``, ``no``, or ``unknown`` where nothing shows it; empty where it was denied or no such
        thing ran.
    :ivar unknown: why that is not known, and what would show it; empty where it is.
    """

    permission: str
    purpose: str
    asked: bool
    granted: bool
    why: str
    reason: str = ""
    required: bool = False
    used: str = ""
    unknown: str = ""

    def __str__(self) -> str:
        tests = " for the tests" if self.purpose == Purpose.TESTS.value else ""
        asked = "" if self.asked else "not asked for, "
        words = {YES: ", used", NO: ", never used", UNKNOWN: f", unknown whether used: {self.unknown}"}
        state = "granted" if self.granted else "denied"
        return f"{self.permission}{tests}: {asked}{state}, {self.why}{words.get(self.used, '')}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of the use of permissions.

    :ivar network: purpose -> who was contacted; a purpose is missing where nobody looked.
    :ivar written: permissions in whose directories something was written.
    :ivar shown: permission -> whether the build used it, where that is known; of tests it says nothing.
    :ivar ran: the purposes that came to run.
    :ivar lacking: permissions for what the caller does not have.
    """

    network: Mapping[Purpose, Contacts]
    written: Collection[Permission] = ()
    shown: Mapping[Permission, bool] = field(default_factory=dict)
    ran: Collection[Purpose] = tuple(Purpose)
    lacking: Collection[Permission] = ()


def uses(decisions: Collection[Decision], seen: Seen) -> tuple[Use, ...]:
    """One for each decision but for what was given to tests unasked and never ran."""
    ran = Counter(item.permission for item in decisions if item.granted and item.purpose in seen.ran)
    shared = {permission for permission, number in ran.items() if number > 1}
    return tuple(
        _use(item, seen, shared=item.permission in shared)
        for item in decisions
        if item.request is not None or item.purpose is Purpose.BUILD or item.purpose in seen.ran
    )


def _use(item: Decision, seen: Seen, *, shared: bool) -> Use:
    request = item.request
    used, unknown = "", ""
    if item.granted and item.purpose in seen.ran:
        used = _used(item, seen)
        if used == YES and shared and item.permission in seen.written:
            used, unknown = UNKNOWN, "something was written there, by the build or by its tests"
        elif used == UNKNOWN:
            unknown = unseen(item.permission, item.purpose)
    return Use(
        permission=str(item.permission),
        purpose=item.purpose.value,
        asked=request is not None,
        granted=item.granted,
        why=item.why.value,
        reason=request.reason if request else "",
        required=item.required,
        used=used,
        unknown=unknown,
    )


def _used(item: Decision, seen: Seen) -> str:
    if item.permission == NETWORK and item.purpose in seen.network:
        return YES if seen.network[item.purpose] else NO
    if item.permission in seen.lacking:
        return NO
    if item.permission in seen.written:
        return YES
    shown = seen.shown.get(item.permission) if item.purpose is Purpose.BUILD else None
    return UNKNOWN if shown is None else YES if shown else NO


def unseen(permission: Permission, purpose: Purpose = Purpose.BUILD) -> str:
    """Why a build that nobody traces may not show the use of a permission, and what shows it, if anything."""
    why, shows = _UNSEEN[permission.key]
    if purpose is Purpose.TESTS and shows == _LEARN:
        return f"{why}, and tests are not traced"
    return f"{why}; {shows}" if shows else why


def lines(contacts: Contacts) -> Iterator[str]:
    """All names and addresses."""
    for name in contacts.names:
        yield f"asked for {name}"
    for address in contacts.addresses:
        yield f"sent to {address}"
    if not contacts.complete:
        yield "and more, which was too much to be kept"
    if not contacts:
        yield "nobody was contacted"


def events(found: Collection[Use], network: Mapping[Purpose, Contacts]) -> Iterator[Event]:
    """The section of the log about it."""
    if not found:
        return
    yield Section("Permissions")
    yield Text("\n".join(f"{use}{f' ({use.reason})' if use.reason else ''}" for use in found))
    for purpose, contacts in network.items():
        yield Section(f"Network of the {purpose.value}", 3)
        yield Text("\n".join(lines(contacts)))


def short(contacts: Contacts | None) -> str:
    """The contacts in one line; empty where nobody looked."""
    if contacts is None:
        return ""
    shown = [str(address) for address in contacts.addresses[:_SHOWN]]
    known = {address.name for address in contacts.addresses}
    shown += [f"{name} (asked for)" for name in contacts.names if name not in known][:_SHOWN]
    more = len(contacts.addresses) - _SHOWN
    return ", ".join([*shown, *([f"{more} more in the log"] if more > 0 else [])]) or "nobody was contacted"
