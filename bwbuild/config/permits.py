"""Permissions as values of settings, and limits as values of permissions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bwbuild.config.amounts import MOST_FILES, MOST_PROCESSES, Count, Size
from bwbuild.config.kinds import Duration, Kind
from bwbuild.permissions.words import CHOICES, OF_PROGRAMS, Permission, parse

#: Limits that a permission may raise: name -> the kind of its value. ``time`` is the setting ``timeout``.
LIMITS: Mapping[str, Kind] = {
    "disk": Size(auto=False, endless=False),
    "files": Count(auto=False, endless=False, most=MOST_FILES),
    "log": Size(auto=False, endless=False),
    "memory": Size(auto=False, endless=False),
    "processes": Count(auto=False, endless=False, most=MOST_PROCESSES),
    "shm": Size(auto=False, endless=False),
    "silence": Duration(),
    "time": Duration(),
    "tmp": Size(auto=False, endless=False),
}
#: Permissions that can be listed, and how others begin that anything may have.
LISTED = tuple(f"{key}={word}" for key, words in CHOICES.items() for word in words)
_ANY = (*CHOICES["allow"], "env=", "filesystem=")
#: The same for a program of bwbuild try.
PROGRAM_WORDS = (*LISTED, *_ANY, "own=", "talk=")


def limit(permission: Permission) -> tuple[str, float]:
    """The name and the number of a ``limit=`` permission.

    :raises ValueError: with what was expected.
    """
    name, _, text = permission.value.partition(":")
    kind = LIMITS.get(name)
    if kind is None:
        raise ValueError("limit= and one of " + ", ".join(LIMITS))
    if text == "never":
        raise ValueError(f"limit={name}: and a number, for a limit can be raised and not be taken away")
    try:
        number = kind.from_text(text)
    except ValueError as error:
        raise ValueError(f"limit={name}: and {error}") from None
    assert isinstance(number, int | float)  # noqa: S101 - for the type checker
    return name, number


@dataclass(frozen=True)
class Permit(Kind):
    """One permission, as :mod:`bwbuild.permissions.words` reads it."""

    @property
    def expected(self) -> str:
        """The form."""
        return "a permission such as share=network or filesystem=/srv/data:ro"

    @property
    def metavar(self) -> str:
        """PERMISSION."""
        return "PERMISSION"

    @property
    def words(self) -> tuple[str, ...]:
        """Those that can be listed and a build can have, and how others begin."""
        listed = (word for word in LISTED if word not in OF_PROGRAMS)
        return (*listed, *_ANY, "persist=", *(f"limit={n}:" for n in LIMITS))

    def from_text(self, text: str) -> Permission:
        """The permission."""
        permission = parse(text)
        if permission.key == "limit":
            limit(permission)
        return permission
