"""Diversions: where dpkg-divert says that files lie, and which ones hold among visible packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bwbuild.errors import HostError
from bwbuild.root.diversions import Aside, Diversion, parse, settle, text

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
    coreutils = ("coreutils", frozenset({"/bin/sh", "/usr/bin/tool", "/usr/bin/mine"}))
    shipped = [coreutils, ("dash", frozenset[str]())]
    assert settle(parse(TEXT), shipped) == Aside(
        seen=frozenset({"/bin/sh.distrib"}),
        moved={"/usr/bin/tool": "/usr/bin/tool.real", "/usr/bin/mine": "/usr/bin/mine.distrib"},
        hidden=frozenset({"/usr/bin/tool.real", "/usr/bin/mine.distrib"}),
    )
    assert settle(parse(TEXT), [*shipped, ("wrapper", frozenset[str]())]) == Aside(
        seen=frozenset({"/bin/sh.distrib", "/usr/bin/tool.real"}),
        moved={"/usr/bin/mine": "/usr/bin/mine.distrib"},
        hidden=frozenset({"/usr/bin/mine.distrib"}),
    )


def test_where_nobody_visible_ships_the_original_nothing_is_moved() -> None:
    diverted = frozenset(diversion.diverted for diversion in parse(TEXT))
    shipped = [("dash", frozenset({"/bin/sh"})), ("original", frozenset({"/usr/bin/tool.real"}))]
    assert settle(parse(TEXT), shipped) == Aside(frozenset(), {}, diverted)


def test_two_spellings_of_a_path_may_be_diverted() -> None:
    both = [Diversion("/bin/sh", "/bin/sh.one", "one"), Diversion("/usr/bin/sh", "/bin/sh.two", "two")]
    here = [diversion.normalised(lambda path: path.removeprefix("/usr")) for diversion in both]
    assert here == [both[0], Diversion("/bin/sh", "/bin/sh.two", "two")]
    bash = ("bash", frozenset({"/bin/sh"}))
    assert settle(here, [bash]).hidden == {"/bin/sh.one", "/bin/sh.two"}
    assert settle(here, [bash, ("one", frozenset[str]())]).seen == {"/bin/sh.one"}


def test_the_diverting_package_keeps_its_own_file() -> None:
    assert WRAPPER.actual("wrapper") == "/usr/bin/tool"
    assert WRAPPER.actual("original") == "/usr/bin/tool.real"
    assert LOCAL.actual("anything") == "/usr/bin/mine.distrib"


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
        assert diversion.actual("another") == truename
        assert divert(admin, "--listpackage", diversion.original).strip() == (diversion.package or "LOCAL")
    assert divert(admin, "--truename", "/usr/bin/other").strip() == "/usr/bin/other"


def test_dpkg_reads_the_filtered_file(admin: Path) -> None:
    (admin / "diversions").write_text(text(parse(TEXT), frozenset({"wrapper"})))
    assert divert(admin, "--list") == "diversion of /usr/bin/tool to /usr/bin/tool.real by wrapper\n"
    assert divert(admin, "--truename", "/bin/sh").strip() == "/bin/sh"
    (admin / "diversions").write_text(text(parse(TEXT), frozenset()))
    assert divert(admin, "--list") == ""
