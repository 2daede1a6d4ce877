"""``bwbuild learn``: what a build uses of what it declares, and a profile of it."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.command import MixedCommand, complete_source, dpkg_options
from bwbuild.cli.options import SANDBOX, WATCHED, configuration, with_settings
from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bwbuild.build.learn.analyse import Verdict
    from bwbuild.build.learn.trim import Trimmed
    from bwbuild.build.learn.words import Learned
    from bwbuild.build.plan import Plan
    from bwbuild.build.record.report import Report
    from bwbuild.config.settings import Settings
    from bwbuild.deb.buildoptions import BuildOptions


@click.command(cls=MixedCommand)
@with_settings(
    "output", "log", "timeout", *WATCHED, "verbosity", *(key for key in SANDBOX if key != "compiler-cache")
)
@click.option("--trim", is_flag=True, help="Build again without what seems unused, and print a change.")
@click.option("--more", is_flag=True, help="Add to the profile what this build opens or looks for; slower.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("source", required=False, default=".", shell_complete=complete_source)
def learn(source: str, *, trim: bool, more: bool, as_json: bool, **parameters: Any) -> int:
    """Build SOURCE under strace, and say what of its build dependencies was used.

    It is named which declared packages were used, which only through others, which never; which were used
    and are not declared; the programs that ran, the addresses that were tried and the writes outside. What
    the build opened is kept as a profile for --view learned. Results are published only with --output.
    """
    from bwbuild.build import inputs, session  # noqa: PLC0415 - --help needs none of them
    from bwbuild.build.granted import witness  # noqa: PLC0415
    from bwbuild.build.plan import make_plan  # noqa: PLC0415
    from bwbuild.build.start import decide  # noqa: PLC0415
    from bwbuild.cli.prompt import asking  # noqa: PLC0415
    from bwbuild.cli.terminal import show_progress  # noqa: PLC0415
    from bwbuild.events import notices  # noqa: PLC0415
    from bwbuild.sandbox import tracing  # noqa: PLC0415

    settings, options = _settings(parameters), dpkg_options()
    _check(settings, options, more=more)
    tracing.check()  # before what may take minutes
    progress = partial(show_progress, verbosity=settings.verbosity)
    wanted = inputs.Wanted(decide(source), options, ask=asking())
    with inputs.read(wanted, settings, os.environ, notices(progress)) as found:
        plan = make_plan(found)
        plan = session.with_trace(plan, witness.wanted(plan.settings.allow, looks=more))
        report, learned = _learned(plan, settings, more=more)
        _show(learned, partial(_trimmed, plan, settings, report) if trim else None, as_json=as_json)
    return report.status


def _settings(parameters: dict[str, Any]) -> Settings:
    from bwbuild.config.settings import CompilerCache, Sign  # noqa: PLC0415

    return replace(
        configuration(parameters).settings,
        sign=Sign.NEVER,
        lintian=False,
        autopkgtest=False,
        piuparts=False,
        fail_on=(),
        # For what it remembers no compiler is run.
        compiler_cache=CompilerCache.NONE,
    )


def _check(settings: Settings, options: BuildOptions, *, more: bool) -> None:
    """Refuse what contradicts learning."""
    from bwbuild.config.settings import View, Workspace  # noqa: PLC0415
    from bwbuild.deb.buildoptions import SOURCE  # noqa: PLC0415

    partial_builds = (
        ("-T", bool(options.targets)),
        ("-nc", options.no_clean),
        ("-S", options.types <= {SOURCE}),
    )
    for word, is_given in partial_builds:
        if is_given:
            raise UsageError(
                f"{word}: what is no whole build of packages teaches nothing of its dependencies",
                hint="leave it out",
            )
    if settings.view is View.LEARNED:
        raise UsageError(
            "a build that sees only what was learned has nothing new to teach",
            hint="leave out --view learned; --more adds to the profile",
        )
    if more and settings.dist is not None:
        raise UsageError(
            "a profile is of the packages of this machine, and -d builds on those of a suite",
            hint="leave out --more, or -d",
        )
    if settings.workspace is Workspace.IN_PLACE:
        raise UsageError(
            "a build in place leaves its results beside the tree, and learning is no reason to replace those",
            hint="leave out --in-place",
        )


def _learned(plan: Plan, settings: Settings, *, more: bool) -> tuple[Report, Learned]:
    from bwbuild.build import execute, places  # noqa: PLC0415
    from bwbuild.build.granted.witness import Witness  # noqa: PLC0415
    from bwbuild.build.learn import profile, study  # noqa: PLC0415
    from bwbuild.build.learn.seen import Collector  # noqa: PLC0415
    from bwbuild.build.learn.words import Learned  # noqa: PLC0415
    from bwbuild.cli.terminal import show_report, terminal  # noqa: PLC0415

    known = profile.read(study.subject(plan)) if more else None
    if known is not None:
        known.check(study.packages(plan, os.environ))  # before what may take minutes
    own = (str(plan.sandbox.workspace.inside.parent),)
    witness = Witness(plan.settings.allow, plan.granted_paths)
    collector = Collector(own, looks=more, witness=witness.see)
    with ExitStack() as stack:
        output = settings.output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bwbuild-")))
        screen = stack.enter_context(terminal(settings.verbosity))
        log = settings.log or plan.output
        plan = replace(plan, output=output, settings=replace(plan.settings, log=log))
        around = execute.Surroundings(
            base=places.scratch(settings),
            tell=screen,
            announce=screen.announce,
            suspended=screen.suspended,
            trace=collector.take,
            witness=witness,
        )
        report = execute.build(plan, around)
    seen = collector.seen()
    learned = Learned(
        plan.source.name, plan.version, settings.view.value, seen, permissions=report.permissions
    )
    if report.status:
        show_report(report, settings.verbosity)
        return report, learned
    verdict, made = study.study(plan, seen, os.environ)
    learned = replace(learned, verdict=verdict)
    if plan.ground is not None:
        return report, learned  # a view of a base has all of it
    if known is not None:
        known.check(made.packages)  # they may have been changed meanwhile
        made = known.with_more(made)
    return report, replace(learned, profile=(profile.write(made), len(made.paths)))


def _trimmed(plan: Plan, settings: Settings, report: Report, verdict: Verdict) -> Trimmed:
    from contextlib import nullcontext  # noqa: PLC0415

    from bwbuild.build import execute, places  # noqa: PLC0415
    from bwbuild.build.learn.trim import Trimming  # noqa: PLC0415
    from bwbuild.cli.terminal import show_progress  # noqa: PLC0415

    def ignore(*_told: object) -> None:
        pass

    around = execute.Surroundings(places.scratch(settings), ignore, ignore, nullcontext)
    progress = partial(show_progress, verbosity=settings.verbosity)
    trimming = Trimming(plan, report, os.environ, around, progress)
    return trimming.trim([entry for entry in verdict.entries if entry.seems_unused])


def _show(learned: Learned, trim: Callable[[Verdict], Trimmed] | None, *, as_json: bool) -> None:
    """Print what was learned, whatever becomes of the builds by which ``trim`` goes on."""
    from bwbuild.build.learn import words  # noqa: PLC0415
    from bwbuild.cli.terminal import print_lines  # noqa: PLC0415

    if not as_json:
        print_lines(words.lines(learned), sys.stdout)
    try:
        if trim is not None and learned.verdict is not None:
            learned = replace(learned, trimmed=trim(learned.verdict))
    finally:
        if as_json:
            import json  # noqa: PLC0415

            click.echo(json.dumps(words.as_json(learned), indent=2))
    if not as_json and learned.trimmed is not None:
        print_lines(words.trimmed_lines(learned.trimmed), sys.stdout)
