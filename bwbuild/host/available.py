"""What of this machine there is for granted permissions: looked for before a sandbox is made, never guessed.

``look`` answers with what :func:`bwbuild.sandbox.permits.permits` takes, or with an error that says which
permission can't be honoured and why. Paths are looked at hardest, for they may lie where others write: none
leads through a symbolic link, and none shows what a sandbox must never have.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bwbuild.errors import ConfigurationError, HostError
from bwbuild.host.sockets import CLOSED, first_below, remedy
from bwbuild.host.unfollowed import opened
from bwbuild.permissions.words import NETWORK, XDG, Permission, of_sandboxes

#: What leads out of a network namespace, the better one first; it opens the device.
_HELPERS, _TUN = ("pasta", "slirp4netns"), Path("/dev/net/tun")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_DEVICES = {"kvm": "/dev/kvm", "dri": "/dev/dri", "fuse": "/dev/fuse"}
#: Those of XDG itself have a variable each; xdg-user-dirs has a file that says where the others are.
_XDG_BASE = {
    "xdg-cache": "XDG_CACHE_HOME",
    "xdg-config": "XDG_CONFIG_HOME",
    "xdg-data": "XDG_DATA_HOME",
}
_LINE = re.compile(r'XDG_([A-Z]+)_DIR="(\$HOME/|/)([^"]*)"')


@dataclass(frozen=True, slots=True)
class Around:
    """Who runs a sandbox, and what it must not be given.

    :ivar home: the caller's, without links on the way.
    :ivar own: directories of bwbuild's own, whose files decide about sandboxes.
    :ivar written: directories of the sandbox that are not made anew for it, and that it can write.
    :ivar tree: the source tree, whose links are the source's; None: there is none.
    :ivar lasting: what is granted is for several sandboxes, of which one could replace what is below a path
        that it writes before the next one has it.
    :ivar undo: permission -> what takes it back, if that is a command.
    """

    home: Path
    environment: Mapping[str, str]
    own: tuple[Path, ...] = ()
    written: tuple[Path, ...] = ()
    tree: Path | None = None
    lasting: bool = False
    undo: Mapping[Permission, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is; the fields are those of :class:`bwbuild.sandbox.permits.Available`."""

    devices: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    paths: Mapping[Permission, Path] = field(default_factory=dict)
    looked: Mapping[Path, str] = field(default_factory=dict)
    sockets: Mapping[str, Path] = field(default_factory=dict)
    by_group: bool = False
    network: str = ""


def look(granted: Iterable[Permission], around: Around) -> Found:
    """Look for all that ``granted`` needs, but for sockets and directories that stay.

    :raises HostError: the machine does not have it.
    :raises ConfigurationError: no sandbox may have it.
    """
    wanted = tuple(granted)
    devices = {item.value: _device(item) for item in wanted if item.key == "device"}
    nodes = [node for found in devices.values() for node in _nodes(found)]
    paths = {item: expanded(item.value, around) for item in wanted if item.key == "filesystem"}
    written = {path for item, path in paths.items() if item.writable and around.lasting}
    return Found(
        devices=devices,
        paths=paths,
        looked={path: _looked_at(item, path, written, around) for item, path in paths.items()},
        by_group=any(map(_by_group, nodes)),
        network=_helper() if NETWORK in wanted else "",
    )


def sockets_of_session(words: Collection[str], environment: Mapping[str, str]) -> dict[str, Path]:
    """The caller's own sockets: of Wayland and of the sound server.

    :raises HostError: there is none.
    """
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    display = environment.get("WAYLAND_DISPLAY") or "wayland-0"
    server = environment.get("PULSE_SERVER", "").removeprefix("unix:")
    places = {
        "wayland": Path(runtime, display),
        "pulseaudio": Path(server) if server.startswith("/") else Path(runtime, "pulse/native"),
    }
    found = {}
    for word in words:
        path = places[word]
        if not path.is_absolute() or not path.is_socket():
            raise HostError(
                f"socket={word} is granted, but there is no such socket in this session",
                hint=f"it would be {path}" if path.is_absolute() else "XDG_RUNTIME_DIR is not set",
            )
        found[word] = path
    return found


def expanded(value: str, around: Around) -> Path:
    """The absolute path that the value of a ``filesystem=`` permission means."""
    where, _, below = value.partition("/")
    if not where:
        return Path(value)
    top = around.home if where == "~" else _xdg(where, around)
    return top / below if below else top


def places(environment: Mapping[str, str]) -> Mapping[str, str]:
    """What names of directories mean for who has this environment: ``~``, ``xdg-documents`` -> the path."""
    around = Around(Path(os.path.realpath(environment.get("HOME", "/"))), environment)
    return {name: str(expanded(name, around)) for name in ("~", *XDG)}


def _helper() -> str:
    """The program that leads out of a network namespace."""
    found = next((name for name in _HELPERS if shutil.which(name, path=_PATH)), "")
    if not found:
        raise HostError(
            f"{NETWORK} is granted, but neither {' nor '.join(_HELPERS)} is installed",
            hint="sudo apt install passt",
        )
    if not os.access(_TUN, os.R_OK | os.W_OK):
        raise HostError(
            f"{NETWORK} is granted, but {found} could not open {_TUN}",
            hint="in a container, pass the device in; else udev lets everybody open it: chmod 666",
        )
    return found


def _device(item: Permission) -> tuple[Path, ...]:
    path = Path(_DEVICES[item.value])
    if not path.exists():
        raise HostError(f"{item} is granted, but this machine has no {path}", hint=_lacking(item.value))
    nodes = tuple(_nodes((path,)))
    if not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        raise HostError(
            f"{item} is granted, but you may not use {path} yourself",
            hint=f"ls -l {path} shows the group that may: sudo adduser $USER GROUP, and log in again",
        )
    return (path,)


def _lacking(device: str) -> str:
    return {
        "kvm": "its processor or its kernel, or the virtual machine that it is, offers none",
        "dri": "it has no graphics card that its kernel knows",
        "fuse": "sudo modprobe fuse",
    }[device]


def _nodes(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from (node for node in path.rglob("*") if node.is_char_device()) if path.is_dir() else (path,)


def _by_group(node: Path) -> bool:
    """Whether the caller may use it by a group alone, as far as its mode tells."""
    status = node.stat()
    mine = status.st_uid == os.getuid() or status.st_mode & 0o006 == 0o006
    return not mine and status.st_gid in os.getgroups() and bool(status.st_mode & 0o060)


def _xdg(name: str, around: Around) -> Path:
    if name in _XDG_BASE:
        value = around.environment.get(_XDG_BASE[name], "")
        return Path(value) if value.startswith("/") else around.home / XDG[name]
    settings = Path(around.environment.get("XDG_CONFIG_HOME") or around.home / ".config", "user-dirs.dirs")
    try:
        text = settings.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    word = name.removeprefix("xdg-").replace("-", "").upper()
    for found in _LINE.finditer(text):
        if found[1] == word:
            return Path("/", found[3]) if found[2] == "/" else around.home / found[3]
    return around.home / XDG[name]


def confirm(looked: Mapping[Path, str]) -> None:
    """See, before each start, that what :func:`look` saw is still there: others may replace it.

    :raises ConfigurationError: it is not.
    """
    for path, seen in looked.items():
        try:
            with _held(path) as descriptor:
                found = _number(os.fstat(descriptor))
        except OSError:
            found = ""
        if found != seen:
            raise ConfigurationError(
                f"{path} is not what was granted any more: something else was put there, or nothing",
                hint="see who writes beside it, and build again",
            )


def _looked_at(item: Permission, path: Path, written: Collection[Path], around: Around) -> str:
    """What is at ``path``, as :class:`bwbuild.sandbox.spec.Bind` has it; ``written`` is granted as well."""
    undo = f"; {around.undo[item]}" if around.undo.get(item) else ""
    why = _forbidden(path, around, writable=item.writable) or _replaceable(path, written)
    if why:
        raise ConfigurationError(f"{item} can't be granted: {why}", hint=f"name less than that{undo}")
    real = Path(os.path.realpath(path))
    if real != path:
        raise ConfigurationError(
            f"{item} can't be granted: {path} leads through a symbolic link to {real}",
            hint=f"who can write there could lead it elsewhere; grant the real path{undo}",
        )
    try:
        with _held(path) as descriptor:
            status = os.fstat(descriptor)
    except OSError as error:
        raise HostError(f"{item} is granted, but {path}: {error.strerror}", hint="make it first") from None
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise ConfigurationError(
            f"{item} can't be granted: {path} is no directory and no regular file",
            hint=f"devices and sockets have permissions of their own{undo}",
        )
    opening = first_below(path) if stat.S_ISDIR(status.st_mode) else None
    if opening is not None:
        raise ConfigurationError(
            f"{item} can't be granted: {opening[0]} is {opening[1]}, and {_leads(opening[1])}",
            hint=f"name directories in which there is none; {remedy(opening[1])}{undo}",
        )
    return _number(status)


def _held(path: Path) -> AbstractContextManager[int]:
    """A descriptor of what is at the absolute ``path``; no link on the way is followed."""
    return opened("/", path.parts[1:], os.O_PATH)


def _number(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"


def _leads(kind: str) -> str:
    return "may hide what leads to a process outside" if kind == CLOSED else "leads to a process outside"


def _forbidden(path: Path, around: Around, *, writable: bool) -> str:
    """Why no sandbox may have ``path``; empty if it may."""
    if why := of_sandboxes(str(path)):
        return why
    if around.tree is not None and _overlap(path, around.tree):
        return f"the source tree {around.tree} is part of it, or it is part of that"
    for place in around.written:
        if _overlap(path, place):
            return f"the build writes to {place}, and could leave a link there"
    for own in around.own if writable else ():
        if _overlap(path, own):
            return f"{own} decides about sandboxes, and must not be written from inside"
    return ""


def _replaceable(path: Path, written: Collection[Path]) -> str:
    """Why it may be something else soon; who writes a path can't replace that itself, or what is above it."""
    for place in path.parents:
        if place in written:
            return f"{place} is granted with :rw as well, and who writes there could leave a link here"
    return ""


def _overlap(one: Path, other: Path) -> bool:
    return one == other or one in other.parents or other in one.parents
