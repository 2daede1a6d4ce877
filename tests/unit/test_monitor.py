from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from support import wait_for

from bwbuild.build.watch.monitor import Pace, TreeMonitor
from bwbuild.build.watch.processes import Process, Share, Tree, read_process, read_share
from bwbuild.build.watch.resources import ChildTimes, Peak
from bwbuild.events import Usage
from bwbuild.process import run

MAKE = Process(10, 1, "make", 1, 30)
CC1 = Process(11, 10, "cc1", 1, 400)
OTHER = Process(12, 10, "cc1", 4, 400)


def watch(processes: Sequence[Process], shares: dict[int, Share | None]) -> TreeMonitor:
    return TreeMonitor(lambda: processes, shares.get)


def test_the_whole_tree_counts() -> None:
    tree = watch([MAKE, CC1, OTHER], {10: Share(20), 11: Share(300), 12: Share(200)})
    glance = tree.glance()
    assert glance is not None
    assert (glance.tasks, glance.most) == (6, 830)
    assert tree.sample(glance) == Usage(520, 3)
    assert tree.peak == Peak(520, "cc1", 300, alike=2)
    assert tree.most_tasks == 6


def test_the_peak_stays() -> None:
    shares: dict[int, Share | None] = {11: Share(300)}
    tree = watch([CC1], shares)
    for size, peak in ((300, 300), (200, 300), (400, 400)):
        shares[11] = Share(size)
        glance = tree.glance()
        assert glance is not None
        assert tree.sample(glance) == Usage(size, 1)
        assert tree.peak.memory == peak


def test_what_can_not_be_read_is_marked() -> None:
    tree = watch([MAKE, CC1], {10: Share(20)})
    glance = tree.glance()
    assert glance is not None
    assert tree.sample(glance) == Usage(420, 2)
    assert tree.peak.approximate


def test_files_in_memory_count_once() -> None:
    """What a process has mapped of them is in its own size too."""
    tree = watch([MAKE, CC1], {10: Share(20), 11: Share(300, shared=100)})
    glance = tree.glance(files=150)
    assert glance is not None
    assert glance.most == 30 + 400 + 150
    assert tree.sample(glance) == Usage(20 + 300 + 50, 2)
    assert tree.peak.files == 150


def test_a_tree_that_is_gone() -> None:
    assert watch([], {}).glance() is None


def test_the_interval_grows_with_the_cost() -> None:
    now = [100.0]
    pace = Pace(2.0, lambda: now[0])
    assert pace.due()
    pace.done(0.001, 0.01)
    for moment, due in ((101.9, False), (102.0, True)):
        now[0] = moment
        assert pace.due() is due
    pace.done(0.5, 0.01)
    for moment, due in ((151.9, False), (152.0, True)):
        now[0] = moment
        assert pace.due() is due


# The processes of this machine


def test_this_process() -> None:
    own = read_process(os.getpid())
    assert own is not None
    assert own.parent == os.getppid()
    assert own.tasks >= threading.active_count()
    share = read_share(os.getpid())
    assert share is not None
    # pytest alone takes some MiB, and no test takes a terabyte.
    assert 2 << 20 < share.memory < 1 << 40
    assert 2 << 20 < own.resident < 1 << 40


def test_a_name_may_hold_anything(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/usr/bin/sleep")
    with subprocess.Popen([program, "20"]) as child:
        try:
            wait_for(lambda: (own := read_process(child.pid)) and own.name == program.name)
            found = read_process(child.pid)
            assert isinstance(found, Process)
            assert found.parent == os.getpid()
        finally:
            child.kill()


def test_a_tree_has_all_generations_and_nobody_else() -> None:
    script = "sleep 30 & sh -c 'sleep 30 & wait' & wait"
    with (
        subprocess.Popen(["sleep", "30"]) as stranger,
        subprocess.Popen(["sh", "-c", script], process_group=0) as child,
    ):
        try:
            tree = Tree(child.pid)
            # A shell's child is called sh until it has become sleep.
            wait_for(lambda: names(tree) == ["sh", "sh", "sleep", "sleep"])
            found = tree.processes()
            for _ in range(100):
                again = tree.processes()
            assert {process.pid for process in again} == {process.pid for process in found}
            assert stranger.pid not in {process.pid for process in again}
        finally:
            stranger.kill()
            os.killpg(child.pid, 9)
    assert tree.processes() == []


def names(tree: Tree) -> list[str]:
    return sorted(process.name for process in tree.processes())


def test_what_is_gone() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert read_process(child.pid) is None
    assert read_share(child.pid) is None
    assert Tree(child.pid).processes() == []


def test_a_child_is_not_charged_with_what_this_process_has() -> None:
    script = """
from bwbuild.process import run
from bwbuild.build.watch.resources import ChildTimes
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
