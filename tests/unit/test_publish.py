from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from made_changes import BUILDINFO, CHANGES, DEB, DSC, ORIG, Build, changes_text, make_build
from made_output import contents, new_files, old_files, refused

from bwbuild.deb.changes import read_changes
from bwbuild.errors import OutputError, VerificationError
from bwbuild.handover import publish as publish_module
from bwbuild.handover.files import describe
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


def test_everything_arrives(verified: Verified, output: Path) -> None:
    paths = publish(verified, output)
    assert paths == tuple(output / artifact.name for artifact in verified.artifacts)
    assert paths[-1].name == CHANGES
    assert contents(output) == new_files(verified)


def test_link_to_the_output_directory_is_followed(verified: Verified, output: Path) -> None:
    link = output.with_name("link")
    link.symlink_to(output)
    publish(verified, link)
    assert contents(output) == new_files(verified)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o644)])
def test_modes_follow_the_umask(verified: Verified, output: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        paths = publish(verified, output)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {mode}
    assert {path.stat().st_uid for path in paths} == {os.geteuid()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_hands_files_to_the_owner_of_the_directory(verified: Verified, output: Path) -> None:
    os.chown(output, 1234, 4321)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in publish(verified, output)} == {(1234, 4321)}


def test_old_artifacts_are_replaced_by_new_inodes(verified: Verified, output: Path) -> None:
    old_files(output, verified)
    (output / "mine").write_bytes(b"stays")
    with (output / DEB).open("rb") as reader:
        publish(verified, output)
        assert reader.read() == b"old " + DEB.encode()
    assert contents(output) == new_files(verified) | {"mine": b"stays"}


def test_order_is_old_changes_away_then_files_then_new_changes(
    verified: Verified, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_files(output, verified)
    seen: list[tuple[str, bool]] = []
    real = os.replace

    def replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        seen.append((target, (output / CHANGES).exists()))
        assert (output / target).exists() or target in (CHANGES, ORIG)
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(publish_module.os, "replace", replace)
    publish(verified, output)
    assert [name for name, _ in seen] == [artifact.name for artifact in verified.artifacts]
    assert not any(visible for _, visible in seen)


def test_names_change_under_a_lock(verified: Verified, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tried = os.replace, 0

    def replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        nonlocal tried
        tried += 1
        descriptor = os.open(output, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(publish_module.os, "replace", replace)
    publish(verified, output)
    assert tried == len(verified.artifacts)


def test_a_reader_never_sees_a_changes_of_a_mix(tmp_path: Path, output: Path) -> None:
    """Two builds of the same names are published in turn while a reader checks what it finds."""
    both = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        build = make_build(tmp_path / str(number))
        build.files = {
            DEB: bytes([number]) * 100_000,
            f"foo_1_doc{number}.txt": b"x",
            "foo_1_a.txt": bytes([number]),
        }
        build.write()
        both.append(collect(build.parent, build.quarantine, build.expected))
    stop, mixes, seen = threading.Event(), [], 0

    def identity() -> tuple[int, int]:
        # An inode's number is used again, so it takes the time as well.
        status = (output / CHANGES).stat()
        return status.st_ino, status.st_mtime_ns

    def read() -> None:
        nonlocal seen
        while not stop.is_set():
            try:
                first = identity()
                changes = read_changes(output / CHANGES)
                found = [describe(output / file.name, file.name) for file in changes.files]
                # Only what was seen under one and the same .changes counts as described by it.
                if identity() != first:
                    continue
            except (FileNotFoundError, VerificationError):
                continue
            seen += 1
            if found != list(changes.files):
                mixes.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(3000):
        publish(both[turn % 2], output)
        time.sleep(0.005)
        if seen and turn >= 30:
            break
    stop.set()
    reader.join()
    assert seen
    assert not mixes


@pytest.mark.parametrize("name", [DEB, CHANGES, DSC, ORIG])
@pytest.mark.parametrize("kind", ["a directory", "a named pipe", "a symbolic link"])
def test_foreign_object_in_the_way(
    verified: Verified, output: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    old_files(output, verified)
    # It is found before anything is copied.
    monkeypatch.setattr(publish_module, "_copy", lambda *_: pytest.fail("copied"))
    (output / name).unlink(missing_ok=True)
    if kind == "a directory":
        (output / name).mkdir()
    elif kind == "a named pipe":
        os.mkfifo(output / name)
    else:
        (output / name).symlink_to(output.parent / "elsewhere")
    error = refused(verified, output)
    assert str(output / name) in error.message
    assert kind in error.message or name == ORIG
    assert not (output.parent / "elsewhere").exists()


@pytest.mark.parametrize("link", [False, True])
def test_equal_upstream_tarball_is_left_alone(
    build: Build, verified: Verified, output: Path, link: bool
) -> None:
    tarball = output.with_name("tarball")
    tarball.write_bytes(build.files[ORIG])
    if link:
        (output / ORIG).symlink_to(tarball)
    else:
        (output / ORIG).hardlink_to(tarball)
    before = (output / ORIG).lstat()
    paths = publish(verified, output)
    after = (output / ORIG).lstat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert output / ORIG in paths


def test_other_upstream_tarball_is_never_replaced(verified: Verified, output: Path) -> None:
    (output / ORIG).write_bytes(b"the only copy")
    assert "upstream tarball" in refused(verified, output).message


def test_changed_quarantine(verified: Verified, output: Path) -> None:
    data = verified.artifacts[2].path.read_bytes()
    verified.artifacts[2].path.write_bytes(data[::-1])
    before = old_files(output, verified)
    with pytest.raises(VerificationError, match="not what was verified"):
        publish(verified, output)
    assert contents(output) == before


def test_missing_output(verified: Verified, tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        publish(verified, tmp_path / "nowhere")
    assert "nowhere" in caught.value.message
    assert "create it" in caught.value.hint


def test_output_that_is_a_file(verified: Verified, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        publish(verified, tmp_path / "file")


def test_two_publishes_at_once(tmp_path: Path, output: Path) -> None:
    both = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        build = make_build(tmp_path / str(number))
        build.files = {DEB: bytes([number]) * 1_000_000, BUILDINFO: b""}
        del build.files[BUILDINFO]
        build.write(changes_text(build.files))
        both.append(collect(build.parent, build.quarantine, build.expected))
    failures: list[BaseException] = []

    def run(one: Verified) -> None:
        try:
            for _ in range(10):
                publish(one, output)
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert contents(output) in [new_files(one) for one in both]
