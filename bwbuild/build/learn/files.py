"""Where the files that a build saw are on this machine, and what lies on the way to them.

A view has layers: masks and copies of the cache over this machine's directories, or packages over a base.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bwbuild.build.plan import Plan

#: As the kernel has it.
_MOST_LINKS = 40
_MOST_INTERPRETERS = 5
_PT_INTERP = 3
_LINK, _DIRECTORY, _FILE = "link", "directory", "file"


@dataclass(frozen=True, slots=True)
class Way:
    """The way to a path: the symbolic links on it, in their order, and where it ends.

    :ivar kind: ``directory`` or ``file``; empty where there is nothing.
    """

    links: tuple[str, ...]
    end: str
    kind: str


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a view.

    :param layers: directory inside -> directories outside of which the first that has a name has it.
    """

    layers: dict[str, tuple[Path, ...]]
    _known: dict[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> Files:
        """What the build of this plan sees."""
        if plan.ground is not None:
            return cls({"/": (plan.ground.layer.upper, plan.ground.base.root)})
        layers: dict[str, tuple[Path, ...]] = {"/": (Path("/"),)}
        if plan.view is not None:
            place = plan.view.path
            layers |= {cover.top: (place / cover.name, Path(cover.top)) for cover in plan.view.covers}
            layers |= {"/etc": (place / "etc",), "/var/lib/dpkg": (place / "dpkg",)}
        return cls(layers)

    def way(self, path: str) -> Way:
        """The way to an absolute path."""
        links: list[str] = []
        todo = [name for name in reversed(path.split("/")) if name not in ("", ".")]
        place, kind = "", _DIRECTORY
        while todo:
            name = todo.pop()
            if name == "..":
                place = place.rpartition("/")[0]
                continue
            here = f"{place}/{name}"
            kind, text = self._look(here)
            if kind == _LINK:
                if len(links) >= _MOST_LINKS:
                    return Way(tuple(links), here, "")
                links.append(here)
                place = "" if text.startswith("/") else place
                todo += [part for part in reversed(text.split("/")) if part not in ("", ".")]
                kind = _DIRECTORY
                continue
            place = here
            if not kind or (kind != _DIRECTORY and todo):
                return Way(tuple(links), here, "")
        return Way(tuple(links), place or "/", kind)

    def outside(self, path: str) -> Iterator[str]:
        """Where a path may be outside; the first that exists counts."""
        top = max((top for top in self.layers if _below(path, top)), key=len)
        rest = path.removeprefix(top).lstrip("/")
        for layer in self.layers[top]:
            yield os.path.join(layer, rest) if rest else os.fspath(layer)

    def interpreters(self, path: str) -> Iterator[str]:
        """What the kernel opens, and no process, to run the program at ``path``: interpreters and loaders."""
        for _ in range(_MOST_INTERPRETERS):
            following = interpreter(self._beginning(self.way(path).end))
            if not following.startswith("/"):
                return
            yield following
            path = following

    def _beginning(self, path: str) -> bytes:
        for outside in self.outside(path):
            try:
                if stat.S_ISREG(os.stat(outside).st_mode):
                    with open(outside, "rb") as file:
                        return file.read(4096)
            except OSError:
                continue
        return b""

    def _look(self, path: str) -> tuple[str, str]:
        """What a path is, and the text of a link; nothing if it is not there."""
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = self._looked(path)
        return found

    def _looked(self, path: str) -> tuple[str, str]:
        for outside in self.outside(path):
            try:
                status = os.lstat(outside)
                if stat.S_ISLNK(status.st_mode):
                    return _LINK, os.readlink(outside)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                return _DIRECTORY, ""
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                return "", ""  # hidden
            return _FILE, ""
        return "", ""


def interpreter(beginning: bytes) -> str:
    """The interpreter or loader that a file of this beginning needs; empty if none."""
    if beginning.startswith(b"#!"):
        words = beginning[2:].split(b"\n", 1)[0].split()
        return os.fsdecode(words[0]) if words else ""
    if beginning[:4] != b"\x7fELF" or len(beginning) < 64:
        return ""
    order = "<" if beginning[5] == 1 else ">"
    # 64 bits or 32: a number, and where the table of parts is; of a part, where it says its place and size.
    number, table, place, length = ("Q", 32, 8, 32) if beginning[4] == 2 else ("I", 28, 4, 16)
    with suppress(struct.error):  # it is cut, or none
        start = struct.unpack_from(order + number, beginning, table)[0]
        size, parts = struct.unpack_from(f"{order}HH", beginning, 54 if number == "Q" else 42)
        for part in range(start, start + size * parts, max(size, 1)):
            if struct.unpack_from(f"{order}I", beginning, part)[0] == _PT_INTERP:
                at = struct.unpack_from(order + number, beginning, part + place)[0]
                end = at + struct.unpack_from(order + number, beginning, part + length)[0]
                return os.fsdecode(beginning[at:end].rstrip(b"\0"))
    return ""


def _below(path: str, top: str) -> bool:
    return top in ("/", path) or path.startswith(f"{top}/")
