"""What a build or a package says as text that is safe to ``cat`` on a terminal: pure."""

from __future__ import annotations

import re

_CONTROLS = bytes(code for code in [*range(0x20), 0x7F] if code not in b"\t\n")
_HARMLESS = bytes(code for code in range(0x100) if code not in _CONTROLS)
#: C1 in UTF-8 and as bytes that are no part of a character, which a terminal of eight bits acts on, and what
#: else ends a line for some readers.
_BEYOND_ASCII = re.compile("[\x80-\x9f\udc80-\udc9f\u2028\u2029]")
#: What steers the eye and shows nothing itself: controls, what turns the direction of writing, what has no
#: width, separators of lines, tags.
_STEERING = re.compile(
    "[\xad\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
#: The beginning of a character, of which the rest is missing.
_UNFINISHED = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")


def escape(data: bytes) -> bytes:
    r"""``data`` with every control character but newline and tab as visible text such as ``\x1b``.

    Controls are C0, DEL and U+0080 to U+009F, in UTF-8 or as single bytes that are not a part of a character;
    the separators U+2028 and U+2029 become text too, and ``\r\n`` becomes ``\n``. All other bytes are kept,
    whether they are UTF-8 or not.
    """
    # Which controls occur is asked first, of C code: a build log rarely has any, and each costs one
    # replacement at most, so that hostile output is slower by no more than a constant factor.
    found = set(data.translate(None, _HARMLESS))
    if 0x0D in found:
        data = data.replace(b"\r\n", b"\n")
    for code in found:
        data = data.replace(bytes((code,)), b"\\x%02x" % code)
    return data if data.isascii() else _escape_beyond_ascii(data)


def _escape_beyond_ascii(data: bytes) -> bytes:
    text = data.decode("utf-8", "surrogateescape")
    found = set(_BEYOND_ASCII.findall(text))
    if not found:
        return data
    for character in found:
        text = text.replace(character, _shown(ord(character)))
    return text.encode("utf-8", "surrogateescape")


def visible(data: bytes | str) -> str:
    r"""One line of text that is safe on a terminal: as :func:`escape`, with newlines and tabs as blanks.

    Bytes that are not UTF-8 become text such as ``\x80``, what steers the eye such as ``\u202e``.
    """
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    text = steady(escape(raw).decode("utf-8", "backslashreplace"))
    return text.replace("\n", " ").replace("\t", " ")


def steady(text: str) -> str:
    r"""``text`` with what steers the eye and shows nothing itself as visible text such as ``\u202e``."""
    return text if text.isascii() else _STEERING.sub(lambda match: _shown(ord(match[0])), text)


def _shown(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # Python's form of a byte
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Escaper:
    """:func:`escape` for a stream whose chunks may end within a character."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The escaped form of what came so far and was not returned before; three bytes at most are held."""
        data = self._held + data
        unfinished = _UNFINISHED.search(data[-3:])
        held = len(unfinished[0]) if unfinished else int(data.endswith(b"\r"))
        self._held = data[len(data) - held :]
        return escape(data[: len(data) - held])

    def flush(self) -> bytes:
        """What was held back, when something else than the stream follows."""
        held, self._held = self._held, b""
        return escape(held)
