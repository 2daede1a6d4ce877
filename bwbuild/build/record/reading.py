"""What is told while inputs are read, kept for the log, which begins only when they are read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bwbuild.events import Event, Notice, Section, Tell, Text
from bwbuild.units import without_passwords

#: The sections of the log about what happens before a build, in its order, as build machines call them.
UPDATE = "Update chroot"
FETCH = "Fetch source files"
INSTALL = "Install package build dependencies"

#: Characters that are kept of the beginning and of the end of a longer text.
KEPT = 128 << 10


@dataclass(frozen=True, slots=True)
class Told:
    """What reading found out for the log alone.

    :ivar events: in the order of the log.
    :ivar packages: what the build sees: name:architecture -> version.
    """

    events: tuple[Event, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)


#: Nothing was told.
UNTOLD = Told()


class Recorder:
    """An observer that keeps what it hears, and hands notices on as they come.

    What comes after a :class:`Section` of level 2 belongs to it; one that begins once more goes on.

    :ivar began: when reading began, in seconds since the epoch.
    """

    def __init__(self, tell: Tell) -> None:
        self.began = time.time()
        self._tell = tell
        self._sections: dict[str, list[Event]] = {"": [], UPDATE: [], FETCH: [], INSTALL: []}
        self._current = self._sections[""]

    def __call__(self, event: Event) -> None:
        """Keep ``event``."""
        if isinstance(event, Section) and event.level == 2:
            self._current = self._sections[event.title]
            if not self._current:
                self._current.append(event)
            return
        if isinstance(event, Text):
            event = Text(shortened(without_passwords(event.text)))
        if event != Text(""):
            self._current.append(event)
        if isinstance(event, Notice):
            self._tell(event)

    def told(self, packages: Mapping[str, str]) -> Told:
        """All of it, with the packages that the build sees."""
        return Told(tuple(event for events in self._sections.values() for event in events), packages)


def shortened(text: str, kept: int = KEPT) -> str:
    """``text`` without its last line breaks, and without the middle where it is long: whole lines go.

    :param kept: characters of the beginning and of the end that stay, at most.
    """
    text = text.rstrip("\n")
    if len(text) <= 2 * kept:
        return text
    head = text[:kept].rpartition("\n")[0] or text[:kept]
    tail = text[-kept:].partition("\n")[2] or text[-kept:]
    return f"{head}\n[{len(text) - len(head) - len(tail)} characters are left out here]\n{tail}"


def with_versions(packages: Mapping[str, str]) -> str:
    """Packages (``name:architecture`` -> version) as build machines list them: ``gcc_4:12.2 make_4.3``."""
    return " ".join(sorted({f"{name.partition(':')[0]}_{version}" for name, version in packages.items()}))
