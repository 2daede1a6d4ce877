"""Relation fields: what parses, what they print as, what restrictions leave of them."""

from __future__ import annotations

import time

import pytest
from support import need

from bwbuild.deb.relations import Relation, check, group_text, parse, reduce
from bwbuild.errors import SourceError
from bwbuild.process import run


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("foo", Relation("foo")),
        (" foo\t", Relation("foo")),
        ("g++", Relation("g++")),
        ("foo:any", Relation("foo", "any")),
        ("foo:native (>= 1)", Relation("foo", "native", ">=", "1")),
        ("foo:armhf", Relation("foo", "armhf")),
        ("foo(=1:2.0-1~rc1+b2)", Relation("foo", "", "=", "1:2.0-1~rc1+b2")),
        ("foo ( << 1:2:3-4 )", Relation("foo", "", "<<", "1:2:3-4")),
        ("foo (<= 1)", Relation("foo", "", "<=", "1")),
        ("foo (>> 1)", Relation("foo", "", ">>", "1")),
        ("foo (< 1)", Relation("foo", "", "<=", "1")),
        ("foo (> 1)", Relation("foo", "", ">=", "1")),
        ("foo [ amd64  !i386\tlinux-any ]", Relation("foo", architectures=("amd64", "!i386", "linux-any"))),
        ("foo <!nocheck>", Relation("foo", profiles=(("!nocheck",),))),
        ("foo < a b ><!c>  <d>", Relation("foo", profiles=(("a", "b"), ("!c",), ("d",)))),
        ("foo:any (>= 1)[any]<x>", Relation("foo", "any", ">=", "1", ("any",), (("x",),))),
    ],
)
def test_relation(text: str, relation: Relation) -> None:
    assert parse("Build-Depends", text) == ((relation,),)


@pytest.mark.parametrize(
    "text",
    ["foo", "foo:any (>= 1)", "foo (<< 1:2-3) [!i386 linux-any] <!nocheck !cross> <stage1>", "a1 | b1 (= 2)"],
)
def test_is_printed_as_it_was_written(text: str) -> None:
    assert [group_text(group) for group in parse("Build-Depends", text)] == [text]


def test_groups_keep_their_order() -> None:
    groups = parse("Build-Depends", "bb | aa\n , cc ,\n# dd,\n ee (>= 1),, \n")
    assert [group_text(group) for group in groups] == ["bb | aa", "cc", "ee (>= 1)"]
    assert parse("Build-Depends", "") == parse("Build-Depends", " \n ") == ()


@pytest.mark.parametrize(
    "text",
    [
        "Foo",
        "f",
        "foo bar",
        "foo (1.0)",
        "foo (== 1)",
        "foo (>= )",
        "foo (>= 1_0)",
        "foo (>= a:1)",
        "foo (>= 1",
        "foo (>= 1) (<= 2)",
        "foo []",
        "foo [a,b]",
        "foo [! a]",
        "foo <>",
        "foo < >",
        "foo <x> [a]",
        "foo |",
        "| foo",
        "${misc:Depends}",
        "foo:",
    ],
)
def test_what_does_not_parse_is_named(text: str) -> None:
    with pytest.raises(SourceError, match="Build-Conflicts has ") as caught:
        check("Build-Conflicts", f"good, {text}")
    assert "good" not in caught.value.message
    assert ">= VERSION" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "foo" + " " * 40_000 + "!",
        "foo [" + "a " * 20_000,
        "foo <" + "a " * 20_000,
        "foo" + " <a>" * 10_000 + "!",
    ],
    ids=["blanks", "architectures", "formula", "formulas"],
)
def test_a_hostile_field_takes_no_time(text: str) -> None:
    """The tree is untrusted; a pattern that backtracks would take hours for these."""
    begun = time.process_time()
    with pytest.raises(SourceError) as caught:
        check("Build-Depends", text)
    assert time.process_time() - begun < 10
    assert len(caught.value.message) < 300


ARCHITECTURES = [
    ("amd64", "amd64", True),
    ("amd64", "i386", False),
    ("amd64", "i386 amd64", True),
    ("amd64", "!i386", True),
    ("amd64", "!amd64", False),
    ("amd64", "!i386 !amd64", False),
    ("amd64", "AMD64", True),
    ("amd64", "any", True),
    ("amd64", "!any", False),
    ("amd64", "linux-any", True),
    ("amd64", "any-amd64", True),
    ("amd64", "any-i386", False),
    ("amd64", "hurd-any", False),
    ("amd64", "!hurd-any", True),
    ("amd64", "!linux-any", False),
    ("amd64", "gnu-any-any", True),
    ("amd64", "musl-any-any", False),
    ("amd64", "linux-amd64", True),
    ("amd64", "kfreebsd-amd64", False),
    ("amd64", "any-nonsense", False),
    ("amd64", "linux-any !amd64", True),
    ("amd64", "!amd64 linux-any", False),
    ("armhf", "any-arm", True),
    ("armel", "any-arm", True),
    ("armhf", "any-armhf", False),
    ("x32", "any-amd64", True),
    ("hurd-i386", "any-i386", True),
    ("hurd-i386", "!linux-any", True),
]


@pytest.mark.parametrize(("architecture", "restrictions", "counts"), ARCHITECTURES)
def test_architectures(architecture: str, restrictions: str, counts: bool) -> None:
    groups = parse("Build-Depends", f"foo [{restrictions}]")
    assert reduce(groups, architecture) == (groups if counts else ())


def test_architectures_are_matched_as_dpkg_does() -> None:
    need("perl", "dpkg-checkbuilddeps")
    code = "use Dpkg::Arch qw(debarch_is_concerned); print debarch_is_concerned(split ' ') ? 1 : 0 for @ARGV"
    asked = [f"{architecture} {restrictions}" for architecture, restrictions, _ in ARCHITECTURES]
    assert run(["perl", "-e", code, *asked]).text == "".join(str(int(row[2])) for row in ARCHITECTURES)


PROFILES = [
    ("<!nocheck>", "", True),
    ("<!nocheck>", "nocheck", False),
    ("<stage1>", "", False),
    ("<stage1>", "stage1", True),
    ("<!nocheck !nodoc>", "nodoc", False),
    ("<!nocheck> <!nodoc>", "nodoc", True),
    ("<!nocheck> <!nodoc>", "nodoc nocheck", False),
    ("<a b> <c>", "a", False),
    ("<a b> <c>", "a b", True),
    ("<a b> <c>", "c", True),
]


@pytest.mark.parametrize(("formulas", "profiles", "counts"), PROFILES)
def test_profiles(formulas: str, profiles: str, counts: bool) -> None:
    groups = parse("Build-Depends", f"foo {formulas}")
    assert reduce(groups, "amd64", frozenset(profiles.split())) == (groups if counts else ())


def test_an_excluded_alternative_leaves_the_others() -> None:
    groups = parse("Build-Depends", "aa [i386] | bb <!nocheck> | cc, dd [i386] | ee <nocheck>, ff")
    assert [group_text(group) for group in reduce(groups, "amd64")] == ["bb <!nocheck> | cc", "ff"]
    assert [group_text(group) for group in reduce(groups, "i386", {"nocheck"})] == [
        "aa [i386] | cc",
        "dd [i386] | ee <nocheck>",
        "ff",
    ]
