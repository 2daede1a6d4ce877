"""Cross builds on a base, with compilers of the tests' own that compile nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_suites import OWN, Bases, make_package
from support import as_user, make_desk

pytestmark = as_user

#: Newer than the suite's, so that apt prefers them.
COMPILER = ("crossbuild-essential-arm64", "all")
LIBRARIES = (("libc-dev", "arm64"), ("libstdc++-dev", "arm64"))


@pytest.fixture
def debs(tmp_path: Path) -> Path:
    place = tmp_path / "debs"
    place.mkdir()
    for name, architecture in (COMPILER, *LIBRARIES, ("bwt-own", "arm64")):
        make_package(tmp_path / name, place, name, version="9999", architecture=architecture, content=name)
    return place


def test_cross_build(bases: Bases, top: Path, debs: Path) -> None:
    desk = bases.desk(top, depends="bwt-own")
    words = ("-d", OWN, "--host", "arm64", f"--extra-package={debs}")
    script = (
        "dpkg --print-foreign-architectures; dpkg-query -W bwt-own crossbuild-essential-arm64;"
        ' echo "$CONFIG_SITE $DEB_BUILD_OPTIONS"'
    )
    assert desk.inside(script, *words).splitlines() == [
        "arm64",
        "bwt-own:arm64\t9999",
        "crossbuild-essential-arm64\t9999",
        "/etc/dpkg-cross/cross-config.arm64 nocheck",
    ]
    desk.ok("-b", "--no-sign", *words)
    assert [name for name in desk.published() if "arm64" in name] == [
        "tiny_1_arm64.buildinfo",
        "tiny_1_arm64.changes",
    ]
    assert "-Pcross,nocheck" in desk.log()
    assert " bwt-own (= 9999)" in (desk.parent / "tiny_1_arm64.buildinfo").read_text()
    (layer,) = (path for path in (top / "cache" / "layers").iterdir() if path.is_dir())
    assert not (layer / "upper" / "var" / "lib" / "apt" / "lists").exists()


@pytest.mark.long
def test_base_itself_stays_as_it_is(bases: Bases, top: Path, debs: Path) -> None:
    desk = bases.desk(top)
    assert (
        desk.inside("dpkg --print-foreign-architectures", "-d", OWN, "-aarm64", f"--extra-package={debs}")
        != ""
    )
    assert desk.inside("dpkg --print-foreign-architectures", "-d", OWN) == ""


@pytest.mark.long
def test_relation_that_names_an_architecture(bases: Bases, top: Path, debs: Path) -> None:
    desk = bases.desk(top, depends="bwt-own:arm64")
    seen = desk.inside("dpkg-query -W bwt-own; echo ${CONFIG_SITE-}", "-d", OWN, f"--extra-package={debs}")
    assert seen == "bwt-own:arm64\t9999\n\n"


def test_architecture_without_a_compiler(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    done = desk.run("-d", OWN, "-b", "--host", "hurd-amd64")
    assert (done.status, "crossbuild-essential-hurd-amd64" in done.err) == (6, True), done.both


def test_lists_of_another_architecture_need_the_network(bases: Bases, top: Path) -> None:
    desk = bases.desk(top)
    done = desk.run("-d", OWN, "-b", "--host", "arm64", "--no-fetch")
    assert (done.status, "the lists of arm64 would have to be fetched" in done.err) == (6, True), done.both


def test_added_conflict_names_its_option(bases: Bases, top: Path) -> None:
    desk = bases.desk(top, depends="bwt-good")
    done = desk.run("-d", OWN, "-b", "--add-conflicts", "bwt-good")
    assert (done.status, "hint: leave out --add-conflicts" in done.err) == (6, True), done.both


@pytest.mark.parametrize("words", [("-d", OWN), ("sl", "-d", OWN), ("--extra-package=x",)], ids=str)
def test_deps_is_about_this_machine(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = make_desk(tmp_path / "desk").run("deps", *words)
    assert (done.status, "is about the packages of this machine" in done.err) == (2, True), done.both
    assert "hint: bwbuild run -d " in done.err
