"""Finding sockets and FIFOs below a directory."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bwbuild.host.sockets import CLOSED, first_below, remedy


def fill(top: Path) -> None:
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").touch()
    (top / "a" / "dangling").symlink_to("nowhere")
    (top / "a" / "loop").symlink_to(top)


def test_none(tmp_path: Path) -> None:
    fill(tmp_path)
    assert first_below(tmp_path) is None


@pytest.mark.parametrize("place", ["", "a", "a/b"])
def test_fifo(tmp_path: Path, place: str) -> None:
    fill(tmp_path)
    path = tmp_path / place / "odd\nname"
    os.mkfifo(path)
    assert first_below(tmp_path) == (path, "a FIFO")


def test_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    monkeypatch.chdir(tmp_path / "a" / "b")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert first_below(tmp_path) == (tmp_path / "a/b/s", "a socket")


def test_link_to_a_socket_elsewhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "in" / "link").symlink_to("../fifo")
    assert first_below(tmp_path / "in") is None


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A directory with a FIFO in one below it, that a test takes rights from."""
    if os.getuid() == 0:
        pytest.skip("root can read everything")
    top = tmp_path / "closed"
    (top / "in").mkdir(parents=True)
    os.mkfifo(top / "in" / "fifo")
    yield top
    top.chmod(0o700)
    (top / "in").chmod(0o700)


@pytest.mark.parametrize("mode", [0, 0o100, 0o200, 0o400, 0o600])
def test_a_directory_that_a_build_could_open(closed: Path, mode: int) -> None:
    """Its owner may change the mode, and root inside overrides it."""
    closed.chmod(mode)
    found = first_below(closed.parent)
    assert found is not None
    path, kind = found
    # Where nobody can be root of a namespace, the directory itself is refused.
    assert (path, kind) in [(closed / "in" / "fifo", "a socket or FIFO"), (closed, CLOSED)]


def test_a_closed_directory_of_plain_files(closed: Path) -> None:
    (closed / "in" / "fifo").unlink()
    (closed / "in").chmod(0)
    assert first_below(closed.parent) in (None, (closed / "in", CLOSED))


def test_a_closed_directory_where_nobody_can_look(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed.chmod(0)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert first_below(closed.parent) == (closed, CLOSED)
    assert "chmod" in remedy(CLOSED)


def test_closed_directories_of_others_are_left_out() -> None:
    """A read-only bind of the system has them as a matter of course."""
    if os.getuid() == 0:
        pytest.skip("root can read everything")
    private = Path("/var/cache/ldconfig")
    if not private.is_dir() or os.access(private, os.R_OK | os.X_OK):
        pytest.skip("everybody can read it here")
    assert first_below(private) is None
