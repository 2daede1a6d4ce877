"""The session bus behind xdg-dbus-proxy: the program reaches the names that it is granted, and no others.

The proxy runs in a small sandbox of its own, in which a file says that who is behind it is sandboxed. Portals
look for that file, so what they let the program open comes through the document portal, not by its real path.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bwbuild.errors import HostError
from bwbuild.permissions.words import Permission, parse
from bwbuild.sandbox.spec import Bind, Guest, Scratch
from bwbuild.tryout.helpers import Helper, Station

#: Names that are granted with the bus itself: portals ask the user.
PORTALS = "org.freedesktop.portal.*"
_OUTER, _OWN = "/run/outer-bus", "/run/proxy"
_PATH = re.compile(r"unix:(?:[a-z]+=[^,;]*,)*path=([^,;]+)")
#: Bytes of the proxy's log that are read.
_MOST = 64 << 20
#: What is asked of the bus itself is everybody's.
_BUS = "org.freedesktop.DBus"
#: A call: whom, the method, the name that it is about where the proxy refused it for that, and the verdict.
_CALL = re.compile(
    r"^C\d+: -> (\S+) call (?:\S+\.)?(\w+) at \S*\n"
    r"(?:Filtering message due to arg0 (\S+), policy: .*\n)?(\*(?:HIDDEN|DENIED)\*)?",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs: its socket, what portals call the program, and what it has logged."""

    socket: Path
    name: str
    helper: Helper

    def log(self) -> str:
        """What went through it, and what did not."""
        with self.helper.log.open("rb") as file:
            return file.read(_MOST).decode("utf-8", "replace")


def is_wanted(granted: Iterable[Permission]) -> bool:
    """Whether any of it is about the session bus."""
    return any(item.key in ("talk", "own") or (item.key, item.value) == _SOCKET for item in granted)


_SOCKET = ("socket", "session-bus")


def words(granted: Iterable[Permission]) -> tuple[str, ...]:
    """The proxy's words for what is granted; the portals are always among it."""
    names = [f"--{item.key}={item.value}" for item in granted if item.key in ("talk", "own")]
    return ("--filter", "--log", f"--talk={PORTALS}", *names)


@contextmanager
def opened(
    station: Station, name: str, granted: Iterable[Permission], environment: Mapping[str, str]
) -> Iterator[Proxy]:
    """A proxy to the caller's session bus for the program called ``name``.

    :raises HostError: there is no such bus, or no proxy.
    """
    outer = address(environment)
    place = station.place / "bus"
    (place / "own").mkdir(parents=True)
    info = place / "info"
    info.write_text(f"[Application]\nname={application(name)}\n", encoding="ascii")
    binds = (
        Bind(outer, Guest(_OUTER)),
        Bind(info, Guest("/.flatpak-info")),
        Bind(Scratch("own"), Guest(_OWN), writable=True),
    )
    command = ("xdg-dbus-proxy", f"unix:path={_OUTER}", f"{_OWN}/bus", *words(granted))
    with station.started("bus", command, binds) as helper:
        socket = place / "own" / "bus"
        helper.wait(socket.is_socket)
        yield Proxy(socket, application(name), helper)


def address(environment: Mapping[str, str]) -> Path:
    """The socket of the caller's session bus.

    :raises HostError: there is none, or not one that can be shared.
    """
    text = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    if not text and environment.get("XDG_RUNTIME_DIR"):
        text = f"unix:path={environment['XDG_RUNTIME_DIR']}/bus"
    match = _PATH.match(text)
    path = Path(match[1]) if match else None
    if path is None or not path.is_socket():
        raise HostError(
            "the session bus is granted, but there is none in this session",
            hint=f"it would be at {text}"
            if text
            else "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set",
        )
    if os.getuid() == 0:
        raise HostError(
            "the session bus is granted, but root's own does not know who is in the sandbox",
            hint="run bwbuild as an ordinary user",
        )
    return path


@dataclass(frozen=True, slots=True)
class Calls:
    """What a program asked of the bus: names that it reached, permissions that it lacked, how often each."""

    reached: Counter[str]
    refused: Counter[Permission]
    owns: bool = False


def calls(log: str) -> Calls:
    """What the proxy's log says."""
    reached: Counter[str] = Counter()
    missing: Counter[Permission] = Counter()
    owns = False
    for name, method, argument, verdict in _CALL.findall(log):
        if name != _BUS:
            key, about = "talk", name
        elif method == "RequestName":
            key, about, owns = "own", argument, owns or not verdict
        elif method in ("StartServiceByName", "GetNameOwner", "NameHasOwner"):
            key, about = "talk", argument
        else:
            continue
        if verdict and about:
            with suppress(ValueError):  # a unique name, which nobody can be granted
                missing[parse(f"{key}={about}")] += 1
        elif name != _BUS:
            reached[name] += 1
    return Calls(reached, missing, owns)


def application(name: str) -> str:
    """What portals call the program of a package."""
    return "org.debian.bwbuild.p" + "".join(c if c.isalnum() else "_" for c in name)


def documents(environment: Mapping[str, str], name: str) -> Path | None:
    """Where the document portal shows what the user lets the program open; None where there is none."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    place = Path(runtime, "doc", "by-app", name)
    # Portals name files by their path outside, so it has to be the one inside as well.
    return place if runtime == f"/run/user/{os.getuid()}" and place.is_dir() else None
