"""``bwbuild [SOURCE]``: build a package."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from bwbuild.cli import completion
from bwbuild.cli.command import MixedCommand, dpkg_options
from bwbuild.cli.options import BUILD, SANDBOX, configuration, with_settings
from bwbuild.errors import BwbuildError


@click.command(cls=MixedCommand, options_metavar="[OPTIONS]")
@with_settings(*BUILD, *SANDBOX)
@click.option("--dry-run", is_flag=True, help="Print the sandbox as a shell script and build nothing.")
@click.argument("source", required=False, default=".", shell_complete=completion.source)
def build(source: str, *, dry_run: bool, **parameters: Any) -> int:
    """Build the Debian package of SOURCE in a sandbox; the default command.

    SOURCE is a tree, a .dsc or, with -d SUITE, the name of a source package, also NAME=VERSION.

    Every option of dpkg-buildpackage is accepted too.
    """
    from bwbuild.build import inputs  # noqa: PLC0415 - --help needs none of them
    from bwbuild.build.plan import make_plan  # noqa: PLC0415
    from bwbuild.build.start import decide  # noqa: PLC0415
    from bwbuild.cli.terminal import show_progress  # noqa: PLC0415

    settings = configuration(parameters).settings
    options = dpkg_options()
    tell = partial(show_progress, verbosity=settings.verbosity)
    try:
        wanted = inputs.Wanted(decide(source), options, lasting=dry_run)
        with inputs.read(wanted, settings, os.environ, tell) as found:
            plan = make_plan(found)
            if dry_run:
                sys.stdout.flush()
                sys.stdout.buffer.write(os.fsencode(plan.script))
                return 0
            return _build(plan)
    except BwbuildError as error:
        if settings.report is not None and not dry_run:
            _report_failure(error, source, settings.report)
        raise


def _build(plan: Any) -> int:
    from bwbuild.build import execute, places  # noqa: PLC0415
    from bwbuild.build.report import write_json  # noqa: PLC0415
    from bwbuild.cli.session import open_shell  # noqa: PLC0415
    from bwbuild.cli.terminal import show_report, terminal  # noqa: PLC0415

    settings = plan.settings
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    with terminal(settings.verbosity) as screen:

        def shell(plan: Any, scratch: Any) -> None:
            with screen.suspended():
                open_shell(plan, scratch)

        around = execute.Surroundings(
            base=places.scratch(settings),
            tell=screen,
            announce=screen.announce,
            suspended=screen.suspended,
            terminal=interactive,
            shell=shell if interactive else None,
        )
        report = execute.build(plan, around)
    if settings.report is not None:
        write_json(report, settings.report)
    show_report(report, settings.verbosity)
    return report.status


def _report_failure(error: BwbuildError, job: str, path: Path) -> None:
    """A build that never began has a report too."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from bwbuild.build.report import Failure, Report, write_json  # noqa: PLC0415

    now = datetime.now(UTC)
    write_json(Report(error.status, job, now, now, failure=Failure.of(error)), path)
