"""What a source asks of a machine, and what is said where the machine lacks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.build.study import dependencies
from bwbuild.deb.buildoptions import parse
from bwbuild.deb.closure import Closure, Conflict, Missing
from bwbuild.deb.source import Source
from bwbuild.errors import ExitStatus

FIELDS = {
    "Build-Depends": "a",
    "Build-Depends-Arch": "b",
    "Build-Depends-Indep": "c",
    "Build-Conflicts": "d",
    "Build-Conflicts-Arch": "e",
    "Build-Conflicts-Indep": "f",
}


def source(tree: str = "/src/hello-1", **relations: str) -> Source:
    named = {name.replace("_", "-"): text for name, text in relations.items()}
    return Source(
        Path(tree), "hello", "1", "unstable", "", "3.0 (native)", ("hello",), relations=named or FIELDS
    )


@pytest.mark.parametrize(
    ("options", "letters"),
    [
        ((), "abcdef"),
        (("-b",), "abcdef"),
        (("-B",), "abde"),
        (("-A",), "acdf"),
        (("-S",), "ad"),
        (("-g",), "acdf"),
        (("-G",), "abde"),
        (("--build=any,all",), "abcdef"),
    ],
    ids=str,
)
def test_fields_that_count(options: tuple[str, ...], letters: str) -> None:
    found = dependencies.wanted(source(), parse(options), "amd64", {})
    assert "".join([*found.depends.values(), *found.conflicts.values()]) == letters
    assert all("Depends" in field for field in found.depends)
    assert all("Conflicts" in field for field in found.conflicts)


def test_empty_fields_do_not_count() -> None:
    assert dependencies.wanted(source(Build_Depends=""), parse(()), "amd64", {}).depends == {}


@pytest.mark.parametrize(
    ("options", "variable", "profiles"),
    [
        ((), None, set()),
        ((), "nocheck  nodoc", {"nocheck", "nodoc"}),
        (("-Pnodoc,nocheck",), None, {"nocheck", "nodoc"}),
        (("-Pnodoc",), "nocheck", {"nodoc"}),
        (("-P",), "nocheck", set()),
    ],
    # The order of a set is another in each process, and xdist compares names.
    ids=["none", "variable", "option", "option first", "none by option"],
)
def test_profiles(options: tuple[str, ...], variable: str | None, profiles: set[str]) -> None:
    environment = {} if variable is None else {"DEB_BUILD_PROFILES": variable}
    assert dependencies.wanted(source(), parse(options), "amd64", environment).profiles == profiles


def test_architectures() -> None:
    for options, host in (((), "amd64"), (("-aarmhf",), "armhf"), (("-aamd64",), "amd64")):
        found = dependencies.wanted(source(), parse(options), "amd64", {})
        assert (found.build_architecture, found.host_architecture) == ("amd64", host)


def test_no_complaints() -> None:
    assert dependencies.complaints(Closure({}, (), ())) == ()


def test_complaints() -> None:
    closure = Closure(
        {},
        (
            Missing("", "Build-Depends", "a (>= 2)", ("1 is installed, but >= 2 is declared",)),
            Missing(
                "", "Build-Depends-Indep", "b | c | d", ("not installed", "half-installed", "not installed")
            ),
            Missing("foo:amd64", "Pre-Depends", "e", ("not installed",)),
        ),
        (Conflict("Build-Conflicts", "g (<< 3)", "g:amd64"),),
    )
    assert dependencies.complaints(closure) == (
        "a (>= 2) (Build-Depends): 1 is installed, but >= 2 is declared",
        "b | c | d (Build-Depends-Indep): not installed, half-installed",
        "e (foo:amd64, Pre-Depends): not installed",
        "g (<< 3) (Build-Conflicts): g:amd64 is needed by other build dependencies",
    )


def test_refusal() -> None:
    one = dependencies.refuse(source(), parse(()), iter(["x"]))
    assert one.status is ExitStatus.DEPENDENCIES
    assert one.message == "hello: a build dependency is not met on this machine"
    assert one.details == ("x",)
    assert "2 build dependencies are not met" in dependencies.refuse(source(), parse(()), ["x", "y"]).message


def test_refusal_of_what_the_command_line_adds() -> None:
    options = parse(("--add-conflicts", "make"))
    closure = Closure({}, (), (Conflict("--add-conflicts", "make", "make:amd64"),))
    lines = dependencies.complaints(closure)
    assert dependencies.refuse(source(), options, lines).hint.startswith("leave out --add-conflicts: ")
    assert dependencies.refuse(source(), options, (*lines, "x")).hint.startswith("sudo apt-get build-dep")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ""),
        (("-b",), ""),
        (("-A",), "--indep-only "),
        (("-B",), "--arch-only "),
        (("-Pnocheck,nodoc", "-aarmhf", "-B"), "-Pnocheck,nodoc -aarmhf --arch-only "),
    ],
    ids=str,
)
def test_remedy(options: tuple[str, ...], words: str) -> None:
    first, _, second = dependencies.refuse(source(), parse(options), ["x"]).hint.partition("  # or ")
    assert first == f"sudo apt-get build-dep {words}/src/hello-1"
    assert second == "leave this machine as it is: bwbuild --missing base"


def test_remedy_can_be_pasted() -> None:
    assert dependencies.remedy(source("/my src/it's"), parse(())).endswith(""" '/my src/it'"'"'s'""")


# What apt is asked


def asked(*options: str, **relations: str) -> list[str]:
    """The fields of the .dsc for apt that have relations."""
    found = dependencies.wanted(source(**relations), parse(options), "amd64", {})
    text = dependencies.control_for_apt(found)
    assert text.endswith("\n")
    return [line for line in text.splitlines() if line.startswith("Build-")]


@pytest.mark.parametrize(
    ("relations", "lines"),
    [
        ({"Build_Depends": "aa, bb (>= 1)"}, ["Build-Depends: aa, bb (>= 1)"]),
        ({"Build_Depends": "aa | bb, cc"}, ["Build-Depends: aa, cc"]),
        ({"Build_Depends": "aa [!amd64] | bb"}, ["Build-Depends: bb"]),
        ({"Build_Depends": "aa [amd64], bb [armhf], cc [any]"}, ["Build-Depends: aa, cc"]),
        ({"Build_Depends": "aa <!nocheck>, bb <cross>"}, ["Build-Depends: aa"]),
        ({"Build_Depends": "aa:native, bb:any"}, ["Build-Depends: aa:native, bb:any"]),
        (
            {"Build_Depends": "aa", "Build_Depends_Arch": "bb", "Build_Depends_Indep": "cc"},
            ["Build-Depends: aa, bb, cc"],
        ),
        (
            {"Build_Depends": "aa", "Build_Conflicts": "xx (<< 2), yy [armhf]"},
            ["Build-Depends: aa", "Build-Conflicts: xx (<< 2)"],
        ),
        ({"Build_Conflicts": "xx"}, ["Build-Conflicts: xx"]),
        ({"Build_Depends": "aa [armhf]"}, []),
    ],
    ids=str,
)
def test_relations_for_apt(relations: dict[str, str], lines: list[str]) -> None:
    assert asked(**relations) == lines


def test_cross_build_needs_a_compiler_for_it() -> None:
    (line,) = asked("-aarm64", Build_Depends="aa")
    assert line == (
        "Build-Depends: build-essential:native, crossbuild-essential-arm64:native, libc-dev:arm64, "
        "libstdc++-dev:arm64, aa"
    )
    assert asked("-aamd64", Build_Depends="aa") == ["Build-Depends: aa"]


def test_relations_for_apt_go_by_the_options() -> None:
    fields = {"Build_Depends": "aa <!nodoc>", "Build_Depends_Arch": "bb", "Build_Depends_Indep": "cc"}
    assert asked("-B", **fields) == ["Build-Depends: aa, bb"]
    assert asked("-A", "-Pnodoc", **fields) == ["Build-Depends: cc"]


def test_paragraph_for_apt_has_what_apt_insists_on() -> None:
    found = dependencies.wanted(source(Build_Depends="aa"), parse(()), "amd64", {})
    names = {line.partition(":")[0] for line in dependencies.control_for_apt(found).splitlines()}
    assert names >= {"Format", "Source", "Binary", "Architecture", "Version", "Maintainer", "Build-Depends"}


def test_same_relations_are_the_same_question() -> None:
    """The package's name and version don't count: what apt chose is remembered for all."""
    first = dependencies.wanted(source("/a", Build_Depends="aa, bb"), parse(()), "amd64", {})
    second = dependencies.wanted(source("/b", Build_Depends="aa,\n bb | cc"), parse(("-b",)), "amd64", {})
    assert dependencies.control_for_apt(first) == dependencies.control_for_apt(second)
