"""Sockets and FIFOs in directories that the user chose, and a machine without libseccomp's Python module."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from support import Desk, as_user

from bwbuild.errors import ExitStatus

CLIENT = """if True:
    import os, socket, sys
    for name in ("host.socket", "deep/host.socket"):
        try:
            socket.socket(socket.AF_UNIX).connect(name)
            print("connected")
        except OSError as error:
            print("refused")
    try:
        os.write(os.open("host.fifo", os.O_WRONLY | os.O_NONBLOCK), b"x")
        print("written")
    except OSError as error:
        print("refused")
"""


@pytest.mark.parametrize("options", [(), ("--identity", "single"), ("--workspace-memory", "64M")])
def test_sockets_and_fifos_of_the_tree_lead_nowhere(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """A private tree shows them, but not who is at their other ends."""
    (desk.tree / "deep").mkdir()
    monkeypatch.chdir(desk.tree)
    os.mkfifo("host.fifo")
    reader = os.open("host.fifo", os.O_RDONLY | os.O_NONBLOCK)
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for listener, name in ((one, "host.socket"), (two, "deep/host.socket")):
            listener.bind(name)
            listener.listen()
        done = desk.ok("run", *options, "--", "python3", "-c", CLIENT)
        assert done.out.split() == ["refused"] * 3
        # The same program outside, so that it is known to find them.
        socket.socket(socket.AF_UNIX).connect("host.socket")
    os.close(reader)


@pytest.mark.parametrize("place", ["", "deep/er", "../sibling"])
@pytest.mark.parametrize("kind", ["socket", "FIFO"])
def test_in_place_none_is_given_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str, kind: str
) -> None:
    directory = desk.tree / place
    directory.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(directory)
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "socket":
            listener.bind("odd name")
        else:
            os.mkfifo("odd name")
        done = desk.run("run", "--in-place", "--", "true")
    assert done.status == ExitStatus.CONFIGURATION
    assert os.path.realpath("odd name") in done.err
    assert f"a {kind}" in done.err
    Path("odd name").unlink()
    desk.ok("run", "--in-place", "--", "true")


@as_user
@pytest.mark.parametrize("mode", [0, 0o300])
def test_in_place_closed_directories_are_looked_through(desk: Desk, mode: int) -> None:
    """The build could open them: by chmod, and root inside as they are."""
    closed = desk.parent / "closed"
    closed.mkdir()
    os.mkfifo(closed / "fifo")
    closed.chmod(mode)
    done = desk.run("run", "--in-place", "--", "sh", "-c", "chmod 700 ../closed; echo x > ../closed/fifo")
    assert done.status == ExitStatus.CONFIGURATION
    assert str(closed) in done.err
    closed.chmod(0o700)
    (closed / "fifo").unlink()
    closed.chmod(mode)
    desk.ok("run", "--in-place", "--", "true")
    closed.chmod(0o700)


@as_user
def test_in_place_what_an_earlier_build_left_is_no_hindrance(desk: Desk) -> None:
    """A package's directories may be closed to all but their owner, one of the caller's subordinate ids."""
    words = ("run", "--in-place", "--build-as", "root", "--", "sh", "-ec")
    desk.ok(*words, "mkdir left; touch left/file; chmod 700 left")
    desk.ok(*words, "rm -r left")


# Without libseccomp's module


@pytest.fixture
def without(desk: Desk, tmp_path: Path) -> Desk:
    """A desk on a machine that seems to lack the module."""
    (tmp_path / "lack").mkdir()
    (tmp_path / "lack" / "seccomp.py").write_text("raise ImportError('No module named seccomp')\n", "ascii")
    return Desk(desk.top, {"PYTHONPATH": f"{tmp_path / 'lack'}:{desk.program}"})


@pytest.mark.parametrize("words", [("-b", "-us", "-uc"), ("run", "--", "true"), ("--dry-run",)])
def test_without_the_library_nothing_is_built(without: Desk, words: tuple[str, ...]) -> None:
    done = without.run(*words)
    assert done.status == ExitStatus.HOST
    assert "apt install python3-seccomp" in done.err
    assert "--no-seccomp" in done.err
    assert without.published() == without.left() == []


def test_without_the_library_it_has_to_be_typed_and_is_recorded(without: Desk, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = without.ok("-b", "-us", "-uc", "--no-seccomp", "--report", report)
    assert "warning: system calls are not filtered" in done.err
    (weakening,) = without.report(report)["weakenings"]
    assert "--no-seccomp" in weakening
    assert "Seccomp:\t0" in without.ok("run", "--no-seccomp", "--", "cat", "/proc/self/status").out


def test_doctor_names_the_package(without: Desk) -> None:
    done = without.run("doctor")
    assert done.status == ExitStatus.HOST
    assert "apt install python3-seccomp" in done.both


@pytest.mark.parametrize(
    ("option", "word"), [("--allow=userns", "--allow userns"), ("--foreign-abi", "--foreign-abi")]
)
def test_weakenings_are_recorded(desk: Desk, tmp_path: Path, option: str, word: str) -> None:
    report = tmp_path / "report.json"
    done = desk.ok("-b", "-us", "-uc", option, "--report", report)
    (weakening,) = desk.report(report)["weakenings"]
    assert word in weakening
    assert weakening in done.err


def test_nothing_is_weakened_by_default(desk: Desk, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    desk.ok("-b", "-us", "-uc", "--no-suppress-sync", "--report", report)
    assert desk.report(report)["weakenings"] == []
