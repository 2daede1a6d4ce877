"""Permissions: the words for what lies beyond the default, close to those of Flatpak's finish-args.

A permission is written ``KEY=VALUE``, such as ``share=network`` or ``filesystem=/srv/data:rw``. The same
words stand in ``debian/bwbuild.toml``, behind ``--allow`` and ``--deny``, in grants, in reports and in the
audit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

#: What a permission may be about: key -> the words that may stand behind it, where these are few.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "share": ("network",),
    "device": ("dri", "fuse", "kvm"),
    "socket": ("pulseaudio", "session-bus", "wayland", "x11"),
    "allow": ("foreign-abi", "raw-sync", "userns"),
}
#: Those of them that a program of bwbuild try has a use for, and no build.
OF_PROGRAMS = ("socket=session-bus", "socket=x11")
#: Directories that a user has names for, in the words of xdg-user-dirs and of Flatpak, and where in a home
#: each is when nothing says otherwise.
XDG: Mapping[str, str] = {
    "xdg-desktop": "Desktop",
    "xdg-documents": "Documents",
    "xdg-download": "Downloads",
    "xdg-music": "Music",
    "xdg-pictures": "Pictures",
    "xdg-public-share": "Public",
    "xdg-templates": "Templates",
    "xdg-videos": "Videos",
    "xdg-cache": ".cache",
    "xdg-config": ".config",
    "xdg-data": ".local/share",
}
#: Names in / that every sandbox fills itself, so that no path there can be given.
OF_SANDBOXES = frozenset(
    {"bin", "boot", "build", "dev", "etc", "nonexistent", "proc", "root", "run", "sbin", "sys", "usr", "var"}
)
#: Below these there may be a path of the machine's.
_TEMPORARY = ("/tmp/", "/var/tmp/")
#: The longest value that is read.
LONGEST = 1024


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One permission in its one spelling: equal values mean the same thing.

    :ivar key: such as ``share``.
    :ivar value: such as ``network``; of a path, without ``:ro`` and ``:rw``.
    :ivar writable: of a path: it may be written.
    """

    key: str
    value: str
    writable: bool = False

    def __str__(self) -> str:
        mode = {False: ":ro", True: ":rw"}[self.writable] if self.key == "filesystem" else ""
        return f"{self.key}={self.value}{mode}"

    def covers(self, other: Permission) -> bool:
        """Whether who has this one needs no other for ``other``: to write a path is to read it.

        A path covers what is below it, a limit one that is lower; both are compared as they are written, so
        take :func:`meant` of both first.
        """
        if self.key != other.key:
            return False
        if self.key == "filesystem":
            return within(other.value, self.value) and self.writable >= other.writable
        if self.key == "limit":
            return self == other or _is_higher(self.value, other.value)
        return self == other

    def denies(self, wanted: Permission) -> bool:
        """Whether who denies this one denies ``wanted`` too; both as :func:`meant`.

        To deny reading is to deny writing. A path is denied with what would show it, being below it or above.
        """
        if self.key != wanted.key or self.key != "filesystem":
            return wanted.covers(self)
        overlap = within(self.value, wanted.value) or within(wanted.value, self.value)
        return overlap and wanted.writable >= self.writable


def _is_higher(limit: str, other: str) -> bool:
    found = [re.fullmatch(r"([a-z-]+:)(\d+(?:\.\d+)?)", text, re.ASCII) for text in (limit, other)]
    if found[0] is None or found[1] is None:
        return False
    return found[0][1] == found[1][1] and float(found[0][2]) >= float(found[1][2])


def absolute(value: str, places: Mapping[str, str]) -> str:
    """The path that the value of a ``filesystem=`` permission means.

    :param places: ``~`` and names of :data:`XDG` -> where that is; what is missing there is in the home
        directory at its usual place, and ``~`` stays what it is.
    """
    where, _, below = value.partition("/")
    if not where:
        return value
    top = places.get(where) or ("~" if where == "~" else f"{absolute('~', places)}/{XDG[where]}")
    return f"{top.rstrip('/')}/{below}" if below else top


def meant(permission: Permission, places: Mapping[str, str]) -> Permission:
    """The same with its path written in full."""
    if permission.key != "filesystem":
        return permission
    return replace(permission, value=absolute(permission.value, places))


def within(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or below it."""
    return path == top or path.startswith(f"{top.rstrip('/')}/")


def parse(text: str) -> Permission:
    """The permission that ``text`` means; a bare ``userns`` is ``allow=userns``, and so on.

    :raises ValueError: with what was expected.
    """
    if len(text) > LONGEST or not text.isprintable():
        raise ValueError(f"printable text of at most {LONGEST} characters")
    key, equals, value = text.partition("=")
    if not equals and text in CHOICES["allow"]:
        key, value = "allow", text
    read = _READERS.get(key)
    if read is None:
        raise ValueError("KEY=VALUE with a KEY among " + ", ".join(sorted(_READERS)))
    return read(key, value)


def of_sandboxes(path: str) -> str:
    """Why no sandbox of any machine has the absolute ``path`` of the host; empty if one may."""
    top = path.split("/")[1]
    if not top:
        return "it is all of this machine"
    if path.startswith(_TEMPORARY) or not (top in OF_SANDBOXES | {"tmp"} or top.startswith("lib")):
        return ""
    return f"a sandbox has a /{top} of its own"


def _choice(key: str, value: str) -> Permission:
    if value not in CHOICES[key]:
        raise ValueError(f"{key}= and one of " + ", ".join(CHOICES[key]))
    return Permission(key, value)


def _path(key: str, value: str) -> Permission:
    path, mode = value, ""
    if value.endswith((":ro", ":rw")):
        path, mode = value[:-3], value[-2:]
    where, _, below = path.partition("/")
    known = where in ("", "~") or where in XDG
    if not path or not known or ".." in path.split("/") or not _plain(path):
        raise ValueError(
            f"{key}=PATH with :ro or :rw behind it, where PATH is absolute, begins with ~/ or a name such "
            "as xdg-documents, and has no empty part, no . and no .."
        )
    return Permission(key, path.rstrip("/") if below or where else "/", writable=mode == "rw")


def _plain(path: str) -> bool:
    trimmed = path[:-1] if path.endswith("/") and path != "/" else path
    return str(PurePosixPath(trimmed)) == trimmed and not trimmed.startswith("//")


def _matching(pattern: str, expected: str) -> Callable[[str, str], Permission]:
    compiled = re.compile(pattern, re.ASCII)

    def read(key: str, value: str) -> Permission:
        if len(value) > 255 or not compiled.fullmatch(value):
            raise ValueError(f"{key}={expected}")
        return Permission(key, value)

    return read


_BUS_NAME = r"[A-Za-z_-][\w-]*(\.[A-Za-z_-][\w-]*)+(\.\*)?"
_READERS: Mapping[str, Callable[[str, str], Permission]] = {
    **dict.fromkeys(CHOICES, _choice),
    "filesystem": _path,
    "env": _matching(r"[A-Za-z_]\w*", "NAME, the name of a variable"),
    "persist": _matching(r"[a-z0-9][a-z0-9+.-]*", "NAME of lower-case letters, digits, +, . and -"),
    "limit": _matching(r"[a-z-]+:[a-z0-9.]+[KMGTkmgt]?", "NAME:VALUE, as memory:8G"),
    "talk": _matching(_BUS_NAME, "NAME on the session bus, as org.freedesktop.Notifications"),
    "own": _matching(_BUS_NAME, "NAME on the session bus, as org.example.Program"),
}

#: Permissions that settings and the sandbox know by name.
NETWORK = Permission("share", "network")
FOREIGN_ABI = Permission("allow", "foreign-abi")
RAW_SYNC = Permission("allow", "raw-sync")
USERNS = Permission("allow", "userns")
