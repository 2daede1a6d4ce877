"""Names of suites: what is one, and which one a changelog means."""

from __future__ import annotations

import pytest

from bwbuild.errors import ConfigurationError, SourceError
from bwbuild.root.suite import of_changelog, parse_name


@pytest.mark.parametrize("name", ["trixie", "stable", "sid", "noble", "bookworm-backports", "a1.0+x"])
def test_names(name: str) -> None:
    assert parse_name(name) == name


@pytest.mark.parametrize("name", ["", "Trixie", "../x", "-x", "a b", "a/b", "1a", "a" * 64, "x\n", "$(id)"])
def test_no_names(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_name(name)
    assert repr(name) in caught.value.message
    assert "-d SUITE" in caught.value.hint


@pytest.mark.parametrize(
    ("distribution", "suite"),
    [
        ("unstable", "unstable"),
        ("experimental", "experimental"),
        ("bookworm", "bookworm"),
        ("bookworm-security", "bookworm"),
        ("bookworm-updates", "bookworm"),
        ("bookworm-proposed-updates", "bookworm"),
        ("bookworm-backports", "bookworm"),
        ("bookworm-backports-sloppy", "bookworm"),
        ("noble", "noble"),
    ],
)
def test_suite_of_a_changelog(distribution: str, suite: str) -> None:
    assert of_changelog(distribution) == suite


@pytest.mark.parametrize("distribution", ["UNRELEASED", "unreleased", "INVALID"])
def test_changelogs_without_a_suite(distribution: str) -> None:
    with pytest.raises(SourceError) as caught:
        of_changelog(distribution)
    assert distribution in caught.value.message
    assert caught.value.hint == "name the suite: -d unstable"
