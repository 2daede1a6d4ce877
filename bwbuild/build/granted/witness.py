"""What a trace shows of the use of permissions: pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePath

from bwbuild.permissions.words import FOREIGN_ABI, RAW_SYNC, USERNS, Permission
from bwbuild.sandbox.permits import PERSIST, PLACE
from bwbuild.sandbox.spec import Guest
from bwbuild.sandbox.traced import Wanted
from bwbuild.trace.parse import Event, Kind

#: The permissions whose use is a file that somebody opens, looks at or runs, or a socket that he connects to.
_BY_PLACE = frozenset({"device", "filesystem", "socket", "persist"})
_DEVICES = Guest("/dev")
_OF_FILES = frozenset({Kind.OPEN, Kind.LOOK, Kind.STAT, Kind.WRITE, Kind.CHANGE, Kind.EXEC, Kind.CONNECT})
#: The mode of processes that this machine's own ABI has.
_NATIVE = "64 bit"
_BY_ACT: Mapping[Permission, Callable[[Event], bool]] = {
    USERNS: lambda event: event.kind is Kind.NAMESPACE,
    RAW_SYNC: lambda event: event.kind is Kind.SYNC,
    FOREIGN_ABI: lambda event: event.kind is Kind.MODE and event.subject != _NATIVE,
}


def wanted(granted: Collection[Permission], *, looks: bool = False) -> Wanted:
    """What has to be traced to see the use of all that is granted; ``looks``: these in any case."""
    by_place = any(permission.key in _BY_PLACE for permission in granted)
    return Wanted(looks or by_place, USERNS in granted, RAW_SYNC in granted, FOREIGN_ABI in granted)


class Witness:
    """Sees a build that is traced as :func:`wanted` says, and knows what of ``granted`` it used.

    :param paths: permission for a path -> the path, which is the same inside.
    """

    def __init__(self, granted: Collection[Permission], paths: Mapping[Permission, Path]) -> None:
        self._places = {
            permission: str(_place(permission, paths))
            for permission in granted
            if permission.key in _BY_PLACE
        }
        self._acts = {permission: _BY_ACT[permission] for permission in granted if permission in _BY_ACT}
        self._used: set[Permission] = set()

    def see(self, event: Event) -> None:
        """Take in what a process did; what failed is no use."""
        if event.error:
            return
        if event.kind in _OF_FILES:
            for permission, place in self._places.items():
                if _below(event.subject, place) or _below(event.real, place):
                    self._used.add(permission)
        else:
            self._used.update(permission for permission, is_use in self._acts.items() if is_use(event))

    def used(self) -> dict[Permission, bool]:
        """Whether each was used, of those whose use is seen."""
        return {permission: permission in self._used for permission in (*self._places, *self._acts)}


def _place(permission: Permission, paths: Mapping[Permission, Path]) -> PurePath:
    if permission.key == "filesystem":
        return paths[permission]
    return {"device": _DEVICES, "socket": PLACE, "persist": PERSIST}[permission.key] / permission.value


def _below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
