"""The .changes of the source alone: how it is made, what it must agree with, and how it is published."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest
from made_changes import BUILDINFO, CHANGES, DEB, DEBIAN, DSC, ORIG, Build, changes_text, make_build
from made_output import contents, new_files, old_files
from made_plans import plan

from bwbuild.build import verdict
from bwbuild.deb import buildoptions
from bwbuild.errors import OutputError, UsageError, VerificationError
from bwbuild.handover import publish as publish_module
from bwbuild.handover.publish import publish
from bwbuild.handover.verify import Verified, collect

OF_SOURCE = "foo_1.0-1_source.changes"
PARTS = (DSC, ORIG, DEBIAN, BUILDINFO)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    made = make_build(tmp_path)
    made.write()
    write(made)
    return made


def write(build: Build, names: tuple[str, ...] = PARTS, architecture: str = "source", **fields: str) -> None:
    files = {name: build.files[name] for name in names}
    text = changes_text(files, Architecture=architecture, **fields)
    (build.parent / OF_SOURCE).write_text(text, "utf-8")


def take(build: Build) -> Verified:
    return collect(
        build.parent, build.quarantine, dataclasses.replace(build.expected, source_changes=OF_SOURCE)
    )


def refused(build: Build) -> str:
    with pytest.raises(VerificationError) as caught:
        take(build)
    return "\n".join((caught.value.message, *caught.value.details))


# The plan


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((), "tiny_1.0-1_source.changes"),
        (("-g",), "tiny_1.0-1_source.changes"),
        (("--changes-file=../x.changes",), "tiny_1.0-1_source.changes"),
        (("-S",), ""),
        (("-S", "--changes-file=../x.changes"), "tiny_1.0-1_source.changes"),
        (("--no-source-only-changes",), ""),
    ],
)
def test_name(options: tuple[str, ...], name: str) -> None:
    made = plan("--source-only-changes", *options)
    assert made.source_changes == name == verdict.expected(made).source_changes
    assert ("dpkg-genchanges" in " ".join(made.sandbox.command)) is bool(name)
    assert plan(*options).source_changes == ""


@pytest.mark.parametrize("option", ["-b", "-B", "-A", "-nc", "--no-source", "-Tclean"])
def test_a_source_must_be_made(option: str) -> None:
    with pytest.raises(UsageError, match="makes the source package") as caught:
        buildoptions.parse(["--source-only-changes", option])
    assert caught.value.hint
    assert buildoptions.parse(["--source-only-changes", option, "--no-source-only-changes"])


def test_command() -> None:
    of_changes = ("-v0.9", "-sa", "-Cx", "-eE", "--build-by=B", "--changed-by=C", "--changes-option=-DA=b")
    words = (*of_changes, "-j2", "--hook-done=x")
    made = plan("--source-only-changes", *words)
    shell, options, text, name, *command = made.sandbox.command
    assert (shell, options, name) == ("sh", "-ec", "bwbuild")
    assert command == list(plan(*words).sandbox.command)
    passed = "-v0.9 -sa -Cx -eE -mB -eC -DA=b -O../tiny_1.0-1_source.changes"
    assert text == f'"$@"; exec dpkg-genchanges --build=source {passed}'


def test_other_commands_make_none() -> None:
    assert plan("--source-only-changes", command=("ls",)).sandbox.command == ("ls",)


# Verification


def test_both_are_taken(build: Build) -> None:
    verified = take(build)
    assert [artifact.name for artifact in verified.artifacts][-2:] == [OF_SOURCE, CHANGES]
    assert verified.source_changes == verified.artifacts[-2]
    assert verified.changes == verified.artifacts[-1]
    assert len(verified.artifacts) == len(build.files) + 2


def test_without_buildinfo(build: Build) -> None:
    write(build, (DSC, ORIG, DEBIAN))
    assert take(build).source_changes


def test_missing(build: Build) -> None:
    (build.parent / OF_SOURCE).unlink()
    assert f"did not leave {OF_SOURCE}" in refused(build)


def test_a_link(build: Build) -> None:
    (build.parent / OF_SOURCE).rename(build.parent / "x")
    (build.parent / OF_SOURCE).symlink_to("x")
    assert OF_SOURCE in refused(build)


def test_a_binary(build: Build) -> None:
    write(build, (*PARTS, DEB))
    assert f"lists {DEB}, which is no part of the source" in refused(build)


def test_a_file_that_only_it_lists(build: Build) -> None:
    build.files["foo_1.0.orig-x.tar.gz"] = b"x"
    (build.parent / "foo_1.0.orig-x.tar.gz").write_bytes(b"x")
    write(build, (*PARTS, "foo_1.0.orig-x.tar.gz"))
    assert "lists foo_1.0.orig-x.tar.gz" in refused(build)


def test_other_sums(build: Build) -> None:
    build.files[DEBIAN] += b"x"
    write(build)
    assert f"disagree about {DEBIAN}" in refused(build)


@pytest.mark.parametrize("missing", [DSC, DEBIAN])
def test_parts_that_are_left_out(build: Build, missing: str) -> None:
    write(build, tuple(name for name in PARTS if name != missing))
    assert missing in refused(build) or "lists no .dsc" in refused_again(build)


def refused_again(build: Build) -> str:
    for path in build.quarantine.iterdir():
        path.unlink()
    return refused(build)


def test_upstream_tarball_may_be_left_out_of_both(build: Build) -> None:
    """As -sd does."""
    build.write(changes_text({name: data for name, data in build.files.items() if name != ORIG}))
    write(build, (DSC, DEBIAN, BUILDINFO))
    assert ORIG not in {artifact.name for artifact in take(build).artifacts}


@pytest.mark.parametrize(
    ("field", "value"),
    [("Source", "bar"), ("Version", "1:1.0-2"), ("Distribution", "stable"), ("X-Foo", "bar")],
)
def test_other_fields(build: Build, field: str, value: str) -> None:
    write(build, **{field.replace("-", "_"): value})
    assert OF_SOURCE in refused(build)


@pytest.mark.parametrize("architecture", ["source amd64", "amd64", "all"])
def test_architecture_is_the_source(build: Build, architecture: str) -> None:
    write(build, architecture=architecture)
    assert "Architecture" in refused(build)


# Publishing


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "output"
    path.mkdir()
    return path


def test_both_arrive(build: Build, output: Path) -> None:
    verified = take(build)
    paths = publish(verified, output)
    assert [path.name for path in paths[-2:]] == [OF_SOURCE, CHANGES]
    assert contents(output) == new_files(verified)


def test_no_changes_is_there_while_files_change(
    build: Build, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = take(build)
    old_files(output, verified)
    seen = []
    real = os.replace

    def replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        seen.append((target, (output / OF_SOURCE).exists(), (output / CHANGES).exists()))
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(publish_module.os, "replace", replace)
    publish(verified, output)
    assert seen[-1] == (CHANGES, True, False)
    assert len(seen) == len(verified.artifacts)
    assert not any(of_source or own for _, of_source, own in seen[:-1])


@pytest.mark.parametrize("failing", range(7))
@pytest.mark.parametrize("old", [True, False])
def test_both_or_none(
    build: Build, output: Path, monkeypatch: pytest.MonkeyPatch, failing: int, old: bool
) -> None:
    verified = take(build)
    before = old_files(output, verified) if old else {}
    real, count = os.replace, 0

    def replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        nonlocal count
        count += 1
        if count - 1 == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(publish_module.os, "replace", replace)
    with pytest.raises(OutputError):
        publish(verified, output)
    assert contents(output) == before
