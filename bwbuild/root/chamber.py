"""A chamber: the root of a base with a writable layer over it, in which apt and dpkg work as root.

Only programs of the distribution run here, and maintainer scripts of its packages: with what dpkg needs of a
root's rights, with the network where packages are fetched and without it where they are installed.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bwbuild import process
from bwbuild.errors import BwbuildError, HostError
from bwbuild.sandbox.script import OVERLAY_OPTIONS, in_namespace
from bwbuild.sandbox.spec import Identity

#: What dpkg and maintainer scripts need; mounts and devices are not among it.
_CAPABILITIES = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setfcap sys_chroot"
#: No daemon is started by a package that is installed.
_POLICY = "#!/bin/sh\nexit 101\n"
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NOWARNINGS": "yes",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
}


@dataclass(frozen=True, slots=True)
class Chamber:
    """A root, the lowest layer last.

    :ivar layer: what is written stays below it in ``upper``, which exists; None: nothing stays.
    :ivar place: an empty directory to work in, on a file system that carries an upper layer.
    :ivar binds: directories of the host that are seen writable: inside -> outside.
    """

    identity: Identity
    place: Path
    lowers: tuple[Path, ...]
    layer: Path | None = None
    network: bool = False
    binds: Mapping[str, Path] = field(default_factory=dict)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"") -> process.Completed:
        """Run a program of the root to its end; the caller judges its exit status.

        :raises HostError: the chamber can't be had.
        """
        if self.identity.outer_first is not None:
            own = [self.layer, self.layer / "upper"] if self.layer else []
            for path in (*own, *self.binds.values()):
                os.chown(path, self.identity.outer_first, self.identity.outer_first)
        text = in_namespace(self.identity, self._lines(argv))
        done = process.run(["sh", "-c", text], check=False, cwd=self.place, stdin=stdin)
        if not (self.place / "entered").exists():
            raise HostError(
                "no root of a suite can be entered here", hint="bwbuild doctor", details=_end(done)
            )
        return done

    def _lines(self, argv: Sequence[str]) -> Iterator[str]:
        yield "mkdir -p ns; mount -t tmpfs -o mode=755 bwbuild ns"
        yield "mkdir ns/root"
        for number, lower in enumerate(self.lowers):
            yield f"mkdir ns/{number}; mount --bind -- {shlex.quote(str(lower))} ns/{number}"
        lowers = ":".join(f"ns/{number}" for number in range(len(self.lowers)))
        layer = self.place if self.layer is None else self.layer
        yield f"mkdir ns/layer; mount --bind -- {shlex.quote(str(layer))} ns/layer"
        yield "mkdir -p ns/layer/upper ns/layer/work"
        layers = f"lowerdir={lowers},upperdir=ns/layer/upper,workdir=ns/layer/work"
        yield f"mount -t overlay -o {OVERLAY_OPTIONS},{layers} bwbuild ns/root"
        yield f"printf %s {shlex.quote(_POLICY)} > ns/policy; chmod 755 ns/policy"
        yield ": > entered"
        yield f"status=0; {shlex.join([*self._bwrap(), *argv])} || status=$?"
        yield "umount ns/root; rm -rf ns/layer/work; exit $status"

    def _bwrap(self) -> Iterator[str]:
        yield from ("bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup")
        if not self.network:
            yield "--unshare-net"
        yield from ("--hostname", "bwbuild", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
        for capability in _CAPABILITIES.split():
            yield from ("--cap-add", "CAP_" + capability.upper())
        yield "--clearenv"
        for name, value in _ENVIRONMENT.items():
            yield from ("--setenv", name, value)
        yield from ("--bind", "ns/root", "/", "--proc", "/proc", "--dev", "/dev")
        yield from ("--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/var/tmp")
        yield from ("--tmpfs", "/run", "--ro-bind", "ns/policy", "/usr/sbin/policy-rc.d")
        if self.network:
            for path in ("/etc/resolv.conf", "/etc/hosts"):
                yield from ("--ro-bind", path, path)
        for inside, outside in self.binds.items():
            yield from ("--bind", str(outside), inside)
        yield from ("--chdir", "/", "--")


def failed(what: str, done: process.Completed, hint: str = "") -> BwbuildError:
    """The error for a program that failed in a chamber."""
    return HostError(f"{what} (exit status {done.returncode})", hint=hint, details=_end(done))


def _end(done: process.Completed) -> tuple[str, ...]:
    text = (done.stderr + done.stdout).decode("utf-8", "replace")
    return tuple(text.splitlines()[-20:])
