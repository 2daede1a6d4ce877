"""Signed text: what exactly was signed.

The frame is taken apart here, so strictly that there is one way to read it; gpgv says whether the signature
holds. Text outside the frame is refused: gpg ignores it, a reader may not.
"""

from __future__ import annotations

import re

from bwbuild.errors import SigningError

_FRAME = re.compile(
    r"-----BEGIN PGP SIGNED MESSAGE-----\n"
    r"(?:Hash: [A-Z0-9-]+(?:,[A-Z0-9-]+)*\n)*\n"
    r"(?P<text>.*)\n"
    r"-----BEGIN PGP SIGNATURE-----\n(?:[A-Z][A-Za-z]*: [^\n]*\n)*\n"
    r"[A-Za-z0-9+/=\n]+\n"
    r"-----END PGP SIGNATURE-----\n*",
    re.DOTALL,
)


def signed_text(text: str, name: str) -> str:
    """What the clear-signed ``text``, the contents of ``name``, signs: without frame and dash escapes.

    :raises SigningError: it is not signed, or has something beside one signed text.
    """
    match = _FRAME.fullmatch(text)
    if match is None:
        raise SigningError(f"{name} is not signed, or not only signed text")
    lines = []
    for line in match["text"].split("\n"):
        if line.startswith("-") and not line.startswith("- "):
            raise SigningError(f"{name} has a second frame inside the signed text")
        lines.append(line.removeprefix("- "))
    return "\n".join(lines)


def canonical(text: str) -> str:
    """``text`` without blanks at line ends, which a clear signature does not cover and blank last lines.

    The latter are covered, but debsign adds one before it signs.
    """
    return "\n".join(line.rstrip(" \t\r") for line in text.split("\n")).rstrip("\n")
