"""From granted permissions to mounts, variables and namespaces: pure.

.. code-block:: python

    found = available.look(granted, around)  # bwbuild.host.available: what the machine has
    given = permits(granted, found)  # a Permits
    sandbox = compose(Request(..., permits=given))  # or put given.mounts where they belong

Every mount point is a fixed place: that of the device or of the path outside, at which
:mod:`bwbuild.host.available` has looked, or one below :data:`PLACE` and :data:`PERSIST`, which lie in a file
system in memory that is made anew for every sandbox. What ``allow=`` and ``limit=`` mean is up to settings:
:mod:`bwbuild.build.granted.terms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bwbuild.permissions.words import NETWORK, Permission
from bwbuild.sandbox.spec import Bind, Directory, Guest, Mount, Network

#: Where sockets are inside, and directories that stay.
PLACE, PERSIST = Guest("/run/bwbuild-permits"), Guest("/run/bwbuild-persist")
#: Variables that lead programs to a socket: word -> (name, value), where {} is its place inside.
_LEADS: Mapping[str, tuple[str, str]] = {
    "wayland": ("WAYLAND_DISPLAY", "{}"),
    "pulseaudio": ("PULSE_SERVER", "unix:{}"),
    "session-bus": ("DBUS_SESSION_BUS_ADDRESS", "unix:path={}"),
}


@dataclass(frozen=True, slots=True)
class Available:
    """What of the machine there is for what was granted.

    :ivar environment: the caller's.
    :ivar devices: device -> its nodes or directories of nodes.
    :ivar paths: permission for a path -> the path, absolute and without a link.
    :ivar looked: path -> what was looked at there, as :class:`~bwbuild.sandbox.spec.Bind` has it.
    :ivar sockets: word -> the socket; for ``x11`` it is called X and a number.
    :ivar persist: name -> a private directory of this source.
    :ivar network: what can lead to other machines; not None where that is granted.
    :ivar by_group: a device lets the caller in by one of his groups, which the build then keeps.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    paths: Mapping[Permission, Path] = field(default_factory=dict)
    looked: Mapping[Path, str] = field(default_factory=dict)
    sockets: Mapping[str, Path] = field(default_factory=dict)
    persist: Mapping[str, Path] = field(default_factory=dict)
    by_group: bool = False
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class Permits:
    """What a sandbox has beyond the default.

    :ivar mounts: after all others but the last, which seals ``/``.
    :ivar environment: goes over the sandbox's own.
    :ivar secret: names of those variables whose values no log shows.
    :ivar network: what leads to other machines; None: nothing does.
    :ivar groups: the caller's supplementary groups stay.
    """

    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secret: frozenset[str] = frozenset()
    network: Network | None = None
    groups: bool = False

    @property
    def looked(self) -> Mapping[Path, str]:
        """Path that is mounted -> what was looked at there."""
        binds = (mount for mount in self.mounts if isinstance(mount, Bind) and mount.looked)
        return {bind.source: bind.looked for bind in binds if isinstance(bind.source, Path)}


NO_PERMITS = Permits()


def permits(granted: Iterable[Permission], available: Available) -> Permits:
    """What ``granted`` comes to on a machine where that is ``available``."""
    wanted = tuple(dict.fromkeys(granted))
    environment = dict(_variables(wanted, available))
    return Permits(
        mounts=tuple(_mounts(wanted, available)),
        environment=environment,
        secret=frozenset(item.value for item in wanted if item.key == "env") & environment.keys(),
        network=available.network if NETWORK in wanted else None,
        groups=available.by_group,
    )


def persisted(given: Permits) -> dict[str, Path]:
    """The directories that stay: name -> where it is outside."""
    binds = (mount for mount in given.mounts if isinstance(mount, Bind))
    return {
        bind.target.name: bind.source
        for bind in binds
        if bind.target.parent == PERSIST and isinstance(bind.source, Path)
    }


def persist_variable(name: str) -> str:
    """The variable that names the directory that stays."""
    return "BWBUILD_PERSIST_" + "".join(c if c.isalnum() else "_" for c in name).upper()


def _mounts(wanted: tuple[Permission, ...], available: Available) -> Iterator[Mount]:
    values = {
        key: [item.value for item in wanted if item.key == key] for key in ("device", "socket", "persist")
    }
    for value in values["device"]:
        for path in available.devices[value]:
            yield Bind(path, Guest(path), devices=True)
    # A path before those below it.
    for path, writable in sorted(_paths(wanted, available).items()):
        yield from (Directory(Guest(above)) for above in reversed(path.parents) if above != Path("/"))
        yield Bind(path, Guest(path), writable=writable, looked=available.looked.get(path, ""))
    if values["socket"]:
        yield Directory(PLACE)
    for value in values["socket"]:
        if value == "x11":
            yield Directory(Guest("/tmp/.X11-unix"), 0o1777)
        yield Bind(available.sockets[value], _socket(value, available))
    if values["persist"]:
        yield Directory(PERSIST)
    for value in values["persist"]:
        yield Bind(available.persist[value], PERSIST / value, writable=True)


def _paths(wanted: tuple[Permission, ...], available: Available) -> dict[Path, bool]:
    found: dict[Path, bool] = {}
    for item in wanted:
        if item.key == "filesystem":
            path = available.paths[item]
            found[path] = found.get(path, False) or item.writable
    return found


def _socket(word: str, available: Available) -> Guest:
    return Guest("/tmp/.X11-unix", available.sockets[word].name) if word == "x11" else PLACE / word


def _variables(wanted: tuple[Permission, ...], available: Available) -> Iterator[tuple[str, str]]:
    for item in wanted:
        if item.key == "env" and item.value in available.environment:
            yield item.value, available.environment[item.value]
        elif item.key == "socket" and item.value == "x11":
            yield "DISPLAY", f":{available.sockets['x11'].name.removeprefix('X')}"
        elif item.key == "socket":
            name, text = _LEADS[item.value]
            yield name, text.format(_socket(item.value, available))
        elif item.key == "persist":
            yield persist_variable(item.value), str(PERSIST / item.value)
