"""``bwbuild try``: a program of a package in a sandbox with just what it is granted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.options import SUITE, configuration, with_settings
from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = Callable[..., Any]

_COMMAND = "bwbuild.command"
_LIMITS = ("limit.memory", "limit.processes", "limit.files", "limit.tmp", "limit.shm", "limit.scope")
#: Settings that a program in a sandbox has too.
SETTINGS = (
    *(key for key in SUITE if key != "missing"),
    *("foreign-abi", "seccomp", *_LIMITS, "timeout", "scratch", "cache", "output"),
)


class BeforeCommand(click.Command):
    """Divides the command line at ``--`` before click sees it: what comes behind is a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the command for :func:`command`; ``-d SUITE`` is ``--dist SUITE``."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[end + 1 :])
        own = []
        for word in args[:end]:
            if word.startswith("-d") and not word.startswith("--"):
                own += ["--dist", *([word[2:]] if word[2:] else [])]
            else:
                own.append("--help" if word == "-?" else word)
        return super().parse_args(ctx, own)


def command() -> tuple[str, ...]:
    """The command that was typed behind ``--``."""
    words: tuple[str, ...] = click.get_current_context().meta[_COMMAND]
    return words


def granting(function: Command) -> Command:
    """Give a command the options about what its program is granted."""
    return _decorated(function, _GRANTS)


def running(function: Command) -> Command:
    """Give a command the options about how its program is run."""
    return _decorated(function, _RUN)


def _decorated(function: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for decorate in reversed(options):
        function = decorate(function)
    return function


def typed(parameters: Mapping[str, Any]) -> str:
    """An option of :func:`running` that was given; empty if none was."""
    for name in ("finish_args", "besides", "fresh", "home", "screenshot", "explain", "learn", "only_learned"):
        if parameters[name]:
            return "--with" if name == "besides" else f"--{name.replace('_', '-')}"
    return "" if parameters["server"] == "auto" else "--x11"


def _complete(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    from bwbuild.cli import completion  # noqa: PLC0415 - only a shell that completes needs it
    from bwbuild.config.permits import PROGRAM_WORDS  # noqa: PLC0415

    return completion.words(PROGRAM_WORDS, incomplete)


_RUN: Sequence[Callable[[Command], Command]] = (
    click.option(
        "--finish-args",
        metavar="FILE",
        type=click.Path(),
        help="Grant what the finish-args of this manifest of Flatpak ask for, JSON or YAML.",
    ),
    click.option(
        "--with", "besides", metavar="NAME", multiple=True, help="Install this package too; may be repeated."
    ),
    click.option("--fresh", is_flag=True, help="Remove the home of earlier runs first."),
    click.option("--home", metavar="NAME", default="", help="Take the home NAME, not that of the package."),
    click.option(
        "--x11",
        "server",
        type=click.Choice(("auto", "xephyr", "xpra", "xvfb")),
        default="auto",
        help="Which private server socket=x11 is; auto: Xephyr in a window, or xpra where only that is"
        " installed, Xvfb with --screenshot.",
    ),
    click.option(
        "--screenshot",
        metavar="FILE.png",
        type=click.Path(),
        help="Show the program to nobody, take a picture of its windows, and end it.",
    ),
    click.option("--explain", is_flag=True, help="Print what each permission exposes, and run nothing."),
    click.option("--learn", is_flag=True, help="Record what it uses, and propose the shortest permissions."),
    click.option("--only-learned", is_flag=True, help="Grant what was learned of it, and nothing else."),
    click.option(
        "--shell-on-failure",
        is_flag=True,
        help="Open a shell in the root where a package can't be installed.",
    ),
)


_GRANTS: Sequence[Callable[[Command], Command]] = (
    click.option(
        "--allow",
        metavar="PERMISSION",
        multiple=True,
        help="Grant that, such as socket=x11, share=network or filesystem=~/data:ro; may be repeated.",
        shell_complete=_complete,
    ),
    click.option(
        "--deny",
        metavar="PERMISSION",
        multiple=True,
        help="Do not grant that, whatever else says so; may be repeated.",
        shell_complete=_complete,
    ),
)


@click.command("try", cls=BeforeCommand, options_metavar="[OPTIONS]")
@with_settings(*SETTINGS)
@granting
@running
@click.option("--diff", is_flag=True, help="Print what the installation changes in the root; run nothing.")
@click.argument("words", metavar="[X.changes | A.deb… | NAME…] [-- COMMAND…]", nargs=-1)
def try_(words: tuple[str, ...], *, diff: bool, **parameters: Any) -> int:
    """Run a program of a package in a sandbox with nothing but what it is granted.

    What is named, or what was built last of the tree here, is installed with its dependencies over a base,
    and nothing on this machine changes. COMMAND runs there, unless given the package's only program, without
    network, display or files of yours, and with a home that is kept for the package.
    """
    from bwbuild.tryout.values import Asked  # noqa: PLC0415 - --help does not need it

    option = typed({**parameters, "besides": (), "finish_args": None, "home": ""}) if diff else ""
    if option:
        raise UsageError(f"--diff runs nothing, so {option} is of no use", hint="leave one of them out")
    if diff and command():
        raise UsageError("--diff runs nothing, and so no command either", hint="leave one of them out")
    return session(Asked(words=words, command=command(), diff=diff), parameters)


def session(asked: Any, parameters: dict[str, Any]) -> int:
    """Run what is asked for, with the options of :func:`granting` and :func:`running`; the exit status."""
    from dataclasses import replace  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from bwbuild.build.record.escaping import visible  # noqa: PLC0415 - --help needs none of them
    from bwbuild.cli.streams import streams  # noqa: PLC0415
    from bwbuild.cli.terminal import show_notice, show_progress  # noqa: PLC0415
    from bwbuild.tryout import session as sessions  # noqa: PLC0415
    from bwbuild.tryout import telling  # noqa: PLC0415

    settings = configuration({**parameters, "allow": (), "deny": ()}).settings
    screenshot = parameters["screenshot"]
    asked = replace(
        asked,
        allowed=parameters["allow"],
        denied=parameters["deny"],
        finish_args=Path(parameters["finish_args"]) if parameters["finish_args"] else None,
        besides=parameters["besides"],
        home=parameters["home"],
        fresh=parameters["fresh"],
        server=parameters["server"],
        screenshot=Path(screenshot) if screenshot else None,
        explain=parameters["explain"],
        learn=parameters["learn"],
        only_learned=parameters["only_learned"],
        shell_on_failure=parameters["shell_on_failure"],
    )
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    own = streams()
    mine = sessions.Streams(own.output, own.error, terminal, not sys.stdin.isatty())
    tell = sessions.Teller(show_notice, show_progress)
    account = sessions.run(asked, settings, mine, tell)
    for line in account.answer:
        click.echo(visible(line))
    for line in telling.lines(account):
        click.echo(f"bwbuild: {visible(line)}", err=True)
    if account.error is not None:
        raise account.error
    return account.status
