"""A traced sandbox: what its processes do is told, on both sides of the broker, and nothing else changes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import Desk, need

from bwbuild.build import inputs, places, scratch, session
from bwbuild.build.plan import Plan, make_plan
from bwbuild.build.start import decide
from bwbuild.config.layers import read_configuration
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.errors import HostError
from bwbuild.events import Event as Told
from bwbuild.sandbox import runner, tracing
from bwbuild.trace.parse import Event, Kind, Parser

SCRIPT = """
grep -c . /etc/hostname > /dev/null
cat nosuch 2> /dev/null
echo text > ../beside
mkdir /etc/x 2> /dev/null
/run/bwbuild/as-root sh -c 'cat /etc/hosts > /dev/null; cat /run/bwbuild/broker > /dev/null'
"""


@pytest.fixture
def environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    need("strace")
    monkeypatch.chdir(desk.tree)
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value)
    return desk.environment


@contextmanager
def planned(environment: dict[str, str], *command: str) -> Iterator[Plan]:
    settings = read_configuration({}, environment, None).settings
    wanted = inputs.Wanted(decide("."), BuildOptions(), command)
    with inputs.read(wanted, settings, environment, _quiet) as found:
        yield make_plan(found)


def _quiet(_told: Told) -> None:
    pass


def traced(environment: dict[str, str], *command: str) -> tuple[int, list[Event], str]:
    seen: list[Event] = []
    parser, output = Parser(), io.BytesIO()
    with planned(environment, *command) as plain:
        plan = session.with_trace(plain)
        with scratch.open_for(plan, places.scratch(plan.settings), _quiet) as place:
            listeners = runner.Listeners(output.write, trace=lambda data: seen.extend(parser.feed(data)))
            outcome = session.launch(plan, place, listeners)
            assert not (place.path / "trace").exists()
    assert outcome.exit_code is not None, output.getvalue()
    return outcome.exit_code, seen, output.getvalue().decode()


def test_both_sides_are_seen(environment: dict[str, str]) -> None:
    status, seen, output = traced(environment, "sh", "-c", SCRIPT)
    assert status == 0, output
    opened = {event.subject: event for event in seen if event.kind is Kind.OPEN}
    assert opened["/etc/hostname"].process == "grep"
    assert opened["/etc/hostname"].real == "/etc/hostname"
    assert opened["/build/reproducible-path/tiny-1/nosuch"].error == "ENOENT"
    assert opened["/etc/hosts"].process == "cat"
    assert opened["/run/bwbuild/broker"].error == ""
    written = {event.subject for event in seen if event.kind is Kind.WRITE}
    assert "/build/reproducible-path/tiny-1/../beside" in written
    assert ("/etc/x", "EROFS") in {
        (event.subject, event.error) for event in seen if event.kind is Kind.CHANGE
    }
    assert any(event.kind is Kind.EXEC and event.subject.endswith("/as-root") for event in seen)
    # bwrap's own work, which names directories of the caller, is no part of it.
    home = environment["BWBUILD_SCRATCH"]
    assert not [event for event in seen if event.subject.startswith(home) or event.real.startswith(home)]


def test_the_exit_status_and_a_signal_come_through(environment: dict[str, str]) -> None:
    assert traced(environment, "sh", "-c", "exit 7")[0] == 7
    assert traced(environment, "sh", "-c", "kill -TERM $$")[0] == 143


def test_no_descriptor_of_the_trace_is_inside(environment: dict[str, str]) -> None:
    _, _, traced_list = traced(environment, "sh", "-c", "ls -l /proc/self/fd | grep -c fifo; true")
    assert traced_list.strip() == "0"


def test_what_is_killed_is_gone(environment: dict[str, str]) -> None:
    with planned(environment, "sleep", "600") as plain:
        plan = session.with_trace(plain)
        with scratch.open_for(plan, places.scratch(plan.settings), _quiet) as place:
            listeners = runner.Listeners(sys.stdout.buffer.write, trace=len)
            outcome = session.launch(plan, place, listeners, timeout=2)
    assert outcome.timed_out


def test_who_wants_no_more_ends_it(environment: dict[str, str]) -> None:
    class EnoughError(Exception):
        pass

    def enough(_data: bytes) -> None:
        raise EnoughError

    with planned(environment, "sh", "-c", "while :; do cat /etc/hosts; done > /dev/null") as plain:
        plan = session.with_trace(plain)
        listeners = runner.Listeners(sys.stdout.buffer.write, trace=enough)
        with (
            scratch.open_for(plan, places.scratch(plan.settings), _quiet) as place,
            pytest.raises(EnoughError),
        ):
            session.launch(plan, place, listeners)


def test_without_strace_its_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tracing, "_PATH", str(tmp_path))
    with pytest.raises(HostError) as caught:
        tracing.check()
    assert caught.value.hint == "sudo apt install strace"


def test_a_refusal_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "strace"
    fake.write_text("#!/bin/sh\necho 'strace: PTRACE_SEIZE: Operation not permitted' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(tracing, "_PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(HostError, match="can't be traced"):
        tracing.check()
