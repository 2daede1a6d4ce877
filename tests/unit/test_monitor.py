from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import psutil  # type: ignore[import]
import pytest

from bwbuild.build.monitor import LARGEST_SHARE, TreeMonitor
from bwbuild.build.resources import ChildTimes, Peak
from bwbuild.events import Usage
from bwbuild.process import run


@dataclass
class FakeProcess:
    """A process of psutil's whose memory may be unreadable, or which may be gone."""

    title: str
    pss: int = 0
    rss: int = 0
    error: psutil.Error | None = None
    readable: bool = True
    below: list[FakeProcess] = field(default_factory=list)

    def children(self, *, recursive: bool) -> list[FakeProcess]:
        assert recursive
        if self.error:
            raise self.error
        return self.below

    def oneshot(self) -> FakeProcess:
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def name(self) -> str:
        if self.error:
            raise self.error
        return self.title

    def memory_full_info(self) -> SimpleNamespace:
        if not self.readable:
            raise psutil.AccessDenied(1)
        return SimpleNamespace(pss=self.pss)

    def memory_info(self) -> SimpleNamespace:
        return SimpleNamespace(rss=self.rss)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeProcess], TreeMonitor]:
    def make(process: FakeProcess) -> TreeMonitor:
        monkeypatch.setattr("bwbuild.build.monitor.psutil.Process", lambda _: process)
        return TreeMonitor(1)

    return make


def test_the_whole_tree_counts(watch: Callable[[FakeProcess], TreeMonitor]) -> None:
    tree = watch(FakeProcess("dh", 10, below=[FakeProcess("make", 20), FakeProcess("cc1", 300)]))
    assert tree.sample() == Usage(330, 3)
    assert tree.peak == Peak(330, "cc1", 300, approximate=False)


def test_the_peak_stays(watch: Callable[[FakeProcess], TreeMonitor]) -> None:
    process = FakeProcess("cc1", 300)
    tree = watch(process)
    tree.sample()
    process.title, process.pss = "ld", 200
    assert tree.sample() == Usage(200, 1)
    assert tree.peak == Peak(300, "cc1", 300)
    process.pss = 400
    tree.sample()
    assert tree.peak == Peak(400, "ld", 400)


def test_what_can_not_be_read_is_marked(watch: Callable[[FakeProcess], TreeMonitor]) -> None:
    tree = watch(FakeProcess("dh", 10, below=[FakeProcess("root's", 1, rss=50, readable=False)]))
    assert tree.sample() == Usage(60, 2)
    assert tree.peak.approximate


def test_processes_that_end_meanwhile_are_left_out(watch: Callable[[FakeProcess], TreeMonitor]) -> None:
    below = [
        FakeProcess("gone", error=psutil.NoSuchProcess(1)),
        FakeProcess("z", error=psutil.ZombieProcess(1)),
    ]
    assert watch(FakeProcess("dh", 10, below=below)).sample() == Usage(10, 1)
    assert watch(FakeProcess("dh", error=psutil.NoSuchProcess(1))).sample() is None


def test_a_process_that_never_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> None:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr("bwbuild.build.monitor.psutil.Process", refuse)
    tree = TreeMonitor(1)
    assert not tree.due(1e9)
    assert tree.sample() is None


def test_the_interval_grows_with_the_cost() -> None:
    ticks = count(100.0, 0.5)
    tree = TreeMonitor(os.getpid(), interval=2.0, clock=lambda: next(ticks))
    assert tree.due(100.0)
    tree.sample()
    # The clock says that the sample, begun at 100.5, took half a second.
    assert not tree.due(100.4 + 0.5 / LARGEST_SHARE)
    assert tree.due(100.6 + 0.5 / LARGEST_SHARE)


def test_a_cheap_sample_keeps_the_interval() -> None:
    tree = TreeMonitor(os.getpid(), interval=2.0, clock=lambda: 100.0)
    tree.sample()
    assert not tree.due(101.9)
    assert tree.due(102.0)


def test_this_process_really_is_measured() -> None:
    tree = TreeMonitor(os.getpid())
    usage = tree.sample()
    assert usage is not None
    # pytest alone takes some MiB, and no test takes a terabyte.
    assert 2 << 20 < usage.memory < 1 << 40
    assert usage.processes >= 1
    assert tree.peak.memory == usage.memory


def test_a_child_is_not_charged_with_what_this_process_has() -> None:
    script = """
from bwbuild.process import run
from bwbuild.build.resources import ChildTimes
mine = bytearray(60 << 20)
run(["/bin/true"])
print(ChildTimes.now().largest >> 20)
run([{python!r}, "-c", "bytearray(150 << 20)"])
print(ChildTimes.now().largest >> 20)
"""
    # The kernel hands a program's maximum on to what it becomes by exec, and a large pytest would hide the
    # child's. A shell that forks begins its account anew.
    forking = ["/bin/sh", "-c", '"$@"; exit $?', "sh"]
    done = run(
        [*forking, sys.executable, "-c", script.format(python=sys.executable)], cwd=Path(__file__).parents[2]
    )
    small, large = map(int, done.text.split())
    assert small == 0
    assert large >= 150


def test_child_times_are_differences() -> None:
    before, after = ChildTimes(1.0, 500), ChildTimes(3.5, 800)
    assert after.since(before) == ChildTimes(2.5, 800)
    assert ChildTimes(3.5, 500).since(before) == ChildTimes(2.5, 0)
    assert ChildTimes.now().since(ChildTimes.now()).cpu == 0.0
