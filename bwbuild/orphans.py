"""Descendants whose parents are gone: adopted, so that somebody can wait for them."""

from __future__ import annotations

import os
import time

from bwbuild.errors import HostError


def adopt() -> None:
    """Make this process the parent of its orphaned descendants.

    bwrap ends without waiting for the first process of the sandbox. That process comes here then, and with it
    the kernel's account of all processor time that the sandbox took.

    :raises HostError: the kernel refuses.
    """
    import ctypes  # noqa: PLC0415 - only a sandbox needs it

    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise HostError(f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")


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
