from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from bwbuild.build.jobs import Demand
from bwbuild.build.record.history import (
    KEPT_BUILDS,
    KEPT_STEPS,
    Estimate,
    History,
    Past,
    PastBuild,
    StepTimes,
    default_path,
)
from bwbuild.errors import ExitStatus
from bwbuild.events import Event, Level, Notice, Output, Step

BUILD = PastBuild(
    source="hello",
    version="2.10-3",
    architecture="amd64",
    build_type="binary",
    status=ExitStatus.SUCCESS,
    wall=10.0,
    cpu=15.0,
    peak=1 << 20,
    steps=(("dh_auto_configure", 1.0), ("dh_auto_build", 4.0), ("dh_auto_configure", 6.0)),
)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def history(tmp_path: Path, told: list[Event]) -> History:
    return History(told.append, tmp_path / "state" / "history.sqlite")


def estimate(history: History, source: str, build_type: str) -> Estimate | None:
    return history.past([source], build_type).get(source, Past()).estimate


def demand(history: History, source: str, build_type: str) -> Demand | None:
    return history.past([source], build_type).get(source, Past()).demand


def rows(history: History, table: str) -> int:
    with sqlite3.connect(history.path) as database:
        (number,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name of ours
    return int(number)


def test_nothing_is_known_of_a_new_source(history: History, told: list[Event]) -> None:
    assert estimate(history, "hello", "binary") is None
    assert not history.path.exists()
    history.record(BUILD)
    assert estimate(history, "hello", "full") is None
    assert estimate(history, "other", "binary") is None
    assert told == []


def test_the_estimate_is_the_median_of_the_last_five_successes(history: History) -> None:
    for wall in (1000.0, 1000.0, 10.0, 12.0, 30.0, 11.0, 13.0):
        history.record(replace(BUILD, wall=wall, steps=(("dh_auto_build", wall / 2),)))
    history.record(replace(BUILD, wall=1.0, status=ExitStatus.BUILD_FAILED))
    assert estimate(history, "hello", "binary") == Estimate(12.0, (("dh_auto_build", 6.0),))


def test_two_builds_are_averaged(history: History) -> None:
    history.record(BUILD)
    history.record(replace(BUILD, wall=20.0))
    found = estimate(history, "hello", "binary")
    assert found is not None
    assert found.seconds == 15.0


def test_a_step_counts_from_its_first_time(history: History) -> None:
    history.record(BUILD)
    found = estimate(history, "hello", "binary")
    assert found == Estimate(10.0, (("dh_auto_configure", 1.0), ("dh_auto_build", 4.0)))


@pytest.mark.parametrize(
    ("step", "elapsed", "left"),
    [
        ("configure", 3.0, 97.0),
        ("configure", 1.0, 98.0),
        ("configure", 30.0, 90.0),
        ("build", 50.0, 50.0),
        ("build", 5.0, 90.0),
        ("build", 500.0, 20.0),
        ("test", 90.0, 10.0),
        ("test", 500.0, 0.0),
        ("unheard of", 30.0, 70.0),
        ("unheard of", 300.0, 0.0),
    ],
)
def test_what_remains_follows_the_step(step: str, elapsed: float, left: float) -> None:
    estimate = Estimate(100.0, (("configure", 2.0), ("build", 10.0), ("test", 80.0)))
    assert estimate.remaining(step, elapsed) == left


def test_old_builds_are_forgotten_per_source(history: History, told: list[Event]) -> None:
    history.record(replace(BUILD, source="other"))
    for _ in range(KEPT_BUILDS + 3):
        history.record(BUILD)
    assert told == []
    assert rows(history, "build") == KEPT_BUILDS + 1
    assert rows(history, "step") == 3 * (KEPT_BUILDS + 1)


def test_steps_are_limited(history: History) -> None:
    history.record(replace(BUILD, steps=tuple((f"dh_{n}", float(n)) for n in range(KEPT_STEPS + 10))))
    assert rows(history, "step") == KEPT_STEPS


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_broken_file_is_a_warning(history: History, told: list[Event], content: bytes) -> None:
    history.path.parent.mkdir()
    history.path.write_bytes(content)
    assert estimate(history, "hello", "binary") is None
    history.record(BUILD)
    assert [notice.level for notice in told if isinstance(notice, Notice)] == [Level.WARNING] * 2
    assert str(history.path) in str(told[0])
    assert history.path.read_bytes() == content


def test_a_newer_file_is_left_alone(history: History, told: list[Event]) -> None:
    history.record(BUILD)
    with sqlite3.connect(history.path) as database:
        database.execute("PRAGMA user_version = 4")
    history.record(BUILD)
    assert "version 4" in str(told)
    assert rows(history, "build") == 1


def test_a_directory_that_can_not_be_made_is_a_warning(tmp_path: Path, told: list[Event]) -> None:
    (tmp_path / "file").write_text("")
    History(told.append, tmp_path / "file" / "history.sqlite").record(BUILD)
    assert len(told) == 1


def test_a_failure_leaves_no_half_of_a_build(history: History, told: list[Event]) -> None:
    history.record(BUILD)
    history.record(replace(BUILD, steps=(("dh_a", cast(float, object())),)))
    assert len(told) == 1
    assert rows(history, "build") == 1


def test_many_writers(history: History, told: list[Event]) -> None:
    def record() -> None:
        for _ in range(5):
            history.record(BUILD)

    writers = [threading.Thread(target=record) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert told == []
    assert rows(history, "build") == 20


def test_the_state_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere/state")
    assert default_path() == Path("/somewhere/state/bwbuild/history.sqlite")


def test_step_times() -> None:
    times = iter([100.0, 101.0, 103.5])
    steps = StepTimes(lambda: next(times))
    steps(Step("dh_a"))
    steps(Output(b"x"))
    steps(Step("dh_b"))
    assert steps.steps == (("dh_a", 1.0), ("dh_b", 3.5))


def test_space_is_the_largest_of_late(history: History) -> None:
    for space in (5, 9, 7):
        history.record(replace(BUILD, space=space))
    found = estimate(history, "hello", "binary")
    assert found is not None
    assert found.space == 9


def test_a_file_of_the_first_version_goes_on(history: History, told: list[Event]) -> None:
    history.record(BUILD)
    with sqlite3.connect(history.path) as database:
        database.execute("ALTER TABLE build DROP COLUMN space")
        database.execute("ALTER TABLE build DROP COLUMN jobs")
        database.execute("PRAGMA user_version = 1")
    found = estimate(history, "hello", "binary")
    assert found is not None
    assert (found.seconds, found.space) == (10.0, 0)
    history.record(replace(BUILD, space=4))
    assert rows(history, "build") == 2
    assert told == []


def test_a_file_of_the_second_version_goes_on(history: History, told: list[Event]) -> None:
    history.record(replace(BUILD, space=7))
    with sqlite3.connect(history.path) as database:
        database.execute("ALTER TABLE build DROP COLUMN jobs")
        database.execute("PRAGMA user_version = 2")
    assert demand(history, "hello", "binary") is None
    history.record(replace(BUILD, jobs=4))
    assert demand(history, "hello", "binary") == Demand(1 << 20, 4)
    assert told == []


def test_demand_is_that_of_the_most_jobs(history: History) -> None:
    assert demand(history, "hello", "binary") is None
    for jobs, peak in ((8, 900), (1, 5000), (8, 1000), (8, 800), (0, 9000)):
        history.record(replace(BUILD, jobs=jobs, peak=peak))
    assert demand(history, "hello", "binary") == Demand(1000, 8)
    assert demand(history, "hello", "source") is None
    history.record(replace(BUILD, jobs=8, peak=1100, status=ExitStatus.LIMIT))
    assert demand(history, "hello", "binary") == Demand(1100, 8, ended=True)
    found = estimate(history, "hello", "binary")
    assert found is not None, "one that was ended says nothing of the time"


def test_many_sources_are_looked_up_at_once(history: History, told: list[Event]) -> None:
    for name in ("hello", "sl"):
        history.record(replace(BUILD, source=name, jobs=2))
    found = history.past(["hello", "sl", "other"], "binary")
    assert [name for name, past in found.items() if past.estimate is not None] == ["hello", "sl"]
    assert found["sl"].demand == Demand(1 << 20, 2)
    assert found["other"] == Past()
    history.path.write_bytes(b"no database" * 1000)
    assert history.past(["hello", "sl", "other"], "binary") == {}
    # Once, and not for each of thousands.
    assert len(told) == 1
