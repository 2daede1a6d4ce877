"""What a build tells while it runs, as JSON lines for other programs: ``--events FILE``.

Each line is one object with ``event`` and ``seconds``, counted from the start of the stream. The events:
``stream`` (``version``) begins it; ``build`` (``title``, ``expected``: seconds, or null) comes when the build
is about to start; ``section`` (``title``), ``step`` (``name``), ``usage`` (``memory`` in bytes,
``processes``) and ``notice`` (``level``: I, W or E; ``text``) come as they happen; ``end`` (``own_memory``:
the most that bwbuild's own process took, in bytes) is the last. Of what the build itself wrote it has the
names of steps alone; texts are without control characters and have at most :data:`LONGEST_TEXT` characters. A
line is ASCII and ends with a newline.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from types import TracebackType

from bwbuild.build.record.escaping import visible
from bwbuild.build.record.log import cannot_write
from bwbuild.events import Event, Notice, Section, Step, Usage

#: It changes when an event or a field goes or means something else, not when one is added.
VERSION = 1
LONGEST_TEXT = 1000

_PEAK = re.compile(r"^VmHWM:\s+([0-9]+) kB$", re.MULTILINE)


class EventStream:
    """An observer that writes what matters to others; a context manager that opens the file and ends it.

    Where nobody reads a pipe any more, nothing is written and nothing is said. Any other failure raises once.

    :param path: of the file, made or emptied; a FIFO or ``/dev/fd/N`` is as good. None: nothing is written.
    :raises OutputError: it can't be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = -1
        self._start = time.monotonic()

    def __enter__(self) -> EventStream:
        if self._path is not None:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o666)
            except OSError as error:
                raise cannot_write(self._path, error) from error
            self._write("stream", version=VERSION)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor < 0:
            return
        try:
            self._write("end", own_memory=_own_memory())
        finally:
            self._close()

    def announce(self, title: str, seconds: float | None) -> None:
        """Say what is built, and in how many seconds it is expected to end."""
        self._write("build", title=_short(title), expected=seconds)

    def __call__(self, event: Event) -> None:
        """Write ``event``, unless it is for the log alone."""
        match event:
            case Section(title, level) if level <= 2:
                self._write("section", title=_short(title))
            case Step(name):
                self._write("step", name=_short(name))
            case Usage(memory, processes):
                self._write("usage", memory=memory, processes=processes)
            case Notice(level, text):
                self._write("notice", level=level.value, text=_short(text))

    def _write(self, event: str, **fields: object) -> None:
        if self._descriptor < 0:
            return
        seconds = round(time.monotonic() - self._start, 3)
        data = memoryview(json.dumps({"event": event, "seconds": seconds, **fields}).encode("ascii") + b"\n")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            self._close()
        except OSError as error:
            self._close()
            assert self._path is not None  # noqa: S101 - for the type checker: it was opened
            raise cannot_write(self._path, error) from error

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


def _short(text: str) -> str:
    return visible(text[:LONGEST_TEXT])[:LONGEST_TEXT]


def _own_memory() -> int:
    match = _PEAK.search(Path("/proc/self/status").read_text(encoding="ascii", errors="replace"))
    return int(match[1]) * 1024 if match else 0
