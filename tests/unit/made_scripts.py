"""What a launcher's script carries, for tests."""

from __future__ import annotations

from collections.abc import Mapping

HEAD = "=== "


def files(script: str) -> Mapping[str, str]:
    """The files in the first parcel of ``script`` by name; programs of filters as hexadecimal digits."""
    found: dict[str, str] = {}
    lines = script.split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith(HEAD))
    while lines[at].startswith(HEAD):
        head = lines[at].split()
        name, count = head[2].removesuffix(":"), int(head[3])
        found[name] = "".join(f"{line}\n" for line in lines[at + 1 : at + 1 + count])
        at += 1 + count
    return found
