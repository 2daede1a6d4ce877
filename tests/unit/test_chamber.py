"""The chamber of apt and dpkg: what it may do, and what is said where it can't be had."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest
from made_bases import IDENTITY

from bwbuild import process
from bwbuild.errors import ExitStatus, LimitError
from bwbuild.process import Completed
from bwbuild.root.bounds import NO_BOUNDS, Bounds
from bwbuild.root.chamber import WRITABLE, Chamber
from bwbuild.sandbox import runner
from bwbuild.sandbox.scope import Scope
from bwbuild.sandbox.spec import Ceilings, Filter, Guest, Restraints
from bwbuild.sandbox.syscalls import Group


@pytest.fixture
def chamber(tmp_path: Path) -> Chamber:
    place = tmp_path / "work" / "apt-1"
    place.mkdir(parents=True)
    return Chamber(identity=IDENTITY, place=place, root=tmp_path / "base's root", bounds=NO_BOUNDS)


def script(chamber: Chamber, monkeypatch: pytest.MonkeyPatch, *argv: str) -> str:
    """What would be run."""
    seen = []

    def run(words: list[str], **_: object) -> Completed:
        seen.append(words[-1])
        (chamber.place / "entered").touch()
        return Completed(tuple(words), 0, b"", b"")

    monkeypatch.setattr(process, "run", run)
    chamber.run(argv)
    return seen[0]


def test_network_is_only_there_where_it_is_asked_for(
    chamber: Chamber, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = script(chamber, monkeypatch, "true")
    assert "--unshare-net" in closed
    assert "/etc/resolv.conf" not in closed
    wide = script(replace(chamber, network=True), monkeypatch, "true")
    assert "--unshare-net" not in wide
    assert "--ro-bind-try /etc/resolv.conf /etc/resolv.conf" in wide


def test_proxies_of_the_caller_are_there_with_the_network(
    chamber: Chamber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")
    assert "proxy" not in script(chamber, monkeypatch, "true")
    wide = script(replace(chamber, network=True), monkeypatch, "true")
    assert "--setenv http_proxy http://proxy.example.org:3128" in wide


def test_file_systems_in_memory_have_a_size(chamber: Chamber, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--size" not in script(chamber, monkeypatch, "true")
    text = script(replace(chamber, bounds=Bounds(ceilings=Ceilings(tmp=77, shm=66))), monkeypatch, "true")
    for place in ("/tmp", "/var/tmp", "/run"):
        assert f"--size 77 --tmpfs {place} " in text
    assert "--size 66 --tmpfs /dev/shm " in text


def test_places_that_everybody_writes_to_are_open(chamber: Chamber, monkeypatch: pytest.MonkeyPatch) -> None:
    text = script(chamber, monkeypatch, "true")
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        assert f"--perms 1777 --tmpfs {place} " in text
    # It would be hidden by what is mounted above it.
    assert text.index("--dev /dev ") < text.index("--tmpfs /dev/shm ")
    assert "--tmpfs /run --perms 1777 --dir /run/lock " in text
    assert Guest("/dev/shm") in WRITABLE


def test_what_is_watched_has_the_kernels_limits(chamber: Chamber, monkeypatch: pytest.MonkeyPatch) -> None:
    launches = []

    def run(launch: runner.Launch, _: runner.Listeners) -> runner.Outcome:
        launches.append(launch)
        (chamber.place / "entered").touch()
        return runner.Outcome(0, started=True, timed_out=False, ended=False, seconds=0.0)

    monkeypatch.setattr(runner, "run", run)
    ceilings, scope = Ceilings(processes=55, files=(10, 20)), Scope(("systemd-run",))
    limited = replace(chamber, bounds=Bounds(ceilings=ceilings, scope=scope, timeout=7.0))
    limited.watch(["true"], print)
    text = (chamber.place / "launch").read_text()
    words = 'env -i PATH="$PATH" prlimit --core=0 --nproc=55 --nofile=10:20 -- bwrap --json-status-fd '
    assert words in text
    (launch,) = launches
    assert (launch.timeout, launch.scope) == (7.0, scope)


def test_nobody_forgets_bounds() -> None:
    (bounds,) = (field for field in fields(Chamber) if field.name == "bounds")
    assert bounds.default is MISSING


def test_restraints_hold_for_all_that_run(chamber: Chamber, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "seccomp" not in script(chamber, monkeypatch, "true")
    held = Restraints((Filter("policy", (Group.NAMESPACES,)),), nesting=False, keyctl=250)
    text = script(replace(chamber, bounds=Bounds(restraints=held)), monkeypatch, "true")
    assert "echo 0 > /proc/sys/user/max_user_namespaces" in text
    assert "syscall(250, 1, 0)" in text
    assert "--add-seccomp-fd 4 " in text
    assert " true 4< filter.policy || status=$?" in text
    assert "=== 644 filter.policy: " in text


def test_nobody_inside_reads_the_callers_environment(
    chamber: Chamber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of bwrap's own process is there to be read."""
    assert 'env -i PATH="$PATH" bwrap' in script(chamber, monkeypatch, "true")


def test_who_watches_hears_and_judges(chamber: Chamber, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []

    class Attendant:
        def __init__(self, place: Path) -> None:
            heard.append(place)

        def output(self, data: bytes) -> None:
            heard.append(data)

        def tick(self, running: runner.Running) -> bool:
            heard.append(running)
            return True

        def judge(self, outcome: runner.Outcome) -> None:
            heard.append(outcome.exit_code)
            raise LimitError("too much")

    def run(_: runner.Launch, listeners: runner.Listeners) -> runner.Outcome:
        listeners.output(b"before all is mounted")
        (chamber.place / "entered").touch()
        listeners.output(b"after")
        assert listeners.tick(running)
        return runner.Outcome(None, started=True, timed_out=False, ended=True, seconds=0.0)

    running, said = runner.Running(1, 2), []
    monkeypatch.setattr(runner, "run", run)
    with pytest.raises(LimitError, match="too much"):
        replace(chamber, bounds=Bounds(attend=Attendant)).watch(["true"], said.append)
    assert said == [b"after"]
    assert heard == [chamber.place, b"after", running, None]


def test_rights_of_root_are_those_that_dpkg_needs(chamber: Chamber, monkeypatch: pytest.MonkeyPatch) -> None:
    text = script(chamber, monkeypatch, "true")
    assert "--cap-drop ALL" in text
    words = text.split()
    added = {words[number + 1] for number, word in enumerate(words) if word == "--cap-add"}
    assert added == {
        *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL"),
        *("CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SYS_CHROOT"),
    }


def test_words_are_quoted(chamber: Chamber, monkeypatch: pytest.MonkeyPatch) -> None:
    text = script(chamber, monkeypatch, "sh", "-c", "echo $(id) 'x'")
    assert """sh -c 'echo $(id) '"'"'x'"'"''""" in text
    assert "base'\"'\"'s root" in text


def test_variables_and_binds(chamber: Chamber, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    more = replace(chamber, environment={"TERM": "xterm", "HOME": "/root"}, binds={"/mnt": tmp_path})
    text = script(more, monkeypatch, "true")
    assert "--setenv TERM xterm" in text
    assert "--setenv HOME /root" in text
    assert "/nonexistent" not in text
    assert f"--bind {tmp_path} /mnt" in text


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        (
            b"mount: ns/root: wrong fs type",
            ExitStatus.HOST,
            ("can't carry the layers of a base", "--cache DIR"),
        ),
        (
            b"mount: /cache/work/apt-1/ns/root: wrong fs type",
            ExitStatus.HOST,
            ("can't carry the layers of a base", "--cache DIR"),
        ),
        (b"cat: write error: No space left on device", ExitStatus.OUTPUT, ("No space left", "bwbuild clean")),
        (b"unshare: failed", ExitStatus.HOST, ("no root of a suite can be entered here", "bwbuild doctor")),
    ],
)
def test_chamber_that_cannot_be_had(
    chamber: Chamber,
    monkeypatch: pytest.MonkeyPatch,
    text: bytes,
    status: ExitStatus,
    told: tuple[str, str],
) -> None:
    monkeypatch.setattr(process, "run", lambda words, **_: Completed(tuple(words), 1, b"", text))
    with pytest.raises(Exception, match=told[0]) as caught:
        chamber.run(("true",))
    assert getattr(caught.value, "status", None) is status
    assert told[1] in getattr(caught.value, "hint", "")
    assert getattr(caught.value, "details", ()) == (text.decode(),)
