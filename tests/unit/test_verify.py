from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_changes import (
    BUILDINFO,
    CHANGES,
    DEB,
    DSC,
    ORIG,
    Build,
    changes_text,
    make_build,
    sums,
)
from made_strange import a_socket, dangling, directory, fifo, hard_link, missing, symlink

from bwbuild.errors import OutputError, VerificationError
from bwbuild.handover import files as files_module
from bwbuild.handover.verify import Expected, collect, unlisted


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return make_build(tmp_path)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def refused(build: Build, expected: Expected | None = None) -> VerificationError:
    """The error, for which nothing is waited and which leaves nothing opened."""
    before, start = open_descriptors(), time.monotonic()
    with pytest.raises(VerificationError) as caught:
        collect(build.parent, build.quarantine, expected or build.expected)
    assert time.monotonic() - start < 60
    assert open_descriptors() == before
    return caught.value


def text_of(error: VerificationError) -> str:
    return "\n".join([error.message, error.hint, *error.details])


def test_a_true_build(build: Build) -> None:
    build.write()
    (build.parent / "stray_1_all.deb").write_bytes(b"not listed")
    verified = collect(build.parent, build.quarantine, build.expected)
    assert [artifact.name for artifact in verified.artifacts] == [*build.files, CHANGES]
    assert verified.changes == verified.artifacts[-1]
    for artifact in verified.artifacts:
        data = artifact.path.read_bytes()
        assert data == (build.parent / artifact.name).read_bytes()
        assert (artifact.size, artifact.sha256) == (len(data), sums(data)[2])
        assert artifact.path == build.quarantine / artifact.name
        status = artifact.path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_nlink) == (0o600, os.geteuid(), 1)
        assert status.st_ino != (build.parent / artifact.name).stat().st_ino
    assert {path.name for path in build.quarantine.iterdir()} == {*build.files, CHANGES}


def test_what_is_not_listed_is_named_but_stays(build: Build) -> None:
    build.write()
    for name in ("foo-extra_1_all.deb", "old_1_all.deb", "notes", ".hidden_1.deb"):
        (build.parent / name).touch()
    verified = collect(build.parent, build.quarantine, build.expected)
    assert unlisted(build.parent, verified, {"old_1_all.deb"}) == ("foo-extra_1_all.deb",)


KINDS: list[tuple[Callable[[Path], None], str]] = [
    (symlink, "a symbolic link"),
    (dangling, "a symbolic link"),
    (fifo, "a named pipe"),
    (directory, "a directory"),
    (a_socket, "a socket"),
    (hard_link, "2 hard links"),
    (missing, "did not leave"),
]


@pytest.mark.parametrize(("make", "words"), KINDS)
@pytest.mark.parametrize("name", [DEB, DSC, BUILDINFO, CHANGES, ORIG])
def test_what_is_no_plain_file_is_refused(
    build: Build, name: str, make: Callable[[Path], None], words: str
) -> None:
    build.write()
    make(build.parent / name)
    error = refused(build)
    assert words in error.message
    assert name in error.message
    assert error.hint


def test_content_behind_a_link_is_not_copied(build: Build, tmp_path: Path) -> None:
    secret = tmp_path / "id_ed25519"
    secret.write_bytes(build.files[DEB])
    build.write()
    (build.parent / DEB).unlink()
    (build.parent / DEB).symlink_to(secret)
    refused(build)
    assert not (build.quarantine / DEB).exists()


def test_parent_that_is_a_link(build: Build) -> None:
    build.write()
    link = build.parent.with_name("link")
    link.symlink_to(build.parent)
    with pytest.raises(VerificationError, match="can't be opened"):
        collect(link, build.quarantine, build.expected)


def test_unreadable_file_has_a_hint(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build.write()
    (build.parent / DEB).chmod(0)
    real = os.open

    def as_an_ordinary_user(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == DEB and not flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", as_an_ordinary_user)
    error = refused(build)
    assert DEB in error.message
    assert "permission" in error.hint


def test_huge_sparse_file_is_refused_by_its_size(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build.write()
    os.truncate(build.parent / DEB, 1 << 40)
    read = 0

    def count(descriptor: int, size: int, name: str) -> bytes:
        nonlocal read
        data = os.read(descriptor, size)
        read += len(data) if name == DEB else 0
        return data

    monkeypatch.setattr(files_module, "_read", count)
    assert str(1 << 40) in text_of(refused(build))
    assert read == 0


def test_huge_size_in_the_changes_is_refused_as_well(build: Build) -> None:
    text = changes_text(build.files).replace(f" {len(build.files[DEB])} ", f" {1 << 40} ")
    build.write(text)
    os.truncate(build.parent / DEB, 1 << 40)
    error = refused(build)
    assert DEB in error.message
    assert "allowed" in error.message
    assert [path.name for path in build.quarantine.iterdir()] == [CHANGES]


def test_growing_file_is_not_followed(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build.write()
    real, path = os.read, build.parent / DEB

    def grow(descriptor: int, size: int) -> bytes:
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            with path.open("ab") as stream:
                stream.write(b"x" * size)
        return real(descriptor, size)

    monkeypatch.setattr(files_module.os, "read", grow)
    assert "larger" in refused(build).message
    assert path.stat().st_size > len(build.files[DEB])
    assert (build.quarantine / DEB).stat().st_size <= len(build.files[DEB])


def test_shrinking_file(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build.write()
    real, path = os.read, build.parent / DEB

    def shrink(descriptor: int, size: int) -> bytes:
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            os.truncate(path, 10)
        return real(descriptor, size)

    monkeypatch.setattr(files_module.os, "read", shrink)
    assert refused(build).details == ("found: '10'", f"expected: '{len(build.files[DEB])}'")


@pytest.mark.parametrize("index", [0, 1, 2])
def test_wrong_sum_in_one_section(build: Build, index: int) -> None:
    text = changes_text(build.files)
    line = [line for line in text.split("\n") if line.endswith(" " + DEB)][index]
    wrong = " " + ("0" if line[1] != "0" else "1") + line[2:]
    build.write(text.replace(line, wrong))
    error = refused(build)
    kind = ("sha1", "sha256", "md5")[index]
    assert DEB in error.message
    # The .buildinfo is not asked first: the file itself is what counts.
    assert error.message.endswith(f": {kind}")
    real = dict(zip(("md5", "sha1", "sha256"), sums(build.files[DEB]), strict=True))[kind]
    assert f"found: {real!r}" in error.details


def test_changed_byte(build: Build) -> None:
    build.write()
    data = bytearray(build.files[DEB])
    data[-1] ^= 1
    (build.parent / DEB).write_bytes(data)
    assert DEB in refused(build).message


@pytest.mark.parametrize("change", [b"x", None])
def test_wrong_size(build: Build, change: bytes | None) -> None:
    build.write()
    data = build.files[DEB]
    (build.parent / DEB).write_bytes(data + change if change else data[:-1])
    assert f"expected: {len(data)}" in refused(build).details


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_quarantine_that_others_can_enter(build: Build, mode: int) -> None:
    build.write()
    build.quarantine.chmod(mode)
    assert "0700" in refused(build).message


def test_quarantine_that_is_not_empty(build: Build) -> None:
    build.write()
    (build.quarantine / "x").touch()
    assert "empty" in refused(build).message


def test_full_quarantine(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build.write()

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files_module.os, "write", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        collect(build.parent, build.quarantine, build.expected)
    assert "free some space" in caught.value.hint
