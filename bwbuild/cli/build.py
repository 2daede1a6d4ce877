"""``bwbuild [SOURCE]``: build a package."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from bwbuild.cli.command import MixedCommand, complete_source, dpkg_options
from bwbuild.cli.options import BUILD, SANDBOX, configuration, with_settings
from bwbuild.errors import BwbuildError
from bwbuild.events import fan_out, notices


@click.command(cls=MixedCommand, options_metavar="[OPTIONS]")
@with_settings(*BUILD, *SANDBOX)
@click.option("--dry-run", is_flag=True, help="Print the sandbox as a shell script and build nothing.")
@click.argument("source", required=False, default=".", shell_complete=complete_source)
def build(source: str, *, dry_run: bool, **parameters: Any) -> int:
    """Build the Debian package of SOURCE in a sandbox; the default command.

    SOURCE is a tree, a .dsc or, with -d SUITE, the name of a source package, also NAME=VERSION.

    Every option of dpkg-buildpackage is accepted too.
    """
    from bwbuild.build import inputs  # noqa: PLC0415 - --help needs none of them
    from bwbuild.build.plan import make_plan  # noqa: PLC0415
    from bwbuild.build.record.escaping import escape  # noqa: PLC0415
    from bwbuild.build.record.stream import EventStream  # noqa: PLC0415
    from bwbuild.build.start import decide  # noqa: PLC0415
    from bwbuild.cli.prompt import asking  # noqa: PLC0415
    from bwbuild.cli.terminal import show_progress  # noqa: PLC0415

    settings = configuration(parameters).settings
    options = dpkg_options()
    progress = partial(show_progress, verbosity=settings.verbosity)
    try:
        ask = None if dry_run else asking()
        wanted = inputs.Wanted(decide(source), options, lasting=dry_run, ask=ask)
        with (
            EventStream(None if dry_run else settings.events) as stream,
            inputs.read(wanted, settings, os.environ, fan_out(notices(progress), stream)) as found,
        ):
            plan = make_plan(found)
            if dry_run:
                sys.stdout.flush()
                script = os.fsencode(plan.printed)
                # A name of a directory may hold anything; in a file it has to stay what it is.
                sys.stdout.buffer.write(escape(script) if sys.stdout.isatty() else script)
                return 0
            return _build(plan, stream)
    except BwbuildError as error:
        if settings.report is not None and not dry_run:
            _report_failure(error, source, settings.report)
        raise


def _build(plan: Any, stream: Any) -> int:
    from bwbuild.build import execute, places  # noqa: PLC0415
    from bwbuild.build.record.report import write_json  # noqa: PLC0415
    from bwbuild.cli.session import open_shell  # noqa: PLC0415
    from bwbuild.cli.terminal import show_report, terminal  # noqa: PLC0415

    settings = plan.settings
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    with terminal(settings.verbosity) as screen:

        def shell(plan: Any, scratch: Any) -> None:
            with screen.suspended():
                open_shell(plan, scratch)

        def announce(title: str, estimate: Any) -> None:
            screen.announce(title, estimate)
            stream.announce(title, estimate.seconds if estimate else None)

        around = execute.Surroundings(
            base=places.scratch(settings),
            tell=fan_out(screen, stream),
            announce=announce,
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

    from bwbuild.build.record.report import Failure, Report, write_json  # noqa: PLC0415
    from bwbuild.build.watch.limits import BreachError  # noqa: PLC0415

    now = datetime.now(UTC)
    limit = error.reached if isinstance(error, BreachError) else None
    write_json(Report(error.status, job, now, now, limit=limit, failure=Failure.of(error)), path)
