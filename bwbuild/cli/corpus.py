"""``bwbuild corpus``: many sources built as one run, and runs looked at and compared."""

from __future__ import annotations

import importlib

import click

#: Commands and the modules that have them; a module is imported when its command runs.
COMMANDS = {
    "run": "bwbuild.cli.corpus_run",
    "list": "bwbuild.cli.corpus_show",
    "show": "bwbuild.cli.corpus_show",
    "log": "bwbuild.cli.corpus_show",
    "compare": "bwbuild.cli.corpus_compare",
    "report": "bwbuild.cli.corpus_report",
}


class Commands(click.Group):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name]), f"{cmd_name}_command")
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        return command


@click.group(cls=Commands)
def corpus() -> None:
    """Build many sources as one run, and compare runs."""
