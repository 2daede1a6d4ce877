"""Builds in a control group of the user's systemd: what is kept, what is said, and that nothing stays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import support
from support import Desk, Done, Rules, make_desk, processes

from bwbuild.host.manager import ADDRESS

pytestmark = pytest.mark.machine

GROUPS = Path("/sys/fs/cgroup")
MIB = 1 << 20
SLEEP = "python3 -c 'import time; x = bytearray(%d << 20); time.sleep(600)'"


def units() -> set[str]:
    """The scopes that the manager has, even if they failed, and the groups that it made for them.

    The slices that it makes for its first scopes stay, as those of every session do.
    """
    listed = subprocess.run(
        ["systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "--type=scope"],
        capture_output=True,
        text=True,
        check=True,
    )
    own = GROUPS / f"user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service"
    made = {path.name for path in own.rglob("*.scope")}
    return {line.split()[0] for line in listed.stdout.splitlines()} | made


def wait_for(what: Any, seconds: float = 300) -> None:
    support.wait_for(what, seconds)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Any]:
    """Makes the desk of a test, in the end looks for anything that stayed."""
    before = units()
    desks = []

    def make(rules: Rules | None = None) -> Desk:
        address = {name: os.environ[name] for name in ADDRESS if name in os.environ}
        desks.append(replace(make_desk(tmp_path, rules), more=address))
        return desks[-1]

    yield make
    for desk in desks:
        wait_for(lambda desk=desk: not processes(str(desk.scratch)), 60)  # type: ignore[misc]
        assert desk.left() == []
    # systemd hears of a group's end a moment later.
    try:
        wait_for(lambda: units() <= before, 60)
    finally:
        assert units() - before == set()


def build(desk: Desk, *options: str) -> tuple[Done, dict[str, Any]]:
    report = desk.top / "report"
    done = desk.run("-b", "--keep", "never", "--report", report, *options)
    assert "/bwbuild/" not in done.err, "a traceback of bwbuild"
    return done, desk.report(report)


def reached(done: Done, report: dict[str, Any], name: str) -> dict[str, Any]:
    assert done.status == 11, done.both
    assert report["limit"]["name"] == name
    assert f"--limit-{name}" in report["failure"]["hint"]
    assert report["failure"]["message"] in done.err
    limit = report["limit"]
    assert isinstance(limit, dict)
    return limit


class Started:
    """A command that runs beside the test, once it is in a group."""

    def __init__(self, desk: Desk, *words: str | Path) -> None:
        before = units()
        self.process = desk.start(*words)
        wait_for(lambda: units() - before or self.process.poll() is not None)
        (self.unit,) = units() - before
        shown = self.show("ControlGroup")
        self.group = GROUPS / shown.removeprefix("/")

    def show(self, name: str) -> str:
        argv = ["systemctl", "--user", "show", "--value", f"--property={name}", self.unit]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def read(self, name: str) -> str:
        try:
            return (self.group / name).read_text().strip()
        except OSError:
            return ""

    def names(self) -> list[str]:
        """Of the processes in the group that are there at the moment."""
        found = []
        for pid in self.read("cgroup.procs").split():
            with suppress(FileNotFoundError, ProcessLookupError):
                found.append(Path("/proc", pid, "comm").read_text().strip())
        return found

    def end(self) -> Done:
        output, _ = self.process.communicate(timeout=600)
        return Done(self.process.returncode, "", output.decode())


def test_a_build_is_in_a_group(at: Any) -> None:
    desk = at(Rules(during="sleep 20"))
    report = desk.top / "report"
    begun = Started(desk, "-b", "--limit-memory", "800M", "--limit-processes", "500", "--report", report)
    assert begun.show("MemoryMax") == str(900 * MIB)
    assert begun.show("MemorySwapMax") == "0"
    assert begun.show("TasksMax") == "532"
    wait_for(lambda: begun.read("memory.oom.group") == "1")
    assert begun.read("memory.high") == str(850 * MIB)
    assert str(begun.process.pid) not in begun.read("cgroup.procs").split()
    done = begun.end()
    assert done.status == 0, done.both
    inside = desk.report(report)
    assert inside["weakenings"] == []
    assert inside["limit"] is None

    beside = desk.run("-b", "--no-limit-scope", "--report", report)
    assert beside.status == 0, beside.both
    outside = desk.report(report)
    assert [*outside, *outside["resources"]] == [*inside, *inside["resources"]]
    assert outside["weakenings"] == []


def test_memory_of_many(at: Any) -> None:
    """No process of them has too much, and they have left their parents."""
    one = "setsid " + SLEEP % 60 + " & sleep 2;"
    done, report = build(at(Rules(during=one * 6 + "sleep 600")), "--limit-memory", "250M", "-j7")
    limit = reached(done, report, "memory")
    assert re.search(r"killed: memory limit 250 MiB, peak 2\d\d MiB in python3 \([3-6] of 7 jobs\)", done.err)
    assert limit["value"] == 250 * MIB
    assert 250 * MIB < limit["peak"] <= 290 * MIB
    assert report["resources"]["peak_memory"] == limit["peak"]


def test_memory_at_once(at: Any) -> None:
    """What grows faster than it can be looked at is held back, so that it can."""
    done, report = build(at(Rules(during=SLEEP % 1200)), "--limit-memory", "200M")
    limit = reached(done, report, "memory")
    assert re.search(r"killed: memory limit 200 MiB, peak 2\d\d MiB in python3 \(1 of", done.err)
    assert 200 * MIB < limit["peak"] <= 230 * MIB


def test_memory_when_nobody_looks(at: Any) -> None:
    """The kernel ends the build as a whole, and that is what is said of it."""
    desk = at(Rules(during="sleep 30; " + SLEEP % 600 + " || sleep 600"))
    report = desk.top / "report"
    begun = Started(desk, "-b", "--keep", "never", "--limit-memory", "200M", "--report", report)
    wait_for(lambda: begun.read("memory.oom.group") == "1")
    begun.process.send_signal(signal.SIGSTOP)
    (begun.group / "memory.high").write_text("max")
    wait_for(lambda: not begun.read("cgroup.procs"))
    begun.process.send_signal(signal.SIGCONT)
    done = begun.end()
    limit = reached(done, desk.report(report), "memory")
    assert "killed: memory limit 200 MiB, peak 200 MiB" in done.err
    assert limit["peak"] == 200 * MIB


def test_processes(at: Any) -> None:
    done, report = build(at(Rules(during="f() { f | f & f; }; f")), "--limit-processes", "100")
    limit = reached(done, report, "processes")
    assert limit["value"] == 100
    assert limit["peak"] <= 132


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_end_by_a_signal(at: Any, number: signal.Signals) -> None:
    desk = at(Rules(during="setsid sleep 600 & sleep 600"))
    begun = Started(desk, "-b", "--keep", "never")
    wait_for(lambda: begun.names().count("sleep") == 2)
    begun.process.send_signal(number)
    done = begun.end()
    if number == signal.SIGKILL:
        assert done.status == -number
        wait_for(lambda: not processes(str(desk.scratch)), 60)
        assert desk.ok("clean", "--remove").status == 0
    else:
        assert done.status == 130
        assert f"interrupted by {number.name}" in done.both


def test_killed_from_outside_is_no_limit(at: Any) -> None:
    desk = at(Rules(during="sleep 600"))
    begun = Started(desk, "-b", "--keep", "never")
    wait_for(lambda: begun.read("memory.oom.group") == "1")
    subprocess.run(["systemctl", "--user", "kill", "--signal=KILL", begun.unit], check=True)
    done = begun.end()
    assert done.status == 4
    assert "killed from outside" in done.both


def on_a_terminal(desk: Desk, command: str) -> subprocess.CompletedProcess[str]:
    """A shell that shows its group and exits with 5; from below the manager, as in a desktop's terminal."""
    return subprocess.run(
        [
            *("systemd-run", "--user", "--scope", "--quiet", "--collect", "--"),
            *("script", "--quiet", "--return", "--command", command, "/dev/null"),
        ],
        cwd=desk.tree,
        env=desk.environment,
        input="cat /proc/self/cgroup; exit 5\n",
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_commands(at: Any) -> None:
    desk = at()
    done = desk.run("run", "--", "sh", "-c", "cat /proc/self/cgroup; echo '$HOME $$' >&2; exit 7")
    assert done.status == 7
    assert done.out == "0::/\n"
    assert done.err == "$HOME $$\n"
    text = on_a_terminal(desk, "python3 -m bwbuild shell")
    assert text.returncode == 5, text
    assert "\n0::/\n" in text.stdout
    assert "environment" not in text.stdout, "systemd-run has something to say of the command"


def lose_the_manager(desk: Desk) -> dict[str, str]:
    """The environment of a session whose manager does not answer any more."""
    runtime = desk.top / "runtime"
    (runtime / "systemd").mkdir(parents=True)
    (runtime / "systemd" / "private").touch()
    return {"XDG_RUNTIME_DIR": str(runtime), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}


def test_doctor_and_audit(at: Any) -> None:
    desk = at()
    assert "ok       control group" in desk.ok("doctor").out
    lost = lose_the_manager(desk)
    for words in (("doctor",), ("run", "--", "true")):
        done = desk.run(*words, env=lost)
        assert done.status == 4
        assert "--no-limit-scope" in done.both
    desk.ok("run", "--no-limit-scope", "--", "true", env=lost)
    rows = [json.loads(desk.run("audit", "--json", *words).out) for words in ((), ("--no-limit-scope",))]
    found = [
        row["state"] for rows_of in rows for row in rows_of["findings"] if row["name"] == "limit of memory"
    ]
    assert found == ["a control group keeps it", "it is looked at now and then"]


def test_time_of_a_start(at: Any) -> None:
    """A figure for the caller, in results/start.json of the machine: seconds of the fastest of each."""
    desk = at()
    desk.ok("run", "--", "true")
    best: dict[str, float] = {}
    for _ in range(5):
        for name, words in {"scope": (), "none": ("--no-limit-scope",)}.items():
            begin = time.monotonic()
            desk.ok("run", *words, "--", "true")
            best[name] = min(best.get(name, 1e9), time.monotonic() - begin)
    results = Path.home() / "results"
    if results.is_dir():
        (results / "start.json").write_text(json.dumps(best) + "\n")
    assert best["scope"] < 2 * best["none"]
