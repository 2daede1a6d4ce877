"""What the .changes must agree with: the source that was built, its documents and its upstream tarballs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_changes import (
    BUILDINFO,
    CHANGES,
    DEB,
    DEBIAN,
    DSC,
    ORIG,
    Build,
    buildinfo_text,
    changes_text,
    dsc_text,
    make_build,
)
from made_strange import a_socket, dangling, directory, fifo, missing

from bwbuild.errors import VerificationError
from bwbuild.handover.verify import Expected, Verified, collect


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return make_build(tmp_path)


def refused(build: Build, expected: Expected | None = None) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        collect(build.parent, build.quarantine, expected or build.expected)
    return caught.value


def replaced(build: Build, **changes: Any) -> Expected:
    return dataclasses.replace(build.expected, **changes)


def text_of(error: VerificationError) -> str:
    return "\n".join([error.message, error.hint, *error.details])


def test_another_version_built_is_named(build: Build) -> None:
    build.write()
    (build.parent / CHANGES).rename(build.parent / "foo_1.0-2_amd64.changes")
    (build.parent / "\x1b[31m.changes").touch()
    error = refused(build)
    assert "found: 'foo_1.0-2_amd64.changes'" in error.details
    assert "\x1b" not in text_of(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [("Source", "bar"), ("Version", "1.0-1"), ("Version", "1:1.0-1+b1"), ("Source", "bar (1:1.0-1)")],
)
def test_other_identity(build: Build, field: str, value: str) -> None:
    build.write(changes_text(build.files, **{field: value}))
    assert field in refused(build).message


def test_binary_only_upload(build: Build) -> None:
    name = "foo_1.0-1+b1_amd64.deb"
    build.files = {name: b"rebuilt"}
    text = changes_text(build.files, Source="foo (1:1.0-1)", Version="1:1.0-1+b1", Architecture="amd64")
    build.write(text)
    verified = collect(build.parent, build.quarantine, replaced(build, version="1:1.0-1+b1"))
    assert verified.artifacts[0].name == name


def test_distribution_architecture_and_binaries_can_be_held(build: Build) -> None:
    build.write()
    held = replaced(
        build,
        distribution="unstable",
        architectures=frozenset({"source", "amd64"}),
        binaries=frozenset({"foo"}),
    )
    assert isinstance(collect(build.parent, build.quarantine, held), Verified)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distribution": "experimental"}, "Distribution"),
        ({"architectures": frozenset({"source", "all"})}, "architecture amd64"),
        ({"binaries": frozenset({"bar"})}, "no package foo"),
    ],
)
def test_distribution_architecture_and_binaries_are_held(
    build: Build, change: dict[str, object], words: str
) -> None:
    build.write()
    assert words in refused(build, replaced(build, **change)).message


def test_an_extra_binary(build: Build) -> None:
    build.files["sudo_99_amd64.deb"] = b"evil"
    build.write()
    assert "sudo_99_amd64.deb" in refused(build, replaced(build, binaries=frozenset({"foo"}))).message


def test_debug_symbols_belong_to_their_package(build: Build) -> None:
    build.files["foo-dbgsym_1.0-1_amd64.deb"] = b"symbols"
    build.files["bar-dbgsym_1.0-1_amd64.deb"] = b"declared under its own name"
    build.write()
    held = replaced(build, binaries=frozenset({"foo", "bar-dbgsym"}))
    assert len(collect(build.parent, build.quarantine, held).artifacts) == len(build.files) + 1


@pytest.mark.parametrize(
    "name",
    [
        "bar_1.0-1.dsc",
        "foo_1.0-2.dsc",
        "bar_1.0.orig.tar.gz",
        "bar_1.0-1.debian.tar.xz",
        "bar_1.0-1_amd64.buildinfo",
    ],
)
def test_parts_of_another_source(build: Build, name: str) -> None:
    build.files = {DEB: build.files[DEB], name: b"x"}
    build.write()
    assert name in text_of(refused(build))


def test_dsc_that_contradicts_the_changes(build: Build) -> None:
    build.files[DSC] = dsc_text({ORIG: build.files[ORIG], DEBIAN: b"other"}).encode()
    build.files[BUILDINFO] = buildinfo_text({DEB: build.files[DEB]}).encode()
    build.write()
    error = refused(build)
    assert DEBIAN in error.message
    assert DSC in error.message


def test_buildinfo_that_contradicts_the_changes(build: Build) -> None:
    build.files[BUILDINFO] = buildinfo_text({DEB: b"other"}).encode()
    build.write()
    error = refused(build)
    assert BUILDINFO in error.message
    assert DEB in error.message


@pytest.mark.parametrize(("old", "new"), [(b"Source: foo", b"Source: bar"), (b"1:1.0-1", b"1:1.0-2")])
@pytest.mark.parametrize("name", [DSC, BUILDINFO])
def test_documents_of_another_source(build: Build, name: str, old: bytes, new: bytes) -> None:
    build.files[name] = build.files[name].replace(old, new, 1)
    if name == DSC:
        build.files[BUILDINFO] = buildinfo_text({DEB: build.files[DEB]}).encode()
    build.write()
    assert name in refused(build).message


def test_dsc_needs_what_is_not_listed(build: Build) -> None:
    del build.files[DEBIAN]
    build.write()
    assert DEBIAN in refused(build).message


def test_signed_documents(build: Build) -> None:
    build.files[DSC] = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + build.files[DSC]
    build.files[BUILDINFO] = buildinfo_text({DEB: build.files[DEB]}).encode()
    build.write()
    assert "signed it already" in refused(build).message


def test_orig_equal_to_the_input(build: Build, tmp_path: Path) -> None:
    given = tmp_path / "given.tar.gz"
    given.write_bytes(build.files[ORIG])
    build.write()
    collect(build.parent, build.quarantine, replaced(build, origs={ORIG: given}))
    assert (build.quarantine / ORIG).read_bytes() == build.files[ORIG]


def test_orig_other_than_the_input(build: Build, tmp_path: Path) -> None:
    given = tmp_path / "given.tar.gz"
    given.write_bytes(b"original")
    build.write()
    error = refused(build, replaced(build, origs={ORIG: given}))
    assert ORIG in error.message
    assert str(given) in error.message


def test_orig_that_the_build_changed_after_listing_it(build: Build, tmp_path: Path) -> None:
    given = tmp_path / "given.tar.gz"
    given.write_bytes(build.files[ORIG])
    build.write()
    (build.parent / ORIG).write_bytes(build.files[ORIG][::-1])
    assert ORIG in refused(build, replaced(build, origs={ORIG: given})).message


@pytest.mark.parametrize("make", [missing, dangling])
def test_orig_that_only_the_input_has(build: Build, tmp_path: Path, make: Callable[[Path], None]) -> None:
    given = tmp_path / "given.tar.gz"
    given.write_bytes(build.files[ORIG])
    build.write()
    make(build.parent / ORIG)
    collect(build.parent, build.quarantine, replaced(build, origs={ORIG: given}))
    assert (build.quarantine / ORIG).read_bytes() == build.files[ORIG]
    assert not (build.quarantine / ORIG).is_symlink()


def test_orig_that_is_the_input_with_a_second_name(build: Build) -> None:
    build.write()
    given = build.parent.parent / "given.tar.gz"
    given.hardlink_to(build.parent / ORIG)
    collect(build.parent, build.quarantine, replaced(build, origs={ORIG: given}))
    assert (build.quarantine / ORIG).stat().st_nlink == 1


@pytest.mark.parametrize("make", [fifo, directory, a_socket])
def test_orig_replaced_by_something_strange(
    build: Build, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    given = tmp_path / "given.tar.gz"
    given.write_bytes(build.files[ORIG])
    build.write()
    make(build.parent / ORIG)
    assert ORIG in refused(build, replaced(build, origs={ORIG: given})).message


@pytest.mark.parametrize("given", [b"original", None])
def test_orig_that_only_the_dsc_lists(build: Build, tmp_path: Path, given: bytes | None) -> None:
    data = build.files.pop(ORIG)
    build.write()
    path = tmp_path / "given.tar.gz"
    path.write_bytes(given or data)
    expected = replaced(build, origs={ORIG: path})
    if given:
        assert DSC in refused(build, expected).message
    else:
        assert ORIG not in [
            artifact.name for artifact in collect(build.parent, build.quarantine, expected).artifacts
        ]


@pytest.mark.parametrize("changes", ["../x_1.changes", "-x_1.changes", "x.changes"])
def test_expected_name_is_checked_too(build: Build, changes: str) -> None:
    refused(build, replaced(build, changes=changes))


@pytest.mark.parametrize(
    ("of_changes", "of_buildinfo", "says"),
    [
        ("foo (1:1.0-1)", "foo (1:1.0-1)", ""),
        ("foo (1:0.9-1)", "foo (1:1.0-1)", "the version of the source"),
        ("foo", "foo (1:1.0-1)", "the version of the source"),
        ("foo (1:1.0-1)", "foo (1:0.9-1)", "the version of the source"),
        ("foo (1:1.0-1)", "foo", "the version of the source"),
    ],
)
def test_source_of_a_binnmu(build: Build, of_changes: str, of_buildinfo: str, says: str) -> None:
    files = {DEB: build.files[DEB]}
    text = buildinfo_text(files).replace("Source: foo\n", f"Source: {of_buildinfo}\n")
    files[BUILDINFO] = text.replace("Version: 1:1.0-1\n", "Version: 1:1.0-1+b1\n").encode()
    build.files = files
    build.write(changes_text(files, Source=of_changes, Version="1:1.0-1+b1", Architecture="amd64"))
    expected = replaced(build, version="1:1.0-1+b1", source_version="1:1.0-1")
    if says:
        assert says in refused(build, expected).message
    else:
        assert collect(build.parent, build.quarantine, expected).changes.name == CHANGES
