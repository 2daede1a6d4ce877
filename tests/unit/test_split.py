from __future__ import annotations

import pytest

from bwbuild.cli.split import split
from bwbuild.errors import UsageError

OWN = {
    "--output": True,
    "--in-place": False,
    "--timeout": True,
    "--keep": True,
    "--sign": True,
    "--dry-run": False,
}


@pytest.mark.parametrize(
    ("line", "own", "dpkg", "rest"),
    [
        ("", "", "", ""),
        ("-b tree", "", "-b", "tree"),
        ("tree -b", "", "-b", "tree"),
        ("--output out -S tree", "--output out", "-S", "tree"),
        ("--output=out -S", "--output=out", "-S", ""),
        ("--in-place tree -us -uc", "--in-place", "-us -uc", "tree"),
        ("-a armhf tree", "", "-a armhf", "tree"),
        ("-aarmhf tree", "", "-aarmhf", "tree"),
        ("-T clean tree", "", "-T clean", "tree"),
        ("-tc tree", "", "-tc", "tree"),
        ("--sign tree", "--sign=", "", "tree"),
        ("--sign=KEY tree", "--sign=KEY", "", "tree"),
        ("-- -b", "", "", "-b"),
        ("-b -- -tree", "", "-b", "-tree"),
        ("-b -- -- x", "", "-b", "-- x"),
        ("--output -b tree", "--output -b", "", "tree"),
        ("-i -I -us -uc -d", "", "-i -I -us -uc -d", ""),
        ("- tree", "", "", "- tree"),
        ("one two", "", "", "one two"),
    ],
)
def test_parts(line: str, own: str, dpkg: str, rest: str) -> None:
    found = split(line.split(), OWN)
    assert (found.own, found.dpkg, found.rest) == (
        tuple(own.split()),
        tuple(dpkg.split()),
        tuple(rest.split()),
    )


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("--outptu", "--output"),
        ("--inplace", "--in-place"),
        ("--timeuot=3", "--timeout"),
        ("--no-singn", "--no-sign"),
        ("--jobs-forse=3", "--jobs-force"),
        ("--force-sing", "--force-sign"),
    ],
)
def test_unknown_ones_with_the_nearest(word: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        split([word], OWN)
    assert caught.value.message == f"unknown option {word}"
    assert caught.value.hint == f"did you mean {nearest}?"


def test_value_that_is_missing() -> None:
    with pytest.raises(UsageError, match="--output needs a value"):
        split(["--output"], OWN)


def test_words_with_spaces_and_breaks_stay_whole() -> None:
    words = ["--output", "a b\nc", "-mJoe Doe <j@d>", "tree name"]
    found = split(words, OWN)
    assert (*found.own, *found.dpkg, *found.rest) == tuple(words)


def test_argument_is_not_changed() -> None:
    words = ["-b", "--output", "x"]
    split(words, OWN)
    assert words == ["-b", "--output", "x"]


@pytest.mark.parametrize(
    ("line", "own", "dpkg", "rest"),
    [
        ("-d trixie", "--dist trixie", "", ""),
        ("-dtrixie tree", "--dist trixie", "", "tree"),
        ("-d auto -b", "--dist auto", "-b", ""),
        ("--dist trixie -d", "--dist trixie", "-d", ""),
        ("--dist=trixie -S", "--dist=trixie", "-S", ""),
        ("-d bookworm-backports tree", "--dist bookworm-backports", "", "tree"),
        ("-d", "", "-d", ""),
        ("-d -b", "", "-d -b", ""),
        ("-b -d", "", "-b -d", ""),
        ("-d ./tree", "", "-d", "./tree"),
        ("-d /tree", "", "-d", "/tree"),
        ("-d ../tree", "", "-d", "../tree"),
        ("-d .", "", "-d", "."),
        ("-d hello_2.10-3.dsc", "", "-d", "hello_2.10-3.dsc"),
        ("-us -d -uc", "", "-us -d -uc", ""),
        ("-d -- trixie", "", "-d", "trixie"),
    ],
)
def test_d_is_the_suite_where_a_name_follows(line: str, own: str, dpkg: str, rest: str) -> None:
    found = split(line.split(), OWN | {"--dist": True})
    assert (found.own, found.dpkg, found.rest) == (
        tuple(own.split()),
        tuple(dpkg.split()),
        tuple(rest.split()),
    )


def test_d_is_dpkgs_for_commands_without_suites() -> None:
    found = split(["-d", "trixie"], OWN)
    assert (found.own, found.dpkg, found.rest) == ((), ("-d",), ("trixie",))
