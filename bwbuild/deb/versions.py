"""The order of Debian's version numbers."""

from __future__ import annotations

from typing import Any


def sort_key(version: str) -> Any:
    """What sorts as ``version`` does, which must be one."""
    from debian.debian_support import Version  # noqa: PLC0415 - 13 ms

    return Version(version)
