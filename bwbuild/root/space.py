"""A cache that can't be written, above all since its disk is full: the error, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from bwbuild.errors import OutputError

#: How programs say it.
FULL = "No space left on device"
_HINT = "free some space (bwbuild clean shows what is there), or name another place: --cache DIR"


def full(what: object, details: Sequence[str]) -> OutputError:
    """The error for a program that found the disk full; ``what`` is the place, or what was to be made."""
    return OutputError(f"{what}: {FULL}", hint=_HINT, details=details)


def unwritable(what: object, error: OSError) -> OutputError:
    """The error for a write of bwbuild's own that failed; ``what`` as for :func:`full`."""
    return OutputError(f"{what}: {error.strerror}", hint=_HINT)
