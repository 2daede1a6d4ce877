"""A mark before lines of the build's output that could be taken for bwbuild's own: pure.

Readers of build logs go by boxes and by the ``Key: value`` lines of the summary, and people by ``bwbuild: ``.
What begins with a letter and a colon, such as ``I: ``, is a common form of Debian's programs and stays.
"""

from __future__ import annotations

import re

MARK = b"> "
#: What the beginning of a line says already.
_WORDS = (b"bwbuild:", b"Status:", b"Fail-Stage:", b"Lintian:", b"Autopkgtest:", b"Piuparts:")
#: Characters without width, behind which such a beginning would look the same, by their first bytes.
_UNSEEN = (b"\xc2\xad", *(b"\xe2\x80%c" % code for code in (*range(0x8B, 0x90), *range(0xAA, 0xAF))))
_UNSEEN += (*(b"\xe2\x81%c" % code for code in range(0xA0, 0xB0)), b"\xef\xbb\xbf")
_BEGINNINGS = (*_WORDS, *_UNSEEN)
_BEGINNING = rb"|".join(map(re.escape, _BEGINNINGS))
#: The edges of a box, and a title between them; a table of several columns is another thing.
_BOX = rb"\+-+\+[ \t]*$|\+=+\+[ \t]*$|\|[^|\n]*\|[ \t]*$"
_FORGED = re.compile(rb"^(?:" + _BEGINNING + rb"|" + _BOX + rb")", re.MULTILINE)
#: What may become such a line with what follows.
_BOX_BEGUN = re.compile(rb"(?:\+-*|\+=*|\+-+\+[ \t]*|\+=+\+[ \t]*|\|[^|\n]*|\|[^|\n]*\|[ \t]*)\Z")
#: What all of these begin with, which C code looks for first.
_RARE = tuple({b"\n" + beginning[:2] for beginning in _BEGINNINGS} | {b"\n+-", b"\n+=", b"\n|"})
#: Bytes of an unfinished line that are held back; a longer one is marked as if it were a title.
LONGEST_TITLE = 4096


def marked(data: bytes) -> bytes:
    """Whole lines, with the mark before those that need it."""
    # To look for the beginnings first is three times faster than the expression where there is none.
    lines = b"\n" + data
    if not any(beginning in lines for beginning in _RARE):
        return data
    return _FORGED.sub(rb"%b\g<0>" % MARK, data)


class Marker:
    """:func:`marked` for a stream whose chunks may end anywhere."""

    def __init__(self) -> None:
        self._held = b""
        self._inside = False

    def feed(self, data: bytes) -> bytes:
        """What can be told of what came so far: the beginning of a line may be held back."""
        data, self._held = self._held + data, b""
        rest = b""
        if self._inside:
            end = data.find(b"\n") + 1
            if not end:
                return data
            rest, data = data[:end], data[end:]
        end = data.rfind(b"\n") + 1
        lines, begun = data[:end], self._begun(data[end:])
        return rest + (marked(lines) if lines else b"") + begun

    def flush(self) -> bytes:
        """What was held back, when something else than the stream follows, on a line of its own."""
        held, self._held = self._held, b""
        self._inside = False
        return marked(held)

    def _begun(self, line: bytes) -> bytes:
        """The beginning of a line, as far as it is known whether it needs the mark."""
        self._inside = True
        if line.startswith(_BEGINNINGS):
            return MARK + line
        open_box = _BOX_BEGUN.match(line) is not None
        if not line or any(word.startswith(line) for word in _BEGINNINGS):
            self._held, self._inside = line, False
            return b""
        if open_box and len(line) <= LONGEST_TITLE:
            self._held, self._inside = line, False
            return b""
        return MARK + line if open_box else line
