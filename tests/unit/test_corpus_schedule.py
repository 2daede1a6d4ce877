from __future__ import annotations

from dataclasses import replace

from bwbuild.corpus.schedule import (
    PATIENCE,
    Load,
    Room,
    Start,
    Waiting,
    assumed,
    demanded,
    next_start,
    ordered,
    passed,
)
from bwbuild.corpus.values import Demand, Job, Kind

GIB = 1 << 30
ROOM = Room(jobs=2, processors=4, memory=8 * GIB)
PLENTY = 64 * GIB


def job(key: str, memory: int = GIB, seconds: float = 0.0) -> Job:
    return Job(key, Kind.NAME, key, demand=Demand(seconds, memory))


def waiting(*jobs: Job) -> list[Waiting]:
    return [Waiting(each) for each in jobs]


def test_the_most_expensive_come_first_and_unknown_ones_count_as_typical() -> None:
    jobs = [job("unknown"), job("short", seconds=1), job("long", seconds=100), job("middle", seconds=10)]
    assert [each.key for each in ordered(jobs)] == ["long", "unknown", "middle", "short"]


def test_no_more_than_places() -> None:
    assert next_start(waiting(job("a")), [Load(GIB), Load(GIB)], ROOM, PLENTY) is None
    assert next_start([], [], ROOM, PLENTY) is None


def test_the_sum_of_peaks_stays_within_the_machine() -> None:
    large = job("large", 5 * GIB)
    running = [Load(4 * GIB)]
    assert next_start(waiting(large), running, ROOM, PLENTY) is None
    assert next_start(waiting(large, job("small")), running, ROOM, PLENTY) == Start(1, job("small"), 2)


def test_what_a_job_is_seen_to_take_counts_where_it_is_more() -> None:
    next_one = waiting(job("a", 3 * GIB))
    assert next_start(next_one, [Load(GIB, seen=GIB)], ROOM, PLENTY) is not None
    assert next_start(next_one, [Load(GIB, seen=6 * GIB)], ROOM, PLENTY) is None


def test_memory_that_others_have_is_not_given_away() -> None:
    running = [Load(2 * GIB, seen=GIB)]
    # Of three free ones the job that runs will take one more.
    assert next_start(waiting(job("a", 2 * GIB)), running, ROOM, 3 * GIB) is not None
    assert next_start(waiting(job("a", 3 * GIB)), running, ROOM, 3 * GIB) is None


def test_a_job_larger_than_everything_runs_alone_and_says_so() -> None:
    giant = job("giant", 100 * GIB)
    assert next_start(waiting(giant), [Load(1)], ROOM, PLENTY) is None
    start = next_start(waiting(giant), [], ROOM, PLENTY)
    assert start == Start(0, giant, 2, alone=True)


def test_the_last_jobs_get_the_processors_that_are_left() -> None:
    start = next_start(waiting(job("a")), [], ROOM, PLENTY)
    assert start is not None
    assert start.share == 4
    # With twice the processors it takes twice the memory, which it must not.
    start = next_start(waiting(job("a", 5 * GIB)), [], ROOM, PLENTY)
    assert start is not None
    assert start.share == 2


def test_a_large_job_is_not_passed_for_ever() -> None:
    large, running = job("large", 7 * GIB), [Load(2 * GIB)]
    queue = waiting(large, *(job(f"s{number}") for number in range(PATIENCE + 5)))
    begun = 0
    while start := next_start(queue, running, ROOM, PLENTY):
        passed(queue, start.index)
        begun += 1
    assert begun == PATIENCE
    start = next_start(queue, [], ROOM, PLENTY)
    assert start is not None
    assert start.job == large


def test_a_demand_is_that_of_the_share() -> None:
    assert demanded(ROOM, 5.0, (4 * GIB, 8)) == Demand(5.0, GIB, known=True)
    unknown = demanded(ROOM, None, None)
    assert unknown == Demand(0.0, assumed(ROOM), known=False)
    assert 0 < assumed(ROOM) * ROOM.jobs <= ROOM.memory
    assert assumed(replace(ROOM, memory=1)) > 0
