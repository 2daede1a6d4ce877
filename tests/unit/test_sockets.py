"""Finding sockets and FIFOs below a directory."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bwbuild.host.sockets import first_below


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


def test_what_can_not_be_read_is_left_out(tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root can read everything")
    closed = tmp_path / "closed"
    closed.mkdir()
    os.mkfifo(closed / "fifo")
    closed.chmod(0)
    assert first_below(tmp_path) is None
    closed.chmod(0o700)
    assert first_below(tmp_path) == (closed / "fifo", "a FIFO")
