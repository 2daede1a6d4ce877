"""Views: which files of the host the sandbox sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bwbuild.host.facts import Host
from bwbuild.root import etc, views
from bwbuild.root.ground import Base, Ground, Layer
from bwbuild.root.learned import Narrowing
from bwbuild.root.views import View
from bwbuild.sandbox.policy import RootView
from bwbuild.sandbox.spec import Bind, Directory, Given, Guest, Mount, Overlay, Scratch, Symlink, Tmpfs

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

VAR = (Directory(Guest("/var")), Directory(Guest("/var/lib")), Directory(Guest("/var/cache")))


def host_view(host: Host) -> RootView:
    """All of the host's /usr but /usr/local, its /etc without secrets, and generated state."""
    # Containers have hosts and resolv.conf mounted in their /etc, and then an overlay on it is refused.
    copied = host.has_mounts_below(Path("/etc"))
    etc_overlay = Overlay("etc", Path("/etc"), tuple(sorted(etc.HIDDEN)), Scratch("etc"), copied=copied)
    usr = Bind(Path("/usr"), Guest("/usr"))
    real = tuple(Bind(Path("/", name), Guest("/", name)) for name in _top_level(host, links=False))
    state = [_own(host, path, optional=path != "/var/lib/dpkg") for path in STATE]
    binds = [
        Bind(own.mounted, Guest(path), optional=own.optional) for path, own in zip(STATE, state, strict=True)
    ]
    etc_bind = Bind(etc_overlay.mounted, Guest("/etc"))
    mounts = (usr, *_local(host), *real, *_links(host), etc_bind, *VAR, *binds)
    return RootView((etc_overlay, *state), mounts)


def declared_view(host: Host, view: View, narrowing: Narrowing | None = None) -> RootView:
    """What belongs to the packages of ``view``; /usr/local is empty as in the other.

    :param narrowing: what of that is not seen either.
    """
    hidden = narrowing.hidden if narrowing else {}
    covers = [
        Overlay(
            cover.name,
            Path(cover.top),
            hidden=hidden.get(cover.top, ()),
            mask=Scratch(f"ns/view/{cover.name}"),
            listed=Scratch(f"ns/view/{cover.name}.hidden") if cover.listed else None,
        )
        for cover in view.covers
    ]
    # Copied once more, so that its files belong to root inside.
    etc_overlay = Overlay(
        "etc", Scratch("ns/view/etc"), hidden.get("/etc", ()), files=Scratch("etc"), copied=True
    )
    # An overlay with nothing over it: a bind would show where the cache is.
    dpkg = Overlay("dpkg", Scratch("ns/view/dpkg"), hidden.get("/var/lib/dpkg", ()))
    bound = {path: replace(_own(host, path), hidden=hidden.get(path, ())) for path in view.bound}
    seen = (
        Bind(etc_overlay.mounted, Guest("/etc")),
        Bind(dpkg.mounted, Guest("/var/lib/dpkg")),
        *(
            Bind(overlay.mounted, Guest(cover.top))
            for overlay, cover in zip(covers, view.covers, strict=True)
        ),
        *(Bind(own.mounted, Guest(path)) for path, own in bound.items()),
    )
    return RootView(
        overlays=(*covers, etc_overlay, dpkg, *bound.values()),
        mounts=(*VAR, *sorted(seen, key=lambda bind: bind.target), *_local(host), *_links(host)),
        given=(Given("view", view.path, views.RECORD),),
    )


def suite_view(ground: Ground) -> RootView:
    """All of a base and of the layer over it."""
    root = Overlay("root", Scratch("ns/base/root"), mask=Scratch("ns/layer/upper"))
    # Copied: an overlay on an overlay is as deep as the kernel goes, and the cache may lie on one already.
    etc_overlay = Overlay("etc", Scratch("ns/root/etc"), files=Scratch("etc"), copied=True)
    seen = {"/usr": "usr", "/var/cache": "var/cache", "/var/lib": "var/lib"}
    real = {f"/{name}": name for name, text in ground.root_names.items() if not text}
    binds = [Bind(Scratch(f"ns/root/{name}"), Guest(path)) for path, name in sorted({**seen, **real}.items())]
    return RootView(
        overlays=(root, etc_overlay),
        mounts=(
            *VAR,
            *binds,
            Bind(etc_overlay.mounted, Guest("/etc")),
            Tmpfs(Guest("/usr/local"), 0o755, read_only=True),
            *(Symlink(text, Guest("/", name)) for name, text in sorted(ground.root_names.items()) if text),
        ),
        given=(
            Given("base", ground.base.path, Base.RECORD),
            Given("layer", ground.layer.path, Layer.RECORD),
        ),
    )


def whole_view(ground: Ground) -> RootView:
    """All of a base and of the layer over it, as a machine has it: /opt, /srv and all of /var too."""
    view = suite_view(ground)
    return RootView(
        overlays=view.overlays,
        mounts=(Bind(Scratch("ns/root"), Guest("/")), Bind(Scratch("ns/etc"), Guest("/etc"))),
        given=view.given,
    )


def _own(host: Host, path: str, *, optional: bool = False) -> Overlay:
    """A directory of the host as it is, but with locks of its own: a lock needs no right to write."""
    copied = host.has_mounts_below(Path(path))
    return Overlay(path[1:].replace("/", "."), Path(path), copied=copied, optional=optional)


def _local(host: Host) -> tuple[Mount, ...]:
    return (Tmpfs(Guest("/usr/local"), 0o755, read_only=True),) if host.has_usr_local else ()


def _links(host: Host) -> tuple[Mount, ...]:
    return tuple(Symlink(host.root_names[name], Guest("/", name)) for name in _top_level(host, links=True))


def _top_level(host: Host, *, links: bool) -> list[str]:
    return sorted(name for name, text in host.root_names.items() if bool(text) is links)
