"""Waiting for processes by their group."""

from __future__ import annotations

import os
import time


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
