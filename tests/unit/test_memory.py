"""How much memory there is, as /proc and control groups tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.host.memory import Memory, read_memory, read_shared

MEMINFO = """\
MemTotal:       16000000 kB
MemFree:         1000000 kB
MemAvailable:   12000000 kB
Shmem:                20 kB
"""
MACHINE = Memory(16000000 << 10, 12000000 << 10)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    return tmp_path / "proc"


def group(path: Path, **files: object) -> None:
    """A control group; files by name, ``__`` for a dot."""
    path.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (path / name.replace("__", ".")).write_text(f"{value}\n")


def test_shared(proc: Path) -> None:
    assert read_shared(proc) == 20 << 10


def test_without_groups(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("0::/\n")
    assert read_memory(proc, tmp_path / "none") == MACHINE


def test_without_a_limit(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("0::/user.slice\n")
    group(tmp_path / "groups/user.slice", memory__max="max", memory__current=5)
    assert read_memory(proc, tmp_path / "groups") == MACHINE


def test_limit_of_an_outer_group(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("0::/a/b\n")
    group(tmp_path / "groups/a", memory__max=4 << 30, memory__current=3 << 30)
    group(tmp_path / "groups/a", memory__stat=f"anon 5\ninactive_file {1 << 30}")
    group(tmp_path / "groups/a/b", memory__max=8 << 30, memory__current=1 << 30)
    assert read_memory(proc, tmp_path / "groups") == Memory(4 << 30, 2 << 30)


def test_container_that_sees_only_its_own_group(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n")
    group(tmp_path / "groups/memory", memory__limit_in_bytes=2 << 30, memory__usage_in_bytes=3 << 30)
    assert read_memory(proc, tmp_path / "groups") == Memory(2 << 30, 0)


def test_old_groups_without_a_limit(proc: Path, tmp_path: Path) -> None:
    (proc / "self/cgroup").write_text("4:memory:/x\n")
    group(tmp_path / "groups/memory/x", memory__limit_in_bytes=(1 << 63) - 4096, memory__usage_in_bytes=9)
    assert read_memory(proc, tmp_path / "groups") == MACHINE


def test_this_machine() -> None:
    found = read_memory()
    assert found.total > 1 << 20
    assert 0 <= found.available <= found.total
