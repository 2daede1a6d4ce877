"""What a build on a base asks of apt besides its build dependencies."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.build import besides
from bwbuild.build.study import dependencies
from bwbuild.deb.buildoptions import parse
from bwbuild.deb.closure import Wanted
from bwbuild.deb.source import Source
from bwbuild.errors import UsageError
from bwbuild.root.extra import Given


def wanted(text: str, *options: str) -> Wanted:
    source = Source(
        Path("/x"), "x", "1", "unstable", "", "3.0 (native)", ("x",), relations={"Build-Depends": text}
    )
    return dependencies.wanted(source, parse(options), "amd64", {})


def test_nothing() -> None:
    asked = wanted("aa, bb:native, cc:any, dd:amd64")
    assert besides.given(asked, parse(())) == Given()
    assert besides.options_for_apt(asked) == ()


def test_another_architecture() -> None:
    asked = wanted("aa", "--host=arm64")
    assert besides.given(asked, parse(("--host=arm64",))) == Given(architectures=("arm64",))
    assert besides.options_for_apt(asked) == ("--host-architecture=arm64",)


def test_no_architecture() -> None:
    with pytest.raises(UsageError, match="'x y' is no architecture"):
        besides.given(wanted("aa", "--host=x y"), parse(()))


@pytest.mark.parametrize(
    ("text", "architectures"),
    [
        ("aa:i386", ("i386",)),
        ("aa:i386 [armhf]", ()),
        ("aa:i386 <nocheck>", ()),
        ("aa | bb:i386", ()),
        ("aa:i386, bb:armhf", ("armhf", "i386")),
    ],
)
def test_architectures_that_relations_name(text: str, architectures: tuple[str, ...]) -> None:
    asked = wanted(text)
    assert besides.given(asked, parse(())).architectures == architectures
    assert besides.options_for_apt(asked) == (), "it is no cross build"


def test_options() -> None:
    options = parse(
        ("--extra-package=a", "--extra-repository=b", "--extra-repository-key=c", "--extra-package=d")
    )
    assert besides.given(wanted("aa"), options) == Given(("a", "d"), ("b",), ("c",))


def test_remedy_names_the_option_that_contradicts() -> None:
    assert "--add-conflicts" in besides.remedy(parse(("--add-conflicts=a",)))
    assert "--add-conflicts" not in besides.remedy(parse(("--add-depends=a",)))
    assert "backports" in besides.remedy(parse(("--extra-repository=deb http://deb.example.org ./",)))
    assert "-d SUITE" in besides.remedy(parse(()))
