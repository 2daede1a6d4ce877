"""``bwbuild policy``: how a package behaves while it is built, held against Debian Policy."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.command import MixedCommand, complete_source, dpkg_options
from bwbuild.cli.options import SANDBOX, WATCHED, configuration, with_settings
from bwbuild.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from bwbuild.conduct.words import Conduct

_OWN = ("workspace", "workspace-memory", "keep", "compiler-cache")


def _complete(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,
    incomplete: str,
) -> list[CompletionItem]:
    from bwbuild.cli import completion  # noqa: PLC0415 - only a shell that completes needs it

    return completion.words(_rules()[f"--{parameter.name}"], incomplete)


def _rules() -> Mapping[str, Sequence[str]]:
    """What may stand behind each option that names rules."""
    from bwbuild.conduct import words  # noqa: PLC0415 - --help needs neither
    from bwbuild.conduct.experiments import NAMES  # noqa: PLC0415

    return {"--only": NAMES, "--count": (*NAMES, words.ALL, words.MUST, words.UNCHECKED, words.NONE)}


@click.command(cls=MixedCommand, options_metavar="[OPTIONS]")
@with_settings(*(key for key in SANDBOX if key not in _OWN), *WATCHED, "timeout", "verbosity")
@click.option(
    "--only",
    metavar="RULE",
    multiple=True,
    help="Look into this rule alone. May be repeated.",
    shell_complete=_complete,
)
@click.option(
    "--count",
    metavar="RULE",
    multiple=True,
    help="Let findings of this rule alone count for the exit status: its name, all, must, unchecked or none.",
    shell_complete=_complete,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("source", required=False, default=".", shell_complete=complete_source)
def policy(
    source: str, *, only: tuple[str, ...], count: tuple[str, ...], as_json: bool, **parameters: Any
) -> int:
    """Build SOURCE some times over and say where it breaks a rule of Debian Policy for builds.

    SOURCE is a tree, a .dsc or, with -d SUITE, the name of a source package. Network tried, HOME used, writes
    outside of the tree, what clean leaves, a second build, root, processors, umask: a line for each finding.
    The exit status is 15 if there are any, 10 if the source does not build.
    """
    from bwbuild.cli.terminal import print_lines  # noqa: PLC0415
    from bwbuild.conduct import words  # noqa: PLC0415 - --help needs it not

    _check_rules(only, count)
    found = _examine(source, only, parameters)
    if as_json:
        import json  # noqa: PLC0415

        click.echo(json.dumps(words.as_json(found), indent=2))
    else:
        print_lines(words.lines(found), sys.stdout)
    if not found.is_built:
        return ExitStatus.BUILD_FAILED
    return ExitStatus.CHECK_FAILED if found.failing(count or (words.ALL,)) else ExitStatus.SUCCESS


def _check_rules(only: tuple[str, ...], count: tuple[str, ...]) -> None:
    known = _rules()
    for option, given in (("--only", only), ("--count", count)):
        for word in given:
            if word not in known[option]:
                raise UsageError(f"{option} is {word!r}", hint=f"expected {', '.join(known[option])}")


def _examine(source: str, only: tuple[str, ...], parameters: dict[str, Any]) -> Conduct:
    from bwbuild.build import inputs, places  # noqa: PLC0415
    from bwbuild.build.start import decide  # noqa: PLC0415
    from bwbuild.cli.terminal import show_progress, terminal  # noqa: PLC0415
    from bwbuild.conduct import plans  # noqa: PLC0415
    from bwbuild.conduct.subject import subject  # noqa: PLC0415
    from bwbuild.conduct.trial import Trial, blind  # noqa: PLC0415
    from bwbuild.conduct.words import Conduct  # noqa: PLC0415
    from bwbuild.events import notices  # noqa: PLC0415

    settings = plans.settings_of(configuration(parameters).settings)
    wanted = inputs.Wanted(decide(source), plans.options_of(dpkg_options()), publishing=False)
    with inputs.read(wanted, settings, os.environ, notices(show_progress)) as read:
        about = subject(read, only, blind())
        with terminal(settings.verbosity, log=sys.stderr) as screen:
            screen.announce(f"{read.source.name} {read.source.version}", None)
            evidence = Trial(read, about, places.scratch(settings), screen).evidence()
        return Conduct(read.source, evidence)
