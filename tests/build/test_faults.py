"""Signals at any moment, time limits, missing programs: nothing runs on, nothing is half done."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import (
    COMMAND,
    PATIENCE,
    ROOT,
    Desk,
    Rules,
    as_user,
    make_desk,
    mounts,
    processes,
    snapshot,
    wait_for,
)

#: Written by the build when it has begun; it then stays for minutes with children of all kinds.
BUSY = Rules(
    during="(sleep 600 & setsid sleep 600 & nohup sleep 600 & trap '' TERM INT HUP;"
    " echo x > begun; sleep 600)"
)
#: What each signal makes of the exit status: KILL can't be answered.
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 130, signal.SIGHUP: 130, signal.SIGKILL: -9}


@pytest.fixture
def busy(tmp_path: Path) -> Desk:
    return make_desk(tmp_path, BUSY)


def begun(desk: Desk) -> bool:
    """Whether the build of the busy package runs: its layer has the file."""
    return any(
        (desk.scratch / name / where / "begun").exists()
        for name in desk.left()
        for where in ("upper", "tree")
    )


def check_nothing_left(desk: Desk, before: dict[str, tuple[object, ...]]) -> None:
    """No process, no mount, no artifact, no change of the tree; at most the log."""
    wait_for(lambda: not processes(str(desk.scratch)))
    assert mounts(desk.top) == []
    assert snapshot(desk.tree) == before
    assert desk.published() == []


def begin(desk: Desk, moment: str) -> subprocess.Popen[bytes]:
    running = desk.start("-b")
    if moment == "early":
        wait_for(lambda: list(desk.scratch.glob("*/bwbuild.json*")))
    elif moment == "build":
        wait_for(lambda: begun(desk))
    return running


def check_end(running: subprocess.Popen[bytes], output: bytes, statuses: set[int]) -> None:
    """It ended with one of ``statuses``, and without a traceback of its own."""
    # Until it comes to bwbuild's first line, Python has its own answer to Ctrl-C.
    if b"KeyboardInterrupt" in output and not re.search(rb'File "[^"]*/bwbuild/', output):
        assert running.returncode in (1, -signal.SIGINT)
        return
    assert running.returncode in statuses, output
    assert b"Traceback" not in output


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["at once", "early", "build"])
def test_signals(busy: Desk, number: signal.Signals, moment: str) -> None:
    before = snapshot(busy.tree)
    running = begin(busy, moment)
    running.send_signal(number)
    output, _ = running.communicate(timeout=PATIENCE)
    # Before Python has its handlers a signal ends it as it ends every program.
    statuses = {SIGNALS[number], -number} if moment == "at once" else {SIGNALS[number]}
    check_end(running, output, statuses)
    check_nothing_left(busy, before)
    if number is not signal.SIGKILL:
        assert busy.left() == []
        return
    # What a killed one left is swept by the next run, which says so.
    if busy.left():
        assert "left behind by a build that was killed" in busy.run("--timeout", "1", "-b").both
    busy.run("clean", "--remove")
    assert busy.left() == []


def test_signal_after_the_build(tmp_path: Path) -> None:
    """A little later each time: whatever is interrupted, results are there as a whole or not at all."""
    desk = make_desk(tmp_path)
    before = snapshot(desk.tree)
    started = time.monotonic()
    desk.ok("-b")
    whole = desk.published()
    usual = time.monotonic() - started
    for step in range(6):
        for name in whole:
            (desk.parent / name).unlink()
        running = desk.start("-b")
        time.sleep(usual * (0.75 + 0.05 * step))
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=PATIENCE)
        assert running.returncode in (0, 130, -15), output  # the last: Python's own end
        found = desk.published()
        assert found in ([], whole), found
        assert (running.returncode == 0) <= (found == whole)
        assert desk.left() == []
        if not found:
            whole_again = desk.ok("-b")
            assert "tiny" in whole_again.both
    assert snapshot(desk.tree) == before


# What is there for signals at any moment: many builds, each ended at another one

#: Builds for a second with children that ignore what can be ignored, and publishes something.
SHORT = Rules(during="(setsid sleep 60 & trap '' TERM INT HUP; sleep 0.3)")


def end_at_random(
    desk: Desk, chance: random.Random, usual: float, numbers: list[signal.Signals]
) -> tuple[signal.Signals, float]:
    """Begin a build, signal it at any moment, and look at what there is afterwards."""
    number, moment = chance.choice(numbers), chance.uniform(0, usual)
    before = snapshot(desk.tree)
    running = desk.start("-b", "--no-sign")
    time.sleep(moment)
    running.send_signal(number)
    output, _ = running.communicate(timeout=PATIENCE)
    check_end(running, output, {0, SIGNALS[number], -number})
    wait_for(lambda: not processes(str(desk.scratch)))
    assert mounts(desk.top) == []
    assert snapshot(desk.tree) == before
    return number, moment


def check_many(desk: Desk, seed: int, builds: int, numbers: list[signal.Signals]) -> None:
    """Results are there as a whole or not at all, and what was killed is swept by the next run."""
    desk.ok("-b", "--no-sign")  # makes the view, which the others find
    started = time.monotonic()
    desk.ok("-b", "--no-sign")
    usual, whole = time.monotonic() - started, desk.published()
    chance = random.Random(seed)  # noqa: S311 - the same moments in every run

    def remove_results() -> None:
        # What a killed one was about to publish is hidden, and the next run's to sweep.
        for name in desk.published():
            if not name.startswith("."):
                (desk.parent / name).unlink()

    for _ in range(builds):
        remove_results()
        what = end_at_random(desk, chance, usual, numbers)
        found = set(desk.published())
        if what[0] is signal.SIGKILL:
            # Nobody can tidy up any more: what is half done has names that nobody takes for results.
            found = {name for name in found if not name.startswith(".")}
        # The .changes comes last; without it nothing is a result.
        complete = any(name.endswith(".changes") for name in found)
        assert not complete or found >= set(whole), (what, found)
        assert complete or what[0] is signal.SIGKILL or not found, (what, found)
    remove_results()
    desk.ok("-b", "--no-sign")
    assert desk.left() == []
    assert desk.published() == whole


@pytest.mark.parametrize("seed", [1, 2])
def test_signals_at_random_moments(tmp_path: Path, seed: int) -> None:
    check_many(make_desk(tmp_path, SHORT), seed, 3, list(SIGNALS))


@pytest.mark.soak
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signals_at_many_random_moments(
    tmp_path: Path, request: pytest.FixtureRequest, number: signal.Signals
) -> None:
    if "soak" not in request.config.option.markexpr:
        pytest.skip("it takes minutes: -m soak")
    seed = int(os.environ.get("BWBUILD_SOAK_SEED", "0"))
    check_many(make_desk(tmp_path, SHORT), seed, 50, [number])


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_signal_while_the_scratch_directory_is_removed(tmp_path: Path, again: bool) -> None:
    """The window is small, and so is made larger: by an rm that takes its time."""
    desk = make_desk(tmp_path)
    slow = desk.top / "bin" / "rm"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ntouch {desk.top}/removing\nsleep 1\nexec /usr/bin/rm "$@"\n')
    slow.chmod(0o755)
    desk = Desk(desk.top, {"PATH": f"{slow.parent}:{desk.environment['PATH']}"})
    running = desk.start("-b", "--no-sign")
    wait_for((desk.top / "removing").exists)
    running.terminate()
    if again:
        running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=PATIENCE)
    assert b"Traceback" not in output
    assert b"interrupted by SIG" in output
    assert running.returncode == 130
    # Who asks twice need not wait for it: the next run sweeps.
    assert again or desk.left() == []
    desk.ok("clean", "--remove")
    assert desk.left() == []


def test_interrupt_comes_from_the_terminal_once(busy: Desk) -> None:
    """A terminal sends its signal to all of the foreground; the sandbox must not be hit by it first."""
    running = busy.start("-b", start_new_session=True)
    wait_for(lambda: begun(busy))
    os.killpg(running.pid, signal.SIGINT)
    os.killpg(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130, output
    assert b"interrupted by SIGINT" in output
    assert b"Traceback" not in output
    assert busy.left() == []


def test_interrupted_build_has_a_report(busy: Desk) -> None:
    running = busy.start("-b", "--report", busy.top / "report")
    wait_for(lambda: begun(busy))
    running.terminate()
    running.communicate(timeout=PATIENCE)
    found = busy.report(busy.top / "report")
    assert (found["status"], found["exit_status"], found["artifacts"]) == ("interrupted", 130, [])
    assert "SIGTERM" in found["failure"]["message"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_signals_to_a_command(desk: Desk, number: signal.Signals) -> None:
    running = desk.start("run", "--", "sh", "-c", "echo ready; setsid sleep 60 & sleep 60")
    assert running.stdout
    wait_for(lambda: b"ready" in running.stdout.readline())  # type: ignore[union-attr]
    running.send_signal(number)
    running.communicate(timeout=PATIENCE)
    wait_for(lambda: not processes(str(desk.scratch)))
    assert (desk.left() == []) is (number is signal.SIGTERM)


def test_the_sandbox_dies_with_its_launcher(busy: Desk) -> None:
    """Somebody kills bwrap, not bwbuild: an error with a name, and nothing runs on."""
    running = busy.start("-b")
    wait_for(lambda: begun(busy))
    for pid, line in processes(str(busy.scratch)):
        if line.startswith("bwrap"):
            os.kill(pid, signal.SIGKILL)
            break
    output, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode in (4, 10), output
    assert b"Traceback" not in output
    wait_for(lambda: not processes(str(busy.scratch)))
    assert busy.published() == []


# Two at once


def test_two_at_once(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="sleep 1"))
    before = snapshot(desk.tree)
    both = [desk.start("-b"), desk.start("-b")]
    for running in both:
        output, _ = running.communicate(timeout=PATIENCE)
        assert running.returncode == 0, output
    assert len([name for name in desk.published() if name.endswith((".deb", ".changes"))]) == 2
    assert snapshot(desk.tree) == before
    assert desk.left() == []


def test_sweep_leaves_a_running_build_alone(busy: Desk) -> None:
    running = busy.start("-b")
    wait_for(lambda: begun(busy))
    (first,) = busy.left()
    busy.run("run", "--", "true")
    assert busy.left() == [first]
    assert running.poll() is None
    running.terminate()
    running.communicate(timeout=PATIENCE)


# Time


def test_timeout(busy: Desk) -> None:
    done = busy.run("-b", "--timeout", "2", "--keep", "never", "--report", busy.top / "report")
    assert done.status == 11
    assert "took longer than 2.0 s" in done.err
    assert "--timeout TIME" in done.err
    assert busy.report(busy.top / "report")["status"] == "limit"
    assert not processes(str(busy.scratch))
    assert busy.left() == []


def test_a_daemon_does_not_hold_the_build_up(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="setsid sleep 600 & setsid sleep 600 > /dev/null 2>&1 &"))
    desk.ok("-b")
    assert not processes(str(desk.scratch))


# Programs that are missing


@pytest.mark.parametrize(
    ("program", "status"), [("bwrap", 4), ("unshare", 4), ("setpriv", 4), ("dpkg-buildpackage", 4)]
)
def test_missing_program(desk: Desk, program: str, status: int) -> None:
    """It is hidden in a namespace of the test's own, below which the command runs."""
    mask = desk.top / "mask"
    mask.mkdir()
    script = (
        f"mknod {mask}/{program} c 0 0;"
        f' mount -t overlay overlay -o "userxattr,lowerdir={mask}:/usr/bin" /usr/bin; exec "$@"'
    )
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script, "sh"),
            # What is mounted below /usr would keep the other view from being laid over it.
            *(*COMMAND, "-b", "--identity", "single", "--keep", "never", "--view", "host"),
        ],
        cwd=desk.tree,
        env=desk.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert program in done.stderr
    assert "Traceback" not in done.stderr
    assert desk.published() == []
    assert desk.left() == []


def test_no_python_library_is_needed_for_version(desk: Desk) -> None:
    done = subprocess.run(
        ["/usr/bin/python3", "-X", "importtime", "-m", "bwbuild", "--version"],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not {"rich.console", "debian.deb822", "psutil"} & loaded


@as_user
def test_newuidmap_that_does_not_work(desk: Desk) -> None:
    """Under no_new_privs newuidmap may do nothing: an error, never a weaker sandbox in silence."""
    done = subprocess.run(
        ["setpriv", "--no-new-privs", *COMMAND, "-b"],
        cwd=desk.tree,
        env=desk.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "newuidmap" in done.stderr
    assert "hint:" in done.stderr
    assert desk.published() == []
    assert desk.left() == []
