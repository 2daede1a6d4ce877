"""debian/control with less in its relation fields: all else keeps its form, comments too. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Told a field's name, as it is written, and one of its groups, as text without comments: whether it goes.
Drop = Callable[[str, str], bool]

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*):")


@dataclass(slots=True)
class _Item:
    """One group: where its characters are, as pairs of line and column, and its comma, if it has one."""

    characters: list[tuple[int, int]]
    comma: tuple[int, int] | None = None


def without(text: str, drop: Drop) -> str:
    """``text`` without the groups of the source's paragraph that ``drop`` wants gone."""
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    at = 0
    while at < len(lines) and not (_is_blank(lines[at]) and any(map(_FIELD.match, kept))):
        end = _end(lines, at)
        name = _FIELD.match(lines[at])
        if name is None or lines[at].startswith("#"):
            kept += lines[at:end]
        else:
            kept += _field(lines[at:end], name[1], name.end(), drop)
        at = end
    return "".join([*kept, *lines[at:]])


def difference(before: str, after: str, name: str = "debian/control") -> str:
    """The change as a unified diff, as ``patch -p1`` takes it; empty if there is none."""
    texts = (before.splitlines(keepends=True), after.splitlines(keepends=True))
    found = []
    for line in difflib.unified_diff(*texts, f"a/{name}", f"b/{name}"):
        found.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(found)


def _is_blank(line: str) -> bool:
    return not line.strip()


def _end(lines: list[str], at: int) -> int:
    """The line after the field that begins at a line: after its last one that is no comment."""
    end = at + 1
    for number in range(at + 1, len(lines)):
        line = lines[number]
        if line.startswith("#"):
            continue
        if line[:1] not in (" ", "\t") or _is_blank(line):
            break
        end = number + 1
    return end


def _field(lines: list[str], name: str, begin: int, drop: Drop) -> list[str]:
    items = list(_items(lines, begin))
    gone = [item for item in items if item.characters and drop(name, _text(lines, item))]
    if not gone:
        return lines
    left = [item for item in items if item.characters and item not in gone]
    if not left:
        return [line for line in lines[1:] if line.startswith("#")]
    erased = {place for item in gone for place in item.characters}
    erased |= {
        comma
        for item, before in zip(items, [None, *items], strict=False)
        if item in gone
        if (comma := _own_comma(item, before))
    }
    if items[-1].characters and items[-1] in gone and left[-1].comma:
        erased.add(left[-1].comma)  # a list that ended without a comma goes on ending so
    touched = {line for line, _ in erased}
    found = []
    for number, line in enumerate(lines):
        if number not in touched:
            found.append(line)
            continue
        rest = _closed(line, [column for row, column in erased if row == number])
        if rest.strip():
            found.append(rest)
    return found


def _own_comma(item: _Item, before: _Item | None) -> tuple[int, int] | None:
    """The comma that goes with it: in lists that have commas in front, the one on its own line."""
    last, first = item.characters[-1][0], item.characters[0][0]
    if before and before.comma and before.comma[0] == first and (not item.comma or item.comma[0] != last):
        return before.comma
    return item.comma


def _items(lines: list[str], begin: int) -> Iterator[_Item]:
    item = _Item([])
    for number, line in enumerate(lines):
        if number and line.startswith("#"):
            continue
        for column in range(0 if number else begin, len(line)):
            character = line[column]
            if character == ",":
                _strip(lines, item)
                item.comma = (number, column)
                yield item
                item = _Item([])
            elif not character.isspace() or (item.characters and item.characters[-1][0] == number):
                item.characters.append((number, column))
        _strip(lines, item)
    yield item


def _strip(lines: list[str], item: _Item) -> None:
    """Blanks behind it are no part of it."""
    while item.characters and lines[item.characters[-1][0]][item.characters[-1][1]].isspace():
        item.characters.pop()


def _text(lines: list[str], item: _Item) -> str:
    found = []
    before = item.characters[0][0]
    for number, column in item.characters:
        if number != before:
            found.append(" ")
        found.append(lines[number][column])
        before = number
    return "".join(found)


def _closed(line: str, columns: list[int]) -> str:
    """The line without these columns, and with one blank where two stretches of them were."""
    marked = "".join("\0" if column in set(columns) else c for column, c in enumerate(line))
    end = "\n" if line.endswith("\n") else ""
    indent = re.match(r"[ \t]*", marked)
    assert indent is not None  # noqa: S101 - it matches nothing too
    body = re.sub(r"\0+[ \t]*", "", marked[indent.end() :].rstrip("\n"))
    return f"{indent[0]}{body.rstrip()}{end}"
