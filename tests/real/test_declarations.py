"""The list of sources, and the removal of one build dependency."""

from __future__ import annotations

from pathlib import Path

import declarations
import pytest

CONTROL = """\
Source: a
Build-Depends:
 debhelper-compat (= 13),
# a comment
 libfoo-dev (>= 1) [linux-any] <!nocheck>,
 foo-nox | foo,
 libfoo-dev-tools,
Build-Depends-Indep: sphinx:native
Maintainer: A <a@example.org>

Package: a
Depends: libfoo-dev
"""


def fields(control: str) -> str:
    return " ".join(control.partition("Maintainer")[0].split())


@pytest.mark.parametrize(
    ("package", "left"),
    [
        ("libfoo-dev", "debhelper-compat (= 13), foo-nox | foo, libfoo-dev-tools"),
        (
            "foo-nox",
            "debhelper-compat (= 13), libfoo-dev (>= 1) [linux-any] <!nocheck>, libfoo-dev-tools",
        ),
    ],
)
def test_an_entry_goes_with_its_alternatives_and_conditions(package: str, left: str) -> None:
    expected = f"Source: a Build-Depends: {left} Build-Depends-Indep: sphinx:native"
    assert fields(declarations.without(CONTROL, package)) == expected


def test_a_field_without_entries_goes() -> None:
    assert "Build-Depends-Indep" not in declarations.without(CONTROL, "sphinx")


def test_the_case_of_a_field_s_name_does_not_count() -> None:
    changed = declarations.without("Source: a\nBuild-depends: foo, bar\n\nPackage: a\n", "foo")
    assert changed == "Source: a\nBuild-depends: bar\n\nPackage: a\n"


def test_what_is_not_a_build_dependency_stays() -> None:
    changed = declarations.without(CONTROL, "libfoo-dev")
    assert changed.partition("Maintainer")[2] == CONTROL.partition("Maintainer")[2]


@pytest.mark.parametrize("package", ["foo", "libfoo", "a"])
def test_an_entry_that_is_not_there_is_an_error(package: str) -> None:
    with pytest.raises(ValueError, match=package):
        declarations.without(CONTROL, package)


def test_the_template_of_the_control_file_changes_too(tmp_path: Path) -> None:
    (tmp_path / "debian").mkdir()
    for name in ("control", "control.in"):
        (tmp_path / "debian" / name).write_text(CONTROL, encoding="utf-8")
    declarations.remove(tmp_path, "foo-nox")
    for name in ("control", "control.in"):
        assert "foo-nox" not in (tmp_path / "debian" / name).read_text(encoding="utf-8")


def test_most_listed_sources_have_an_entry_to_remove() -> None:
    listed = declarations.listed()
    assert listed
    assert len({source.name for source in listed}) == len(listed)
    assert sum(not source.needed for source in listed) < len(listed) / 4
