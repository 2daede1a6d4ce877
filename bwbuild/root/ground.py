"""What a build stands on where it is not this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bwbuild.root.bases import Base
from bwbuild.root.layers import Layer


@dataclass(frozen=True, slots=True)
class Ground:
    """A base and what is installed over it, with what its /etc says of accounts.

    :ivar root_names: top-level name -> text of the link; "" for a directory of its own.
    """

    base: Base
    layer: Layer
    passwd: str
    group: str
    root_names: Mapping[str, str]
