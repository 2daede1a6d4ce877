"""The words of a bwrap command line, read as bubblewrap's manual has them: pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bwbuild.audit.facts import Access

#: How many values each option takes. What reads further options, or names a file or a namespace by a
#: descriptor, is not here: nobody can say what it does.
_VALUES = {
    0: (
        *("unshare-user", "unshare-user-try", "unshare-ipc", "unshare-pid", "unshare-net", "unshare-uts"),
        *("unshare-cgroup", "unshare-cgroup-try", "unshare-all", "share-net", "disable-userns"),
        *("assert-userns-disabled", "clearenv", "new-session", "die-with-parent", "as-pid-1"),
        *("level-prefix",),
    ),
    1: (
        *("uid", "gid", "hostname", "chdir", "unsetenv", "lock-file", "argv0", "cap-add", "cap-drop"),
        *("exec-label", "file-label", "proc", "dev", "tmpfs", "mqueue", "dir", "remount-ro", "perms", "size"),
        *("sync-fd", "block-fd", "userns-block-fd", "info-fd", "json-status-fd", "seccomp"),
        *("add-seccomp-fd", "overlay-src", "tmp-overlay", "ro-overlay"),
    ),
    2: (
        *("setenv", "bind", "bind-try", "dev-bind", "dev-bind-try", "ro-bind", "ro-bind-try", "symlink"),
        *("file", "bind-data", "ro-bind-data", "chmod"),
    ),
    3: ("overlay",),
}
ARITY = {f"--{name}": count for count, names in _VALUES.items() for name in names}
_BINDS = {"--bind", "--bind-try", "--dev-bind", "--dev-bind-try", "--ro-bind", "--ro-bind-try"}
#: What lies over whatever was at its last value before.
_COVERS = {"--tmpfs", "--proc", "--dev", "--mqueue"}
#: Which of their values name what is on the machine.
_SOURCES = {**dict.fromkeys(_BINDS | {"--overlay-src"}, 1), "--overlay": 2}
#: What makes a name at its last value without mounting something of the machine there.
NAMES = frozenset({"--dir", "--file", "--bind-data", "--ro-bind-data", "--symlink"})
_OVERLAYS = {"--overlay", "--tmp-overlay", "--ro-overlay"}
_TARGETS = _BINDS | _COVERS | NAMES | _OVERLAYS | {"--remount-ro"}
_FILTERS = {"--seccomp", "--add-seccomp-fd"}
_ALL = ("user", "ipc", "pid", "net", "uts", "cgroup")


@dataclass(frozen=True, slots=True)
class Option:
    """One option and its values."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A command line: known options in their order, the first word that is not known, and the command."""

    options: tuple[Option, ...]
    unknown: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def has(self, *names: str) -> bool:
        """Whether one of these options is there."""
        return any(option.name in names for option in self.options)

    def values(self, name: str) -> tuple[str, ...]:
        """The first values of all options of that name."""
        return tuple(option.values[0] for option in self.options if option.name == name)

    @property
    def filtered(self) -> bool:
        """Whether system calls are filtered, nobody knows how."""
        return self.has(*_FILTERS)

    @property
    def namespaces(self) -> frozenset[str]:
        """Those of its own, also where bwrap only tries."""
        found: set[str] = set()
        for option in self.options:
            if option.name == "--unshare-all":
                found.update(_ALL)
            elif option.name == "--share-net":
                found.discard("net")
            elif option.name.startswith("--unshare-"):
                found.add(option.name.removeprefix("--unshare-").removesuffix("-try"))
        return frozenset(found)


def read(words: Sequence[str]) -> Line:
    """Read what follows ``bwrap``.

    A shell script's ``"$@"`` that nobody has filled in is taken for the command.
    """
    options: list[Option] = []
    rest = list(words)
    while rest:
        word = rest[0]
        if word == "--":
            return Line(tuple(options), command=tuple(rest[1:]))
        if not word.startswith("-"):
            break
        count = ARITY.get(word)
        if count is None or len(rest) <= count:
            return Line(tuple(options), unknown=(word,))
        if word in _TARGETS and ".." in PurePosixPath(rest[count]).parts:
            # Where that is depends on the links on the way.
            return Line(tuple(options), unknown=(f"{word} {rest[count]}",))
        options.append(Option(word, tuple(rest[1 : 1 + count])))
        rest = rest[1 + count :]
    return Line(tuple(options), command=tuple(rest))


def with_sources(line: Line, resolve: Callable[[str], str]) -> Line:
    """The line with what ``resolve`` makes of each file of the machine that is named in it.

    bwrap takes these from its own directory and follows links.
    """

    def resolved(option: Option) -> Option:
        count = _SOURCES.get(option.name, 0)
        return replace(option, values=(*map(resolve, option.values[:count]), *option.values[count:]))

    return replace(line, options=tuple(map(resolved, line.options)))


def inside(text: str) -> PurePosixPath:
    """A place of the sandbox; bwrap takes every path from its root, however many slashes it begins with."""
    return PurePosixPath("/" + text.lstrip("/"))


@dataclass(frozen=True, slots=True)
class Mounted:
    """A directory or file of the machine that is seen at ``target``, or None: something of its own is."""

    target: PurePosixPath
    source: PurePosixPath | None = None
    writable: bool = False
    #: devices work in it
    devices: bool = False
    #: one of several of an overlay, which are seen together
    layer: bool = False
    #: in memory, with a size that was chosen
    sized: bool = False


def mounts(line: Line) -> tuple[Mounted, ...]:
    """What is mounted, in order, with what ``--remount-ro`` does to it."""
    found: list[Mounted] = []
    layers: list[str] = []
    sized = False
    for option in line.options:
        if option.name == "--overlay-src":
            layers.append(option.values[0])
        elif option.name in _OVERLAYS:
            found += _overlay(option, layers)
            layers = []
        elif option.name == "--remount-ro":
            found = _read_only(found, inside(option.values[0]))
        elif option.name in _BINDS or option.name in _COVERS:
            found.append(replace(_mounted(option), sized=sized and option.name == "--tmpfs"))
        # The next mount alone has it.
        sized = option.name == "--size" or (sized and option.name == "--perms")
    return tuple(found)


def _mounted(option: Option) -> Mounted:
    target = inside(option.values[-1])
    if option.name in _COVERS:
        return Mounted(target, writable=option.name == "--tmpfs")
    writable = not option.name.startswith("--ro-")
    return Mounted(target, PurePosixPath(option.values[0]), writable, option.name.startswith("--dev-bind"))


def _overlay(option: Option, layers: list[str]) -> list[Mounted]:
    """All layers of an overlay count as seen, and that which takes the writes as written."""
    target = inside(option.values[-1])
    seen = [Mounted(target, PurePosixPath(layer), layer=True) for layer in layers]
    if option.name == "--overlay":
        seen.append(Mounted(target, PurePosixPath(option.values[0]), writable=True, layer=True))
    return [Mounted(target), *seen]


def _read_only(found: list[Mounted], target: PurePosixPath) -> list[Mounted]:
    return [replace(mount, writable=False) if mount.target == target else mount for mount in found]


def visible(found: Sequence[Mounted], place: PurePosixPath) -> Access:
    """How much of ``place`` of the machine is visible through these mounts."""
    access = Access.NONE
    for number, mount in enumerate(found):
        if mount.source is None:
            continue
        if place.is_relative_to(mount.source):
            where = mount.target / place.relative_to(mount.source)
            here = Access.WRITE if mount.writable else Access.READ
        elif mount.source.is_relative_to(place):
            where, here = mount.target, Access.PART
        else:
            continue
        # What lies over it later, also with the same content, is looked at in its own turn.
        if not any(where.is_relative_to(later.target) for later in found[number + 1 :] if not later.layer):
            access = max(access, here)
    return access


def is_sized(found: Sequence[Mounted], place: PurePosixPath) -> bool:
    """Whether what lies uppermost at ``place`` is in memory with a size that was chosen."""
    over = [mount for mount in found if place.is_relative_to(mount.target)]
    return bool(over) and over[-1].sized
