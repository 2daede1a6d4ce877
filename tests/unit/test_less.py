"""debian/control with less in its relation fields."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bwbuild.deb.less import difference, without
from bwbuild.deb.relations import group_text, parse

HEAD = "# top\nSource: x\n"
REST = "Standards-Version: 4\n\nPackage: x\nDepends: b, ${misc:Depends}\n"
CASES = {
    "one a line": (
        "Build-Depends: a (>= 1),\n               b,\n               c\n",
        "Build-Depends: a (>= 1),\n               c\n",
    ),
    "the last, and the list ends without a comma": (
        "Build-Depends: a,\n               b\n",
        "Build-Depends: a\n",
    ),
    "the last, and the list ends with a comma": (
        "Build-Depends:\n a,\n b,\n",
        "Build-Depends:\n a,\n",
    ),
    "the first": ("Build-Depends: b,\n c\n", "Build-Depends:\n c\n"),
    "all on one line": ("Build-Depends: a, b, c\n", "Build-Depends: a, c\n"),
    "the last of one line": ("Build-Depends: a, b\n", "Build-Depends: a\n"),
    "the first of one line": ("Build-Depends: b, a\n", "Build-Depends: a\n"),
    "with a comma in front": ("Build-Depends: a\n , b\n , c\n", "Build-Depends: a\n , c\n"),
    "beside a comment": ("Build-Depends: a,\n# why, b\n b,\n c\n", "Build-Depends: a,\n# why, b\n c\n"),
    "nothing is left": ("Build-Depends: b\n", ""),
    "nothing but a comment is left": ("Build-Depends:\n# why\n b,\n", "# why\n"),
    "other spelling": ("build-depends: a,b ,c\n", "build-depends: a,c\n"),
    "across lines": ("Build-Depends: a, b\n (>= 1)\n <!nocheck>, c\n", "Build-Depends: a,\n c\n"),
    "twice": ("Build-Depends: b, a, b\n", "Build-Depends: a\n"),
    "not there": ("Build-Depends: a\n", "Build-Depends: a\n"),
}


def drop(field: str, text: str) -> bool:
    return field.casefold() == "build-depends" and text.split(maxsplit=1)[0] == "b"


@pytest.mark.parametrize("case", CASES)
def test_only_that_goes(case: str) -> None:
    before, after = CASES[case]
    assert without(HEAD + before + REST, drop) == HEAD + after + REST


def test_the_diff_can_be_applied(tmp_path: Path) -> None:
    before = HEAD + CASES["one a line"][0] + REST.rstrip("\n")
    after = without(before, drop)
    place = tmp_path / "debian/control"
    place.parent.mkdir()
    place.write_text(before)
    subprocess.run(["patch", "-p1"], input=difference(before, after), text=True, check=True, cwd=tmp_path)
    assert place.read_text() == after
    assert difference(before, before) == ""


NAMES = st.lists(
    st.sampled_from(["aa", "bb", "cc (>= 1)", "dd [amd64]", "ee <!nocheck>"]), min_size=1, max_size=6
)
BETWEEN = st.sampled_from([",", ", ", ",\n ", " ,\n\t", ",\n# c, d\n "])


@given(
    NAMES, st.lists(BETWEEN, min_size=6, max_size=6), st.sampled_from(["", ",", ",\n#x\n "]), st.text("abcde")
)
def test_what_stays_is_what_was_not_dropped(
    names: list[str], between: list[str], end: str, gone: str
) -> None:
    value = "".join(name + mark for name, mark in zip(names, between, strict=False))[
        : -len(between[len(names) - 1])
    ]
    text = f"{HEAD}Build-Depends: {value}{end}\n{REST}"
    found = without(text, lambda field, group: field == "Build-Depends" and group[0] in gone)
    kept = [name for name in names if name[0] not in gone]
    start = found.removeprefix(HEAD).removesuffix(REST)
    left = parse("Build-Depends", start.removeprefix("Build-Depends:")) if "Build-Depends:" in start else ()
    assert [group_text(group) for group in left] == kept
    assert found.count("# c, d") == text.count("# c, d")


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    without(text, drop)
    assert without(text, lambda *_: False) == text
