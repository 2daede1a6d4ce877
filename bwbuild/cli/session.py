"""``bwbuild shell`` and ``bwbuild run``: other commands in the sandbox that a build would have."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli import tryout
from bwbuild.cli.command import MixedCommand, complete_source, dpkg_options
from bwbuild.cli.options import SANDBOX, configuration, with_settings
from bwbuild.cli.streams import streams
from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from bwbuild.build.plan import Plan
    from bwbuild.build.scratch import Scratch

SHELL = ("/bin/bash",)


@click.command(cls=MixedCommand)
@with_settings(*SANDBOX)
@click.argument("source", required=False, default=".", shell_complete=complete_source)
def shell(source: str, **parameters: Any) -> int:
    """Open an interactive shell in the sandbox of SOURCE, a tree or a .dsc, with job control.

    With -nc it opens in the kept workspace of the last build.
    """
    if not sys.stdin.isatty():
        raise UsageError("bwbuild shell needs a terminal", hint="bwbuild run -- COMMAND runs one command")
    return _session(source, SHELL, parameters)


@click.command(cls=MixedCommand)
@with_settings(*SANDBOX)
@tryout.running
@click.option("--tree", metavar="TREE", default=".", help="The source tree or .dsc, if not the current tree.")
@click.option("--root", is_flag=True, help="Without a tree, in the root of a suite, as bwbuild try has it.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(tree: str, command: tuple[str, ...], *, root: bool, **parameters: Any) -> int:
    """Run COMMAND in the sandbox, in the source tree; its exit status is the result.

    Write -- before a COMMAND that has options. Its input is empty. With -nc it runs in the kept workspace.
    With --root there is no tree: COMMAND runs in the root of a suite (-d), with a home of its own and
    nothing but what --allow grants, and the options of bwbuild try are for it alone.
    """
    if root:
        from bwbuild.tryout.values import Asked  # noqa: PLC0415 - few commands run so

        return tryout.session(Asked(none=True, command=command), parameters)
    if option := tryout.typed(parameters):
        raise UsageError(f"{option} goes with --root", hint="bwbuild run --root -- COMMAND")
    return _session(tree, command, parameters)


def _session(source: str, command: tuple[str, ...], parameters: dict[str, Any]) -> int:
    from bwbuild.build import inputs, places, session  # noqa: PLC0415 - --help needs neither
    from bwbuild.build.plan import make_plan  # noqa: PLC0415
    from bwbuild.build.start import decide  # noqa: PLC0415
    from bwbuild.cli.terminal import show_notice, show_progress  # noqa: PLC0415

    settings = configuration(parameters).settings
    interactive = command == SHELL
    wanted = inputs.Wanted(decide(source), dpkg_options(), command, interactive)
    with inputs.read(wanted, settings, os.environ, show_progress) as found:
        return session.run(make_plan(found), places.scratch(settings), streams(), show_notice)


def open_shell(plan: Plan, scratch: Scratch) -> None:
    """A shell in the workspace of a build that just failed."""
    from bwbuild.build import session  # noqa: PLC0415

    session.run_in(session.with_command(plan, SHELL, interactive=True), scratch, streams())
