"""The command ``bwbuild``: which command it is, and the one place that prints errors and exits."""

from __future__ import annotations

import importlib
import io
import keyword
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from bwbuild import __version__
from bwbuild.errors import BwbuildError, ExitStatus, OutputError, UsageError
from bwbuild.interrupt import Ending

#: Commands and the modules that have them; a module is imported when its command runs.
COMMANDS = {
    "build": "bwbuild.cli.build",
    "shell": "bwbuild.cli.session",
    "run": "bwbuild.cli.session",
    "try": "bwbuild.cli.tryout",
    "grant": "bwbuild.cli.grants",
    "grants": "bwbuild.cli.grants",
    "revoke": "bwbuild.cli.grants",
    "deps": "bwbuild.cli.deps",
    "learn": "bwbuild.cli.learn",
    "doctor": "bwbuild.cli.doctor",
    "audit": "bwbuild.cli.audit",
    "policy": "bwbuild.cli.policy",
    "config": "bwbuild.cli.config",
    "root": "bwbuild.cli.root",
    "corpus": "bwbuild.cli.corpus",
    "worker": "bwbuild.cli.worker",
    "clean": "bwbuild.cli.clean",
}


class Commands(click.Group):
    """A group whose default command is ``build``: ``bwbuild -S`` and ``bwbuild TREE`` need no word for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command = getattr(importlib.import_module(COMMANDS[cmd_name]), name)
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command unless the first word names one."""
        first = args[0] if args else ""
        if ctx.resilient_parsing and not args:
            from bwbuild.cli import completion  # noqa: PLC0415 - only a shell that completes needs it

            completion.remember_commands(ctx, COMMANDS)
        if first in ("--help", "-?"):
            args = ["--help"]
        elif first != "--version" and first not in COMMANDS:
            args = ["build", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options of a build, then the commands."""
        build = self.get_command(ctx, "build")
        if build is not None:
            build.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(
    cls=Commands,
    options_metavar="[OPTIONS]",
    subcommand_metavar="[SOURCE] [DPKG-BUILDPACKAGE-OPTIONS]",
    epilog="Every option of dpkg-buildpackage works: -b -B -A -S -nc -jN -P… -k… and so on. "
    "Exit status: 0 success, 2 usage, 3 configuration, 4 host, 5 source, 6 dependencies, 7 permission, "
    "10 build failed, 11 limit, 12 verification, 13 signing, 14 output, 15 check failed, "
    "16 exposed, 130 interrupted.",
)
@click.version_option(__version__, prog_name="bwbuild")
def commands() -> None:
    """Build the Debian package of a source tree or a .dsc in a sandbox.

    SOURCE is a tree, unless given the one around the current directory, or the path of a .dsc. Verified
    packages, signed where a key is there, end up in the tree's parent directory, as dpkg-buildpackage leaves
    them; those of a .dsc in the current directory. For a directory that is called like a command write
    ./NAME.
    """


def main(arguments: Sequence[str] | None = None, *, strict: bool = False) -> NoReturn:
    """Run the command line and exit with its status; ``strict`` is gbp-bwbuild."""
    for stream in (sys.stdout, sys.stderr):
        # Paths of the host need not be UTF-8, and a name that can't be shown must not end a build.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    status = run(list(sys.argv[1:] if arguments is None else arguments), strict=strict)
    # What is left to do is Python's own, which would show a traceback.
    Ending.give_back()
    sys.exit(status)


def run(arguments: list[str], *, strict: bool = False) -> int:
    """Run the command line and return its exit status; errors are told on standard error."""
    ending = Ending()
    try:
        ending.take()
        _forget_relative()
        status = _status(arguments, strict=strict)
        ending.end()
        return status
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED


def _forget_relative() -> None:
    """Ignore directories of the user that are relative, as their specification wants it."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        if not os.environ.get(name, "/").startswith("/"):
            del os.environ[name]


def _status(arguments: list[str], *, strict: bool) -> int:
    try:
        _check_directory()
        if strict or os.environ.get("GBP_BUILD_DIR"):
            from bwbuild.cli import gbp  # noqa: PLC0415 - only git-buildpackage needs it

            gbp.check(arguments, os.environ, COMMANDS, strict=strict)
        result: Any = commands.main(arguments, prog_name="bwbuild", standalone_mode=False)
        sys.stdout.flush()
        return int(result or 0)
    except BwbuildError as error:
        return _told(error)
    except click.ClickException as error:
        return _told(UsageError(error.format_message(), hint="bwbuild --help"))
    except click.Abort:
        return ExitStatus.INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # Whoever read the output has enough, for which click exits; nothing more can be flushed into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.SUCCESS
    except OSError as error:
        # Of a file that was open already there is the number alone.
        if not isinstance(error.filename, str | bytes):
            raise
        return _told(OutputError(f"{os.fsdecode(error.filename)}: {error.strerror}"))


def _check_directory() -> None:
    """Relative paths mean nothing in a directory that was removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current directory does not exist any more", hint="cd to another one") from None


def _told(error: BwbuildError) -> int:
    from bwbuild.cli.terminal import show_error  # noqa: PLC0415 - only errors need it

    show_error(error)
    return error.status
