from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bwbuild.cli import corpus_board
from bwbuild.cli.corpus_board import Board, Lines
from bwbuild.cli.corpus_words import all_passed, conclusion, why
from bwbuild.corpus.pool import Running
from bwbuild.corpus.schedule import Start
from bwbuild.corpus.values import Build, Demand, Job, Kind, Line, Machine, Run, Verdict
from bwbuild.corpus.watch import Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BUILDS = tuple(Build(key, Verdict.LEFT) for key in ("a", "b", "c"))
RUN = Run("r", "0.1", NOW, None, Machine("m", 2, 1, "amd64"), Path("/r"), builds=BUILDS)
JOB = Job("a", Kind.NAME, "a", demand=Demand(0, 5 << 30))
BAD = Build("b", Verdict.FAILED, message="it failed", errors=(Line(1, "error: \x1b[2Jx"),), wall=2.0)


def test_the_board_shows_what_runs_and_what_is_left() -> None:
    board = Board(RUN, clock=lambda: 100.0)
    board.ended([Build("c", Verdict.PASSED, wall=30.0), Build("b", Verdict.LEFT)])
    board.tick(
        [
            Running(JOB, 1, since=90.0, progress=Progress("dh_auto_test", 3 << 20)),
            Running(replace(JOB, key="long"), 1, since=10.0),
        ],
        waiting=4,
    )
    assert board.rows(5) == [("long", "", "1:30", ""), ("a", "dh_auto_test", "0:10", "3.0 MiB")]
    assert len(board.rows(1)) == 1
    assert board.summary() == "1 passed  2 running  4 waiting  about 1:15 left"


def test_lines_count_and_name_what_is_large(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(RUN)
    lines.started(JOB, Start(0, JOB, 1, alone=True))
    lines.ended([BAD])
    err = capsys.readouterr().err
    assert "takes 5.0 GiB, more than there is, and is built alone" in err
    assert "[1/3] b: failed (2.0 s): it failed: error: " in err
    assert "\x1b" not in err


def test_in_ci_there_is_no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_board, "is_smart", lambda stream: True)  # noqa: ARG005
    monkeypatch.delenv("CI", raising=False)
    assert isinstance(corpus_board.board(RUN), Board)
    monkeypatch.setenv("CI", "1")
    assert not isinstance(corpus_board.board(RUN), Board)


def test_a_conclusion_says_how_to_go_on() -> None:
    run = replace(RUN, builds=(BAD, *BUILDS[1:]), stopped="the disk is full")
    text = "\n".join(line.text for line in conclusion(run))
    assert "1 failed, 2 left" in text
    assert "the disk is full" in text
    assert "--resume r" in text
    assert not all_passed(run)


def test_a_message_is_one_clean_line() -> None:
    assert "\x1b" not in why(BAD)
    assert (
        why(replace(BAD, problems=("exit status 3\ninstead of 0",)))
        == "exit status 3 instead of 0: error: \\x1b[2Jx"
    )
