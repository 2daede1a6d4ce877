"""What each permission exposes, in the words of the audit: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bwbuild.audit.of_permission import explained
from bwbuild.permissions.exposes import exposure
from bwbuild.permissions.words import Permission
from bwbuild.tryout.grants import X11, Granted

#: Where a program has something else than a build would be given.
_OTHERWISE = {
    Permission("socket", "x11"): (
        "it draws on a server of its own, which nobody else reaches, and reads what you type into its windows"
    ),
    Permission("socket", "session-bus"): "it talks to portals, which ask you, and to names that are granted",
}


def lines(granted: Granted, places: Mapping[str, str]) -> Iterator[str]:
    """A line or more for each permission, and for what has no counterpart.

    :param places: what the caller's names of directories mean.
    """
    if not granted.permissions:
        yield "nothing is granted: no network, no display, no device, no file of yours; a home of its own"
    for permission in granted.permissions:
        own = _OTHERWISE.get(permission)
        text, *findings = (own,) if own else explained(permission, places)
        yield f"{permission}: {text}"
        yield from (f"  {finding}" for finding in findings)
        if own is None and exposure(permission, places).grave:
            yield "  who has it can become you, or read your secrets"
    if granted.fallback:
        yield f"{X11}, where there is no Wayland: {_OTHERWISE[X11]}"
    for name, value in granted.environment.items():
        yield f"{name} is set to {value!r}"
    for argument, why in granted.without:
        yield f"{argument} has no counterpart: {why}"
