"""What a report takes of a log, and the sections that it finds there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_runs import ERROR, made_build, made_run, write_log

from bwbuild.corpus.reports import logs, sections
from bwbuild.corpus.reports.logs import Cut, Piece, cut, end_of, log_path
from bwbuild.corpus.reports.sections import parts, place
from bwbuild.corpus.values import Verdict
from bwbuild.errors import OutputError


def numbered(path: Path, number: int) -> bytes:
    data = b"".join(b"line %d\n" % index for index in range(1, number + 1))
    path.write_bytes(data)
    return data


def held(taken: Cut) -> list[tuple[int, int]]:
    """The numbers of the first and last line of each piece, as the lines themselves say."""
    found = []
    for piece in taken.pieces:
        lines = [int(line.split()[1]) for line in piece.data.splitlines()]
        assert lines == list(range(lines[0], lines[-1] + 1))
        assert piece.first == lines[0]
        found.append((lines[0], lines[-1]))
    return found


def test_a_short_log_is_taken_whole(tmp_path: Path) -> None:
    data = numbered(tmp_path / "log", 10)
    taken = cut(tmp_path / "log", len(data), [3])
    assert taken == Cut(len(data), 10, (Piece(1, data),))
    assert taken.missing == 0


@pytest.mark.parametrize("block", [7, 100, 1 << 20])
def test_beginning_end_and_what_is_around_errors(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_BLOCK", block)
    monkeypatch.setattr(logs, "_BEFORE", 50)
    monkeypatch.setattr(logs, "_AFTER", 50)
    data = numbered(tmp_path / "log", 1000)
    taken = cut(tmp_path / "log", 800, [1, 500, 502, 700, 999, 5000, 0])
    (first, last), around, other, (_, end) = held(taken)

    assert first == 1
    assert 15 <= last <= 30
    assert around[0] < 500
    assert around[1] > 502
    assert other[0] < 700 < other[1]
    assert end == taken.lines == 1000
    assert taken.missing == len(data) - sum(len(piece.data) for piece in taken.pieces)


def test_no_line_is_lost_where_pieces_touch(tmp_path: Path) -> None:
    data = numbered(tmp_path / "log", 1000)
    numbers = [index * 100 for index in range(1, 10)]
    assert cut(tmp_path / "log", 1000, numbers).pieces == (Piece(1, data),)


def test_lines_without_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 10000)
    taken = cut(path, 1000)
    assert taken.lines == 1
    assert [piece.first for piece in taken.pieces] == [1, 1]
    assert taken.missing == 9000
    path.write_bytes(b"")
    assert cut(path, 1000) == Cut(0, 0, (Piece(1, b""),))


def test_what_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="is not a regular file"):
        cut(tmp_path / "pipe", 10)
    with pytest.raises(OutputError, match="can't be read: No such file"):
        cut(tmp_path / "no\x1bthing", 10)
    run = made_run(tmp_path, [])
    for path in (Path("/etc/passwd"), Path("..", "x")):
        with pytest.raises(OutputError, match="leads out of"):
            log_path(run, made_build("a", log=path))
    assert str(end_of(run, made_build("a", Verdict.LEFT), 10)) == "no log was written"


def test_the_end_of_a_log(tmp_path: Path) -> None:
    run = made_run(tmp_path, [made_build("a")])
    assert end_of(run, run.builds[0], 25) == "\nStatus: attempted\n"
    write_log(tmp_path / "logs" / "a.build", lines=1000)
    end = end_of(run, run.builds[0], 2000)
    assert isinstance(end, str)
    assert end.startswith("gcc -c -o part")
    assert 1900 < len(end) <= 2000


def shown(path: Path, limit: int = 1 << 20) -> tuple[sections.Part, ...]:
    return parts(cut(path, limit))


def test_sections_of_a_log(tmp_path: Path) -> None:
    number = write_log(tmp_path / "log")
    found = shown(tmp_path / "log")
    lines = (tmp_path / "log").read_text().split("\n")

    assert [(part.level, part.title.partition(" Sat,")[0]) for part in found] == [
        (1, "Beginning"),
        (1, "hello 1-1 (amd64)"),
        (2, "Build environment"),
        (2, "Build"),
        (3, "dpkg-buildpackage"),
        (2, "Summary"),
    ]
    for part in found:
        assert list(part.lines) == lines[part.first - 1 : part.first - 1 + len(part.lines)]
    assert place(f"  {ERROR}", found) == number
    assert place("nothing", found) == place(" ", found) == 0


def test_a_gap_is_told_and_the_section_goes_on(tmp_path: Path) -> None:
    write_log(tmp_path / "log", lines=5000)
    found = shown(tmp_path / "log", 4000)
    (gap,) = (part for part in found if part.missing)
    before, after = found[found.index(gap) - 1], found[found.index(gap) + 1]

    following = before.first + len(before.lines)
    assert gap.first == following
    assert gap.missing == f"{after.first - following} lines of the log not in this page"
    assert (before.title, after.title) == ("dpkg-buildpackage", "dpkg-buildpackage (after the gap)")


def test_hostile_logs(tmp_path: Path) -> None:
    edge = b"+" + b"-" * 78 + b"+\n"
    bare = tmp_path / "log"
    bare.write_bytes(
        (edge + b"| fake |\n" + edge) * 3000 + b"\x1b[31m\xff\xe2\x80\xae" + b"y" * 5000 + b"\n+--"
    )
    found = shown(bare, 1 << 30)
    assert len(found) <= sections.MOST_SECTIONS + 1
    assert all(len(line) < sections.LONGEST_LINE + 50 for part in found for line in part.lines)
    assert found[-1].lines[-2].startswith("\\x1b[31m\\xff\\u202eyyy")
    assert found[-1].lines[-2].endswith(" more of this line")
