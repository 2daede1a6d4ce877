"""What a program has used of what it was granted, and what it looked for besides: pure.

From the events of a trace and the calls on the bus comes the shortest list of permissions. Only what was
granted and used is learned: a program can't widen by asking what the next run is held to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bwbuild.permissions.words import NETWORK, Permission
from bwbuild.sandbox.permits import PLACE
from bwbuild.sandbox.program import HOME
from bwbuild.trace.parse import Event, Kind
from bwbuild.tryout.bus import PORTALS, Calls

_SOCKETS = {
    "x11": re.compile(r"@?/tmp/\.X11-unix/X\d+"),
    "wayland": re.compile(rf"{PLACE}/wayland|/run/user/\d+/wayland-\d+"),
    "pulseaudio": re.compile(
        rf"{PLACE}/pulseaudio|/run/user/\d+/(?:pulse/native|pipewire-\d+)|/(?:var/)?run/pulse/native"
    ),
    "session-bus": re.compile(rf"{PLACE}/session-bus|/run/user/\d+/bus"),
}
_DEVICES = {"dri": "/dev/dri/", "kvm": "/dev/kvm", "fuse": "/dev/fuse"}
_LOOPBACK = re.compile(r"127\.|\[::1\]:|0\.0\.0\.0:|\[::\]:|\[::ffff:127\.")
_REFUSALS = {"EACCES", "EPERM", "EROFS"}
#: Keys of permissions whose use nobody sees from outside.
_UNSEEN = ("env", "allow")
#: Different things that are remembered, and how many of them may be mere looks, which are most.
_MOST, _MOST_LOOKS = 50_000, 25_000


class Seen:
    """Takes events as they come; ``counts`` has how often each thing was done or tried.

    :param links: places in the home -> the granted path that a link there leads to.
    :param tops: granted paths, of whose use is known in any case, however much else there is.
    """

    def __init__(self, links: Mapping[str, Path] | None = None, tops: Iterable[Path] = ()) -> None:
        self.counts: Counter[tuple[Kind, str, str]] = Counter()
        self._links = {place: str(path) for place, path in (links or {}).items()}
        self._tops = tuple(map(str, tops))

    def take(self, events: Iterable[Event]) -> None:
        """Count these."""
        for event in events:
            path = self._path(event)
            key = (event.kind, path, event.error)
            room = _MOST_LOOKS if event.kind in (Kind.LOOK, Kind.STAT) else _MOST
            if key in self.counts or len(self.counts) < room:
                self.counts[key] += 1
            elif top := next((top for top in self._tops if _is_below(path, top)), ""):
                self.counts[event.kind, top, event.error] += 1

    def _path(self, event: Event) -> str:
        """Where it was: behind a link of the home, which only an open call tells itself."""
        if event.real.startswith("/") and not event.error:
            return event.real
        path = event.subject
        if event.kind not in _OF_FILES:
            return path
        # Programs start at home.
        absolute = path if path.startswith("/") else f"{HOME}/{path}"
        if "//" in absolute or "/." in absolute:
            absolute = str(PurePosixPath(absolute))
        for place, target in self._links.items():
            if _is_below(absolute, place):
                return target + absolute[len(place) :]
        return path


@dataclass(frozen=True, slots=True)
class Learned:
    """What one run has shown.

    :ivar permissions: granted and used.
    :ivar idle: granted and not used.
    :ivar wanted: not granted and looked for, and how often.
    :ivar refused: paths that it must not open or write, and how often.
    :ivar opened: paths; ``contacted``: addresses; ``asked``: names of the bus.
    """

    permissions: tuple[Permission, ...]
    idle: tuple[Permission, ...] = ()
    wanted: Mapping[Permission, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    opened: tuple[str, ...] = ()
    contacted: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


def learn(
    seen: Seen,
    calls: Calls | None,
    granted: Sequence[Permission],
    paths: Mapping[Permission, Path],
    hidden: Mapping[str, str],
) -> Learned:
    """What a run has shown.

    :param paths: of granted ``filesystem=`` permissions, outside and inside alike.
    :param hidden: paths that it looked for in vain and that this machine has -> what would show them.
    """
    used: Counter[Permission] = Counter()
    for permission, times in _used(seen):
        used[permission] += times
    if calls is not None:
        used.update(_named(calls, granted))
    found = [item for permission in granted for item in _kept(permission, used, paths, seen)]
    given = set(granted)
    wanted = {
        item: times
        for item, times in used.items()
        # Who talks to names has the bus, whoever asked for it.
        if item not in given and not (item.value == "session-bus" and calls is not None)
    }
    if calls is not None:
        wanted |= calls.refused
    for path, word in hidden.items():
        key = Permission("filesystem", word)
        wanted[key] = wanted.get(key, 0) + _times(seen, path)
    kept = {(item.key, item.value) for item in found}
    return Learned(
        permissions=tuple(found),
        idle=tuple(item for item in granted if (item.key, item.value) not in kept),
        wanted=wanted,
        refused={**(refused_methods(calls) if calls is not None else {}), **_refused(seen)},
        opened=tuple(sorted({path for kind, path, error in seen.counts if kind in _OPENS and not error})),
        contacted=tuple(
            sorted({where for kind, where, error in seen.counts if kind in _CALLS and error in _UNDER_WAY})
        ),
        asked=tuple(sorted(calls.reached)) if calls is not None else (),
    )


def looked_for(seen: Seen) -> Iterator[str]:
    """Absolute paths that were not there."""
    for kind, path, error in seen.counts:
        if kind in _LOOKS and error == "ENOENT" and path.startswith("/"):
            yield path


_OPENS = (Kind.OPEN, Kind.WRITE)
_LOOKS = (*_OPENS, Kind.LOOK, Kind.STAT, Kind.EXEC, Kind.ENTER)
_OF_FILES = frozenset({*_LOOKS, Kind.CHANGE})
_CALLS = (Kind.CONNECT, Kind.SEND, Kind.ASK)
#: Errors of a connection that is none yet, and of one that is.
_UNDER_WAY = ("", "EINPROGRESS")
#: Where a path may only be read, these are EROFS: the kernel asks that first.
_WRITABLE = ("", "ENOENT", "ENOTEMPTY", "EXDEV")


def _used(seen: Seen) -> Iterator[tuple[Permission, int]]:
    for (kind, subject, _), times in seen.counts.items():
        if kind is Kind.ASK:
            yield NETWORK, times
        elif kind is Kind.CONNECT:
            socket = next((word for word, form in _SOCKETS.items() if form.fullmatch(subject)), "")
            if socket:
                yield Permission("socket", socket), times
            elif _is_far(subject):
                yield NETWORK, times
        elif kind is Kind.SEND and _is_far(subject):
            yield NETWORK, times
        elif kind in _OPENS:
            device = next((word for word, place in _DEVICES.items() if subject.startswith(place)), "")
            if device:
                yield Permission("device", device), times


def _is_far(address: str) -> bool:
    return not address.startswith(("/", "@")) and not _LOOPBACK.match(address)


def _named(calls: Calls, granted: Sequence[Permission]) -> Iterator[Permission]:
    """Permissions for names that were used."""
    for permission in granted:
        if (permission.key == "own" and calls.owns) or (
            permission.key == "talk" and any(_matches(permission.value, name) for name in calls.reached)
        ):
            yield permission
    if any(_matches(PORTALS, name) for name in calls.reached):
        yield Permission("socket", "session-bus")


def _matches(pattern: str, name: str) -> bool:
    top = pattern.removesuffix(".*")
    return name == top or (pattern != top and name.startswith(f"{top}."))


def _kept(
    permission: Permission, used: Counter[Permission], paths: Mapping[Permission, Path], seen: Seen
) -> Iterator[Permission]:
    """What of a granted permission is needed: all, none, or to read where it may write."""
    if permission.key in _UNSEEN or permission in used:
        yield permission
    elif permission.key == "filesystem":
        top = str(paths[permission])
        kinds = {kind for kind, path in _reached(seen) if _is_below(path, top)}
        if kinds:
            if Kind.ENTER in kinds:  # so it may be there what a name without a directory means
                kinds |= {kind for kind, path in _reached(seen) if not path.startswith("/")}
            writes = permission.writable and bool(kinds & {Kind.WRITE, Kind.CHANGE})
            yield Permission("filesystem", permission.value, writes)


def _reached(seen: Seen) -> Iterator[tuple[Kind, str]]:
    """What was done to paths, and what would have been to those that may be written."""
    for kind, path, error in seen.counts:
        if kind in _OF_FILES and (error in _WRITABLE if kind is Kind.CHANGE else not error):
            yield kind, path


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top.rstrip('/')}/")


def refused_methods(calls: Calls) -> dict[str, int]:
    """What was asked of the bus itself and that nobody is granted, in words."""
    return {f"{method} of the session bus itself": times for method, times in calls.denied.items()}


def _refused(seen: Seen) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (kind, path, error), times in seen.counts.items():
        if error in _REFUSALS and kind in _VERBS:
            found[f"{_VERBS[kind]} {path}"] += times
    return dict(found.most_common())


_VERBS = {
    Kind.OPEN: "open",
    Kind.WRITE: "write",
    Kind.CHANGE: "change",
    Kind.EXEC: "run",
    Kind.CONNECT: "connect to",
    Kind.SEND: "send to",
}


def _times(seen: Seen, path: str) -> int:
    return sum(times for (_, subject, _), times in seen.counts.items() if _is_below(subject, path))
