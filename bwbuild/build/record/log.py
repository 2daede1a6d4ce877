"""The log file of a build: the form that Debian's log readers know, and safe to ``cat`` on a terminal."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import assert_never

from bwbuild import __version__
from bwbuild.build.record.escaping import Escaper, escape, steady, visible
from bwbuild.build.record.headtail import HeadAndTail
from bwbuild.build.record.marks import Marker, marked
from bwbuild.errors import OutputError
from bwbuild.events import Event, Field, Level, Notice, Output, Section, Step, Text, Usage
from bwbuild.units import mail_date

#: What fits between the ``| `` and `` |`` of a box of the usual 80 columns.
BOX_WIDTH = 76


def boxed(title: str, when: datetime | None, rule: str) -> str:
    """A box around ``title`` with the time on the right; it grows with a title too long for 80 columns."""
    stamp = mail_date(when) if when is not None else ""
    gap = BOX_WIDTH - len(title) - len(stamp)
    line = f"{title}{' ' * max(gap, 1 if stamp else 0)}{stamp}"
    edge = f"+{rule * (len(line) + 2)}+"
    return f"\n{edge}\n| {line} |\n{edge}\n\n"


class LogFormat:
    """Events as the bytes of a log: boxes, ``Key: value`` lines, notices, and the build's output escaped.

    :param now: gives the time for the boxes, with a time zone.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._escaper = Escaper()
        self._marker = Marker()
        self._inside_line = False

    def render(self, event: Event) -> bytes:
        """The bytes to write for ``event``, which may be none.

        A line of output that has no end yet is ended before anything of bwbuild's own.
        """
        match event:
            case Output(data):
                text = self._marker.feed(self._escaper.feed(data))
                if text:
                    self._inside_line = not text.endswith(b"\n")
                return text
            case Step() | Usage():
                return b""
            case Section() | Field() | Notice() | Text():
                own = steady(_own_text(event, self._now))
                return self.end_line() + escape(own.encode("utf-8", "surrogateescape"))
            case _:
                assert_never(event)

    def end_line(self) -> bytes:
        """What ends the current line of output, if there is one."""
        text = self._marker.feed(self._escaper.flush()) + self._marker.flush()
        inside, self._inside_line = self._inside_line or bool(text), False
        return text + b"\n" if inside else b""


def _own_text(event: Section | Field | Notice | Text, now: Callable[[], datetime]) -> str:
    match event:
        case Section(title, level):
            title = visible(title)
            if level >= 3:
                return f"\n{title}\n{'-' * len(title)}\n\n"
            # Readers compare the titles of the smaller boxes, which have no time in sbuild's logs.
            return boxed(title, now(), "=") if level == 1 else boxed(title, None, "-")
        case Field(key, value):
            # A continuation line starts with a blank: a value can't pose as the next field.
            return f"{visible(key)}: {value.rstrip().replace(chr(10), chr(10) + ' ')}\n"
        case Notice(level, text):
            return "".join(f"{level.value}: {line}\n" for line in text.split("\n"))
        case Text(text):
            # What a package holds is shown with the rest.
            lines = f"{text}\n".encode("utf-8", "surrogateescape")
            return marked(lines).decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class LogTitle:
    """What is built, for the name and the head of a log.

    :ivar version: with its epoch, or empty where it is not known yet.
    :ivar architecture: the one that is built for, such as ``amd64``.
    """

    source: str
    version: str
    architecture: str

    @property
    def stem(self) -> str:
        """``NAME_VERSION_ARCH``: the version without its epoch, and no slash whatever the source says."""
        parts = (self.source, self.version.partition(":")[2] or self.version, self.architecture)
        return "_".join(part for part in parts if part).replace("/", "_")

    def __str__(self) -> str:
        return f"{' '.join(part for part in (self.source, self.version) if part)} ({self.architecture})"


class LogFile:
    """An observer that writes the log; a context manager that makes the file and closes it.

    In a directory it makes ``NAME_VERSION_ARCH-TIME.build``, never over an existing file, and points the
    symbolic link ``NAME_VERSION_ARCH.build`` to it. A path that is not a directory is the file itself, and no
    link is made. The head (first line and box) is written on entering; ``Key: value`` lines follow as events.
    A write that fails raises once; later events are dropped, so that the failure can still be told to others.

    Of output beyond ``limit`` bytes the beginning and the end are kept; the end is written when something of
    bwbuild's own follows.

    :param where: a directory that exists, or the path of the file to write.
    :param now: gives the time, with a time zone.
    :raises OutputError: the file can't be made or written.
    """

    def __init__(
        self,
        title: LogTitle,
        where: Path,
        now: Callable[[], datetime] | None = None,
        *,
        limit: int | None = None,
    ) -> None:
        self._title = title
        self._where = where
        self._now = now or _utc_now
        self._format = LogFormat(self._now)
        self.output = HeadAndTail(limit)
        self._descriptor = -1
        self.path = where

    def __enter__(self) -> LogFile:
        started = self._now()
        try:
            self._open(started)
            self._write(f"bwbuild (bwbuild {__version__}) on {visible(os.uname().nodename)}\n".encode())
            self._write(escape(boxed(visible(str(self._title)), started, "=").encode()))
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if self.path != self._where:
            self._link()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._write(self.output.flush() + self._format.end_line())
        finally:
            self._close()

    def __call__(self, event: Event) -> None:
        """Write ``event``."""
        data = self._format.render(event)
        if isinstance(event, Output):
            self._write(self.output.feed(data))
        elif data:
            self._write(self.output.flush() + data)

    def _open(self, started: datetime) -> None:
        if self._where.is_dir():
            stem = self._where / f"{self._title.stem}-{started:%Y-%m-%dT%H:%M:%SZ}"
            self.path, self._descriptor = _create(stem)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o666)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, data: bytes) -> None:
        # No buffer: what a silent build said last is in the file for `tail -f` without a timer, and there are
        # as many writes as there were reads of the build's pipe.
        if self._descriptor < 0:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._close()
            raise cannot_write(self.path, error) from error

    def _link(self) -> None:
        link = self.path.with_name(f"{self._title.stem}.build")
        try:
            replace_link(link, self.path.name)
        except OSError as error:
            # The log itself is complete without its second name, which some file systems can't have.
            self(Notice(Level.WARNING, f"the symbolic link {link} can't be made: {error.strerror}"))


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _create(stem: Path) -> tuple[Path, int]:
    """A new file ``STEM.build``, or ``STEM-2.build`` and so on when builds start within one second."""
    for number in count(1):
        path = stem.with_name(f"{stem.name}{f'-{number}' if number > 1 else ''}.build")
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
    raise AssertionError("count() has no end")


def replace_link(link: Path, target: str) -> None:
    """Make ``link`` a symbolic link to ``target`` in one step, over whatever file or link has that name."""
    with tempfile.TemporaryDirectory(prefix=".bwbuild-", dir=link.parent) as scratch:
        new = Path(scratch, "link")
        new.symlink_to(target)
        new.replace(link)


#: What to do about the errors of writing that a user can do something about.
_REMEDIES = {
    errno.ENOSPC: "make room on that file system, or write elsewhere",
    errno.EDQUOT: "your disk quota is used up: make room, or write elsewhere",
    errno.EFBIG: "the file grew beyond the largest size allowed (ulimit -f)",
    errno.EACCES: "choose a directory that you may write",
    errno.EPERM: "choose a directory that you may write",
    errno.EROFS: "that file system is read-only: write elsewhere",
    errno.ENOENT: "make the directory first",
    errno.ENOTDIR: "a part of that path is a file: choose a directory",
    errno.EISDIR: "a directory has that name: choose another",
}


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for a result file that can't be written, with what to do about it."""
    hint = _REMEDIES.get(error.errno or 0, "write elsewhere")
    return OutputError(f"can't write {visible(str(path))}: {error.strerror}", hint=hint)
