"""Dependency layers: the packages that a build needs, installed over a base, and kept for the next build.

apt chooses packages for the source's dependencies, and the choice names the layer: sources that need the same
packages share one. What apt chose for some dependencies is remembered too, so that the next build with them starts
without apt. Packages are downloaded with the network into a directory that all layers share, and installed without.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwbuild import process
from bwbuild.errors import DependencyError, OutputError
from bwbuild.events import Level, Notice
from bwbuild.root.bases import Base, remove_tree
from bwbuild.root.chamber import Chamber, failed
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked, turn

RECORD = "layer.json"
_LAYOUT = 1
#: A package that apt would install, or has to configure: name, architecture and version.
_CHOSEN = re.compile(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+) .*\[(\S+)\]\)", re.MULTILINE)
_ARCHIVES = "/var/cache/apt/archives"
_APT = ("apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0")
_APT += ("-o", "APT::Install-Recommends=false", "-o", "APT::Get::AutomaticRemove=false")
_DEB = re.compile(r"[a-z0-9][a-z0-9+.-]*_[A-Za-z0-9.+~%-]+_[a-z0-9-]+\.deb")


@dataclass(frozen=True, slots=True)
class Layer:
    """A complete layer; ``packages`` are those over the base's: name:architecture -> version."""

    path: Path
    packages: Mapping[str, str]

    @property
    def upper(self) -> Path:
        """What lies over the base's root."""
        return self.path / "upper"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted over a base.

    :ivar control: the text of a .dsc with nothing but names and relations, for ``apt-get build-dep``.
    :ivar options: of apt-get, such as the profiles and the host architecture.
    :ivar cache: where layers, choices and downloads are. ``fetch``: whether the network may be asked.
    """

    base: Base
    control: str
    options: tuple[str, ...]
    cache: Path
    tell: Callable[[Notice], None]
    fetch: bool = True


@contextmanager
def opened(wish: Wish) -> Iterator[Layer]:
    """The layer for a wish, from the cache or made now, and kept while it is in use.

    :raises DependencyError: apt finds no solution, or fetching is not allowed and something is missing.
    :raises HostError: a package can't be installed.
    :raises OutputError: the cache can't be written.
    """
    with ExitStack() as stack:
        try:
            for name in ("layers", "choices", "archives"):
                (wish.cache / name).mkdir(parents=True, exist_ok=True, mode=0o755)
            key = _remembered(wish)
            layer = _found(wish, key, stack) if key else None
            if layer is None:
                chosen = _choose(wish)
                key = _key(wish, chosen)
                layer = _found(wish, key, stack) or _made_in_turn(wish, key, chosen, stack)
                _remember(wish, key)
        except OSError as error:
            hint = "free some space (bwbuild clean shows what is there), or name another place: --cache DIR"
            raise OutputError(f"{wish.cache}: {error.strerror}", hint=hint) from error
        yield layer


def _choose(wish: Wish) -> dict[str, str]:
    """What apt would install, by simulation: name:architecture -> version."""
    wish.tell(Notice(Level.INFO, "apt resolves the build dependencies"))
    with _chamber(wish, ()) as chamber:
        (chamber.place / "wanted").mkdir()
        (chamber.place / "wanted" / "wanted.dsc").write_text(wish.control, encoding="utf-8")
        argv = (*_APT, "-s", *wish.options, "build-dep", "/mnt/wanted.dsc")
        done = chamber.run(argv)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        shown = [line for line in lines if line.strip() and not line.startswith(("Reading ", "Building "))]
        raise DependencyError(
            f"apt can't satisfy the build dependencies in {wish.base.suite.name}",
            hint="apt's reasons are above; --extra-package and --extra-repository add packages",
            details=shown[-20:],
        )
    return {f"{name}:{architecture}": version for name, version, architecture in _CHOSEN.findall(done.text)}
