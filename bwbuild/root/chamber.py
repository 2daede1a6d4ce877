"""A chamber: the root of a base with a writable layer over it, in which apt and dpkg work as root.

Programs of the distribution run here, and maintainer scripts of packages: with what dpkg needs of a root's
rights, with the network where packages are fetched and without it where they are installed or checked.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bwbuild import process
from bwbuild.errors import BwbuildError, HostError
from bwbuild.host import available
from bwbuild.host.mounts import type_of
from bwbuild.root.bounds import Bounds
from bwbuild.root.space import FULL, full
from bwbuild.sandbox import guard, pinned, runner
from bwbuild.sandbox.bwrap import filter_words, mount_words
from bwbuild.sandbox.overlays import OVERLAY_OPTIONS
from bwbuild.sandbox.permits import NO_PERMITS, Permits
from bwbuild.sandbox.script import in_namespace
from bwbuild.sandbox.spec import Guest, Identity, Scratch

#: What dpkg and maintainer scripts need; mounts and devices are not among it.
CAPABILITIES = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setfcap sys_chroot"
#: No daemon is started by a package that is installed.
_POLICY = "#!/bin/sh\nexit 101\n"
_POLICY_FILE = "/usr/sbin/policy-rc.d"
#: Where a program in a chamber can write to file systems in memory.
WRITABLE = (Guest("/dev"), Guest("/dev/shm"), Guest("/run"), Guest("/tmp"), Guest("/var/tmp"))
#: Says that everything is mounted.
_ENTERED = "entered"
#: What tells the runner of bwrap's first process.
_STATUS = '--json-status-fd "$BWBUILD_STATUS"'
#: How mount begins to say that an overlay with an upper layer can't be had.
_NO_UPPER_LAYER = re.compile(r"^mount: .*\bns/root:", re.MULTILINE)
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NOWARNINGS": "yes",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
}


def proxies() -> dict[str, str]:
    """The caller's variables that lead to the network where a machine has none of its own."""
    return {name: os.environ[name] for name in _PROXIES if name in os.environ}


@dataclass(frozen=True, slots=True)
class Chamber:
    """A root with a writable layer over it.

    :ivar root: of a base; nothing is written there.
    :ivar bounds: how a program is watched, and what holds back the system calls of all that run.
    :ivar layer: what is written stays below it in ``upper``, which exists; None: nothing stays.
    :ivar place: an empty directory to work in, on a file system that carries an upper layer.
    :ivar over: upper directories of complete layers, which lie over the root, the uppermost first.
    :ivar binds: directories of the host that are seen writable: inside -> outside.
    :ivar shown: the same for those that are only read.
    :ivar capabilities: those of root inside.
    :ivar permits: what a program that is watched was granted.
    """

    identity: Identity
    place: Path
    root: Path
    bounds: Bounds
    layer: Path | None = None
    over: tuple[Path, ...] = ()
    network: bool = False
    binds: Mapping[str, Path] = field(default_factory=dict)
    shown: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    capabilities: str = CAPABILITIES
    permits: Permits = NO_PERMITS

    def run(self, argv: Sequence[str], line: Callable[[str], None] | None = None) -> process.Completed:
        """Run a program of the root to its end; the caller judges its exit status.

        :param line: gets each line as it comes; ``stdout`` of the result then has both streams.
        :raises HostError: the chamber can't be had.
        """
        self._prepare()
        words = ["sh", "-c", self._script(argv)]
        if line is None:
            done = process.run(words, check=False, cwd=self.place, tie=True)
        else:
            done = process.follow(words, line, cwd=self.place, tie=True)
        if not (self.place / _ENTERED).exists():
            raise self._closed(done)
        return done

    def watch(
        self,
        argv: Sequence[str],
        output: Callable[[bytes], None],
        traffic: Callable[[bytes], None] | None = None,
    ) -> runner.Outcome:
        """Run a program that need not be trusted; how it ended, with nothing of it left.

        :param output: gets what it writes, both streams as one.
        :param traffic: gets what goes over its interface, where it has one.
        :raises HostError: the chamber can't be had.
        :raises LimitError: it was ended at a limit.
        :raises ConfigurationError: what it was granted is not there any more.
        """
        available.confirm(self.permits.looked)
        self._prepare()
        script, first = self.place / "launch", bytearray()
        attendant = self.bounds.attend(self.layer or self.place)

        def remember(data: bytes) -> None:
            if (self.place / _ENTERED).exists():
                attendant.output(data)
                output(data)
            else:
                first.extend(data)

        text = self._script(argv, watched=True)
        first_id = self.identity.outer_first
        # Who opens /dev/stderr anew must own the pipe.
        own = "" if first_id is None else f"chown {first_id}:{first_id} /proc/self/fd/1 /proc/self/fd/2\n"
        script.write_bytes(os.fsencode(f'cd "$BWBUILD_SCRATCH"\n{own}{text}'))
        connected = self.permits.network is not None
        launch = runner.Launch(
            *(script, self.place),
            timeout=self.bounds.timeout,
            scope=self.bounds.scope,
            connected=connected,
        )
        heard = traffic if connected else None
        outcome = runner.run(launch, runner.Listeners(remember, tick=attendant.tick, traffic=heard))
        attendant.judge(outcome)
        if not (self.place / _ENTERED).exists():
            raise self._closed(process.Completed(("sh",), 1, b"", bytes(first)))
        return outcome

    def attend(self, argv: Sequence[str], *, terminal: bool) -> int:
        """Run a program of the root with the caller's streams; its exit status.

        :param terminal: it has a terminal of its own, which is copied to and from the caller's: what it
            pushes into its input never reaches the shell that started it.
        :raises HostError: the chamber can't be had.
        """
        self._prepare()
        text = self._script(argv, terminal=terminal)
        words = ["sh", "-c", text]
        if terminal:
            copied = ("script", "--quiet", "--return", "--command", text, "/dev/null")
            words = ["setpriv", "--pdeathsig", "KILL", "env", "SHELL=/bin/sh", *copied]
        done = process.run(words, check=False, cwd=self.place, inherit_terminal=True, tie=True)
        if not (self.place / _ENTERED).exists():
            raise self._closed(done)
        return done.returncode

    def _prepare(self) -> None:
        if self.identity.outer_first is not None:
            own = [self.layer, self.layer / "upper"] if self.layer else []
            for path in (*own, *self.binds.values()):
                os.chown(path, self.identity.outer_first, self.identity.outer_first)

    def _closed(self, done: process.Completed) -> BwbuildError:
        text = (done.stderr + done.stdout).decode("utf-8", "replace")
        details = text.splitlines()[-20:]
        if FULL in text:
            return full(self.place.parent, details)
        if _NO_UPPER_LAYER.search(text):
            kind = type_of(self.layer or self.place)
            return HostError(
                f"{self.place.parent} is on a file system ({kind}) that can't carry the layers of a base",
                hint="name a directory on another one, such as ext4, xfs or btrfs: --cache DIR",
                details=details,
            )
        return HostError("no root of a suite can be entered here", hint="bwbuild doctor", details=details)

    def _script(self, argv: Sequence[str], *, watched: bool = False, terminal: bool = False) -> str:
        lines = self._lines(argv, watched=watched, terminal=terminal)
        filters = guard.files(self.bounds.restraints.filters)
        return in_namespace(self.identity, lines, self.permits.network if watched else None, filters)

    def _lines(self, argv: Sequence[str], *, watched: bool, terminal: bool) -> Iterator[str]:
        yield "mkdir -p ns; mount -t tmpfs -o mode=755 bwbuild ns"
        yield f"mkdir ns/root ns/lower; mount --bind -- {shlex.quote(str(self.root))} ns/lower"
        layer = self.place if self.layer is None else self.layer
        yield f"mkdir ns/layer; mount --bind -- {shlex.quote(str(layer))} ns/layer"
        yield "mkdir -p ns/layer/upper ns/layer/work"
        lower = [f"ns/over.{number}" for number in range(len(self.over))]
        for name, path in zip(lower, self.over, strict=True):
            yield f"mkdir {name}; mount --bind -- {shlex.quote(str(path))} {name}"
        layers = f"lowerdir={':'.join([*lower, 'ns/lower'])},upperdir=ns/layer/upper,workdir=ns/layer/work"
        yield f"mount -t overlay -o {OVERLAY_OPTIONS},{layers} bwbuild ns/root"
        yield f"printf %s {shlex.quote(_POLICY)} > ns/policy; chmod 755 ns/policy"
        yield from pinned.lines(self.permits.mounts)
        restraints, ceilings = self.bounds.restraints, self.bounds.ceilings
        yield from guard.lowered(restraints, ceilings)
        yield f": > {_ENTERED}"
        words = shlex.join([*self._bwrap(terminal=terminal), *argv])
        status = f"{_STATUS} " if watched else ""
        start = f"{guard.start(restraints, ceilings)} {status}{guard.TIED} {words}"
        yield f"status=0; {start}{guard.opened(restraints.filters)} || status=$?"
        # bwrap has made an empty file there, to mount at.
        yield f"umount ns/root; [ -s ns/layer/upper{_POLICY_FILE} ] || rm -f ns/layer/upper{_POLICY_FILE}"
        yield "rm -rf ns/layer/work; exit $status"

    def _bwrap(self, *, terminal: bool) -> Iterator[str]:
        yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup")
        if not self.network and self.permits.network is None:
            yield "--unshare-net"
        if not terminal:
            yield "--new-session"
        yield from ("--hostname", "bwbuild", "--die-with-parent", "--cap-drop", "ALL")
        for capability in self.capabilities.split():
            yield from ("--cap-add", "CAP_" + capability.upper())
        yield from filter_words(self.bounds.restraints.filters)
        yield "--clearenv"
        more = proxies() if self.network else {}
        for name, value in (_ENVIRONMENT | more | dict(self.environment)).items():
            yield from ("--setenv", name, value)
        yield from ("--bind", "ns/root", "/", "--proc", "/proc", "--dev", "/dev")
        shm, tmp = (_size(most) for most in (self.bounds.ceilings.shm, self.bounds.ceilings.tmp))
        # Semaphores of POSIX are made there by everybody.
        yield from ("--perms", "1777", *shm, "--tmpfs", "/dev/shm")
        for place in ("/tmp", "/var/tmp"):
            yield from ("--perms", "1777", *tmp, "--tmpfs", place)
        # Where /var/lock leads.
        yield from (*tmp, "--tmpfs", "/run", "--perms", "1777", "--dir", "/run/lock")
        yield from ("--ro-bind", "ns/policy", _POLICY_FILE)
        if self.network:
            for path in ("/etc/resolv.conf", "/etc/hosts"):
                yield from ("--ro-bind-try", path, path)
        yield from self._directories()
        yield from ("--chdir", "/", "--")

    def _directories(self) -> Iterator[str]:
        for inside, outside in self.binds.items():
            yield from ("--bind", str(outside), inside)
        for inside, outside in self.shown.items():
            yield from ("--ro-bind", str(outside), inside)
        for mount in self.permits.mounts:
            # It starts in the directory in which ``ns`` is.
            words = mount_words(mount)
            yield from (word.name if isinstance(word, Scratch) else word for word in words)


def _size(most: int | None) -> tuple[str, ...]:
    return () if most is None else ("--size", str(most))
