"""strace's strings and paths as they were before it escaped them: pure."""

from __future__ import annotations

import os
import re

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b"}


def as_text(escaped: bytes) -> str:
    """A string, or a path; bytes that are no UTF-8 are surrogates."""
    return os.fsdecode(as_bytes(escaped))


def as_bytes(escaped: bytes) -> bytes:
    """The same as the process gave it to the kernel."""
    return _ESCAPE.sub(_character, escaped) if b"\\" in escaped else escaped


def as_path(directory: bytes | None, path: bytes) -> str:
    """A path, made absolute where its directory is known."""
    text = as_text(path)
    if not directory or text.startswith("/"):
        return text
    return f"{as_text(directory).rstrip('/')}/{text}"


def _character(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes((int(code, 8) & 0xFF,)) if code.isdigit() else _LETTERS.get(code, code)
