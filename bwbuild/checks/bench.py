"""Where a check runs: a chamber of a base with the check's own tools over it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from bwbuild.checks.testcontrol import Package, packages
from bwbuild.errors import DependencyError, HostError
from bwbuild.events import Observer
from bwbuild.root import etc, layers
from bwbuild.root.bounds import Bounds
from bwbuild.root.chamber import CAPABILITIES, Chamber
from bwbuild.root.extra import Extra
from bwbuild.root.ground import Base, Layer
from bwbuild.root.workplace import workplace
from bwbuild.sandbox.identity import BUILD_USER
from bwbuild.sandbox.network import NAMESERVER
from bwbuild.sandbox.pcap import Traffic
from bwbuild.sandbox.permits import NO_PERMITS, Permits
from bwbuild.sandbox.spec import Identity
from bwbuild.sandbox.syscalls import Group
from bwbuild.sandbox.tail import Tail

#: Bytes at the end of a check's output that are judged; all of it goes to the log.
_REMEMBERED = 4 << 20
#: Where a chamber has what was built, the files for its /etc, and the home of the ordinary user.
FILES, _ETC, HOME = PurePosixPath("/mnt"), PurePosixPath("/run/etc"), PurePosixPath("/home/check")
#: And variables that were granted, which may be secret: a command line is everybody's to read, and in logs.
_GRANTED = PurePosixPath("/run/granted")
#: The tree that was built, where no source package was made.
TREE = PurePosixPath("/opt")
_CONTROL = """\
Format: 1.0
Source: build-dependencies
Binary: build-dependencies
Architecture: any
Version: 1
Maintainer: bwbuild <root@localhost>
Build-Depends: """
#: The home is on disk and not in memory, for packages may be larger; su asks for a line in shadow.
_PREPARE = f"""\
set -eu
cp {_ETC}/* /etc/
echo "{BUILD_USER}:*:1:0:99999:7:::" >> /etc/shadow
mkdir -p {HOME}/tmp
chown -R "$1:$2" {HOME}
if [ -e {_GRANTED} ]; then . {_GRANTED}; fi
export HOME={HOME} TMPDIR={HOME}/tmp
shift 2
cd {HOME}
exec "$@"
"""


_FIELDS = """\
set -eu
for file in "$@"; do dpkg-deb --field "$file" Package Version Recommends; echo; done
"""
_DROPPED = ("--clear-groups", "--inh-caps=-all", "--no-new-privs", "--")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: copies of what was built, and of the upstream tarballs, in the directory ``files``.

    :ivar changes: the name of the .changes; ``dsc``: of the .dsc, empty where none was made.
    :ivar debs: names of the binary packages that this machine can install.
    :ivar foreign: names of those that it can't, being of another architecture.
    :ivar tree: a copy of the tree that was built; None where there is a .dsc, or nobody needs it.
    :ivar build_depends: what the source declares, separated by commas.
    """

    files: Path
    changes: str
    dsc: str = ""
    debs: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    tree: Path | None = None
    build_depends: str = ""

    @property
    def shown(self) -> Mapping[str, Path]:
        """For a chamber."""
        tree = {} if self.tree is None else {str(TREE): self.tree}
        return {str(FILES): self.files, **tree}

    def inside(self, name: str) -> str:
        """The path of a file in a chamber."""
        return str(FILES / name)


@dataclass(frozen=True, slots=True)
class Room:
    """What a check has around it, without the network unless that is among its permits.

    :ivar layers: over the base, the uppermost first.
    :ivar shown: directories that are only read: inside -> outside. ``binds``: those that are written.
    :ivar permits: what it was granted.
    :ivar as_root: it is root of the chamber; otherwise an ordinary user without any capability.
    :ivar lifted: system calls that such a root needs with its ``capabilities``.
    """

    layers: tuple[Layer, ...]
    shown: Mapping[str, Path]
    binds: Mapping[str, Path] = field(default_factory=dict)
    as_root: bool = False
    capabilities: str = CAPABILITIES
    permits: Permits = NO_PERMITS
    lifted: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A check that ended: exit status, the end of its output, seconds; ``why`` it did not end by itself."""

    status: int
    text: str
    seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all checks of a build have in common.

    :ivar output: gets what they write.
    :ivar bounds: of each; ``installing``: of the installation of what they need.
    :ivar permits: what the source's own tests were granted; ``traffic`` reads what they send.
    :ivar remedy: what would have the network be granted to them.
    """

    base: Base
    cache: Path
    tell: Observer
    output: Callable[[bytes], None]
    bounds: Bounds
    installing: Bounds
    fetch: bool = True
    permits: Permits = NO_PERMITS
    traffic: Traffic | None = None
    remedy: str = ""

    @contextmanager
    def tools(self, depends: str, extra: Extra | None = None) -> Iterator[Layer]:
        """A layer over the base with what satisfies ``depends``.

        :param extra: what apt may choose from besides the suite.
        :raises BwbuildError: there is none, or it can't be had.
        """
        with layers.opened(self._wish(depends, extra)) as layer:
            yield layer

    def fetched(self, depends: str, extra: Extra) -> Path:
        """A directory with what satisfies ``depends`` besides the base and ``extra``, not installed.

        :raises BwbuildError: there is none, or it can't be had.
        """
        return layers.fetched(self._wish(depends, extra))

    def built(self, subject: Subject) -> tuple[Package, ...]:
        """What the binary packages say of themselves; dpkg-deb reads them as an ordinary user.

        :raises HostError: it can't.
        """
        words = ("sh", "-c", _FIELDS, "sh", *(subject.inside(name) for name in subject.debs))
        ended = replace(self, output=lambda _: None).run(words, Room((), subject.shown))
        if ended.why or ended.status:
            raise HostError(f"the packages can't be read: {ended.why or ended.text[-200:]}")
        return packages(ended.text)

    def _wish(self, depends: str, extra: Extra | None) -> layers.Wish:
        return layers.Wish(
            base=self.base,
            control=f"{_CONTROL}{depends}\n",
            options=(),
            cache=self.cache,
            tell=self.tell,
            bounds=self.installing,
            fetch=self.fetch,
            extra=extra,
            what="the packages that the check needs",
            remedy="leave out the check, or take another suite (-d SUITE)",
        )

    def run(self, words: Sequence[str], room: Room) -> Ended:
        """Run a command; what it writes is gone with it, but for what ``room`` says.

        :raises HostError: there can be no chamber.
        :raises LimitError: it was ended at a limit.
        :raises OutputError: the cache can't be written.
        """
        tail = Tail(_REMEMBERED)

        def take(data: bytes) -> None:
            self.output(data)
            tail.add(data)

        identity = self.base.identity
        with workplace(self.cache, "check") as place:
            for name in ("chamber", "etc"):
                (place / name).mkdir()
                (place / name).chmod(0o755)
            for name, text in self._etc(room.permits).items():
                (place / "etc" / name).write_text(text, encoding="utf-8")
                (place / "etc" / name).chmod(0o644)
            shown = {**room.shown, str(_ETC): place / "etc", **_granted(room.permits, identity, place)}
            chamber = Chamber(
                identity=identity,
                place=place / "chamber",
                root=self.base.root,
                over=tuple(layer.upper for layer in room.layers),
                binds=room.binds,
                shown=shown,
                capabilities=room.capabilities,
                permits=room.permits,
                bounds=self.bounds.lifting(*room.lifted),
            )
            user = (str(identity.uid), str(identity.gid))
            prefix = () if room.as_root else ("setpriv", "--reuid", user[0], "--regid", user[1], *_DROPPED)
            command = ("sh", "-c", _PREPARE, "sh", *user, *prefix, *words)
            outcome = chamber.watch(command, take, self._listener())
        why = "it was killed" if outcome.exit_code is None else ""
        return Ended(outcome.exit_code or 0, tail.text, outcome.seconds, why)

    def _listener(self) -> Callable[[bytes], None] | None:
        if self.traffic is None:
            return None
        self.traffic.restart()
        return self.traffic.feed

    def _etc(self, permits: Permits) -> Mapping[str, str]:
        own = self.base.root / "etc"
        passwd, group = ((own / name).read_text(encoding="utf-8") for name in ("passwd", "group"))
        user = (BUILD_USER, self.base.identity.uid, self.base.identity.gid)
        nameserver = NAMESERVER[permits.network] if permits.network else None
        files = etc.files(passwd, group, user, nameserver)
        # Programs of users write to their home.
        passwd = files["passwd"].replace(":build user:/nonexistent:", f":build user:{HOME}:")
        return {**files, "passwd": passwd}


def _granted(permits: Permits, identity: Identity, place: Path) -> Mapping[str, Path]:
    """A file of ``place`` with the variables, for a chamber to show; nobody but its root can read it."""
    if not permits.environment:
        return {}
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in permits.environment.items())
    file = place / "granted"
    file.touch(0o600)
    file.write_bytes(os.fsencode("".join(lines)))
    if identity.outer_first is not None:
        os.chown(file, identity.outer_first, identity.outer_first)
    return {str(_GRANTED): file}


def unmet(error: DependencyError) -> str:
    """Which relation apt can't satisfy."""
    _, found, text = next((line for line in error.details if "Depends:" in line), "").partition("Depends:")
    return text.strip() if found else error.message
