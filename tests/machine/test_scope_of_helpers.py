"""What unpacks a source package, and the checks after a build, in control groups of their own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import make_root
from test_scope import GROUPS, MIB, SLEEP, Started, at, reached, units, wait_for  # noqa: F401

from bwbuild.build import scratch as scratches
from bwbuild.build.inspect.helper import Reader
from bwbuild.build.watch.bounds import Attendant
from bwbuild.build.watch.limits import BreachError, resolve
from bwbuild.checks.bench import Bench, Room
from bwbuild.config.settings import Settings
from bwbuild.host.facts import read_host
from bwbuild.root.bounds import NO_BOUNDS, Bounds
from bwbuild.root.ground import Base
from bwbuild.root.suite import Suite
from bwbuild.sandbox.identity import choose
from bwbuild.sandbox.spec import Layering

pytestmark = pytest.mark.machine

#: What a check's chamber runs before the check, and what these tests run.
PROGRAMS = ("sh", "cat", "chown", "cp", "env", "mkdir", "perl", "setpriv", "sleep")
#: Of constants alone perl would make the string before it runs anything.
EATER = "my $n = %d << 20; my $x = 'x' x $n; sleep 600"


def ignore(_: bytes) -> None:
    """Nobody wants to know."""


def make_bench(top: Path, settings: Settings, output: Callable[[bytes], None] = ignore) -> Bench:
    """The bench of a build with ``settings``, on a base that is none of a suite."""
    host = read_host()
    identity, limits = choose(host, None), resolve(settings, host)
    make_root(top / "base" / "root", *PROGRAMS)
    base = Base(top / "base", Suite("none", host.architecture), identity, "none", time.time())
    scope = Reader.of(settings, host).scope
    return Bench(
        base=base,
        cache=top / "cache",
        tell=lambda _: None,
        output=output,
        bounds=Bounds(scope=scope, attend=partial(Attendant, "the check", limits, scope, identity)),
        installing=NO_BOUNDS,
    )


def test_unpacking_is_in_a_group(at: Any) -> None:  # noqa: F811
    desk = at()
    # Large enough to be met while it is unpacked.
    with (desk.tree / "large").open("wb") as file:
        file.truncate(256 * MIB)
    subprocess.run(["dpkg-source", "-Zgzip", "-z1", "--build", desk.tree.name], cwd=desk.parent, check=True)
    (desk.tree / "large").unlink()
    dsc = desk.parent / "tiny_1.dsc"
    begun = Started(
        desk, "run", "--limit-memory", "800M", "--limit-processes", "500", "--tree", dsc, "--", "true"
    )
    assert begun.show("MemoryMax") == str(900 * MIB)
    assert begun.show("TasksMax") == "532"
    assert str(begun.process.pid) not in begun.read("cgroup.procs").split()
    done = begun.end()
    assert done.status == 0, done.both


def test_memory_of_what_unpacks(tmp_path: Path, at: Any) -> None:  # noqa: F811
    """It is held back when it grows, as a build is, and so has no time to take all that it wants."""
    settings, host = Settings(limit_memory=200 * MIB), read_host()
    record = scratches.new_record(tmp_path, ("tiny", "1"), Layering.COPY, choose(host, None))
    with scratches.fresh(at().scratch, record) as scratch:
        for name in ("files", "unpacked"):
            (scratch.path / name).mkdir()
        with pytest.raises(BreachError, match="unpacking: killed: memory limit 200 MiB") as ended:
            Reader.of(settings, host).run("unpacking", scratch, ("sh", "-c", SLEEP % 1200))
    assert ended.value.reached.name == "memory"
    assert 200 * MIB <= (ended.value.reached.peak or 0) <= 230 * MIB


def test_a_check_is_in_a_group(tmp_path: Path, at: Any) -> None:  # noqa: F811
    at()
    before, seen = units(), set()
    bench = make_bench(tmp_path, Settings(limit_memory=200 * MIB), lambda _: seen.update(units() - before))
    ended = bench.run(("sh", "-c", "cat /proc/self/cgroup; sleep 5; exit 3"), Room((), {}))
    assert (ended.status, ended.text) == (3, "0::/\n")
    assert len(seen) == 1


def test_memory_of_a_check(tmp_path: Path, at: Any) -> None:  # noqa: F811
    at()
    bench = make_bench(tmp_path, Settings(limit_memory=200 * MIB))
    with pytest.raises(BreachError, match="killed: memory limit 200 MiB") as ended:
        bench.run(("perl", "-e", EATER % 1200), Room((), {}))
    assert 200 * MIB <= (ended.value.reached.peak or 0) <= 230 * MIB


def test_a_check_that_the_kernel_ended(tmp_path: Path, at: Any) -> None:  # noqa: F811
    """Nobody looks while it grows: the kernel ends it, and that is what is said of it."""
    at()
    before = units()

    def release(data: bytes) -> None:
        # It writes that it is there: from then on it is not held back.
        if data != b"there":
            return
        (unit,) = units() - before
        (group,) = GROUPS.rglob(unit)
        wait_for(lambda: (group / "memory.oom.group").read_text() == "1\n")
        (group / "memory.high").write_text("max")
        wait_for(lambda: not group.exists() or not (group / "cgroup.procs").read_text())

    bench = make_bench(tmp_path, Settings(limit_memory=200 * MIB), release)
    with pytest.raises(BreachError, match="killed: memory limit 200 MiB, peak 200 MiB"):
        bench.run(("perl", "-e", f"$| = 1; sleep 5; print 'there'; {EATER % 600}"), Room((), {}))
