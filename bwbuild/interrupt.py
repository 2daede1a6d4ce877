"""Signals that end a build in order: the first one raises, and then all clean-up still runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bwbuild.errors import InterruptedBuild

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Ended(KeyboardInterrupt):
    """The same to whoever handles it, but not to Python.

    Where the very KeyboardInterrupt comes out of text that is executed, as dataclasses do, ``python3 -m``
    ends by SIGINT, whatever becomes of it and whatever the exit status was to be.
    """


class Ending:
    """Answers INT, TERM and HUP while a command runs: the first one raises, later ones and those after it do
    nothing.

    Whoever handles the first may so take his time, in whatever moment it comes.
    """

    def __init__(self) -> None:
        self._over = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """The handler.

        :raises KeyboardInterrupt: it is the first one.
        """
        if not self._over:
            self._over = True
            raise _Ended

    def take(self) -> None:
        """Be the handler of each signal that would end this process without a clean-up."""
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self)

    def end(self) -> None:
        """The command has its result."""
        self._over = True

    @staticmethod
    def give_back() -> None:
        """Let each of them end this process, as it ends any program; one that is ignored stays so."""
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)


@contextmanager
def interruptions() -> Iterator[None]:
    """Turn the first of INT, TERM and HUP into :class:`InterruptedBuild`; later ones are dropped.

    :raises InterruptedBuild: from wherever the main thread is.
    """
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if not seen:
            seen.append(number)
            raise InterruptedBuild(f"interrupted by {signal.Signals(number).name}")

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put a first signal off to the end of the context, for a clean-up; a second one takes effect at once.

    Only the main thread is ever disturbed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    late: list[int] = []

    def put_off(number: int, frame: FrameType | None) -> None:
        late.append(number)
        handler = before[number]
        if len(late) > 1 and callable(handler):
            handler(number, frame)

    # What is ignored stays so, for the programs that are started meanwhile too.
    before = {
        int(number): handler
        for number in _SIGNALS
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, put_off)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if late:
        signal.raise_signal(late[0])
