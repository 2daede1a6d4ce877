"""The beginning and the end of an output that is too long."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest

from bwbuild.build.record.headtail import LONGEST_TAIL, HeadAndTail
from bwbuild.build.record.log import LogFile, LogTitle
from bwbuild.events import Level, Notice, Output, Usage

LINES = b"".join(b"line %04d\n" % number for number in range(1000))


def written(limit: int | None, data: bytes, chunk: int) -> bytes:
    cut = HeadAndTail(limit)
    now = b"".join(cut.feed(data[start : start + chunk]) for start in range(0, len(data), chunk))
    assert cut.total == len(data)
    return now + cut.flush()


@pytest.mark.parametrize("chunk", [1, 7, 10, 100, 99999])
def test_what_fits_passes(chunk: int) -> None:
    for limit in (None, len(LINES), len(LINES) + 5):
        assert written(limit, LINES, chunk) == LINES


@pytest.mark.parametrize("chunk", [1, 7, 10, 100, 99999])
@pytest.mark.parametrize("limit", [1000, 1003, 9000, 9999])
def test_lines_of_both_ends_stay(chunk: int, limit: int) -> None:
    text = written(limit, LINES, chunk)
    # Where a line comes in pieces the first of them may be there already.
    piece = rb"(?:l[ine]*(?: \d*)?\n)?"
    found = re.fullmatch(
        rb"((?:line \d+\n)+)(%s)W: (\d+) bytes of output [^\n]*\n((?:line \d+\n)+)" % piece, text
    )
    assert found is not None
    assert not found[2] or chunk < 10
    head, tail = found[1] + found[2][:-1], found[4]
    assert LINES.startswith(head)
    assert LINES.endswith(tail)
    assert len(head) + int(found[3]) + len(tail) == len(LINES)
    assert limit - 40 <= len(head) + len(tail) <= limit


def test_one_long_line() -> None:
    text = written(100, b"a" * 1000, 30)
    assert re.fullmatch(rb"a{50}\nW: 900 bytes of output [^\n]*\na{50}", text)


def test_memory_is_bounded_whatever_the_chunks() -> None:
    cut = HeadAndTail(4 * LONGEST_TAIL)
    tracemalloc.start()
    for _ in range(300):
        cut.feed(b"x\n" * 65536)
    for _ in range(20000):
        cut.feed(b"x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LONGEST_TAIL
    assert cut.cut
    assert len(cut.flush()) < LONGEST_TAIL + 200


def test_log(tmp_path: Path) -> None:
    with LogFile(LogTitle("tiny", "1", "all"), tmp_path / "log", limit=200) as log:
        for number in range(100):
            log(Output(b"%d\n" % number * 2))
            log(Usage(1, 1))
        log(Notice(Level.INFO, "between"))
        log(Output(b"more\n"))
        log(Notice(Level.INFO, "end"))
    text = (tmp_path / "log").read_text()
    pattern = r"\n0\n0\n1\n1\n(\d+\n)+W: \d+ bytes of output[^\n]*\n(\d+\n)+99\n99\nI: between\n"
    assert re.search(pattern, text)
    assert text.endswith("I: between\nmore\nI: end\n")
