"""The sandbox in which a source package is unpacked: no more than dpkg-source and tar need.

Whoever made the package chose every byte that they read. They see the host's /usr read-only, the files of the
package, and one directory that they may write; no network, no /proc, nothing of the caller's.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from bwbuild.host.facts import Host
from bwbuild.sandbox.bwrap import Word, mount_words
from bwbuild.sandbox.environment import FIXED
from bwbuild.sandbox.spec import Bind, Directory, Guest, Kernel, Mount, ReadOnly, Scratch, Symlink, Tmpfs

#: Directories of the scratch directory: what is read, and where the tree is made.
FILES = Scratch("files")
UNPACKED = Scratch("unpacked")

_NAMESPACES = ("user", "pid", "ipc", "uts", "cgroup", "net")


def launcher(host: Host, dsc: str, directory: str) -> str:
    """A shell script that unpacks ``dsc`` of ``FILES`` as ``directory`` of ``UNPACKED``.

    It is run as launchers of builds are, with the same variables; see :mod:`bwbuild.sandbox.script`.
    """
    words = (*_options(host), "--", *_command(dsc, directory))
    quoted = [f'"$BWBUILD_SCRATCH"/{w.name}' if isinstance(w, Scratch) else shlex.quote(w) for w in words]
    start = " ".join(['exec setpriv --pdeathsig KILL bwrap --json-status-fd "$BWBUILD_STATUS"', *quoted])
    lines = (
        "#!/bin/sh",
        "set -eu",
        "umask 022",
        '[ "$PPID" = "$BWBUILD_PARENT" ] || exit 125',
        start,
    )
    return "\n".join(lines) + "\n"


def _command(dsc: str, directory: str) -> tuple[str, ...]:
    # The sums were compared when the files came here, and the signature is no more in what is read.
    return ("dpkg-source", "--no-check", "--no-copy", "--extract", f"/files/{dsc}", f"/build/{directory}")


def _options(host: Host) -> Iterator[Word]:
    for namespace in _NAMESPACES:
        yield f"--unshare-{namespace}"
    yield from ("--uid", str(host.caller.uid), "--gid", str(host.caller.gid))
    yield from ("--hostname", "bwbuild", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
    yield "--clearenv"
    for name, value in sorted({**FIXED, "TMPDIR": "/tmp", "DPKG_COLORS": "never"}.items()):
        yield from ("--setenv", name, value)
    for mount in _mounts(host):
        yield from mount_words(mount)
    yield from ("--chdir", "/build")


def _mounts(host: Host) -> Iterator[Mount]:
    yield Bind(Path("/usr"), Guest("/usr"))
    if host.has_usr_local:
        yield Tmpfs(Guest("/usr/local"), 0o755, read_only=True)
    for name, text in sorted(host.root_names.items()):
        target = Guest("/", name)
        yield Symlink(text, target) if text else Bind(Path("/", name), target)
    yield Directory(Guest("/etc"))
    # Which distribution's series of patches is applied depends on it.
    yield Bind(Path("/etc/dpkg/origins"), Guest("/etc/dpkg/origins"), optional=True)
    yield Kernel("dev", Guest("/dev"))
    yield Tmpfs(Guest("/tmp"), 0o1777)
    yield Bind(FILES, Guest("/files"))
    yield Bind(UNPACKED, Guest("/build"), writable=True)
    yield ReadOnly(Guest("/"))
