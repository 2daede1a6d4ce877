"""What a program is granted, by the command line and a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bwbuild.errors import UsageError
from bwbuild.permissions.finish_args import Translated
from bwbuild.permissions.words import Permission, meant, parse
from bwbuild.tryout import manifest

X11, WAYLAND = Permission("socket", "x11"), Permission("socket", "wayland")
#: Keys of permissions that a program has no use for, and what serves it instead.
_SENSELESS = {
    "persist": "a program's home is kept anyway; --home NAME gives it another one",
    "limit": "a program's limits are options: --limit-memory SIZE, --timeout TIME and so on",
}
BUS = Permission("socket", "session-bus")


@dataclass(frozen=True, slots=True)
class Granted:
    """What is granted.

    :ivar denied: what the command line denies, whoever else grants it.
    :ivar environment: variables with their values, as a manifest sets them.
    :ivar without: what a manifest wants and has no counterpart here, with the reason.
    :ivar hoped: those of the permissions that only a manifest asks for, which is written for all machines.
    :ivar fallback: ``socket=x11`` is granted where no Wayland is.
    :ivar places: what the caller's names of directories mean.
    """

    permissions: tuple[Permission, ...] = ()
    denied: tuple[Permission, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    without: tuple[tuple[str, str], ...] = ()
    hoped: frozenset[Permission] = frozenset()
    fallback: bool = False
    places: Mapping[str, str] = field(default_factory=dict)

    def has(self, key: str, value: str) -> bool:
        """Whether that is granted."""
        return Permission(key, value) in self.permissions

    def with_only(self, permissions: Iterable[Permission]) -> Granted:
        """The same with these permissions, but for what is denied."""
        return replace(self, permissions=tuple(_left(permissions, self.denied, self.places)))


def read(
    allowed: Iterable[str],
    denied: Iterable[str],
    finish_args: Path | None,
    places: Mapping[str, str] | None = None,
) -> Granted:
    """What is allowed and not denied; a word of the command line is stronger than a manifest.

    :param places: what the caller's names of directories mean.
    :raises UsageError: a word is no permission, or none that a program can have.
    """
    wanted = manifest.read(finish_args) if finish_args is not None else Translated()
    given = dict.fromkeys(_parsed("--allow", word) for word in allowed)
    refused = tuple(_parsed("--deny", word) for word in denied)
    names = places or {}
    asked = [item for item in wanted.allow if not _is_denied(item, wanted.deny, names)]
    permissions = _left(dict.fromkeys((*given, *asked)), refused, names)
    return Granted(
        permissions=tuple(_shortest(permissions, names)),
        denied=refused,
        environment=wanted.environment,
        without=wanted.without,
        hoped=frozenset(permissions) - frozenset(given),
        fallback=wanted.fallback and not _is_denied(X11, (*wanted.deny, *refused), names),
        places=names,
    )


def _parsed(flag: str, word: str) -> Permission:
    try:
        permission = parse(word)
    except ValueError as error:
        raise UsageError(f"{flag} is {word!r}", hint=f"expected {error}") from None
    if permission.key in _SENSELESS:
        raise UsageError(f"{flag} {permission} is of no use here", hint=_SENSELESS[permission.key])
    return permission


def _left(
    permissions: Iterable[Permission], denied: Iterable[Permission], places: Mapping[str, str]
) -> list[Permission]:
    """What is not denied; without the bus there are no names on it, with which the portals would come too."""
    refused = tuple(denied)
    no_names = BUS in refused
    return [
        item
        for item in permissions
        if not _is_denied(item, refused, places) and not (no_names and item.key in ("talk", "own"))
    ]


def _is_denied(item: Permission, denied: Iterable[Permission], places: Mapping[str, str]) -> bool:
    return any(meant(other, places).denies(meant(item, places)) for other in denied)


def _shortest(permissions: Iterable[Permission], places: Mapping[str, str]) -> list[Permission]:
    """Without what another one gives as well; what is below a path that is written may be read-only there."""
    found = {meant(item, places): item for item in reversed(list(permissions))}
    return [
        item
        for meaning, item in reversed(found.items())
        if not any(
            other != meaning
            and other.covers(meaning)
            and (other.value == meaning.value or other.writable == meaning.writable)
            for other in found
        )
    ]
