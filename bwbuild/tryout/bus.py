"""The session bus behind xdg-dbus-proxy: the program reaches the names that it is granted, and no others.

The proxy runs in a small sandbox of its own, in which a file says that who is behind it is sandboxed. Portals
look for that file, so what they let the program open comes through the document portal, not by its real path.
Those of newer releases also want to know a process inside, and look for it where Flatpak tells of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bwbuild.errors import HostError
from bwbuild.permissions.words import NETWORK, Permission, parse
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked
from bwbuild.sandbox.spec import Bind, Guest, Scratch
from bwbuild.tryout.helpers import Helper, Station

#: Names that are granted with the bus itself: portals ask the user.
PORTALS = "org.freedesktop.portal.*"
#: How the directories begin by which portals find a process.
_INSTANCE = "bwbuild-"
#: Seconds after which nobody is about to lock one.
_ABANDONED = 60.0
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
    with _instance(environment) as instance:
        info = place / "info"
        info.write_text(_described(application(name), instance, granted), encoding="ascii")
        with _started(station, outer, info, granted) as helper:
            _tell_process(instance, helper)
            yield Proxy(place / "own" / "bus", application(name), helper)


@contextmanager
def _started(station: Station, outer: Path, info: Path, granted: Iterable[Permission]) -> Iterator[Helper]:
    binds = (
        Bind(outer, Guest(_OUTER)),
        Bind(info, Guest("/.flatpak-info")),
        Bind(Scratch("own"), Guest(_OWN), writable=True),
    )
    command = ("xdg-dbus-proxy", f"unix:path={_OUTER}", f"{_OWN}/bus", *words(granted))
    with station.started("bus", command, binds) as helper:
        helper.wait((station.place / "bus" / "own" / "bus").is_socket)
        yield helper


def _described(name: str, instance: Path | None, granted: Iterable[Permission]) -> str:
    """What portals read of a program in a sandbox, as Flatpak describes its own."""
    lines = ["[Application]", f"name={name}", "[Instance]", f"instance-id={instance.name if instance else 0}"]
    return "\n".join([*lines, *(["[Context]", "shared=network;"] if NETWORK in granted else []), ""])


@contextmanager
def _instance(environment: Mapping[str, str]) -> Iterator[Path | None]:
    """A directory where portals look for a process of the sandbox; None where there can be none.

    What a killed run has left is removed first: nobody has it locked any more.
    """
    runtime = Path(environment.get("XDG_RUNTIME_DIR", ""))
    if not (runtime.is_absolute() and os.access(runtime, os.W_OK)):
        yield None
        return
    instances = runtime / ".flatpak"
    instances.mkdir(mode=0o700, exist_ok=True)
    for old in instances.glob(f"{_INSTANCE}*"):
        with suppress(OSError), locked(old, EXCLUSIVE | AT_ONCE) as free:
            if free and time.time() - old.stat().st_mtime > _ABANDONED:
                shutil.rmtree(old)
    with tempfile.TemporaryDirectory(prefix=_INSTANCE, dir=instances) as made, locked(Path(made), SHARED):
        yield Path(made)


def _tell_process(instance: Path | None, helper: Helper) -> None:
    """Name a process that portals may take for the program's: one in the sandbox of the proxy."""
    if instance is not None:
        text = json.dumps({"child-pid": helper.beside.first})
        (instance / "bwrapinfo.json").write_text(text, encoding="ascii")


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
    """What a program asked of the bus: names that it reached, permissions that it lacked, how often each.

    :ivar denied: methods of the bus itself that nobody is granted.
    """

    reached: Counter[str]
    refused: Counter[Permission]
    owns: bool = False
    denied: Counter[str] = field(default_factory=Counter)


def calls(log: str) -> Calls:
    """What the proxy's log says."""
    reached: Counter[str] = Counter()
    missing: Counter[Permission] = Counter()
    denied: Counter[str] = Counter()
    owns = False
    for name, method, argument, verdict in _CALL.findall(log):
        if name != _BUS:
            key, about = "talk", name
        elif method == "RequestName":
            key, about, owns = "own", argument, owns or not verdict
        elif argument or method in ("StartServiceByName", "GetNameOwner", "NameHasOwner"):
            key, about = "talk", argument
        else:
            denied.update([method] if verdict else [])
            continue
        if verdict and about:
            with suppress(ValueError):  # a unique name, which nobody can be granted
                missing[parse(f"{key}={about}")] += 1
        elif name != _BUS:
            reached[name] += 1
    return Calls(reached, missing, owns, denied)


def application(name: str) -> str:
    """What portals call the program of a package."""
    return "org.debian.bwbuild.p" + "".join(c if c.isalnum() else "_" for c in name)


def documents(environment: Mapping[str, str], name: str) -> Path | None:
    """Where the document portal shows what the user lets the program open; None where there is none."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    place = Path(runtime, "doc", "by-app", name)
    # Portals name files by their path outside, so it has to be the one inside as well.
    return place if runtime == f"/run/user/{os.getuid()}" and place.is_dir() else None
