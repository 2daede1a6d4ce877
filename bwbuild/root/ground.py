"""What a build stands on where it is not this machine: a base, and a layer over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from bwbuild.root.suite import Suite
from bwbuild.sandbox.spec import Identity


@dataclass(frozen=True, slots=True)
class Base:
    """A complete base.

    :ivar id: another for each base that was ever made.
    :ivar made: seconds since the epoch.
    :ivar size: bytes on disk.
    """

    #: The file in ``path`` that makes it complete.
    RECORD: ClassVar[str] = "base.json"

    path: Path
    suite: Suite
    identity: Identity
    id: str
    made: float
    size: int = 0

    @property
    def root(self) -> Path:
        """The root file system; its files belong to ids of the identity."""
        return self.path / "root"


@dataclass(frozen=True, slots=True)
class Layer:
    """A complete layer.

    :ivar packages: those over the base's: name:architecture -> version.
    :ivar seconds: what it took to make it just now; 0: it was there.
    """

    #: The file in ``path`` that makes it complete.
    RECORD: ClassVar[str] = "layer.json"

    path: Path
    packages: Mapping[str, str]
    seconds: float = 0.0

    @property
    def upper(self) -> Path:
        """What lies over the base's root."""
        return self.path / "upper"


@dataclass(frozen=True, slots=True)
class Ground:
    """A base and what is installed over it, with what its /etc says of accounts.

    :ivar root_names: top-level name -> text of the link; "" for a directory of its own.
    :ivar packages: all that are installed in both: name:architecture -> version.
    """

    base: Base
    layer: Layer
    passwd: str
    group: str
    root_names: Mapping[str, str]
    packages: Mapping[str, str] = field(default_factory=dict)
