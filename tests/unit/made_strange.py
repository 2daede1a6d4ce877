"""What a hostile build may leave in place of a plain file; each function replaces an existing one."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def symlink(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nonexistent")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_socket(path: Path) -> None:
    path.unlink()
    # The name of a socket is limited to 108 bytes, so it is bound from within its directory.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(here)


def hard_link(path: Path) -> None:
    path.with_name("second-name").hardlink_to(path)


def missing(path: Path) -> None:
    path.unlink()
