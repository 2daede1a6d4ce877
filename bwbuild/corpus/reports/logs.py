"""As much of a log as a report has room for: its beginning, its end, and what is around its errors.

A log may be huge, is partly the package's own text, and may be gone: memory is bounded by what is taken.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bwbuild.corpus.reports.text import of_path
from bwbuild.corpus.values import Build, Run
from bwbuild.errors import BwbuildError, OutputError

_BLOCK = 1 << 20
#: Bytes that are taken before and after a line that tells why, if it is in neither beginning nor end.
_BEFORE, _AFTER = 2048, 6144


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a log, as far as they are whole there.

    :ivar first: the number of its first line, counted from 1.
    """

    first: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """What was taken of a log.

    :ivar size: bytes of the whole log; ``lines``: how many it has.
    :ivar pieces: in their order, with nothing twice.
    """

    size: int
    lines: int
    pieces: tuple[Piece, ...]

    @property
    def missing(self) -> int:
        """Bytes that were not taken."""
        return self.size - sum(len(piece.data) for piece in self.pieces)


def log_path(run: Run, build: Build) -> Path:
    """Where the log of ``build`` is.

    :raises OutputError: there is none, or its path leads out of the run's directory.
    """
    if build.log is None:
        raise OutputError("no log was written")
    if build.log.is_absolute() or ".." in build.log.parts:
        raise OutputError(f"the log's path {of_path(build.log)} leads out of the run's directory")
    return run.directory / build.log


def cut(path: Path, limit: int, numbers: Iterable[int] = ()) -> Cut:
    """About ``limit`` bytes of the log at ``path``: a quarter of its beginning, the rest of its end.

    :param numbers: lines that are taken as well, with what is around them.
    :raises OutputError: it can't be read.
    """
    try:
        # A pipe or a terminal in its place is not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - it is a descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OutputError(f"the log {of_path(path)} is not a regular file")
            return _cut(file, limit, numbers)
    except OSError as error:
        raise OutputError(f"the log {of_path(path)} can't be read: {error.strerror}") from error


def end_of(run: Run, build: Build, limit: int) -> str | BwbuildError:
    """The last lines of the log of ``build``, not harmless yet, or why there are none.

    :param limit: bytes at most, but for a line that is longer alone.
    """
    try:
        taken = cut(log_path(run, build), limit * 4 // 3)
    except OutputError as error:
        return error
    data = taken.pieces[-1].data
    begin = data.find(b"\n", -limit) + 1 if len(data) > limit else 0
    return data[begin:].decode("utf-8", "backslashreplace")


def _cut(file: BinaryIO, limit: int, numbers: Iterable[int]) -> Cut:
    index = _Index(file)
    if index.size <= limit:
        return Cut(index.size, index.lines, tuple(index.pieces([(0, index.size)])))
    wanted = [(0, limit // 4), (index.size - (limit - limit // 4), index.size)]
    for number in numbers:
        if 0 < number <= index.lines:
            place = index.offset(number)
            wanted.append((max(0, place - _BEFORE), min(index.size, place + _AFTER)))
    return Cut(index.size, index.lines, tuple(index.pieces(wanted)))


class _Index:
    """How many lines end before each block of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._before = [0]
        self.size = 0
        last = b"\n"
        while block := file.read(_BLOCK):
            self._before.append(self._before[-1] + block.count(b"\n"))
            self.size += len(block)
            last = block[-1:]
        self.lines = self._before[-1] + (last != b"\n")

    def offset(self, number: int) -> int:
        """Where line ``number``, which is there, begins."""
        ends = number - 1
        if ends == 0:
            return 0
        block = bisect_left(self._before, ends) - 1
        data = self._read(block * _BLOCK, (block + 1) * _BLOCK)
        place = -1
        for _ in range(ends - self._before[block]):
            place = data.index(b"\n", place + 1)
        return block * _BLOCK + place + 1

    def pieces(self, wanted: list[tuple[int, int]]) -> Iterable[Piece]:
        """The pieces from one offset to another each, cut to whole lines; those that touch become one."""
        for begin, end in _merged(wanted):
            data = self._read(begin, end)
            start = data.find(b"\n") + 1 if begin and self._read(begin - 1, begin) != b"\n" else 0
            stop = data.rfind(b"\n") + 1 if end < self.size else len(data)
            stop = stop if stop > start else len(data)
            yield Piece(self._number(begin + start), data[start:stop])

    def _number(self, offset: int) -> int:
        block = offset // _BLOCK
        return 1 + self._before[block] + self._read(block * _BLOCK, offset).count(b"\n")

    def _read(self, begin: int, end: int) -> bytes:
        self._file.seek(begin)
        return self._file.read(end - begin)


def _merged(wanted: list[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    done: list[tuple[int, int]] = []
    for begin, end in sorted(wanted):
        if done and begin <= done[-1][1]:
            done[-1] = (done[-1][0], max(end, done[-1][1]))
        else:
            done.append((begin, end))
    return done
