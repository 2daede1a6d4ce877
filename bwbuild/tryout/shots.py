"""When the picture of a program is taken: once a window is there and what it shows stays the same."""

from __future__ import annotations

import time
from collections.abc import Callable

from bwbuild.tryout.displays import Display
from bwbuild.tryout.picture import Picture
from bwbuild.tryout.x11 import Window

#: Seconds between two looks, for which the picture has to stay the same, and after which it is taken anyway.
LOOK, STILL, LATEST = 0.5, 1.5, 20.0
#: Seconds in which there has to be a window.
PATIENCE = 120.0


class Shots:
    """Looks at a display now and then; ``picture`` and ``windows`` are what was seen last.

    ``waited``: the seconds after which no window was expected any more; 0 where there was one in time.
    """

    def __init__(self, display: Display, clock: Callable[[], float] = time.monotonic) -> None:
        self.picture: Picture | None = None
        self.windows: list[Window] = []
        self._display = display
        self._clock = clock
        self.waited = 0.0
        self._first: float | None = None
        self._begin = self._since = self._looked = clock()

    def look(self) -> bool:
        """Look, unless that was just done; whether the picture is taken, or there will be none."""
        now = self._clock()
        if now - self._looked < LOOK:
            return False
        self._looked = now
        is_shown = self._display.shown() > 0
        if self._first is None:
            if not is_shown:
                self.waited = now - self._begin if now - self._begin >= PATIENCE else 0.0
                return self.waited > 0
            self._first = now
        is_late = now - self._first >= LATEST
        if not is_shown:
            return is_late
        picture, windows = self._display.picture(), self._display.windows()
        # A window may be mapped before anything is drawn in it; but then nothing may ever be.
        if picture.is_blank and (self.picture is not None or not is_late):
            return is_late
        if picture != self.picture or windows != self.windows:
            self.picture, self.windows, self._since = picture, windows, now
        return is_late or now - self._since >= STILL
