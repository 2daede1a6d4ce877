"""Diversions: where dpkg-divert says that files lie, and which ones hold among visible packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bwbuild.errors import HostError
from bwbuild.root.diversions import Diversion, actual, by_original, parse, text, undone

TEXT = """\
/bin/sh
/bin/sh.distrib
dash
/usr/bin/tool
/usr/bin/tool.real
wrapper
/usr/bin/mine
/usr/bin/mine.distrib
:
"""
DASH = Diversion("/bin/sh", "/bin/sh.distrib", "dash")
WRAPPER = Diversion("/usr/bin/tool", "/usr/bin/tool.real", "wrapper")
LOCAL = Diversion("/usr/bin/mine", "/usr/bin/mine.distrib", "")


def divert(admin: Path, *arguments: str) -> str:
    return subprocess.run(
        ["dpkg-divert", f"--admindir={admin}", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    ).stdout


def test_parse() -> None:
    assert parse(TEXT) == (DASH, WRAPPER, LOCAL)
    assert parse("") == ()


@pytest.mark.parametrize(
    "wrong",
    [TEXT + "/usr/bin/x\n", TEXT + "/usr/bin/x\n/usr/bin/y\n", "a\n/b\nc\n", "/a\nb\nc\n", "/a\n/b\n\n"],
)
def test_what_does_not_parse_names_the_file(wrong: str) -> None:
    with pytest.raises(HostError, match="/var/lib/dpkg/diversions"):
        parse(wrong)


def test_only_diversions_of_visible_packages_hold() -> None:
    visible = frozenset({"dash", "coreutils"})
    assert parse(text(parse(TEXT), visible)) == (DASH,)
    assert undone(parse(TEXT), visible) == {
        "/usr/bin/tool": "/usr/bin/tool.real",
        "/usr/bin/mine": "/usr/bin/mine.distrib",
    }
    assert undone(parse(TEXT), visible | {"wrapper"}) == {"/usr/bin/mine": "/usr/bin/mine.distrib"}


def test_the_diverting_package_keeps_its_own_file() -> None:
    table = by_original(parse(TEXT))
    assert actual("/usr/bin/tool", "wrapper", table) == "/usr/bin/tool"
    assert actual("/usr/bin/tool", "original", table) == "/usr/bin/tool.real"
    assert actual("/usr/bin/mine", "anything", table) == "/usr/bin/mine.distrib"
    assert actual("/usr/bin/tool.real", "original", table) == "/usr/bin/tool.real"


@pytest.fixture
def admin(tmp_path: Path) -> Path:
    """A database that the real dpkg-divert wrote, with the diversions of TEXT."""
    (tmp_path / "diversions").write_text("")
    for diversion in parse(TEXT):
        owner = ("--package", diversion.package) if diversion.package else ("--local",)
        divert(tmp_path, *owner, "--no-rename", "--divert", diversion.diverted, "--add", diversion.original)
    return tmp_path


def test_the_real_file_parses(admin: Path) -> None:
    assert set(parse((admin / "diversions").read_text())) == {DASH, WRAPPER, LOCAL}


def test_dpkg_says_the_same(admin: Path) -> None:
    diversions = parse((admin / "diversions").read_text())
    for diversion in diversions:
        # dpkg-divert is asked on behalf of no package: every one but the diverting one.
        truename = divert(admin, "--truename", diversion.original).strip()
        assert actual(diversion.original, "another", by_original(diversions)) == truename
        assert divert(admin, "--listpackage", diversion.original).strip() == (diversion.package or "LOCAL")
    assert divert(admin, "--truename", "/usr/bin/other").strip() == "/usr/bin/other"


def test_dpkg_reads_the_filtered_file(admin: Path) -> None:
    (admin / "diversions").write_text(text(parse(TEXT), frozenset({"wrapper"})))
    assert divert(admin, "--list") == "diversion of /usr/bin/tool to /usr/bin/tool.real by wrapper\n"
    assert divert(admin, "--truename", "/bin/sh").strip() == "/bin/sh"
    (admin / "diversions").write_text(text(parse(TEXT), frozenset()))
    assert divert(admin, "--list") == ""
