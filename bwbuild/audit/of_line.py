"""The facts of a bwrap command line: what is not said there counts as the worst."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from bwbuild.audit.facts import (
    ALL_CAPABILITIES,
    NAMESPACES,
    RESOURCES,
    WORST,
    Access,
    Descriptors,
    End,
    Environment,
    Exit,
    Facts,
    Signer,
    Streams,
    System,
    Users,
)
from bwbuild.audit.words import NAMES, Line, Mounted, inside, is_sized, mounts, visible

#: Directories in memory, and what has a limit where they have a size.
_IN_MEMORY = ("/tmp", "/dev/shm")
#: What of the system must not be written.
_SYSTEM = ("/", "/usr", "/etc", "/var", "/var/lib/dpkg", "/boot", "/opt", "/srv", "/bin", "/sbin", "/lib")
#: Directories with keys in a home directory.
KEYS = (".ssh", ".gnupg")


@dataclass(frozen=True, slots=True)
class Around:
    """Where a sandbox is started: whose home, in which tree, and whether root starts it."""

    home: PurePosixPath
    tree: PurePosixPath
    root: bool = False
    #: whoever starts it has files open beyond the three streams
    open_files: bool = True
    #: a mount point that is sure to be none of a build's links
    guarded: PurePosixPath | None = None
    #: where his keys are, where links in his home lead elsewhere
    keys: tuple[PurePosixPath, ...] = ()
    #: where programs of the machine have their sockets, without links on the way
    run: tuple[PurePosixPath, ...] = (PurePosixPath("/run"), PurePosixPath("/var/run"))
    #: what the three streams of whoever starts it are
    streams: Streams = Streams.CALLERS


def facts_of_line(line: Line, around: Around) -> Facts:
    """What is known of the sandbox that bwrap makes of ``line``, started as any program is."""
    if line.unknown:
        return replace(WORST, unknown=line.unknown)
    found = mounts(line)
    return replace(
        _of_files(found, around),
        **_of_processes(line, around),
        proc="pid" not in line.namespaces or visible(found, PurePosixPath("/proc")) >= Access.READ,
        mount_points=_mount_points(line, found, around),
    )


def _of_processes(line: Line, around: Around) -> dict[str, Any]:
    if around.root:
        users = Users.MACHINE
    else:
        users = Users.ALONE if "0" in line.values("--uid")[-1:] else Users.OTHERS
    ends = End.WITH_PARENT if line.has("--die-with-parent") and "pid" in line.namespaces else End.NEVER
    environment = Environment.MOST if line.has("--unsetenv") else Environment.ALL
    return {
        "unknown": (),
        "shared": NAMESPACES - line.namespaces,
        "network": "net" not in line.namespaces,
        "users": users,
        "nesting": not line.has("--disable-userns"),
        "capabilities": _capabilities(line, root=around.root),
        "root_side": frozenset(),
        "gaining": False,  # bwrap sets no_new_privs whatever it is told
        "same_session": not line.has("--new-session"),
        "streams": around.streams,
        "descriptors": Descriptors.DO if around.open_files else Descriptors.WOULD,
        "environment": Environment.CHOSEN if line.has("--clearenv") else environment,
        "end": ends,
    }


def _capabilities(line: Line, *, root: bool) -> frozenset[str]:
    """An ordinary user's sandbox has none unless they are added, root's all unless they are dropped."""
    has: frozenset[str] = ALL_CAPABILITIES if root else frozenset()
    for option in line.options:
        value = frozenset(option.values[:1])
        if option.name == "--cap-drop":
            # What is left of all without one is still far too much.
            has = frozenset() if value == {"ALL"} else has - value
        elif option.name == "--cap-add":
            has |= ALL_CAPABILITIES if value == {"ALL"} else value
    return has


def _of_files(found: tuple[Mounted, ...], around: Around) -> Facts:
    def seen(place: str | PurePosixPath) -> Access:
        return visible(found, PurePosixPath(place))

    # Of /tmp one has to see all to find those there.
    sockets = {**dict.fromkeys(around.run, Access.PART), PurePosixPath("/tmp"): Access.READ}
    written = any(mount.source is not None and mount.writable for mount in found)
    return replace(
        WORST,
        home=seen(around.home),
        keys=max(seen(place) for place in around.keys or [around.home / name for name in KEYS]),
        tmp=seen("/tmp"),
        parent=seen(around.tree.parent),
        tree=seen(around.tree),
        sockets=tuple(str(place) for place, least in sockets.items() if seen(place) >= least),
        devices=_devices(found),
        sys=seen("/sys"),
        system=System.ALL if seen("/usr") >= Access.READ else System.NONE,
        etc=(System.NONE, System.DECLARED, System.ALL, System.ALL)[seen("/etc")],
        writable=tuple(place for place in _SYSTEM if seen(place) is Access.WRITE),
        # Where no directory of the machine is written, nothing comes out.
        exit=Exit.RAW if written else Exit.COPIED,
        signer=Signer.RAW if written else Signer.NOTHING,
        unlimited=RESOURCES - {place for place in _IN_MEMORY if is_sized(found, PurePosixPath(place))},
    )


def _devices(found: tuple[Mounted, ...]) -> Access:
    """Devices of the machine: all where a bind with devices shows /dev, some where there is any such."""
    place = PurePosixPath("/dev")
    working = tuple(replace(mount, source=mount.source if mount.devices else None) for mount in found)
    if visible(working, place) >= Access.READ:
        return Access.WRITE
    some = visible(found, place) is not Access.NONE or any(mount.devices for mount in found)
    return Access.PART if some else Access.NONE


def _mount_points(line: Line, found: tuple[Mounted, ...], around: Around) -> tuple[str, ...]:
    names = [mount.target for mount in found]
    names += [inside(option.values[-1]) for option in line.options if option.name in NAMES]
    below = [mount.target for mount in found if mount.source is not None and mount.writable]
    return tuple(
        str(name)
        for name in dict.fromkeys(names)
        if name != around.guarded and any(top in name.parents and _before(names, top, name) for top in below)
    )


def _before(names: list[PurePosixPath], top: PurePosixPath, name: PurePosixPath) -> bool:
    """Whether ``top`` is mounted first: what is mounted over a name hides it."""
    return names.index(top) < names.index(name)
