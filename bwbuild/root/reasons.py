"""Why apt can't read a repository, by what it writes."""

from __future__ import annotations

import re
from enum import Enum


class Reason(Enum):
    """One reason; the first that fits is the one."""

    SIGNATURE = "the signature of its Release file is not one of the keyring's"
    EXPIRED = "its Release file has expired, or this machine's clock is wrong"
    UNKNOWN = "the mirror has no such suite"
    UNREACHABLE = "the mirror can't be reached"


_PATTERNS = {
    Reason.SIGNATURE: r"NO_PUBKEY|EXPKEYSIG|BADSIG|REVKEYSIG|is not signed"
    r"|signatures (?:couldn't be|were invalid)"
    r"|GPG error|couldn't be verified|gpgv.* failed|OpenPGP signature verification failed",
    Reason.EXPIRED: r"is expired \(invalid since|Release file .* expired|is not valid yet",
    Reason.UNKNOWN: r"does not have a Release file|404 +Not Found|unknown suite"
    r"|Unable to find expected entry",
    Reason.UNREACHABLE: r"Could not resolve|Temporary failure|Could not connect|Unable to connect"
    r"|Connection (?:refused|timed out|failed)|Network is unreachable"
    r"|Cannot initiate the connection|Failed to fetch",
}


def reason(text: str) -> Reason | None:
    """The reason that apt's output gives; None where it gives none that is known."""
    return next((found for found, pattern in _PATTERNS.items() if re.search(pattern, text)), None)
