"""Bases for tests: made once for all test processes of a run, with a few packages of the tests' own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import COMMAND, Desk, Done, discard, give_up, make_desk, need

from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked


def own_mirror() -> str:
    """The first mirror of this machine's own package sources."""
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    texts = [place.read_text(encoding="utf-8") for place in places if place.is_file()]
    found = re.findall(
        r"^(?:URIs: *|deb (?:\[[^]]*\] )?)(\S+/debian)/?(?: |$)", "\n".join(texts), re.MULTILINE
    )
    return str(found[0]) if found else "http://localhost/no-mirror-is-known"


MIRROR = os.environ.get("BWBUILD_TEST_MIRROR") or own_mirror()
#: Seconds that a base may take where the machine has other work too.
LONG = 1200
#: Packages of the tests: name -> (Depends, postinst).
PACKAGES = {
    "bwt-good": ("", "exit 0"),
    "bwt-broken": ("", "echo the postinst says why >&2; exit 3"),
    "bwt-slow": ("", "sleep 61"),
    "bwt-lost": ("bwt-none", "exit 0"),
    "bwt-owner": ("", "install -d -o games -g mail /usr/share/bwt-owner"),
    "bwt-circle": ("bwt-round", "mkdir /var/lib/bwt-circle"),
    "bwt-round": ("bwt-circle", "exit 0"),
}


def host_release() -> str:
    """The codename of this machine's release."""
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    return next(line.partition("=")[2] for line in text.splitlines() if line.startswith("VERSION_CODENAME="))


#: The release that is this machine's, and one that is not.
OWN = host_release()
OTHER = "bookworm" if OWN == "trixie" else "trixie"


@dataclass(frozen=True)
class Bases:
    """Where the bases of a run are."""

    top: Path

    @property
    def cache(self) -> Path:
        return self.top / "cache"

    def mirror(self, suite: str) -> Path:
        """A sources.list with the archive's suite and the tests' own packages."""
        return self.top / f"{suite}.list"

    def environment(self, suite: str, cache: Path | None = None) -> dict[str, str]:
        return {"BWBUILD_BASE_MIRROR": str(self.mirror(suite)), "BWBUILD_CACHE": str(cache or self.cache)}

    def make(self, suite: str) -> None:
        """Make the base of a suite unless another test process has."""
        desk = Desk(self.top / "maker", more=self.environment(suite))
        done = command(desk, "root", "create", suite)
        assert done.status == 0, done.both

    def desk(self, top: Path, suite: str = OWN, *, depends: str = "") -> Desk:
        """A tree with these build dependencies, and a cache of its own in which only the bases are shared."""
        cache = top / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        for name in ("bases", "archives"):
            if not (cache / name).exists():
                (cache / name).symlink_to(self.cache / name)
        names = [path.name for path in top.iterdir() if path.name.startswith("desk")]
        desk = make_desk(top / f"desk{len(names)}")
        desk = Desk(desk.top, more=self.environment(suite, cache))
        set_depends(desk, depends)
        return desk


def set_depends(desk: Desk, depends: str) -> None:
    """Let the tree declare these build dependencies."""
    file = desk.tree / "debian" / "control"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("Build-Depends")]
    if depends:
        lines.insert(1, f"Build-Depends: {depends}")
    file.write_text("\n".join(lines) + "\n")


def set_distribution(desk: Desk, name: str) -> None:
    """Let the changelog name another distribution."""
    file = desk.tree / "debian" / "changelog"
    file.write_text(file.read_text().replace(") unstable;", f") {name};"))


def command(desk: Desk, *words: str | Path, **more: str) -> Done:
    """Run the command, which may have to make a base; ``more`` are variables."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=desk.tree if desk.tree.exists() else "/",
        env=desk.environment | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=LONG,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def made_bases(top: Path, suites: tuple[str, ...] = (OWN,)) -> Iterator[Bases]:
    """Bases at ``top``, which the last test process of the run removes."""
    need("bwrap", "mmdebstrap", "newuidmap", "dpkg-scanpackages")
    check_mirror()
    top.mkdir(exist_ok=True)
    top.chmod(0o755)
    with locked(top, SHARED):
        bases = Bases(top)
        with _alone(top / "packages.lock"):
            _publish(bases)
        for suite in suites:
            bases.make(suite)
        yield bases
    with locked(top, EXCLUSIVE | AT_ONCE) as last:
        if last:
            discard(bases.cache)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Be the only test process in here."""
    path.touch()
    with locked(path, EXCLUSIVE):
        yield


def check_mirror() -> None:
    """Give up where there is no network."""
    try:
        with urllib.request.urlopen(f"{MIRROR}/dists/{OWN}/Release", timeout=20):  # noqa: S310 - the tests name it
            pass
    except (urllib.error.URLError, OSError) as error:
        give_up(f"{MIRROR} can't be reached: {error}")


def _publish(bases: Bases) -> None:
    """The tests' own packages, as a repository for mmdebstrap and as downloads for apt in the base."""
    place = bases.top / "packages"
    if (place / "Packages").exists():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name, (depends, postinst) in PACKAGES.items():
        make_package(bases.top / "build" / name, place, name, depends, postinst)
    done = subprocess.run(["dpkg-scanpackages", "."], cwd=place, capture_output=True, check=True)
    archives = bases.cache / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    for file in place.glob("*.deb"):
        shutil.copy(file, archives)
    for suite in (OWN, OTHER):
        lines = [f"deb {MIRROR} {suite} main", f"deb [trusted=yes] copy:{place} ./"]
        bases.mirror(suite).write_text("\n".join(lines) + "\n")
    (place / "Packages").write_bytes(done.stdout)


def make_package(
    tree: Path,
    place: Path,
    name: str,
    depends: str = "",
    postinst: str = "exit 0",
    *,
    version: str = "1",
    architecture: str = "all",
    content: str = "",
) -> Path:
    """Make a package from a new directory ``tree`` in ``place``; it has ``content`` in /usr/share/NAME."""
    (tree / "DEBIAN").mkdir(parents=True)
    control = [
        f"Package: {name}",
        f"Version: {version}",
        f"Architecture: {architecture}",
        "Maintainer: The bwbuild developers <bwbuild@example.org>",
        *([f"Depends: {depends}"] if depends else []),
        "Description: made for a test",
    ]
    (tree / "DEBIAN" / "control").write_text("\n".join(control) + "\n")
    script = tree / "DEBIAN" / "postinst"
    script.write_text(f"#!/bin/sh\nset -e\n{postinst}\n")
    script.chmod(0o755)
    if content:
        (tree / "usr" / "share").mkdir(parents=True)
        (tree / "usr" / "share" / name).write_text(content)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tree, place], check=True, capture_output=True
    )
    return place / f"{name}_{version}_{architecture}.deb"
