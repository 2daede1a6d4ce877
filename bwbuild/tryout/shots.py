"""When the picture of a program is taken: once a window is there and what it shows stays the same."""

from __future__ import annotations

import time
from collections.abc import Callable

from bwbuild.tryout.displays import Display
from bwbuild.tryout.picture import Picture
from bwbuild.tryout.x11 import Window

#: Seconds between two looks, for which the picture has to stay the same, and after which it is taken anyway.
LOOK, STILL, LATEST = 0.5, 1.5, 20.0


class Shots:
    """Looks at a display now and then; ``picture`` and ``windows`` are what was seen last."""

    def __init__(self, display: Display, clock: Callable[[], float] = time.monotonic) -> None:
        self.picture: Picture | None = None
        self.windows: list[Window] = []
        self._display = display
        self._clock = clock
        self._first: float | None = None
        self._since = self._looked = clock()

    def look(self) -> bool:
        """Look, unless that was just done; whether the picture is taken."""
        now = self._clock()
        if now - self._looked < LOOK:
            return False
        self._looked = now
        if not self._display.shown():
            return False
        picture, windows = self._display.picture(), self._display.windows()
        # A window may be mapped before anything is drawn in it.
        if picture.is_blank:
            return False
        if picture != self.picture or windows != self.windows:
            self.picture, self.windows, self._since = picture, windows, now
        if self._first is None:
            self._first = now
        return now - self._since >= STILL or now - self._first >= LATEST
