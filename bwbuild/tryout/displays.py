"""Private X servers: the program never has the user's own display, where a client sees all keys and windows.

The server runs in a small sandbox of its own. Of what it makes the program gets one socket and a cookie.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bwbuild.errors import HostError, UsageError
from bwbuild.sandbox.spec import Bind, Guest, Scratch
from bwbuild.tryout import picture, x11
from bwbuild.tryout.helpers import Helper, Station
from bwbuild.tryout.picture import Picture
from bwbuild.tryout.x11 import Window

#: The directory where every X client looks for sockets.
SOCKETS = Guest("/tmp/.X11-unix")
SCREEN = "1280x800"
#: Where the program's cookie is inside.
AUTHORITY = Guest("/run/bwbuild-xauthority")
_DISPLAY = re.compile(r":(\d+)(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Display:
    """A private server.

    :ivar socket: outside; it is called X and a number. ``authority``: the file with its cookie.
    :ivar memory: where Xvfb has the screen; None: somebody sees it.
    """

    socket: Path
    authority: Path
    cookie: bytes
    helper: Helper
    memory: Path | None = None

    def windows(self) -> list[Window]:
        """The windows that have a title and are to be seen; none where the server does not answer."""
        try:
            with x11.connected(self.socket, self.cookie) as connection:
                return connection.windows()
        except x11.Broken:
            return []

    def shown(self) -> int:
        """How many windows are to be seen."""
        try:
            with x11.connected(self.socket, self.cookie) as connection:
                return connection.shown()
        except x11.Broken:
            return 0

    def picture(self) -> Picture:
        """What is on the screen.

        :raises HostError: it can't be read.
        """
        if self.memory is None:
            raise UsageError("a picture is made of what nobody sees", hint="--x11 xvfb")
        try:
            return picture.of_dump(self.memory.read_bytes())
        except (OSError, ValueError) as error:
            raise HostError(f"the screen of Xvfb can't be read: {error}") from error


@contextmanager
def hidden(station: Station) -> Iterator[Display]:
    """An Xvfb, whose screen is in memory.

    :raises HostError: it is not installed or does not start.
    """
    words = ("Xvfb", ":0", "-screen", "0", f"{SCREEN}x24", "-fbdir", "/screen")
    memory = made(station, "x11", "screen")
    mounts = (Bind(Scratch("screen"), Guest("/screen"), writable=True),)
    with _served(station, words, mounts, 0) as (socket, cookie, helper):
        yield Display(socket, station.place / "x11" / "cookie", cookie, helper, memory / "Xvfb_screen0")


@contextmanager
def nested(station: Station, title: str, environment: Mapping[str, str]) -> Iterator[Display]:
    """An Xephyr: its screen is a window on the caller's display, which it alone can reach.

    :raises HostError: there is no display, or it is not installed or does not start.
    """
    _, number, mounts = outer_display(environment)
    own = 0 if number != 0 else 1
    words = (
        *("env", f"DISPLAY=:{number}", "XAUTHORITY=/outer-authority"),
        *("Xephyr", f":{own}", "-screen", SCREEN, "-resizeable", "-no-host-grab", "-title", title),
    )
    with _served(station, words, mounts, own) as (socket, cookie, helper):
        yield Display(socket, station.place / "x11" / "cookie", cookie, helper)


def outer_display(environment: Mapping[str, str]) -> tuple[Path, int, tuple[Bind, ...]]:
    """The socket of the caller's display, its number, and what a client of it in a small sandbox needs.

    :raises HostError: there is none on this machine.
    """
    display = environment.get("DISPLAY", "")
    hint = "without a display: --screenshot FILE.png shows it to nobody and takes a picture"
    if not display:
        raise HostError("socket=x11 shows a window on your display, and DISPLAY is not set", hint=hint)
    match = _DISPLAY.fullmatch(display.removeprefix("unix"))
    if match is None:
        raise HostError(f"DISPLAY is {display!r}, which is no display of this machine", hint=hint)
    path = Path(str(SOCKETS), f"X{match[1]}")
    if not path.is_socket():
        raise HostError(f"DISPLAY is {display!r}, but there is no server at {path}", hint=hint)
    home = Path(environment.get("HOME", "/"))
    cookie = Path(environment.get("XAUTHORITY") or home / ".Xauthority")
    binds = (Bind(path, SOCKETS / path.name), Bind(cookie, Guest("/outer-authority"), optional=True))
    return path, int(match[1]), binds


@contextmanager
def _served(
    station: Station, words: tuple[str, ...], mounts: tuple[Bind, ...], number: int
) -> Iterator[tuple[Path, bytes, Helper]]:
    place, sockets = station.place / "x11", made(station, "x11", "sockets")
    sockets.chmod(0o1777)
    file = place / "cookie"
    cookie = new_authority(file)
    common = ("-auth", "/cookie", "-nolisten", "tcp", "-nolisten", "local")
    binds = (
        Bind(file, Guest("/cookie")),
        Bind(Scratch("sockets"), SOCKETS, writable=True),
        *mounts,
    )
    socket = sockets / f"X{number}"
    with station.started("x11", (*words, *common), binds) as helper:
        helper.wait(lambda: answers(socket, cookie))
        yield socket, cookie, helper


def new_authority(file: Path) -> bytes:
    """Write a file with a new cookie, which is returned."""
    cookie = x11.new_cookie()
    file.write_bytes(x11.authority(cookie))
    # The program may have another number outside than the caller, who is root then.
    file.chmod(0o644 if os.getuid() == 0 else 0o600)
    return cookie


def answers(path: Path, cookie: bytes) -> bool:
    """Whether a server at ``path`` lets in who has the cookie."""
    if not path.is_socket():
        return False
    try:
        with x11.connected(path, cookie):
            return True
    except x11.Broken:
        return False


def made(station: Station, *names: str) -> Path:
    """A directory of a helper's."""
    path = station.place.joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path
