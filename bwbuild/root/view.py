"""Views: which files of the host the sandbox sees."""

from __future__ import annotations

from pathlib import Path

from bwbuild.host.facts import Host
from bwbuild.root import etc
from bwbuild.sandbox.policy import RootView
from bwbuild.sandbox.spec import Bind, Directory, Guest, Mount, Overlay, Scratch, Symlink, Tmpfs

#: State below /var that packages generate when they are installed and that builds read.
STATE = (
    "/var/lib/dpkg",
    "/var/cache/debconf",
    "/var/cache/fontconfig",
    "/var/lib/dictionaries-common",
    "/var/lib/emacsen-common",
    "/var/lib/ghc",
    "/var/lib/ispell",
    "/var/lib/ocaml",
    "/var/lib/python",
    "/var/lib/sgml-base",
    "/var/lib/texmf",
    "/var/lib/xml-core",
)


def host_view(host: Host) -> RootView:
    """All of the host's /usr but /usr/local, its /etc without secrets, and generated state."""
    # Containers have hosts and resolv.conf mounted in their /etc, and then an overlay on it is refused.
    copied = host.has_mounts_below(Path("/etc"))
    etc_overlay = Overlay("etc", Path("/etc"), tuple(sorted(etc.HIDDEN)), Scratch("etc"), copied)
    usr: tuple[Mount, ...] = (Bind(Path("/usr"), Guest("/usr")),)
    if host.has_usr_local:
        usr = (*usr, Tmpfs(Guest("/usr/local"), 0o755, read_only=True))
    links: tuple[Mount, ...] = tuple(
        Symlink(text, Guest("/", name)) if text else Bind(Path("/", name), Guest("/", name))
        for name, text in sorted(host.root_names.items())
    )
    state = tuple(Bind(Path(path), Guest(path), optional=path != "/var/lib/dpkg") for path in STATE)
    var = (Directory(Guest("/var")), Directory(Guest("/var/lib")), Directory(Guest("/var/cache")))
    return RootView((etc_overlay,), (*usr, *links, Bind(etc_overlay.mounted, Guest("/etc")), *var, *state))
