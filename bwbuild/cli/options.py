"""click's options from the declarations of the settings, and the command line's layer of the cascade."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bwbuild.config.kinds import Kind, Several, Switch
from bwbuild.config.layers import Configuration, read_configuration
from bwbuild.config.settings import OPTIONS, Option, Sign, Verbosity, Workspace
from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = Callable[..., Any]

#: Settings that decide about bases of suites.
SUITE = ("dist", "missing", "fetch", "base.mirror", "base.components", "base.keyring", "base.refresh")
#: Limits that bwbuild watches over itself while a build runs.
WATCHED = ("limit.silence", "limit.disk", "limit.disk-reserve", "limit.log")
#: Settings that decide about the sandbox; every command that makes one takes them.
SANDBOX = (
    *("workspace", "workspace-memory", "build-path", "view", *SUITE),
    *("identity", "build-as", "allow", "deny", "compiler-cache", "foreign-abi", "seccomp", "suppress-sync"),
    *(key for key in OPTIONS if key.startswith("limit.") and key not in WATCHED),
    *("keep", "scratch", "cache"),
)
#: Settings that decide about the checks after a build.
CHECKS = (
    *("lintian", "lintian-opt", "autopkgtest", "autopkgtest-opt", "piuparts", "piuparts-opt"),
    "fail-on",
)
#: Settings that only a build has.
BUILD = (
    *("output", "sign.mode", "sign.key", "accept-from-clean", "shell-on-failure", *CHECKS),
    *("report", "events", "log", "timeout", *WATCHED, "verbosity"),
)

#: Options that people type in place of ``--KEY VALUE``: flag -> (key, value, help).
SHORTHANDS: Mapping[str, tuple[str, object, str]] = {
    "--in-place": ("workspace", Workspace.IN_PLACE, "Build in the real tree and its parent."),
    "--no-sign": ("sign.mode", Sign.NEVER, "Leave the results unsigned."),
    "--quiet": ("verbosity", Verbosity.QUIET, "Show errors and the result only."),
    "--verbose": ("verbosity", Verbosity.VERBOSE, "Stream the log."),
}


def with_settings(*keys: str) -> Callable[[Command], Command]:
    """Give a command the options of these settings, and ``--config``."""

    def decorate(command: Command) -> Command:
        for key in reversed(keys):
            command = _option(OPTIONS[key])(command)
        for flag, (key, _, text) in SHORTHANDS.items():
            if key in keys:
                command = click.option(flag, _parameter(flag), is_flag=True, default=None, help=text)(command)
        if "sign.mode" in keys:
            text = "Sign the results, with KEY; without a key that is an error."
            command = click.option("--sign", metavar="[=KEY]", default=None, help=text)(command)
        text = "Read FILE in place of the configuration files."
        return click.option("--config", metavar="FILE", default=None, help=text)(command)

    return decorate


def configuration(parameters: Mapping[str, Any]) -> Configuration:
    """The settings for a command line that click has parsed into ``parameters``.

    :raises UsageError: a value is not of its kind.
    :raises ConfigurationError: another layer is wrong.
    """
    values: dict[str, object] = {}
    for flag, (key, value, _) in SHORTHANDS.items():
        if parameters.get(_parameter(flag)):
            values[key] = value
    sign = parameters.get("sign")
    if sign is not None:
        values["sign.mode"] = Sign.ALWAYS
        if sign:
            values["sign.key"] = sign
    for option in OPTIONS.values():
        given = parameters.get(option.attribute)
        if given is not None and given != ():
            values[option.key] = given if isinstance(given, bool) else _converted(option, given)
    file = parameters.get("config")
    return read_configuration(values, os.environ, Path(file) if file else None)


def _converted(option: Option, given: str | tuple[str, ...]) -> object:
    try:
        if isinstance(option.kind, Several):
            return option.kind.from_words(given)
        assert isinstance(given, str)  # noqa: S101 - for the type checker
        return option.kind.from_text(given)
    except ValueError as error:
        shown = given if isinstance(given, str) else shlex.join(given)
        raise UsageError(f"{option.flag} is {shown!r}", hint=f"expected {error}") from None


def _option(option: Option) -> Callable[[Command], Command]:
    if isinstance(option.kind, Switch):
        flags = f"{option.flag}/--no-{option.flag[2:]}"
        return click.option(flags, option.attribute, default=None, help=option.help)
    return click.option(
        option.flag,
        option.attribute,
        metavar=option.kind.metavar,
        multiple=isinstance(option.kind, Several),
        default=None,
        help=option.help,
        shell_complete=partial(_complete, option.kind),
    )


def _complete(
    kind: Kind,
    ctx: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    from bwbuild.cli import completion  # noqa: PLC0415 - only a shell that completes needs it

    return completion.values(kind, incomplete)


def _parameter(flag: str) -> str:
    return "flag_" + flag.removeprefix("--").replace("-", "_")
