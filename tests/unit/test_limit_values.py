"""What limits come to on a machine, how they stand in a script, and what is said of one that was reached."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import pytest
from made_plans import HOST, inputs, plan

from bwbuild.build import verdict
from bwbuild.build.jobs import Demand, Given, Jobs, decide_jobs
from bwbuild.build.plan import make_plan
from bwbuild.build.scan import Excerpt
from bwbuild.build.watch import limits
from bwbuild.build.watch.group import Group
from bwbuild.build.watch.limits import Breach, Limits, Reached, Seen, resolve
from bwbuild.build.watch.resources import Peak
from bwbuild.config.settings import Settings
from bwbuild.deb import buildoptions
from bwbuild.host import manager
from bwbuild.host.facts import Processors
from bwbuild.host.manager import Manager, read_manager
from bwbuild.host.memory import Memory
from bwbuild.sandbox import guard
from bwbuild.sandbox.runner import Launch, Outcome
from bwbuild.sandbox.scope import NO_SCOPE, scope
from bwbuild.sandbox.spec import Ceilings, Guest, Restraints

GIB = 1 << 30


# What they come to


def test_all_limits_are_on() -> None:
    found = resolve(Settings(), HOST)
    assert found == Limits(
        time=48 * 3600.0,
        silence=9000.0,
        memory=14 * GIB,
        processes=4096,
        files=65536,
        tmp=7 * GIB,
        shm=7 * GIB,
        disk=100 * GIB,
        reserve=None,
        log=256 << 20,
    )


def test_all_can_be_turned_off() -> None:
    off = dict.fromkeys(("memory", "processes", "files", "tmp", "shm", "disk", "disk_reserve", "log"), 0)
    settings = Settings(timeout=None, limit_silence=None, **{f"limit_{name}": 0 for name in off})
    assert resolve(settings, HOST) == Limits()


@pytest.mark.parametrize(
    ("total", "memory"), [(1 << 29, 1 << 28), (GIB, GIB * 3 // 4), (8 * GIB, 7 * GIB), (64 * GIB, 60 * GIB)]
)
def test_memory_leaves_a_reserve(total: int, memory: int) -> None:
    assert resolve(Settings(), replace(HOST, memory=Memory(total, total))).memory == memory


def test_the_machine_bounds_them() -> None:
    assert resolve(Settings(), replace(HOST, files=1024)).files == 1024
    assert resolve(Settings(limit_files=100), replace(HOST, files=None)).files == 100
    assert resolve(Settings(), replace(HOST, processors=Processors(64, 2))).processes == 8192
    assert resolve(Settings(limit_memory=64 * GIB), HOST).tmp == 8 * GIB


def test_nobody_has_more_processes_than_the_caller() -> None:
    """The kernel refuses to raise what he was given."""
    host = replace(HOST, tasks=500)
    assert resolve(Settings(), host).processes == 500
    assert resolve(Settings(limit_processes=100), host).processes == 100
    assert resolve(Settings(limit_processes=0), host).processes is None
    assert limits.ceilings(Limits(processes=900), host).processes == 500


def test_the_free_memory_of_the_moment_decides_nothing() -> None:
    assert resolve(Settings(), replace(HOST, memory=Memory(16 * GIB, 1))) == resolve(Settings(), HOST)


def test_reserve_of_a_disk() -> None:
    assert limits.disk_reserve(Limits(reserve=None), 20 * GIB) == GIB
    assert limits.disk_reserve(Limits(reserve=None), 1000 * GIB) == 4 * GIB
    assert limits.disk_reserve(Limits(reserve=7), 1000 * GIB) == 7


# What the kernel keeps


def test_ceilings() -> None:
    bounds = Limits(memory=3, disk=5, processes=100, files=4000, tmp=7, shm=8)
    assert limits.ceilings(bounds, HOST) == Ceilings(100, (1024, 4000), 7, 8, 3)
    old = replace(HOST, kernel=(5, 10))
    assert limits.ceilings(replace(bounds, files=10), old) == Ceilings(None, (10, 10), 7, 8, 3)
    assert limits.ceilings(Limits(), HOST) == Ceilings()


def test_half_of_what_the_kernel_counts_for_the_caller_stays_his() -> None:
    host = replace(HOST, shares={"inotify_instances": 129, "user_namespaces": 1000})
    assert limits.ceilings(Limits(), host).shares == (("inotify_instances", 64),)
    both = limits.ceilings(Limits(), host, nesting=True)
    assert both.shares == (("inotify_instances", 64), ("user_namespaces", 500))
    place = "/proc/sys/user/max_inotify_instances"
    usual = list(guard.lowered(Restraints(nesting=False), limits.ceilings(Limits(), host)))
    assert usual == [guard.NO_NESTING, f"echo 64 > {place}"]
    # Where nothing can be written there, the remedy is to allow namespaces.
    assert f"[ ! -w {place} ] || echo 64 > {place}" in guard.lowered(Restraints(nesting=True), both)


def test_script_shows_them() -> None:
    made = plan(limit_processes=300, limit_files=2000, limit_tmp=1 << 20, limit_shm=2 << 20)
    text = made.script
    assert " prlimit --core=0 --nproc=300 --nofile=2000:2000 -- " in text
    for words in (
        "--perms 1777 \\\n  --size 1048576 \\\n  --tmpfs /tmp",
        "--perms 1777 \\\n  --size 1048576 \\\n  --tmpfs /var/tmp",
        "--perms 1777 \\\n  --size 2097152 \\\n  --tmpfs /dev/shm",
    ):
        assert words in text
    assert text.index("--dev /dev") < text.index("--tmpfs /dev/shm")
    assert f"mount -t tmpfs -o mode=755,size={14 * GIB} bwbuild ns\n" in text


def test_workspace_in_memory_is_no_larger_than_the_disk_limit() -> None:
    host = replace(HOST, kernel=(6, 6))
    made = make_plan(inputs(host=host, limit_disk=GIB, workspace_memory=2 * GIB))
    assert made.sandbox.workspace.memory == GIB
    free = make_plan(inputs(host=host, limit_disk=0, workspace_memory=2 * GIB))
    assert free.sandbox.workspace.memory == 2 * GIB


# A control group


def session(top: Path, controllers: str | None, *, runs: bool = True) -> tuple[dict[str, str], Path]:
    """The environment and the control groups of a session of user 1500."""
    runtime = top / "run"
    (runtime / "systemd").mkdir(parents=True)
    if runs:
        (runtime / "systemd" / "private").touch()
    own = top / "groups" / "user.slice" / "user-1500.slice" / "user@1500.service"
    own.mkdir(parents=True)
    if controllers is not None:
        (own / "cgroup.controllers").write_text(controllers)
    environment = {"XDG_RUNTIME_DIR": str(runtime), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x", "SECRET": "x"}
    return environment, top / "groups"


@pytest.fixture
def _systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "systemd-run"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'systemd 252 (252.39-1~deb12u1)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


@pytest.mark.usefixtures("_systemd")
def test_a_manager_that_may_limit_is_found(tmp_path: Path) -> None:
    environment, groups = session(tmp_path, "cpu memory pids\n")
    address = tuple((name, environment[name]) for name in manager.ADDRESS)
    assert read_manager(1500, environment, groups) == Manager(address, 252)
    assert read_manager(1501, environment, groups) is None


@pytest.mark.usefixtures("_systemd")
@pytest.mark.parametrize(
    ("controllers", "runs"), [("cpu pids\n", True), (None, True), ("memory pids\n", False)], ids=str
)
def test_others_are_not(tmp_path: Path, controllers: str | None, runs: bool) -> None:
    environment, groups = session(tmp_path, controllers, runs=runs)
    assert read_manager(1500, environment, groups) is None
    assert read_manager(1500, {}, groups) is None


def test_words_of_a_scope() -> None:
    address = (("XDG_RUNTIME_DIR", "/run/user/1500"),)
    found = scope(Manager(address, 257), GIB, 100)
    assert found.words == (
        *("systemd-run", "--user", "--scope", "--quiet", "--collect", "--expand-environment=no"),
        *("--property=MemoryMax=1207959552", "--property=MemorySwapMax=0", "--property=OOMPolicy=continue"),
        *("--property=TasksMax=132", "--", "env", "-u", "XDG_RUNTIME_DIR"),
    )
    assert found.address == address
    older = {"--expand-environment=no", "--property=OOMPolicy=continue"}
    assert scope(Manager(address, 252), GIB, 100).words == tuple(w for w in found.words if w not in older)
    assert scope(None, GIB, 100) == NO_SCOPE
    assert scope(Manager(address), None, None) == NO_SCOPE


def test_launcher_in_a_scope() -> None:
    around = scope(Manager((("XDG_RUNTIME_DIR", "/run/user/1500"),), 257), GIB, 100)
    launch = Launch(Path("/s/launch"), Path("/s"), scope=around)
    assert launch.argv() == (*around.words, "sh", "/s/launch")
    assert launch.environment(20, 21)["XDG_RUNTIME_DIR"] == "/run/user/1500"
    plain = Launch(Path("/s/launch"), Path("/s"))
    assert plain.argv() == ("sh", "/s/launch")
    assert "XDG_RUNTIME_DIR" not in plain.environment(20, 21)


def test_choice_of_a_scope() -> None:
    host = replace(HOST, manager=Manager((), 257))
    assert make_plan(inputs(host=host)).scope.words[0] == "systemd-run"
    assert make_plan(inputs(host=host, limit_scope=False)).scope == NO_SCOPE
    assert plan().scope == NO_SCOPE


# Jobs

EIGHT = Processors(8, 8)


def jobs(*words: str, environment: str = "", past: Demand | None = None, memory: int | None = GIB) -> Jobs:
    return decide_jobs(Given(buildoptions.parse(words), environment), EIGHT, memory, past)


@pytest.mark.parametrize(
    ("words", "environment", "number"),
    [
        (("-j3",), "", 3),
        (("-J3",), "parallel=5", 3),
        (("--jobs=3",), "", 3),
        (("--jobs-force=3",), "", 3),
        (("-jauto",), "", 8),
        (("-j",), "", None),
        (("-j2", "-j4"), "", 4),
        ((), "nocheck parallel=5", 5),
        ((), "parallel=5 terse", 5),
    ],
)
def test_the_caller_decides(words: tuple[str, ...], environment: str, number: int | None) -> None:
    assert jobs(*words, environment=environment, past=Demand(GIB * 8, 8)) == Jobs(number)


def test_as_many_jobs_as_processors() -> None:
    for environment in ("", "nocheck", "noparallel=5"):
        assert jobs(environment=environment) == Jobs(8)
    assert jobs(past=Demand(GIB, 8)) == Jobs(8)
    assert jobs(past=Demand(5 * GIB, 8), memory=None) == Jobs(8)


@pytest.mark.parametrize(
    ("past", "number"),
    [
        (Demand(2 * GIB, 8), 4),
        (Demand(GIB // 2, 1), 2),
        (Demand(GIB * 9, 8), 1),
        (Demand(GIB, 8, ended=True), 4),
        (Demand(GIB * 9 // 8, 4, ended=True), 1),
    ],
)
def test_no_more_jobs_than_memory_allows(past: Demand, number: int) -> None:
    found = jobs(past=past)
    assert (found.number, found.options) == (number, (f"-J{number}",))
    assert f"jobs: {number} at once on 8 processors" in found.notes[0]


def test_processors_that_may_not_be_used() -> None:
    found = decide_jobs(Given(buildoptions.parse([])), Processors(8, 2), None, None)
    assert found == Jobs(2, ("-J2",))


def test_jobs_of_a_plan() -> None:
    usual, fewer = plan("-b"), plan("-b", demand=Demand(28 * GIB, 8))
    assert not [word for word in usual.sandbox.command if word.startswith(("-j", "-J"))]
    assert fewer.sandbox.command[-2:] == ("-J4", "-b")
    assert (usual.jobs, fewer.jobs) == (8, 4)
    assert any("jobs: 4 at once" in note.text for note in fewer.notes)
    assert plan(command=("true",), demand=Demand(28 * GIB, 8)).jobs is None


# What is said

QUIET = Excerpt("", "", (), (), ())
FAILED = Outcome(2, started=True, timed_out=False, ended=False, seconds=5.0)
FULL = "dh_x: error: write: No space left on device"


def said(*lines: str) -> Excerpt:
    return replace(QUIET, errors=lines)


def breach(outcome: Outcome, seen: Seen | None = None, excerpt: Excerpt = QUIET) -> Breach | None:
    return verdict.breach(outcome, seen or Seen(), excerpt, plan(limit_tmp=GIB, limit_processes=200))


def test_time() -> None:
    found = breach(replace(FAILED, exit_code=None, timed_out=True))
    assert found is not None
    assert found.reached == Reached("time", 48 * 3600.0, 5.0)


def test_what_the_watchdog_found_counts() -> None:
    its = limits.of_silence(5.0, 5.2)
    assert breach(replace(FAILED, exit_code=None, ended=True), Seen(its)) is its


def test_a_success_and_an_ordinary_failure_are_none() -> None:
    seen = Seen(full=frozenset({Guest("/tmp")}), refused=True)
    assert breach(replace(FAILED, exit_code=0), seen, said(FULL)) is None
    assert breach(FAILED, Seen(full=frozenset({Guest("/tmp")})), said("no")) is None
    assert breach(FAILED, excerpt=said(FULL)) is None
    assert breach(replace(FAILED, exit_code=None)) is None


@pytest.mark.parametrize(
    ("place", "line", "name"),
    [
        ("/tmp", FULL, "tmp"),
        ("/var/tmp", FULL, "tmp"),
        ("/dev/shm", FULL, "shm"),
        ("", "cat: /tmp/a: No space left on device", None),
        ("", "cat: debian/tmp/a: No space left on device", None),
        ("", "cat: /build/tmp/a: No space left on device", None),
        ("/run", FULL, None),
    ],
)
def test_full_file_systems(place: str, line: str, name: str | None) -> None:
    seen = Seen(full=frozenset({Guest(place)})) if place else Seen()
    found = breach(FAILED, seen, said(line))
    assert (found and found.reached.name) == name


@pytest.mark.parametrize(
    ("used", "line", "peak"),
    [
        (GIB * 9 // 10, "cat: /tmp/a: No space left on device", GIB * 9 // 10),
        (GIB * 9 // 10, "cat: '/var/tmp/a': No space left on device", None),
        (GIB * 9 // 10, FULL, None),
        (GIB // 2, "cat: /tmp/a: No space left on device", None),
    ],
)
def test_a_place_that_was_nearly_full_and_is_named(used: int, line: str, peak: int | None) -> None:
    """It was full between two looks; what was seen is its peak."""
    found = breach(FAILED, Seen(used={Guest("/tmp"): used}), said(line))
    assert (found and found.reached) == (Reached("tmp", GIB, peak) if peak else None)


def test_what_was_seen_is_the_peak() -> None:
    seen = Seen(full=frozenset({Guest("/tmp")}), used={Guest("/tmp"): GIB - 5})
    found = breach(FAILED, seen, said(FULL))
    assert found is not None
    assert found.reached == Reached("tmp", GIB, GIB - 5)


def test_processes() -> None:
    found = breach(FAILED, Seen(tasks=203, refused=True))
    assert found is not None
    assert found.reached == Reached("processes", 200, 203)
    assert breach(FAILED, Seen(tasks=150), said("sh: 1: Cannot fork")) is not None
    assert breach(FAILED, Seen(tasks=150), said("read: Resource temporarily unavailable")) is None
    # Not even half of them: somebody's test says so.
    # A bomb that has gone off between two looks.
    assert breach(FAILED, Seen(tasks=7), said(*["sh: 1: Cannot fork"] * 5)) is not None
    assert breach(FAILED, Seen(tasks=7), said(*["sh: 1: Cannot fork"] * 4)) is None
    assert breach(FAILED, Seen(tasks=99), said("ok 12 - server says it cannot fork when disabled")) is None


def test_what_may_be_the_matter_is_a_hint() -> None:
    with pytest.raises(verdict.BuildError) as caught:
        verdict.check(FAILED, said("sh: 1: Cannot fork"), plan(limit_processes=200), tuple, Seen(tasks=7))
    assert "200 processes, of which 7 were seen" in caught.value.hint
    assert "--limit-processes" in caught.value.hint


def test_a_control_group_that_was_killed() -> None:
    killed = replace(FAILED, exit_code=None)
    grouped = make_plan(inputs(host=replace(HOST, manager=Manager((), 257)), limit_memory=GIB))
    near = verdict.breach(killed, Seen(peak=Peak(GIB - 5, "cc1"), killed=True), QUIET, grouped)
    assert near is not None
    assert near.reached == Reached("memory", GIB, GIB)
    assert near.message.endswith("in cc1")
    long_before = verdict.breach(killed, Seen(peak=Peak(GIB // 4, "cc1"), killed=True), QUIET, grouped)
    assert long_before is not None
    assert long_before.message == "killed: memory limit 1.0 GiB, peak 1.0 GiB"
    assert verdict.breach(killed, Seen(peak=Peak(GIB - 5, "cc1")), QUIET, grouped) is None
    assert verdict.breach(FAILED, Seen(killed=True), QUIET, grouped) is None, "another group beside it"


def made_group(path: Path, kills: int) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "memory.events").write_text(f"low 0\noom {kills + 1}\noom_kill {kills}\noom_group_kill 0\n")
    for name in ("memory.high", "memory.oom.group"):
        (path / name).write_text("")
    return path


def test_a_group_and_the_one_around_it(tmp_path: Path) -> None:
    path = made_group(made_group(tmp_path / "app.slice", 3) / "run-1.scope", 0)
    group = Group(path, 160)
    assert (path / "memory.high").read_text() == "170"
    assert (path / "memory.oom.group").read_text() == "1"
    for anon, full in ((100, False), (101, True)):
        (path / "memory.stat").write_text(f"anon {anon}\nfile 5000\nshmem 60\ninactive_anon 90\n")
        assert group.full == full
    assert not group.killed
    made_group(path, 1)
    assert group.killed
    rmtree(path)
    assert not group.killed
    made_group(path.parent, 4)
    assert group.killed


def test_a_group_without_a_limit_of_memory_is_only_read(tmp_path: Path) -> None:
    path = made_group(tmp_path, 0)
    assert not Group(path, None).killed
    assert (path / "memory.oom.group").read_text() == ""
    assert not Group(tmp_path / "gone", 160).killed
    assert not (tmp_path / "gone").exists()


def test_words_of_memory() -> None:
    found = limits.of_memory(4 * GIB, Peak(int(4.1 * GIB), "cc1plus", GIB, alike=3), 8)
    assert found.message == "killed: memory limit 4.0 GiB, peak 4.1 GiB in cc1plus (3 of 8 jobs)"
    assert "-j4" in found.hint
    alone = limits.of_memory(4 * GIB, Peak(5 * GIB, "ld", GIB, alike=1), None)
    assert alone.message == "killed: memory limit 4.0 GiB, peak 5.0 GiB in ld"
    assert "-j" not in alone.hint.replace("--", "")
    files = limits.of_memory(GIB, Peak(GIB, "sh", 5, files=GIB - 5), 8)
    assert "files in memory" in files.message


def test_too_many_open_files_are_the_builds_own() -> None:
    with pytest.raises(verdict.BuildError) as caught:
        verdict.check(FAILED, said("OSError: [Errno 24] Too many open files"), plan(limit_files=5000), tuple)
    assert "5000 files open;" in caught.value.hint
    assert "--limit-files" in caught.value.hint
    with pytest.raises(verdict.BuildError) as caught:
        verdict.check(FAILED, said("Too many open files"), plan(), tuple, Seen(open=20))
    assert "1024 files open, and 65536 where it asks for more" in caught.value.hint


def test_open_files_that_were_seen_are_a_limit() -> None:
    line = said("OSError: [Errno 24] Too many open files")
    found = verdict.breach(FAILED, Seen(open=1020), line, plan())
    assert found is not None
    assert found.reached == Reached("files", 1024, 1020)
    more = verdict.breach(FAILED, Seen(open=1999), line, plan(limit_files=1500))
    assert more is not None
    assert more.reached.value == 1500
    assert verdict.breach(FAILED, Seen(open=500), line, plan()) is None
    assert verdict.breach(FAILED, Seen(open=1020), said("no"), plan()) is None


def test_who_wants_more_files_has_them_at_once() -> None:
    """A program that does not ask for more itself would not get them."""
    for settings, host, both in (
        (Settings(), HOST, (1024, 65536)),
        (Settings(), replace(HOST, open_files=20000), (20000, 65536)),
        (Settings(), replace(HOST, open_files=1 << 20), (65536, 65536)),
        (Settings(), replace(HOST, open_files=256), (1024, 65536)),
        (Settings(limit_files=20000), HOST, (20000, 20000)),
        (Settings(limit_files=20000), replace(HOST, files=4096), (4096, 4096)),
        (Settings(limit_files=100), HOST, (100, 100)),
    ):
        assert limits.ceilings(resolve(settings, host), host).files == both
    assert limits.ceilings(resolve(Settings(limit_files=0), HOST), HOST).files is None
