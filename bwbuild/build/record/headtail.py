"""The beginning and the end of a long output."""

from __future__ import annotations

from bwbuild.units import human_size

#: What is held in memory of the end, at most.
LONGEST_TAIL = 4 << 20


class HeadAndTail:
    """Lets the beginning of an output pass, and holds its end until that is asked for.

    Memory is bounded by three times :data:`LONGEST_TAIL` whatever comes.

    :param limit: bytes that pass in all; None: everything does.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._tail_size = 0 if limit is None else min(limit // 2, LONGEST_TAIL)
        self._room = 0 if limit is None else limit - self._tail_size
        self._tail = bytearray()
        self._left_out = 0
        self._inside_line = False
        #: bytes that came
        self.total = 0

    @property
    def cut(self) -> bool:
        """Whether something is missing."""
        return self._limit is not None and self.total > self._limit

    def feed(self, data: bytes) -> bytes:
        """Take in ``data``; what of it is to be written now."""
        self.total += len(data)
        if self._limit is None:
            return data
        now = data[: self._end_of_head(data)]
        if now:
            self._inside_line = not now.endswith(b"\n")
        # Nothing of the output passes any more after what did not.
        self._room = self._room - len(now) if len(now) == len(data) else 0
        self._tail += data[len(now) :]
        if len(self._tail) > 2 * self._tail_size:
            self._drop()
        return now

    def flush(self) -> bytes:
        """The end of what came up to now, with a line before it that says how much is missing."""
        self._drop()
        tail, self._tail = bytes(self._tail), bytearray()
        left_out, self._left_out = self._left_out, 0
        if not left_out:
            return tail
        # The rest of a line whose beginning is missing is misleading.
        begin = tail.find(b"\n") + 1
        begin = begin if begin < len(tail) else 0
        left_out += begin
        text = (
            f"W: {left_out} bytes of output are missing here: the log takes {human_size(self._limit or 0)}"
            " of it (--limit-log)"
        )
        return (b"\n" if self._inside_line else b"") + text.encode("ascii") + b"\n" + tail[begin:]

    def _end_of_head(self, data: bytes) -> int:
        """Where the beginning ends in ``data``: after a line, unless one is longer than the room."""
        if len(data) <= self._room:
            return len(data)
        lines = data.rfind(b"\n", 0, self._room) + 1
        long = self._inside_line or self.total == len(data)
        return lines if lines or not long else self._room

    def _drop(self) -> None:
        surplus = max(0, len(self._tail) - self._tail_size)
        if self._limit is not None and self._room == 0 and surplus:
            del self._tail[:surplus]
            self._left_out += surplus
