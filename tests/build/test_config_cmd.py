"""``bwbuild config``: every setting, its value, where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Desk

from bwbuild.config.settings import OPTIONS


@pytest.fixture
def configured(desk: Desk) -> Desk:
    """A desk with a configuration file."""
    file = desk.home / ".config" / "bwbuild" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('keep = "always"\ntimeout = "1h30m"\n[sign]\nkey = "FILE"\n')
    return desk


def rows(desk: Desk, *words: str | Path, **more: object) -> dict[str, tuple[str, str]]:
    found = json.loads(desk.ok("config", "--json", *words, cwd=Path("/"), **more).out)
    return {row["key"]: (row["value"], row["origin"]) for row in found}


def test_all_settings_with_their_origins(configured: Desk) -> None:
    variables = {"BWBUILD_SIGN_KEY": "VARIABLE", "BWBUILD_VERBOSITY": "quiet"}
    found = rows(configured, "--sign=TYPED", "--in-place", env=variables)
    file = str(configured.home / ".config/bwbuild/config.toml")
    assert list(found) == list(OPTIONS)
    assert found["keep"] == ("always", file)
    assert found["timeout"] == ("5400", file)
    assert found["sign.key"] == ("TYPED", "command line")
    assert found["sign.mode"] == ("always", "command line")
    assert found["workspace"] == ("in-place", "command line")
    assert found["verbosity"] == ("quiet", "environment")
    assert found["identity"] == ("auto", "default")
    assert found["scratch"] == (str(configured.scratch), "environment")


def test_text_has_the_same(configured: Desk) -> None:
    text = configured.ok("config", cwd=Path("/")).out
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in text.splitlines()}
    assert {key: tuple(value) for key, value in lines.items()} == {
        key: (value or "-", origin) for key, (value, origin) in rows(configured).items()
    }


def test_a_file_that_is_named(configured: Desk) -> None:
    other = configured.top / "other.toml"
    other.write_text('verbosity = "verbose"\n')
    found = rows(configured, "--config", other)
    assert found["verbosity"] == ("verbose", str(other))
    assert found["keep"] == ("failure", "default")
    assert rows(configured, env={"BWBUILD_CONFIG": str(other)}) == found


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (("--quiet",), "verbosity", "quiet"),
        (("--verbose",), "verbosity", "verbose"),
        (("--no-sign",), "sign.mode", "never"),
        (("--shell-on-failure",), "shell-on-failure", "true"),
        (("--no-shell-on-failure",), "shell-on-failure", "false"),
        (("--timeout", "2h"), "timeout", "7200"),
        (("--output", "/out"), "output", "/out"),
        (("--output", "out"), "output", "/out"),
        (("--keep=never",), "keep", "never"),
        (("--build-as", "root"), "build-as", "root"),
        (("--identity", "single"), "identity", "single"),
        (("--workspace", "private"), "workspace", "private"),
        (("--sign-key", "A"), "sign.key", "A"),
        (("--log", "/l"), "log", "/l"),
        (("--report", "/r"), "report", "/r"),
        (("--view", "host"), "view", "host"),
    ],
)
def test_every_option_arrives(desk: Desk, words: tuple[str, ...], key: str, value: str) -> None:
    assert rows(desk, *words)[key] == (value, "command line")


def test_a_home_that_is_missing(desk: Desk) -> None:
    rows(desk, env={"HOME": "/nonexistent"})
    rows(desk, env={"HOME": ""})


def test_config_needs_no_tree_and_changes_nothing(desk: Desk) -> None:
    desk.ok("config", cwd=desk.home)
    assert desk.left() == []
