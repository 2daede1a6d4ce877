"""As much of the X protocol as tells which windows a private server shows: titles and sizes.

The server runs in a sandbox of its own, and its clients decide what titles are: nothing that is read here is
trusted to be short, or text.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Seconds that the server may take to answer.
_PATIENCE = 10.0
#: Windows that are looked at, how deep below the root, and 4-byte units that are read of a title.
_MOST, _DEEPEST, _TITLE = 500, 3, 256
_LARGEST = 1 << 20
_COOKIE = b"MIT-MAGIC-COOKIE-1"
#: Numbers of requests, of the property WM_NAME, and of a window that is to be seen.
_ATTRIBUTES, _GEOMETRY, _TREE, _ATOM, _PROPERTY = 3, 14, 15, 16, 20
_WM_NAME, _VIEWABLE = 39, 2


@dataclass(frozen=True, slots=True)
class Window:
    """A window that is to be seen."""

    title: str
    width: int
    height: int


def new_cookie() -> bytes:
    """What a client must know to be let in."""
    return secrets.token_bytes(16)


def authority(cookie: bytes) -> bytes:
    """A file for XAUTHORITY that gives ``cookie`` to whatever display."""

    def counted(data: bytes) -> bytes:
        return struct.pack(">H", len(data)) + data

    any_family = 65535
    return struct.pack(">H", any_family) + counted(b"") * 2 + counted(_COOKIE) + counted(cookie)


class Broken(Exception):  # noqa: N818 - the server is gone or speaks another language
    """The server does not answer as it should."""


@contextmanager
def connected(path: Path, cookie: bytes) -> Iterator[Connection]:
    """A connection to the server at a socket.

    :raises Broken: there is none, or it does not let us in.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(_PATIENCE)
        try:
            # The address of a socket has 107 bytes at most, and where the scratch directory is may be longer.
            directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                stream.connect(f"/proc/self/fd/{directory}/{path.name}")
            finally:
                os.close(directory)
            yield Connection(stream, cookie)
        except OSError as error:
            raise Broken(str(error)) from error


class Connection:
    """A client of an X server."""

    def __init__(self, stream: socket.socket, cookie: bytes) -> None:
        self._stream = stream
        hello = struct.pack("<BxHHHH2x", ord("l"), 11, 0, len(_COOKIE), len(cookie))
        stream.sendall(hello + _padded(_COOKIE) + _padded(cookie))
        head = self._read(8)
        body = self._read(4 * struct.unpack("<H", head[6:8])[0])
        if head[0] != 1 or len(body) < 32:
            raise Broken("the server refuses the cookie")
        vendor, formats = struct.unpack("<H", body[16:18])[0], body[21]
        screen = 32 + _even(vendor) + 8 * formats
        if len(body) < screen + 4:
            raise Broken("the server has no screen")
        self.root: int = struct.unpack("<I", body[screen : screen + 4])[0]
        self._name, self._utf8 = self._atom(b"_NET_WM_NAME"), self._atom(b"UTF8_STRING")

    def windows(self) -> list[Window]:
        """All windows with a title that are to be seen."""
        return list(self._below(self.root, _DEEPEST, [_MOST]))

    def shown(self) -> int:
        """How many windows are to be seen right below the root, with a title or without."""
        return sum(self._is_viewable(window) for window in self._children(self.root)[:_MOST])

    def _below(self, window: int, depth: int, budget: list[int]) -> Iterator[Window]:
        for child in self._children(window):
            budget[0] -= 1
            if budget[0] < 0:
                return
            if not self._is_viewable(child):
                continue
            title = self._text(child, self._name) or self._text(child, _WM_NAME)
            if title:
                yield Window(title, *self._size(child))
            elif depth > 1:
                yield from self._below(child, depth - 1, budget)

    def _children(self, window: int) -> list[int]:
        reply = self._asked(_TREE, struct.pack("<I", window))
        if reply is None:
            return []
        count = min(struct.unpack("<H", reply[16:18])[0], (len(reply) - 32) // 4)
        return list(struct.unpack(f"<{count}I", reply[32 : 32 + 4 * count]))

    def _is_viewable(self, window: int) -> bool:
        reply = self._asked(_ATTRIBUTES, struct.pack("<I", window))
        return reply is not None and reply[26] == _VIEWABLE

    def _size(self, window: int) -> tuple[int, int]:
        reply = self._asked(_GEOMETRY, struct.pack("<I", window))
        if reply is None:
            return 0, 0
        width, height = struct.unpack("<HH", reply[16:20])
        return width, height

    def _text(self, window: int, name: int) -> str:
        reply = self._asked(_PROPERTY, struct.pack("<IIIII", window, name, 0, 0, _TITLE)) if name else None
        if reply is None or reply[1] != 8:
            return ""
        kind, _, length = struct.unpack("<III", reply[8:20])
        data = reply[32 : 32 + length]
        return data.decode("utf-8" if kind == self._utf8 else "latin-1", "replace")

    def _atom(self, name: bytes) -> int:
        reply = self._asked(_ATOM, struct.pack("<H2x", len(name)) + _padded(name), more=1)
        return 0 if reply is None else int.from_bytes(reply[8:12], "little")

    def _asked(self, request: int, data: bytes, more: int = 0) -> bytes | None:
        """The answer to a request; None where there is none, as of a window that is gone."""
        self._stream.sendall(struct.pack("<BBH", request, more, 1 + len(data) // 4) + data)
        while True:
            head = self._read(32)
            if head[0] == 0:
                return None
            if head[0] == 1:
                return head + self._read(4 * struct.unpack("<I", head[4:8])[0])

    def _read(self, size: int) -> bytes:
        if size > _LARGEST:
            raise Broken("an answer is too long")
        data = bytearray()
        while len(data) < size:
            part = self._stream.recv(size - len(data))
            if not part:
                raise Broken("the server has closed the connection")
            data += part
        return bytes(data)


def _even(size: int) -> int:
    return size + -size % 4


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
