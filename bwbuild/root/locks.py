"""Locks on files and directories that other processes may remove meanwhile.

A lock belongs to what was opened, not to its name: whoever gets it looks whether the name still leads there.
The kernel frees a lock with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

SHARED, EXCLUSIVE = fcntl.LOCK_SH, fcntl.LOCK_EX
#: To be added to one of them: give up where another process has the lock.
AT_ONCE = fcntl.LOCK_NB


@contextmanager
def locked(path: Path, how: int) -> Iterator[bool]:
    """Hold a lock on what is at ``path``; False if it is gone or, with AT_ONCE, if others have it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, how)
            held = _leads_to(path, descriptor)
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(descriptor)


@contextmanager
def turn(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Be the only one in here for ``path``, a lock file that exists while somebody is.

    :param waiting: is called once, before it is waited for another process.
    """
    tell = cache(waiting)  # once, however many go first
    with ExitStack() as stack:
        while not stack.enter_context(_attempt(path, tell)):
            stack.close()
        try:
            yield
        finally:
            # While it is locked: whoever waits for it then sees that it is gone, and makes another one.
            path.unlink(missing_ok=True)


@contextmanager
def _attempt(path: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, EXCLUSIVE | AT_ONCE)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, EXCLUSIVE)
        yield _leads_to(path, descriptor)
    finally:
        os.close(descriptor)


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
