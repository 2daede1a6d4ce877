"""What a watchdog takes for the sandbox's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from bwbuild.build.watch import watchdog
from bwbuild.build.watch.limits import Breach, Limits
from bwbuild.build.watch.monitor import Glance, Pace, TreeMonitor
from bwbuild.build.watch.watchdog import Watchdog, Watched
from bwbuild.events import Event, Usage
from bwbuild.sandbox.runner import Running
from bwbuild.sandbox.spec import Guest


def test_a_first_process_that_still_has_the_machines_root(tmp_path: Path) -> None:
    """Its directories are on disks, and what lies there is no memory of the build."""
    told: list[Event] = []
    watched = Watched(Limits(memory=1 << 50), tmp_path, None, (Guest("/"), Guest("/usr")))
    own = os.getpid()
    assert not Watchdog(watched, told.append).tick(Running(own, own))
    (usage,) = (event for event in told if isinstance(event, Usage))
    root = os.statvfs("/")
    used = (root.f_blocks - root.f_bfree) * root.f_frsize
    if used < 1 << 30:
        pytest.skip("there is next to nothing on the root's file system, as in the sandbox of a build")
    assert usage.memory < used


class Machine:
    """A slow one: to look at a tree takes a tenth of a second. Its clock goes on by half a second a tick."""

    def __init__(self, tasks: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.spent = 0.0
        self.looks = 0
        self._tasks = tasks
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("time.thread_time", lambda: self.spent)
        monkeypatch.setattr(watchdog, "Pace", lambda interval: Pace(interval, lambda: self.now))
        monkeypatch.setattr(TreeMonitor, "glance", lambda _monitor, _files=0: self.look())
        monkeypatch.setattr(TreeMonitor, "sample", lambda _monitor, _glance: Usage(0, 0.0))

    def look(self) -> Glance:
        self.looks += 1
        self.spent += 0.1
        return Glance((), self._tasks, 0, 0)

    def run(self, watching: Watchdog, seconds: float) -> Breach | None:
        while self.now < seconds and not watching.tick(Running(os.getpid(), None)):
            self.now += 0.5
        return watching.seen.breach


def test_many_processes_are_looked_at_more_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = Machine(40, monkeypatch)
    assert few.run(Watchdog(Watched(Limits(processes=100), tmp_path, None, ()), print), 200.0) is None
    assert few.looks == 4
    many = Machine(100, monkeypatch)
    breach = many.run(Watchdog(Watched(Limits(processes=100), tmp_path, None, ()), print), 200.0)
    assert breach is not None
    assert breach.reached.name == "processes"
    assert many.now < 15


GIB = 1 << 30


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is free at each look at the file system, which has 1000 GiB; the last stays."""
    free: list[int] = []
    monkeypatch.setattr(watchdog, "DISK", 0.0)
    monkeypatch.setattr(
        watchdog, "file_system", lambda _: (free.pop(0) if len(free) > 1 else free[0], 1000 * GIB)
    )
    return free


def grown(taken: Iterable[int], path: Path) -> tuple[int, Breach | None]:
    """How often sizes were added up in three ticks, and what came of it; the limit are 10 GiB."""
    sizes = list(taken)
    count = len(sizes)
    watched = Watched(Limits(disk=10 * GIB), path, lambda: sizes.pop(0), ())
    watching = Watchdog(watched, lambda _: None)
    for _ in range(3):
        watching.tick(Running(os.getpid(), None))
    return count - len(sizes), watching.seen.breach


def test_sizes_are_added_up_when_the_disk_has_lost_as_much(tmp_path: Path, looks: list[int]) -> None:
    looks += [900 * GIB, 895 * GIB, 889 * GIB]
    count, breach = grown([11 * GIB] * 3, tmp_path)
    assert count == 1
    assert breach is not None
    assert breach.reached.name == "disk"


def test_what_others_free_between_two_looks_hides_nothing(tmp_path: Path, looks: list[int]) -> None:
    looks += [500 * GIB, 494 * GIB, 700 * GIB, 694 * GIB]
    assert grown([11 * GIB] * 3, tmp_path)[1] is not None


def test_sizes_are_added_up_now_and_then_in_any_case(
    tmp_path: Path, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks += [500 * GIB]
    assert grown([11 * GIB] * 3, tmp_path) == (0, None)
    monkeypatch.setattr(watchdog, "ADDED_UP", 0.0)
    assert grown([11 * GIB] * 3, tmp_path)[1] is not None
