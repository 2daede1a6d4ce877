"""What a binary package may say of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_changes import DEB, changes_text

from bwbuild.deb.changes import Changes, read_changes
from bwbuild.errors import VerificationError
from bwbuild.handover.packages import check_control, check_member

CONTROL = "Package: foo\nVersion: 1:1.0-1\nArchitecture: amd64\nDescription: does nothing\n at all\n"


def changes(tmp_path: Path, **fields: str) -> Changes:
    path = tmp_path / "foo.changes"
    path.write_text(changes_text({DEB: b""}, **fields))
    return read_changes(path)


@pytest.mark.parametrize(
    ("name", "control"),
    [
        (DEB, CONTROL),
        (DEB, f"Source: foo (1:1.0-1)\n{CONTROL}"),
        (
            "foo-dbgsym_1.0-1_amd64.deb",
            "Package: foo-dbgsym\nSource: foo\nVersion: 1:1.0-1\nArchitecture: amd64\n",
        ),
        (
            "foo-data_7_all.udeb",
            "Package: foo-data\nSource: foo (1:1.0-1)\nVersion: 7\nArchitecture: all\n",
        ),
    ],
)
def test_what_agrees(tmp_path: Path, name: str, control: str) -> None:
    check_control(name, control.encode(), changes(tmp_path))


def test_a_binary_rebuild_has_the_version_of_its_source(tmp_path: Path) -> None:
    rebuilt = changes(tmp_path, Source="foo (1:1.0-1)", Version="1:1.0-1+b2")
    control = "Package: foo\nSource: foo (1:1.0-1)\nVersion: 1:1.0-1+b2\nArchitecture: amd64\n"
    name = "foo_1.0-1+b2_amd64.deb"
    check_control(name, control.encode(), rebuilt)
    with pytest.raises(VerificationError, match="Source in it is not the one of the") as caught:
        check_control(name, control.replace("Source: foo (1:1.0-1)\n", "Source: fo\n").encode(), rebuilt)
    assert caught.value.details == ("found: 'fo 1:1.0-1+b2'", "expected: 'foo 1:1.0-1'")
    with pytest.raises(VerificationError, match="Source in it"):
        check_control(name, control.replace("Source: foo (1:1.0-1)\n", "").encode(), rebuilt)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("Package: foo", "Package: libc6", "Package in it is not the one of its name"),
        ("1:1.0-1", "1:1.0-2", "Version in it is not the one of its name"),
        ("1:1.0-1", "2:1.0-1", "Source in it is not the one of the .changes"),
        ("1:1.0-1", "1:1.0-1\n", "empty line|several paragraphs|line"),
        ("amd64", "arm64", "Architecture in it is not the one of its name"),
        ("Version: 1:1.0-1\n", "", "the field version is missing"),
        ("Version: 1:1.0-1", "Version: x y", "is no version"),
        ("Architecture: amd64", "Architecture: amd64\nArchitecture: arm64", "line"),
        ("Package: foo", "Package: foo\nSource: bar", "Source in it is not the one of the .changes"),
        ("Package: foo", "Package: foo\nSource: foo (1.0-1)", "Source in it is not the one of the .changes"),
        ("Package: foo", "Package: foo\nSource: foo (1", "neither a name"),
        ("does nothing", "does \x1b[2J", "control character"),
    ],
)
def test_contradictions(tmp_path: Path, old: str, new: str, what: str) -> None:
    with pytest.raises(VerificationError, match=what):
        check_control(DEB, CONTROL.replace(old, new, 1).encode(), changes(tmp_path))


def test_what_is_no_text(tmp_path: Path) -> None:
    for data in (b"", b"Package: \xff\n", b"Package: foo\n" + b"x" * (1 << 20)):
        with pytest.raises(VerificationError, match=f"the control file of {DEB}"):
            check_control(DEB, data, changes(tmp_path))


@pytest.mark.parametrize("member", ["./", "./usr/bin/a..b", "usr/..a/b", "./..\\n/x", "./a b/...", "."])
def test_paths_that_stay_inside(member: str) -> None:
    check_member(DEB, member)


@pytest.mark.parametrize("member", ["/etc/passwd", "//x", "..", "./../x", "./usr/../../x", "a/.."])
def test_paths_that_lead_out(member: str) -> None:
    with pytest.raises(VerificationError, match="would be unpacked to"):
        check_member(DEB, member)
