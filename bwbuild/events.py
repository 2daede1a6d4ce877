"""What a build tells while it runs; log file, terminal and JSON report listen.

The library never prints: it calls an :data:`Observer` with one of these values, in order, from the thread
that runs the build.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a notice matters; the value is the letter that Debian's log readers know."""

    INFO = "I"
    WARNING = "W"
    ERROR = "E"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the build begins: in the log a double box (``level`` 1), a box (2) or a heading (3)."""

    title: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Field:
    """A ``Key: value`` line of bwbuild's own in the current section."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence of bwbuild's own, for the log and the terminal."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Lines of bwbuild's own for the log alone, such as the contents of a package; no trailing newline."""

    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that the build wrote, as they came: they may end in the middle of a line or a character."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """The build came to a new step, such as ``dh_auto_configure``."""

    name: str


@dataclass(frozen=True, slots=True)
class Usage:
    """A sample of the whole process tree: proportional memory in bytes, and the number of processes."""

    memory: int
    processes: int


Event = Section | Field | Notice | Text | Output | Step | Usage
Observer = Callable[[Event], None]
#: A listener for notices alone.
Tell = Callable[[Notice], None]


def fan_out(*observers: Observer) -> Observer:
    """One observer that hands each event to all of ``observers``, in their order."""

    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe


def notices(tell: Callable[[Notice], None]) -> Observer:
    """An observer that hands on the sentences alone, where nobody keeps the rest."""

    def observe(event: Event) -> None:
        if isinstance(event, Notice):
            tell(event)

    return observe
