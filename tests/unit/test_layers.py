from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bwbuild.config import layers
from bwbuild.config.layers import (
    Layer,
    from_environment,
    from_toml,
    nearest,
    read_configuration,
    resolve,
    user_file,
)
from bwbuild.config.settings import DEFAULTS, OPTIONS, Keep, Settings, Sign, Verbosity
from bwbuild.errors import ConfigurationError


def toml(text: str) -> Layer:
    return from_toml(tomllib.loads(text), "file")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, dict[str, str]]:
    """The two configuration files, and an environment that leads to them."""
    system = tmp_path / "etc.toml"
    monkeypatch.setattr(layers, "SYSTEM_FILE", system)
    user = tmp_path / "config" / "bwbuild" / "config.toml"
    user.parent.mkdir(parents=True)
    return system, user, {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_nothing_gives_the_defaults() -> None:
    found = resolve([])
    assert found.settings == Settings()
    assert set(found.origins.values()) == {"default"}
    assert found.origins.keys() == OPTIONS.keys() == DEFAULTS.keys()


def test_cascade(files: tuple[Path, Path, dict[str, str]]) -> None:
    """default < /etc < the user's file < environment < command line, one value from each."""
    system, user, environment = files
    system.write_text('keep = "always"\ntimeout = 1\nverbosity = "quiet"\n[sign]\nmode = "never"\n')
    user.write_text('timeout = 2\nverbosity = "quiet"\n[sign]\nmode = "never"\n')
    environment |= {"BWBUILD_VERBOSITY": "quiet", "BWBUILD_SIGN_MODE": "never"}
    found = read_configuration({"sign.mode": Sign.ALWAYS}, environment)
    settings, origins = found.settings, found.origins
    assert (settings.keep, origins["keep"]) == (Keep.ALWAYS, str(system))
    assert (settings.timeout, origins["timeout"]) == (2.0, str(user))
    assert (settings.verbosity, origins["verbosity"]) == (Verbosity.QUIET, "environment")
    assert (settings.sign, origins["sign.mode"]) == (Sign.ALWAYS, "command line")
    assert (settings.output, origins["output"]) == (None, "default")


def test_a_named_file_replaces_both(files: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> None:
    system, user, environment = files
    system.write_text('keep = "always"\n')
    user.write_text("timeout = 2\n")
    other = tmp_path / "other.toml"
    other.write_text('verbosity = "quiet"\n')
    for found in (
        read_configuration({}, environment, other),
        read_configuration({}, environment | {"BWBUILD_CONFIG": str(other)}),
    ):
        assert found.settings == Settings(verbosity=Verbosity.QUIET)
        assert found.origins["verbosity"] == str(other)


def test_a_named_file_must_exist(files: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no configuration file"):
        read_configuration({}, files[2], tmp_path / "missing")


def test_missing_files_are_no_error(files: tuple[Path, Path, dict[str, str]]) -> None:
    assert read_configuration({}, files[2]).settings == Settings()


def test_a_directory_in_place_of_the_file(files: tuple[Path, Path, dict[str, str]]) -> None:
    files[1].mkdir()
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_configuration({}, files[2])


@pytest.mark.parametrize("data", [b"keep = ", b"\xff\xfe", b"[a\n", b"keep = 'a'\nkeep = 'b'\n"])
def test_no_toml(files: tuple[Path, Path, dict[str, str]], data: bytes) -> None:
    files[1].write_bytes(data)
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        read_configuration({}, files[2])


@pytest.mark.parametrize("text", ['[sign]\nkey = "A"', 'sign.key = "A"', 'sign = { key = "A" }'])
def test_tables_and_dotted_keys(text: str) -> None:
    assert toml(text).values == {"sign.key": "A"}


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("identiti = 'range'", "identiti", "did you mean identity?"),
        ("[sign]\nkeys = 'A'", "sign.keys", "did you mean sign.key?"),
        ("zzz = 1", "zzz", "bwbuild --help lists all of them"),
        ("build_as = 'root'", "build_as", "did you mean build-as?"),
    ],
)
def test_unknown_keys(text: str, key: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        toml(text)
    assert f"file: unknown key {key!r}" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "keep = true",
        "keep = 'sometimes'",
        "[keep]\nalways = true",
        "timeout = true",
        "timeout = 'soon'",
        "timeout = -1",
        "timeout = 0",
        "output = 1",
        "output = ''",
        "output = []",
        "shell-on-failure = 'yes'",
        "shell-on-failure = 1",
        "sign.key = ''",
        "sign.key = 7",
        "sign = 'always'",
        "verbosity = 2",
        "timeout = nan",
        "timeout = inf",
        "timeout = 2024-01-01",
    ],
)
def test_wrong_types_and_values(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        toml(text)
    assert caught.value.hint
    assert "file:" in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "key", "wanted"),
    [
        ("BWBUILD_KEEP", "never", "keep", Keep.NEVER),
        ("BWBUILD_TIMEOUT", "1h30m", "timeout", 5400.0),
        ("BWBUILD_SHELL_ON_FAILURE", "yes", "shell-on-failure", True),
        ("BWBUILD_SHELL_ON_FAILURE", "", "shell-on-failure", False),
        ("BWBUILD_SIGN_KEY", "ABCD", "sign.key", "ABCD"),
        ("BWBUILD_OUTPUT", "/out", "output", Path("/out")),
    ],
)
def test_environment(name: str, value: str, key: str, wanted: object) -> None:
    assert from_environment({name: value, "HOME": "/"}).values == {key: wanted}


def test_unknown_variable() -> None:
    with pytest.raises(ConfigurationError, match="unknown variable BWBUILD_KEPE") as caught:
        from_environment({"BWBUILD_KEPE": "never"})
    assert caught.value.hint == "did you mean BWBUILD_KEEP?"


def test_wrong_value_of_a_variable() -> None:
    with pytest.raises(ConfigurationError, match="variable BWBUILD_KEEP is 'no'") as caught:
        from_environment({"BWBUILD_KEEP": "no"})
    assert caught.value.hint == "expected one of never, failure, always"


def test_variables_of_others_are_passed_over() -> None:
    assert from_environment({"BWBUILDX": "1", "XBWBUILD_KEEP": "1", "BWBUILD_CONFIG": "x"}).values == {}


def test_nearest() -> None:
    assert nearest("outptu", ["output", "keep"]) == "did you mean output?"
    assert nearest("zzzz", ["b", "a"]) == "known: a, b"


def test_user_file() -> None:
    assert user_file({"XDG_CONFIG_HOME": "/x"}) == Path("/x/bwbuild/config.toml")
    assert user_file({"XDG_CONFIG_HOME": ""}).name == "config.toml"
