"""The sections of a log that bwbuild wrote, read back from its boxes and headings: pure.

The build's own output may draw boxes as well; then it has sections of its own, which does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bwbuild.corpus.reports.logs import Cut, Piece
from bwbuild.corpus.reports.text import of_bytes
from bwbuild.units import human_size

#: Characters that are shown of one line, and sections of one log; what follows stays in the last one.
LONGEST_LINE, MOST_SECTIONS = 2000, 400

_EDGE = re.compile(r"\+([=-])\1{8,}\+")


@dataclass(frozen=True, slots=True)
class Part:
    """A section of a log, or what is missing of it.

    :ivar level: 1 for the log's head, 2 for a box, 3 for a heading.
    :ivar first: the number of the first of ``lines`` in the log, which are harmless text.
    :ivar missing: what is said in place of lines that were not taken; then there are none.
    """

    title: str
    level: int
    first: int
    lines: tuple[str, ...] = ()
    missing: str = ""


def parts(taken: Cut) -> tuple[Part, ...]:
    """The sections of what was taken of a log, in their order; blank lines around them are left out."""
    found: list[Part] = []
    number = 1
    for piece in taken.pieces:
        if piece.first > number:
            found.append(_gap(number, piece.first))
        lines = _lines(piece)
        found += _sections(lines, piece.first, found)
        number = piece.first + len(lines)
    # A box with nothing but headings below it is kept for them.
    pairs = zip(found, [*found[1:], Part("", 0, 0)], strict=True)
    return tuple(part for part, next_ in pairs if part.lines or part.missing or next_.level > part.level)


def place(text: str, found: Iterable[Part]) -> int:
    """The number of the first line that is ``text``, whatever blanks are around it; 0 if there is none."""
    wanted = text.strip()
    for part in found:
        for number, line in enumerate(part.lines, part.first):
            if wanted and line.expandtabs().strip() == wanted:
                return number
    return 0


def _lines(piece: Piece) -> list[str]:
    lines = of_bytes(piece.data).split("\n")
    if piece.data.endswith(b"\n"):
        lines.pop()
    return lines


def _gap(first: int, following: int) -> Part:
    number = following - first
    text = f"{number} line{'' if number == 1 else 's'} of the log not in this page"
    return Part("", 2, first, missing=text)


def _sections(lines: Sequence[str], first: int, before: Sequence[Part]) -> Iterator[Part]:
    """The parts of ``lines``, of which ``first`` is the number of the first one."""
    part = _continued(before)
    begin = 0
    for start, end, title, level in _headings(lines):
        yield _trimmed(part, lines[begin:start], first + begin)
        part, begin = Part(title, level, 0), end
    yield _trimmed(part, lines[begin:], first + begin)


def _continued(before: Sequence[Part]) -> Part:
    named = [part for part in before if part.title]
    if not named:
        return Part("Beginning", 1, 1)
    title = named[-1].title.removesuffix(" (after the gap)")
    return replace(named[-1], title=f"{title} (after the gap)", lines=())


def _headings(lines: Sequence[str]) -> Iterator[tuple[int, int, str, int]]:
    """Each heading: the lines it begins and ends at, title and level."""
    index = number = 0
    while index < len(lines) and number < MOST_SECTIONS:
        found = _box(lines, index) or _underlined(lines, index)
        if found is None:
            index += 1
            continue
        yield index, index + found[0], *found[1:]
        number, index = number + 1, index + found[0]


def _box(lines: Sequence[str], index: int) -> tuple[int, str, int] | None:
    edge = _EDGE.fullmatch(lines[index])
    if edge is None or index + 2 >= len(lines) or lines[index + 2] != lines[index]:
        return None
    inside = lines[index + 1]
    if not (inside.startswith("| ") and inside.endswith(" |")):
        return None
    return 3, " ".join(inside[2:-2].split())[:200], 1 if edge[1] == "=" else 2


def _underlined(lines: Sequence[str], index: int) -> tuple[int, str, int] | None:
    line = lines[index]
    framed = index > 0 and index + 2 < len(lines) and not lines[index - 1] and not lines[index + 2]
    if framed and 3 < len(line) <= 200 and lines[index + 1] == "-" * len(line):
        return 2, line, 3
    return None


def _trimmed(part: Part, lines: Sequence[str], first: int) -> Part:
    begin, end = 0, len(lines)
    while begin < end and not lines[begin].strip():
        begin += 1
    while end > begin and not lines[end - 1].strip():
        end -= 1
    return replace(part, first=first + begin, lines=tuple(_shortened(line) for line in lines[begin:end]))


def _shortened(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[:LONGEST_LINE]} … {human_size(len(line) - LONGEST_LINE)} more of this line"
