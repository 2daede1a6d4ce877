"""xpra as the private server: each window of the program is one of the caller's desktop.

Its server, with an Xvfb beneath it, runs in a small sandbox, and so does its client, which alone reaches the
caller's display. No clipboard, file, sound or notification goes between both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bwbuild.sandbox.spec import Bind, Guest, Kernel, Mount, Scratch
from bwbuild.tryout.displays import SOCKETS, Display, answers, made, new_authority, outer_display
from bwbuild.tryout.helpers import Station

#: Where server and client meet, in both sandboxes.
_MEETING = Guest("/run/xpra")
_SOCKET = f"{_MEETING}/socket"
_NUMBER = 55
_OURS = ("HOME=/tmp", "XDG_RUNTIME_DIR=/tmp")
_BOTH = (
    *("--clipboard=no", "--notifications=no", "--speaker=off", "--microphone=off", "--webcam=no"),
    *("--file-transfer=no", "--open-files=no", "--open-url=no", "--printing=no", "--mdns=no", "--bell=no"),
)
_XVFB = "Xvfb -screen 0 3840x2160x24 -nolisten tcp -nolisten local -noreset -auth /cookie"
_SERVER = (
    *("--daemon=no", "--attach=no", f"--bind={_SOCKET}", f"--xvfb={_XVFB}", "--pulseaudio=no", "--html=off"),
    *(
        "--dbus-launch=no",
        "--dbus-control=no",
        "--dbus-proxy=no",
        "--systemd-run=no",
        "--start-new-commands=no",
    ),
    *("--log-dir=/tmp", "--sharing=no"),
)


@contextmanager
def opened(station: Station, environment: Mapping[str, str]) -> Iterator[Display]:
    """A server whose windows are shown on the caller's display.

    :raises HostError: there is no display, or xpra is not installed or does not start.
    """
    _, number, outer_binds = outer_display(environment)
    place = made(station, "x11", "sockets").parent
    (place / "sockets").chmod(0o1777)
    meeting = made(station, "x11", "meeting")
    cookie = new_authority(place / "cookie")
    common = _common(place)
    binds = (
        *common,
        Bind(place / "cookie", Guest("/cookie")),
        Bind(Scratch("sockets"), SOCKETS, writable=True),
        Bind(Scratch("meeting"), _MEETING, writable=True),
    )
    server = ("env", *_OURS, "XAUTHORITY=/cookie", "xpra", "start", f":{_NUMBER}", *_SERVER, *_BOTH)
    made(station, "xpra")
    client = (
        *("env", *_OURS, f"DISPLAY=:{number}", "XAUTHORITY=/outer-authority"),
        *("xpra", "attach", f"socket://{_SOCKET}", "--tray=no", *_BOTH),
    )
    socket = place / "sockets" / f"X{_NUMBER}"
    client_binds: tuple[Mount, ...] = (*common, *outer_binds, Bind(meeting, _MEETING, writable=True))
    with station.started("x11", server, binds) as helper:
        helper.wait(lambda: answers(socket, cookie) and (meeting / "socket").is_socket())
        with station.started("xpra", client, client_binds) as attached:
            attached.wait(lambda: b"Attached to" in attached.log.read_bytes())
            yield Display(socket, place / "cookie", cookie, helper)


def _common(place: Path) -> tuple[Mount, ...]:
    """What xpra looks for in both sandboxes: the processor, and who it is."""
    uid, gid = os.getuid(), os.getgid()
    (place / "passwd").write_text(f"user:x:{uid}:{gid}::/tmp:/bin/sh\n", encoding="ascii")
    (place / "group").write_text(f"user:x:{gid}:\n", encoding="ascii")
    files = (Bind(place / name, Guest("/etc") / name) for name in ("passwd", "group"))
    return (Kernel("proc", Guest("/proc")), *files)
