"""Copies of single files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bwbuild.root.files import copy


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o444, 0o600])
@pytest.mark.parametrize("content", [b"", b"text\n", os.urandom(1 << 17)], ids=["empty", "small", "large"])
def test_a_file_keeps_content_mode_and_time(tmp_path: Path, mode: int, content: bytes) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    source.chmod(mode)
    os.utime(source, ns=(1_000_000_007, 2_000_000_009))
    copy(str(source), str(target))
    found = target.stat()
    assert target.read_bytes() == content
    assert found.st_mode & 0o777 == mode | 0o200
    assert (found.st_mtime_ns, found.st_nlink) == (2_000_000_009, 1)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "source").symlink_to("/nowhere/at/all")
    copy(f"{tmp_path}/source", f"{tmp_path}/target")
    assert os.readlink(tmp_path / "target") == "/nowhere/at/all"  # noqa: PTH115 - need not be a good path


def test_nothing_is_overwritten_or_followed(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("new\n")
    (tmp_path / "kept").write_text("old\n")
    (tmp_path / "target").symlink_to("kept")
    with pytest.raises(FileExistsError):
        copy(f"{tmp_path}/source", f"{tmp_path}/target")
    assert (tmp_path / "kept").read_text() == "old\n"


def test_a_fifo_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="Invalid argument"):
        copy(f"{tmp_path}/fifo", f"{tmp_path}/target")


def test_an_error_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    (tmp_path / "target").write_text("y")
    before = descriptors()
    for target in ("target", "missing/target"):
        with pytest.raises(OSError, match=r"exists|No such"):
            copy(f"{tmp_path}/source", f"{tmp_path}/{target}")
    assert descriptors() == before
