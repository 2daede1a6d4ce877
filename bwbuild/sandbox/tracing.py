"""What a traced sandbox needs of this machine: a FIFO that strace writes to, and leave to trace."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bwbuild import process
from bwbuild.sandbox import traced

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
#: Bytes that wait in the FIFO while the reader does something else.
_SIZE = 1 << 20
_CHUNK = 1 << 18
#: Seconds in which lines pile up: strace writes each by itself, and who reads them so is woken thousands of
#: times a second, on a processor that the build could have.
_PILE = 0.01


def check() -> None:
    """See to it that strace is there and may trace.

    :raises HostError: it is not, or may not.
    """
    program = shutil.which("strace", path=_PATH)
    if program is None:
        raise process.missing_program("strace")
    words = [program, *traced.WORDS[1:], "--output=/dev/null", "true"]
    done = process.run(words, check=False, env={"PATH": _PATH, "LC_ALL": "C.UTF-8"})
    if done.returncode != 0:
        scope = _YAMA.read_text(encoding="ascii") if _YAMA.exists() else ""
        raise traced.refused(done.returncode, done.stderr.decode("utf-8", "replace"), scope)


class Trace:
    """The reader's end of the FIFO; ``take`` gets what comes, and nothing, ``b""``, at the end."""

    def __init__(self, descriptor: int, take: Callable[[bytes], object]) -> None:
        self.descriptor = descriptor
        self._take = take
        self._open = True

    def read(self) -> bool:
        """Hand on what is there; False at the end."""
        time.sleep(_PILE)
        try:
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return True
        self._take(data)
        return bool(data)

    def drain(self) -> None:
        """Hand on what strace, which has ended, has left."""
        with suppress(BlockingIOError):
            while data := os.read(self.descriptor, _CHUNK):
                self._take(data)
        self._take(b"")

    def close(self) -> None:
        """Read no more: strace, which waited for that, ends."""
        if self._open:
            os.close(self.descriptor)
            self._open = False


@contextmanager
def opened(scratch: Path, take: Callable[[bytes], object] | None) -> Iterator[Trace | None]:
    """The FIFO in ``scratch``, gone afterwards; None where nobody wants to know."""
    if take is None:
        yield None
        return
    path = scratch / traced.PLACE
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    # Root of the namespace may be nobody outside; only who may enter the directory gets there.
    path.chmod(0o622)
    trace = Trace(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), take)
    try:
        with suppress(OSError):  # the kernel's limit per user may be reached; the default size works too
            fcntl.fcntl(trace.descriptor, fcntl.F_SETPIPE_SZ, _SIZE)
        yield trace
    finally:
        trace.close()
        path.unlink(missing_ok=True)
