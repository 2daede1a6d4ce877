from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence

import pytest
from support import wait_for

from bwbuild.corpus.child import LONGEST_LINE, Heard
from bwbuild.corpus.pool import Builder, Pool, Running
from bwbuild.corpus.schedule import Room, Start
from bwbuild.corpus.values import Build, Demand, Job, Kind, Verdict
from bwbuild.corpus.watch import Progress, Stop, Watch
from bwbuild.errors import OutputError

GIB = 1 << 30


class Notes:
    """A listener that notes what it hears."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.alone: list[str] = []
        self.builds: list[Build] = []
        self.most = 0
        self.steps: set[str] = set()

    def started(self, job: Job, start: Start) -> None:
        self.begun.append(job.key)
        self.alone += [job.key] if start.alone else []

    def ended(self, builds: Sequence[Build]) -> None:
        self.builds += builds

    def tick(self, running: Sequence[Running], waiting: int) -> None:  # noqa: ARG002
        self.most = max(self.most, len(running))
        self.steps |= {item.progress.step for item in running}


def jobs(number: int, memory: int = 1) -> list[Job]:
    return [Job(f"j{each}", Kind.NAME, "x", demand=Demand(0, memory)) for each in range(number)]


def pool(builder: Builder, places: int = 3) -> Pool:
    return Pool(Room(places, places, 8 * GIB), builder, lambda: 64 * GIB)


def passing(job: Job, _share: int, _watch: Watch) -> Build:
    time.sleep(0.01)
    return Build(job.key, Verdict.PASSED)


def test_each_job_has_one_result() -> None:
    notes = Notes()
    pool(passing).run(jobs(50), notes, Stop())
    assert sorted(build.key for build in notes.builds) == sorted(job.key for job in jobs(50))
    assert sorted(notes.begun) == sorted(job.key for job in jobs(50))
    assert notes.most == 3


def test_memory_decides_how_many_run() -> None:
    notes = Notes()
    pool(passing).run(
        [*jobs(6, 5 * GIB), Job("giant", Kind.NAME, "x", demand=Demand(0, 9 * GIB))], notes, Stop()
    )
    assert notes.most == 1
    assert notes.alone == ["giant"]
    assert len(notes.builds) == 7


def test_progress_is_told() -> None:
    notes = Notes()

    def build(job: Job, _share: int, watch: Watch) -> Build:
        watch.tell(Progress(step="dh_auto_build"))
        wait_for(lambda: "dh_auto_build" in notes.steps)
        return Build(job.key, Verdict.PASSED)

    pool(build).run(jobs(2), notes, Stop())
    assert "dh_auto_build" in notes.steps


def test_a_stop_begins_nothing_more_and_waits_for_what_runs() -> None:
    notes, stop = Notes(), Stop()

    def build(job: Job, _share: int, watch: Watch) -> Build:
        stop.ask()
        while not watch.stop.asked:
            time.sleep(0.01)
        return Build(job.key, Verdict.LEFT)

    pool(build, 2).run(jobs(20), notes, stop)
    assert len(notes.builds) == len(notes.begun) <= 2


def test_a_failure_of_the_machine_stops_the_others_and_is_raised() -> None:
    notes, stop = Notes(), Stop()
    ended = threading.Event()

    def build(job: Job, _share: int, watch: Watch) -> Build:
        if job.key == "j0":
            raise OutputError("the disk is full")
        while not watch.stop.asked:
            time.sleep(0.01)
        ended.set()
        return Build(job.key, Verdict.LEFT)

    with pytest.raises(OutputError, match="full"):
        pool(build, 2).run(jobs(20), notes, stop)
    assert ended.is_set()
    assert len(notes.begun) <= 3


def test_a_listener_that_fails_stops_the_others() -> None:
    class Failing(Notes):
        def ended(self, builds: Sequence[Build]) -> None:  # noqa: ARG002
            raise OutputError("database")

    with pytest.raises(OutputError, match="database"):
        pool(passing).run(jobs(10), Failing(), Stop())


# What a child tells


def line(**event: object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def test_what_a_child_tells_is_understood_in_any_pieces() -> None:
    text = (
        line(event="stream", seconds=0, version=1)
        + line(event="build", seconds=2.0, title="x", expected=7.5)
        + line(event="step", seconds=3.0, name="dh_auto_build")
        + line(event="usage", seconds=3.5, memory=300, processes=2)
        + line(event="usage", seconds=4, memory=200, processes=2)
        + line(event="end", seconds=5, own_memory=9)
    )
    heard = Heard()
    for index in range(len(text)):
        heard.feed(text[index : index + 1])
    assert heard.progress == Progress("dh_auto_build", 200, 300, 7.5)
    assert heard.steps == [("dh_auto_build", 1.0)]
    assert heard.own_memory == 9


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\xff\n",
        b"[1, 2]\n",
        b'"step"\n',
        b"[" * 50000 + b"\n",
        b'{"event": {}, "seconds": []}\n',
        line(event="step", name=7),
        line(event="usage", memory="much"),
        line(event="usage", memory=-5),
        line(event="usage", memory=1e400),
        line(event="usage", memory=1 << 80),
        line(event="build", expected="soon"),
    ],
)
def test_nonsense_is_passed_over(nonsense: bytes) -> None:
    heard = Heard()
    heard.feed(nonsense + line(event="step", seconds=1, name="last"))
    assert heard.progress == Progress("last")


def test_an_endless_line_takes_no_memory() -> None:
    heard = Heard()
    for _ in range(100):
        heard.feed(b"x" * LONGEST_LINE)
    assert len(heard._rest) <= LONGEST_LINE
    heard.feed(b'"}\n' + line(event="step", name="after"))
    assert heard.progress.step == "after"


def test_names_of_steps_are_short_and_clean() -> None:
    heard = Heard()
    heard.feed(line(event="step", name="\x1b[2J" + "x" * 1000))
    assert "\x1b" not in heard.progress.step
    assert len(heard.progress.step) < 300
    for _ in range(2000):
        heard.feed(line(event="step", name="again"))
    assert len(heard.steps) <= 500
