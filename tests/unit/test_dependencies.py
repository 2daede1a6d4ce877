"""What a source asks of a machine, and what is said where the machine lacks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.build import dependencies
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
    assert (
        dependencies.refuse(source(), parse(options), ["x"]).hint
        == f"sudo apt-get build-dep {words}/src/hello-1"
    )


def test_remedy_can_be_pasted() -> None:
    refused = dependencies.refuse(source("/my src/it's"), parse(()), ["x"])
    assert refused.hint.endswith(""" '/my src/it'"'"'s'""")
