"""Pipes that are closed whatever happens, and processes that are waited for by their group."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pipe:
    """Both ends of a pipe; the one to write may be closed early."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def close_write_end(self) -> None:
        """Close it unless it is closed."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1


@contextmanager
def pipe() -> Iterator[Pipe]:
    """A pipe until the end of the context."""
    made = Pipe()
    try:
        yield made
    finally:
        made.close_write_end()
        os.close(made.read_end)


def await_group(group: int, seconds: float) -> bool:
    """Wait until no child of this process is in the process group; False: some are after ``seconds``.

    The first process of a pid namespace ends no sooner than all others of it are gone.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG) is None:
                time.sleep(0.002)
        except ChildProcessError:
            return True
    return False
