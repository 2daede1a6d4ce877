"""Publishing that fails, is killed, or has to wait."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_changes import CHANGES, DEB, Build, make_build
from made_output import contents, new_files, old_files, refused

from bwbuild.errors import OutputError
from bwbuild.handover import files as files_module
from bwbuild.handover import publish as publish_module
from bwbuild.handover import staging as staging_module
from bwbuild.handover.publish import publish
from bwbuild.handover.verify import Verified, collect


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return make_build(tmp_path)


@pytest.fixture
def verified(build: Build) -> Verified:
    build.write()
    return collect(build.parent, build.quarantine, build.expected)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "output"
    path.mkdir()
    return path


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["write", "mkdir", "fsync"])
def test_failure_while_copying(
    verified: Verified, output: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    old_files(output, verified)

    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files_module.os, call, fail)
    assert os.strerror(number) in refused(verified, output).message


@pytest.mark.parametrize("failing", range(6))
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_failure_while_exchanging(  # noqa: PLR0917
    verified: Verified,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: int,
    links: bool,
    old: bool,
    error: BaseException,
) -> None:
    before = old_files(output, verified) if old else {}
    real, count = os.replace, 0

    def replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        nonlocal count
        count += 1
        if count - 1 == failing:
            raise error
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(publish_module.os, "replace", replace)
    if not links:
        monkeypatch.setattr(publish_module.os, "link", no_links)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        publish(verified, output)
    assert contents(output) == before


def test_failure_after_the_new_changes_is_visible(
    verified: Verified, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = old_files(output, verified)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            assert (output / CHANGES).read_bytes() == verified.changes.path.read_bytes()
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(publish_module.os, "fsync", fsync)
    with pytest.raises(OutputError):
        publish(verified, output)
    assert contents(output) == before


def test_failure_of_the_way_back_is_told(
    verified: Verified, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_files(output, verified)
    real, count = os.replace, 0

    def replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        nonlocal count
        count += 1
        if count >= 3:
            raise OSError(errno.EIO, "Input/output error")
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(publish_module.os, "replace", replace)
    with pytest.raises(OutputError, match="putting back") as caught:
        publish(verified, output)
    assert any(CHANGES in line for line in caught.value.details)


def test_file_size_limit(verified: Verified, output: Path) -> None:
    """A real failing write, in the kernel's own words."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        error = refused(verified, output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert DEB in error.message
    assert "ulimit" in error.hint


_KILLED = """
import os, signal, sys
from pathlib import Path
from bwbuild.handover.staging import staging
with staging(Path(sys.argv[1])) as stage:
    os.close(os.open("half", os.O_CREAT | os.O_WRONLY, dir_fd=stage.new))
    print("ready", flush=True)
    if sys.argv[2] == "wait":
        sys.stdin.read()
    else:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def start(output: Path, how: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, output, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def test_leftover_of_a_killed_run_is_swept(verified: Verified, output: Path) -> None:
    with start(output, "kill") as child:
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert len(contents(output)) == 1
    publish(verified, output)
    assert contents(output) == new_files(verified)


def test_directory_of_a_living_run_is_not_swept(verified: Verified, output: Path) -> None:
    with start(output, "wait") as child:
        (hidden,) = output.iterdir()
        publish(verified, output)
        assert (hidden / "half").exists()
        child.communicate(b"")
    assert contents(output) == new_files(verified)


@pytest.mark.parametrize(
    ("name", "age", "swept"),
    [
        (".bwbuild-00000000deadbeef", 0, False),
        (".bwbuild-00000000deadbeef", 2 * 86400, True),
        (".bwbuild-notes", 2 * 86400, False),
        (".bwbuild-00000000deadbeef.d", 2 * 86400, False),
    ],
)
def test_what_may_belong_to_others_is_not_swept(
    verified: Verified, output: Path, name: str, age: float, swept: bool
) -> None:
    directory = output / name
    directory.mkdir(0o700)
    (directory / "file").touch()
    os.utime(directory, (time.time() - age, time.time() - age))
    publish(verified, output)
    assert directory.exists() is not swept


def test_link_with_a_hidden_name_is_not_followed(verified: Verified, output: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir(0o700)
    (target / "file").touch()
    os.utime(target, (0, 0))
    (output / ".bwbuild-00000000deadbeef").symlink_to(target)
    publish(verified, output)
    assert (target / "file").exists()


def test_waiting_for_the_lock_ends(verified: Verified, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open(output, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    monkeypatch.setattr(staging_module, "LOCK_TIMEOUT", 0.2)
    try:
        assert "locked" in refused(verified, output).message
    finally:
        os.close(descriptor)
