"""The finish-args of a Flatpak manifest as permissions, and what of them has no counterpart: pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bwbuild.permissions.words import CHOICES, OF_SANDBOXES, XDG, Permission, parse

_NEVER = "nothing of that kind is ever given"
#: Why an argument means nothing here: whole arguments first, then those that begin so.
_WHOLE: Mapping[str, str] = {
    "--share=ipc": "X works without the caller's shared memory, which is never shown",
    "--socket=system-bus": "the system bus is never given",
    "--socket=session-bus": "of the bus only names are given: --talk-name=NAME",
    "--socket=ssh-auth": "the agent of your keys is never given",
    "--socket=gpg-agent": "the agent of your keys is never given",
    "--socket=pcsc": _NEVER,
    "--socket=cups": "printing goes through a portal: talk=org.freedesktop.portal.Desktop",
    "--socket=inherit-wayland-socket": "socket=wayland is the compositor's own socket",
    "--device=all": "devices are given one by one: device=dri, device=kvm",
    "--device=shm": "/dev/shm is always the program's own",
    "--device=input": _NEVER,
    "--device=usb": _NEVER,
    "--filesystem=host": "not all of this machine's files: name directories",
    "--filesystem=host-os": "the root is that of a suite, not this machine's",
    "--filesystem=host-etc": "the root is that of a suite, not this machine's",
    "--filesystem=host-root": "not all of this machine's files: name directories",
    "--allow=devel": "there is no debugger's right to other processes than its own anyway",
    "--allow=bluetooth": _NEVER,
    "--allow=canbus": _NEVER,
    "--allow=per-app-dev-shm": "/dev/shm is always the program's own",
}
_BEGINNING: Mapping[str, str] = {
    "--system-": "the system bus is never given",
    "--filesystem=xdg-run/": "of the directory for sockets only named sockets are given",
    "--a11y-own-name=": "the bus for accessibility is never given",
    "--add-policy=": "portals have no policies here",
    "--remove-policy=": "portals have no policies here",
    "--generic-policy": "portals have no policies here",
    "--usb=": _NEVER,
    "--nousb=": _NEVER,
    "--metadata=": "there is no metadata of Flatpak",
    "--require-version=": "there is no Flatpak whose version counts",
    "--extension=": "there are no extensions: --with NAME installs packages",
    "--extra-data=": "nothing is downloaded when a package is installed",
    "--unset-env=": "no variable of yours is passed unless it is granted",
}
_FALLBACK = "--socket=fallback-x11"
#: Arguments that ask for what is so anyway.
_ANYWAY = ("--persist=",)
_DENIES = {
    "--unshare=": "share",
    "--nosocket=": "socket",
    "--nodevice=": "device",
    "--disallow=": "allow",
    "--no-talk-name=": "talk",
}
#: Directories that Flatpak alone makes, at the beginning of a path.
_OF_FLATPAK = re.compile(r"(?<![^\s:;,=\"'])/(?:app|run/host|run/flatpak)(?![^\s:;,/\"'])")
#: Directories that have bwbuild's own in them.
_WITH_OURS = ("~", "xdg-cache", "xdg-config", "xdg-data")
_MODES = {"ro": ":ro", "rw": ":rw", "create": ":rw"}


@dataclass(frozen=True, slots=True)
class Translated:
    """What finish-args come to.

    :ivar environment: variables that they set.
    :ivar without: arguments that have no counterpart, with the reason.
    :ivar fallback: X is wanted where there is no Wayland.
    """

    allow: tuple[Permission, ...] = ()
    deny: tuple[Permission, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    without: tuple[tuple[str, str], ...] = ()
    fallback: bool = False


def translate(arguments: Sequence[str]) -> Translated:
    """What ``arguments`` mean, each once, in their order."""
    allow: dict[Permission, None] = {}
    deny: dict[Permission, None] = {}
    environment: dict[str, str] = {}
    without: dict[str, str] = {}
    for argument in dict.fromkeys(arguments):
        try:
            if argument == _FALLBACK:
                continue
            if argument.startswith("--env="):
                name, _, value = argument.removeprefix("--env=").partition("=")
                if _OF_FLATPAK.search(value):
                    without[argument] = "it leads to files of Flatpak's own, which are not there"
                else:
                    environment[parse(f"env={name}").value] = _printable(value)
            elif reason := _without(argument):
                without[argument] = reason
            elif denied := _denied(argument):
                deny[denied] = None
            elif not argument.startswith(_ANYWAY):
                allow[_allowed(argument)] = None
        except ValueError as error:
            without[argument] = f"expected {error}"
    given = (tuple(allow), tuple(deny), environment, tuple(without.items()))
    return Translated(*given, fallback=_FALLBACK in arguments)


def _without(argument: str) -> str:
    # A mode does not make more of all of the machine.
    bare = argument.rpartition(":")[0] if argument.endswith((":ro", ":rw", ":create")) else argument
    if bare in _WHOLE:
        return _WHOLE[bare]
    why = next((why for beginning, why in _BEGINNING.items() if argument.startswith(beginning)), "")
    return why or _never(argument)


def _never(argument: str) -> str:
    """Why no sandbox can have the path of an argument; empty for another one."""
    beginning = "--filesystem="
    if not argument.startswith(beginning):
        return ""
    path, _, mode = _path(argument.removeprefix(beginning)).rpartition(":")
    top = path.split("/")[1] if path.startswith("/") else ""
    if path == "/tmp" or (top in OF_SANDBOXES and not path.startswith("/var/tmp/")):
        return f"a sandbox has a /{top} of its own"
    if path in _WITH_OURS and mode == "rw":
        return f"what decides about sandboxes is there too; --allow 'filesystem={path}:ro' gives it to read"
    return ""


def _denied(argument: str) -> Permission | None:
    for beginning, key in _DENIES.items():
        if argument.startswith(beginning):
            return parse(f"{key}={argument.removeprefix(beginning)}")
    if argument.startswith("--nofilesystem="):
        return parse(f"filesystem={_path(argument.removeprefix('--nofilesystem='))}")
    return None


def _allowed(argument: str) -> Permission:
    key, _, value = argument.partition("=")
    read = _ALLOWED.get(key)
    if read is None or not value:
        raise ValueError("an argument of flatpak-build-finish")
    return read(value)


def _printable(value: str) -> str:
    if not value.isprintable() or len(value) > 1024:
        raise ValueError("printable text")
    return value


def _word(key: str) -> Callable[[str], Permission]:
    def read(value: str) -> Permission:
        value = {"multiarch": "foreign-abi"}.get(value, value)
        if value not in CHOICES.get(key, (value,)):
            raise ValueError("one of " + ", ".join(CHOICES[key]))
        return parse(f"{key}={value}")

    return read


def _path(value: str) -> str:
    """A path in our spelling; without a mode Flatpak lets a program write."""
    path, colon, mode = value.rpartition(":")
    if not colon or mode not in _MODES:
        path, mode = value, "rw"
    if path == "home":
        path = "~"
    elif not path.startswith(("/", "~")) and path.partition("/")[0] not in XDG:
        path = f"~/{path}"
    return f"{path}{_MODES[mode]}"


_ALLOWED: Mapping[str, Callable[[str], Permission]] = {
    "--share": _word("share"),
    "--socket": _word("socket"),
    "--device": _word("device"),
    "--allow": _word("allow"),
    "--filesystem": lambda value: parse(f"filesystem={_path(value)}"),
    "--talk-name": lambda value: parse(f"talk={value}"),
    "--own-name": lambda value: parse(f"own={value}"),
}
