"""What a try is asked for, and what came of it: values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bwbuild.errors import BwbuildError


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for.

    :ivar words: what is tried; ``none``: nothing is, only a root is wanted.
    :ivar command: empty: the package's own.
    :ivar allowed: permissions as they were typed; ``denied``: those that are not granted all the same.
    :ivar finish_args: a manifest of Flatpak.
    :ivar besides: names of further packages.
    :ivar home: another name for the home; empty: that of the package.
    :ivar screenshot: where the picture goes.
    """

    words: tuple[str, ...] = ()
    none: bool = False
    command: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    finish_args: Path | None = None
    besides: tuple[str, ...] = ()
    home: str = ""
    fresh: bool = False
    screenshot: Path | None = None
    server: str = "auto"
    explain: bool = False
    diff: bool = False
    learn: bool = False
    only_learned: bool = False
    shell_on_failure: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that the program wanted and did not get, and how often."""

    what: str
    times: int


@dataclass(frozen=True, slots=True)
class Account:
    """What is told after a run.

    :ivar status: the exit status; ``ended``: why it was ended from outside, empty if it was not.
    :ivar written: files of the home that were made, changed and removed, as ``(sign, path, size)``.
    :ivar left: names of processes that were still there and ended with the sandbox.
    :ivar refused: as far as it is known; ``blind``: what nobody has watched.
    :ivar answer: lines for standard output, where nothing was run but something was asked.
    :ivar windows: titles and sizes of windows at the time of the picture.
    :ivar error: why it is no success all the same, to be raised once the rest is told.
    """

    status: int
    ended: str = ""
    written: tuple[tuple[str, str, int], ...] = ()
    left: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()
    blind: tuple[str, ...] = ()
    windows: tuple[tuple[str, int, int], ...] = ()
    notes: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    ran: bool = True
    error: BwbuildError | None = None


class Writer(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take ``data``."""

    def flush(self) -> None:
        """Hand it on."""
