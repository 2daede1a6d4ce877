"""What serves a granted permission while the program runs: private servers, sockets, devices, paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bwbuild.build import places
from bwbuild.config.layers import user_file
from bwbuild.config.settings import Settings
from bwbuild.errors import ConfigurationError, HostError, UsageError
from bwbuild.host import available as machine
from bwbuild.permissions.words import Permission
from bwbuild.sandbox import program
from bwbuild.sandbox.permits import Available, Permits, permits
from bwbuild.sandbox.spec import Bind, Handed, Network, Scratch
from bwbuild.tryout import bus, displays, helpers, xpra
from bwbuild.tryout.bus import Calls, Proxy
from bwbuild.tryout.displays import AUTHORITY, Display
from bwbuild.tryout.grants import BUS, WAYLAND, X11, Granted
from bwbuild.tryout.helpers import Station
from bwbuild.tryout.values import Asked

#: What the private servers of X are called.
_PROGRAMS = {"xvfb": "Xvfb", "xephyr": "Xephyr", "xpra": "xpra"}


@dataclass(frozen=True, slots=True)
class Desktop:
    """What serves a program: the permits, the display that is its own, and the proxy to the bus."""

    permits: Permits
    display: Display | None = None
    proxy: Proxy | None = None
    handed: tuple[Handed, ...] = ()
    paths: Mapping[Permission, Path] = field(default_factory=dict)

    def calls(self) -> Calls | None:
        """What was asked of the bus; None where there is none."""
        return None if self.proxy is None else bus.calls(self.proxy.log())


def as_here(granted: Granted, settings: Settings) -> Granted:
    """Without what only a manifest asks for and this machine lacks."""
    environment = dict(os.environ)
    around = _around(settings, environment)
    lacking = {}
    for permission in granted.permissions:
        if permission in granted.hoped:
            try:
                _look(permission, around, environment)
            except (HostError, ConfigurationError) as error:
                lacking[permission] = error.message
    permissions = tuple(item for item in granted.permissions if item not in lacking)
    if granted.fallback and WAYLAND not in permissions:
        permissions = tuple(dict.fromkeys((*permissions, X11)))
    without = ((str(permission), why) for permission, why in lacking.items())
    return replace(granted, permissions=permissions, without=(*granted.without, *without))


def _look(permission: Permission, around: machine.Around, environment: Mapping[str, str]) -> None:
    _sockets((permission,), environment)
    if bus.is_wanted((permission,)):
        bus.address(environment)
        helpers.check("xdg-dbus-proxy")
    machine.look((permission,), around)


def check(asked: Asked, granted: Granted, settings: Settings) -> None:
    """Look for all that will have to serve the program, before anything takes time.

    :raises BwbuildError: as :func:`opened`.
    """
    environment = dict(os.environ)
    _sockets(granted.permissions, environment)
    if bus.is_wanted(granted.permissions):
        bus.address(environment)
        helpers.check("xdg-dbus-proxy")
    if not granted.has("socket", "x11") and asked.screenshot is None and asked.server != "auto":
        raise UsageError(
            f"--x11 {asked.server} says which server socket=x11 is, and that is not granted",
            hint="--allow socket=x11",
        )
    if granted.has("socket", "x11") or asked.screenshot is not None:
        server = _server(asked)
        if server != "xvfb":
            displays.outer_display(environment)
        helpers.check(_PROGRAMS[server])
    machine.look(granted.permissions, _around(settings, environment))


@contextmanager
def opened(asked: Asked, granted: Granted, station: Station, name: str) -> Iterator[Desktop]:
    """All that serves what is granted, until the end of the context.

    :param name: of the program, for the bus and the title of its display.
    :raises HostError: the session or the machine lacks something.
    :raises ConfigurationError: something can't be granted.
    """
    environment = dict(os.environ)
    wanted = list(granted.permissions)
    with ExitStack() as stack:
        proxy = display = None
        sockets = _sockets(wanted, environment)
        if bus.is_wanted(wanted):
            proxy = stack.enter_context(bus.opened(station, name, wanted, environment))
            sockets["session-bus"] = proxy.socket
            wanted.append(BUS)
        if granted.has("socket", "x11") or asked.screenshot is not None:
            display = stack.enter_context(_display(asked, station, name, environment))
            sockets["x11"] = display.socket
            wanted.append(X11)
        found = machine.look(wanted, _around(station.settings, environment))
        network = Network(found.network) if found.network else None
        devices, by_group = found.devices, found.by_group
        available = Available(environment, devices, found.paths, found.looked, sockets, {}, by_group, network)
        own = permits(wanted, available)
        yield Desktop(
            _with(own, granted, display, proxy), display, proxy, _documents(environment, proxy), found.paths
        )


def _display(
    asked: Asked, station: Station, name: str, environment: Mapping[str, str]
) -> AbstractContextManager[Display]:
    server = _server(asked)
    if server == "xvfb":
        return displays.hidden(station)
    if server == "xpra":
        return xpra.opened(station, environment)
    return displays.nested(station, f"{name} (bwbuild try)", environment)


def _server(asked: Asked) -> str:
    """Which private server of X there will be."""
    server = asked.server
    if server == "auto":
        only_xpra = helpers.is_there(_PROGRAMS["xpra"]) and not helpers.is_there(_PROGRAMS["xephyr"])
        server = "xpra" if only_xpra else "xephyr"
        if asked.screenshot is not None:
            server = "xvfb"
    if asked.screenshot is not None and server != "xvfb":
        raise UsageError("--screenshot takes the picture of an Xvfb", hint="leave out --x11")
    return server


def _sockets(wanted: Iterable[Permission], environment: Mapping[str, str]) -> dict[str, Path]:
    own = ("wayland", "pulseaudio")
    names = [item.value for item in wanted if item.key == "socket" and item.value in own]
    return machine.sockets_of_session(names, environment)


def _with(own: Permits, granted: Granted, display: Display | None, proxy: Proxy | None) -> Permits:
    environment = {**granted.environment, **own.environment}
    mounts = list(own.mounts)
    if display is not None:
        mounts.append(Bind(display.authority, AUTHORITY))
        environment["XAUTHORITY"] = str(AUTHORITY)
    if proxy is not None:
        # Programs of GTK and Qt ask the portals for files then.
        environment |= {"GTK_USE_PORTAL": "1", "QT_QPA_PLATFORMTHEME": "xdgdesktopportal"}
    return replace(own, mounts=tuple(mounts), environment=environment)


def _documents(environment: Mapping[str, str], proxy: Proxy | None) -> tuple[Handed, ...]:
    """Where a document portal shows the program what the user lets it open: at the same place as outside."""
    documents = bus.documents(environment, proxy.name) if proxy is not None else None
    return () if documents is None else (Handed(documents, Scratch(f"{program.RUNTIME}/doc")),)


def _around(settings: Settings, environment: Mapping[str, str]) -> machine.Around:
    own = (user_file(environment).parent, places.cache(settings), places.scratch(settings), places.state())
    real = tuple(Path(os.path.realpath(path)) for path in own)
    home = Path(os.path.realpath(environment.get("HOME", "/")))
    return machine.Around(home, environment, real, (Path(str(program.HOME)),))
