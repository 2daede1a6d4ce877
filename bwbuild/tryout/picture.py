"""The picture of a screen, from the form in which Xvfb has it in memory to a PNG: pure."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

#: Numbers of 32 bits at the beginning of an X window dump, and bytes of an entry of its colour map.
_HEADER, _ENTRY = 25, 12
#: What a screen can't be larger than, in pixels each way.
_LARGEST = 16384


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels by rows from the top: three bytes each, red first."""

    width: int
    height: int
    pixels: bytes

    @property
    def is_blank(self) -> bool:
        """Whether all of it has one colour."""
        return self.pixels == self.pixels[:3] * (self.width * self.height)

    @property
    def png(self) -> bytes:
        """It as a PNG file."""
        row = 3 * self.width
        lines = b"".join(b"\0" + self.pixels[at : at + row] for at in range(0, len(self.pixels), row))
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def of_dump(dump: bytes) -> Picture:
    """The picture in an X window dump of 24 bits in depth and 32 for each pixel.

    :raises ValueError: it is none.
    """
    if len(dump) < 4 * _HEADER:
        raise ValueError("too short for a window dump")
    words = struct.unpack(f">{_HEADER}I", dump[: 4 * _HEADER])
    size, version, _, _, width, height, _, order = words[:8]
    bits, line, entries = words[11], words[12], words[19]
    if version != 7 or bits != 32 or order != 0 or not 0 < width <= _LARGEST or not 0 < height <= _LARGEST:
        raise ValueError("a window dump of another form")
    start = size + _ENTRY * entries
    data = dump[start : start + line * height]
    if line < 4 * width or len(data) < line * height:
        raise ValueError("the window dump is cut off")
    if line != 4 * width:
        data = b"".join(data[at : at + 4 * width] for at in range(0, len(data), line))
    pixels = bytearray(3 * width * height)
    for colour in range(3):
        pixels[colour::3] = data[2 - colour :: 4]
    return Picture(width, height, bytes(pixels))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
