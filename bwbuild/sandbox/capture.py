"""Hands on what goes over a sandbox's interface while it runs, by a FIFO and a thread that reads it."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: The FIFO in the scratch directory.
NAME = "capture"
_CHUNK = 1 << 18


@contextmanager
def captured(scratch: Path, take: Callable[[bytes], None] | None) -> Iterator[None]:
    """Until the end of the context, ``take`` gets what is written to the FIFO, in a thread of its own.

    :param take: None: there is nobody.
    """
    if take is None:
        yield
        return
    fifo = scratch / NAME
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    # The helper has an id of its own; nobody else comes through the scratch directory.
    fifo.chmod(0o666)
    # Open for both directions, it neither waits for a writer nor ends with one.
    descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    ended = threading.Event()
    reader = threading.Thread(target=_read, args=(descriptor, take, ended), daemon=True)
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()
        os.close(descriptor)
        fifo.unlink(missing_ok=True)


def _read(descriptor: int, take: Callable[[bytes], None], ended: threading.Event) -> None:
    while True:
        is_last = ended.is_set()
        ready, _, _ = select.select([descriptor], [], [], 0 if is_last else 0.1)
        if ready:
            take(os.read(descriptor, _CHUNK))
        elif is_last:
            return
