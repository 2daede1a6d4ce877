"""Bases and layers for tests of their cache: made in no time, of what a test says."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bwbuild.events import Level, Notice
from bwbuild.root import bases, layers
from bwbuild.root.bases import Wish
from bwbuild.root.bounds import NO_BOUNDS
from bwbuild.root.ground import Base
from bwbuild.root.suite import Suite
from bwbuild.sandbox.spec import Identity, IdentityKind

SUITE = Suite("trixie", "amd64")
IDENTITY = Identity(IdentityKind.RANGE, os.getuid(), os.getgid())
DAY = 86400.0


@dataclass
class Cache:
    """A cache of one test, and what was made and said there."""

    top: Path
    said: list[Notice] = field(default_factory=list)
    #: what making a base or a layer does besides
    during: Callable[[Path], None] = lambda _: None
    #: what apt chooses
    chosen: dict[str, str] = field(default_factory=lambda: {"hello:amd64": "2.10"})

    @property
    def bases(self) -> Path:
        return self.top / "bases"

    @property
    def calls(self) -> list[str]:
        """What was made, one word for each time, by all processes."""
        file = self.top.parent / "calls"
        return file.read_text().split() if file.exists() else []

    def called(self, word: str) -> None:
        with (self.top.parent / "calls").open("a") as file:
            file.write(f"{word}\n")

    def wish(self, suite: Suite = SUITE, *, refresh: float = 7 * DAY, fetch: bool = True) -> Wish:
        return Wish(suite, IDENTITY, self.bases, refresh, self.said.append, fetch)

    def make(self, suite: Suite, path: Path, *_: object) -> None:
        """In place of :func:`bwbuild.root.bootstrap.make`."""
        self.called(f"base:{suite.name}")
        (path / "root").mkdir()
        (path / "root" / "file").write_text(suite.name)
        self.during(path)

    def base(self, suite: Suite = SUITE) -> Base:
        """A base that nobody uses."""
        with bases.opened(self.wish(suite)) as base:
            return base

    def age(self, base: Base, days: float) -> Base:
        """Make a base so many days older."""
        file = base.path / base.RECORD
        record = json.loads(file.read_text())
        record["made"] -= days * DAY
        file.write_text(json.dumps(record))
        return replace(base, made=record["made"])

    def layer_wish(self, base: Base, control: str = "a", *, fetch: bool = True) -> layers.Wish:
        return layers.Wish(base, control, (), self.top, self.said.append, NO_BOUNDS, fetch)

    def layer(self, base: Base, control: str = "a") -> Path:
        """A layer that nobody uses."""
        with layers.opened(self.layer_wish(base, control)) as layer:
            return layer.path

    def choose(self, wish: layers.Wish) -> dict[str, str]:
        """In place of :func:`bwbuild.root.apt.choose`."""
        self.called(f"choose:{wish.control}")
        return self.chosen

    def download(self, wish: layers.Wish, number: int) -> None:
        """In place of :func:`bwbuild.root.apt.download`."""
        self.called(f"download:{number}")
        (wish.archives / "hello_2.10_amd64.deb").write_text("deb")

    def install(self, _: layers.Wish, number: int, layer: Path) -> None:
        """In place of :func:`bwbuild.root.apt.install`."""
        self.called(f"install:{number}")
        (layer / "upper" / "file").write_text("installed")
        self.during(layer)

    @property
    def warnings(self) -> list[str]:
        return [notice.text for notice in self.said if notice.level is Level.WARNING]


def unused_for(path: Path, days: float) -> None:
    """Let a file or directory have been used last so many days ago."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))
