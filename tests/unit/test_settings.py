"""The declarations of the options, and that each of them can be reached and read about."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from bwbuild.cli.main import COMMANDS, commands
from bwbuild.cli.options import BUILD, SANDBOX, SHORTHANDS, configuration
from bwbuild.config.amounts import Size
from bwbuild.config.kinds import Choice, Duration, FilePath, Switch, Text
from bwbuild.config.settings import DEFAULTS, OPTIONS, Keep, Settings
from bwbuild.errors import UsageError
from bwbuild.permissions.words import USERNS, Permission


def help_of(name: str) -> str:
    context = click.Context(commands, info_name="bwbuild", terminal_width=200, max_content_width=200)
    command = commands.get_command(context, name)
    assert command is not None
    return command.get_help(
        click.Context(command, context, info_name=name, terminal_width=200, max_content_width=200)
    )


def test_every_field_is_an_option() -> None:
    assert len(fields(Settings)) == len(OPTIONS)
    assert len({option.flag for option in OPTIONS.values()}) == len(OPTIONS)
    assert len({option.variable for option in OPTIONS.values()}) == len(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS.values(), ids=list(OPTIONS))
def test_names_agree(option) -> None:  # type: ignore[no-untyped-def]
    assert option.flag == "--" + option.key.replace(".", "-")
    assert option.variable == "BWBUILD_" + option.key.upper().replace(".", "_").replace("-", "_")
    assert option.help[0].isupper()
    assert option.help.endswith(".")


@pytest.mark.parametrize("option", OPTIONS.values(), ids=list(OPTIONS))
def test_default_is_of_its_kind(option) -> None:  # type: ignore[no-untyped-def]
    default = DEFAULTS[option.key]
    if default is not None:
        shown = option.kind.shown(default)
        assert option.kind.from_text(shown) == default


def test_every_option_is_documented_by_help() -> None:
    text = help_of("build")
    for key in (*BUILD, *SANDBOX):
        assert OPTIONS[key].flag in text
    for flag in (*SHORTHANDS, "--sign", "--config", "--dry-run"):
        assert flag in text
    assert set(OPTIONS) == {*BUILD, *SANDBOX}, "an option that no command takes"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "doctor"])
def test_every_flag_of_every_command_has_a_sentence(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts
            assert parameter.help.endswith(".")
            assert parameter.opts[0] in help_of(name)


def test_help_of_the_group_has_the_commands_and_statuses() -> None:
    text = commands.get_help(click.Context(commands, info_name="bwbuild", terminal_width=200))
    for name in COMMANDS:
        assert name in text
    for number in (0, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 130):
        assert re.search(rf"\b{number}\s", text)
    for option in OPTIONS.values():
        assert option.flag in text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("45s", 45),
        ("30m", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1.5", 1.5),
        ("1h2m3s", 3723),
        ("7d", 604800),
        ("1d12h", 129600),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert Duration().from_text(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "0s", "1w", "1h1d", "m", "30 m", "1h1h", "1e3", "nan"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="length of time"):
        Duration().from_text(text)


def test_switch() -> None:
    assert [Switch().from_text(word) for word in ("1", "TRUE", "yes", "on", "0", "no", "Off", "")] == [
        True, True, True, True, False, False, False, False
    ]  # fmt: skip
    with pytest.raises(ValueError, match="true or false"):
        Switch().from_text("maybe")


def test_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/joe")
    assert FilePath().from_text("x") == tmp_path / "x"
    assert FilePath().from_text("/x") == Path("/x")
    assert FilePath().from_text("~/x") == Path("/home/joe/x")
    with pytest.raises(ValueError, match="~"):
        FilePath().from_text("~nobody-of-that-name/x")


def test_choice_and_text() -> None:
    assert Choice(Keep).from_text("never") is Keep.NEVER
    assert Choice(Keep).metavar == "never|failure|always"
    with pytest.raises(ValueError, match="one of never, failure, always"):
        Choice(Keep).from_text("Never")
    with pytest.raises(ValueError, match="not empty"):
        Text().from_text("")


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ((), ()),
        (("userns",), (USERNS,)),
    ],
)
def test_an_option_that_may_be_repeated(
    given: tuple[str, ...], value: tuple[Permission, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BWBUILD_CONFIG", "/dev/null")
    assert configuration({"allow": given}).settings.allow == value
    monkeypatch.setenv("BWBUILD_ALLOW", "userns")
    assert configuration({"allow": given}).settings.allow == (USERNS,)


def test_an_unknown_word_of_a_repeated_option() -> None:
    with pytest.raises(UsageError) as caught:
        configuration({"allow": ("userns", "everything")})
    assert "--allow is 'userns everything'" in caught.value.message


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("auto", None, "auto"),
        ("never", 0, "never"),
        ("4G", 4 << 30, "4G"),
        ("512MiB", 512 << 20, "512M"),
        ("1536m", 1536 << 20, "1536M"),
        ("1000", 1000, "1000"),
    ],
)
def test_sizes(text: str, size: int | None, shown: str) -> None:
    assert Size().from_text(text) == size
    assert Size().shown(size) == shown
    assert Size().from_text(shown) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "4.5G", "G", "4X", "lots"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="auto, never, or a size"):
        Size().from_text(text)


def test_sizes_in_toml() -> None:
    assert Size().from_toml(4096) == 4096
    assert Size().from_toml("1G") == 1 << 30
    with pytest.raises(ValueError, match="auto, never"):
        Size().from_toml(True)


@pytest.mark.parametrize(
    ("key", "least", "most"),
    [("limit.processes", 8, 1 << 22), ("limit.files", 16, 1 << 30), ("limit.disk", 1 << 20, (1 << 63) - 1)],
)
def test_limits_with_which_nothing_would_start(key: str, least: int, most: int) -> None:
    """They are refused by name, in place of a sandbox that does not start for a reason that nobody sees."""
    kind = OPTIONS[key].kind
    assert kind.from_text(str(least)) == least
    assert kind.from_text(str(most)) == most
    assert kind.from_text("never") == 0
    for number in (least - 1, most + 1):
        with pytest.raises(ValueError, match=r"from \d+ to \d+|1M at least"):
            kind.from_text(str(number))
