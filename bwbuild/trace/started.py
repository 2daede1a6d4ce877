"""Where programs are that were started by a path which is not absolute: pure.

A call of execve does not say in which directory it was made. The first call of the same process that does is
the loader's, which comes before the program itself can go elsewhere. Who has no loader may have gone.
"""

from __future__ import annotations

import re

from bwbuild.trace.escapes import as_text

#: How many programs may wait for a call that tells; then the oldest are forgotten.
_MOST = 4096

_HERE = re.compile(rb"(?:<[^>]*>)? \w+\(AT_FDCWD<([^>]*)>, ")


class Started:
    """Remembers by process what was started, until its directory is told."""

    def __init__(self) -> None:
        #: pid -> who started it, and the path
        self._waiting: dict[int, tuple[str, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def note(self, pid: int, process: str, path: str) -> None:
        """Note that ``process`` has become the program at ``path``; an absolute path needs no directory."""
        self._waiting.pop(pid, None)
        if path and not path.startswith("/"):
            if len(self._waiting) >= _MOST:
                del self._waiting[next(iter(self._waiting))]
            self._waiting[pid] = (process, path)

    def told(self, pid: int, said: bytes) -> tuple[str, str] | None:
        """Who started it and where it is, if a program waits for what this process said."""
        if pid not in self._waiting or not (found := _HERE.match(said)):
            return None
        process, path = self._waiting.pop(pid)
        while path.startswith("./"):
            path = path[2:].lstrip("/")
        return process, f"{as_text(found[1]).rstrip('/')}/{path}"
