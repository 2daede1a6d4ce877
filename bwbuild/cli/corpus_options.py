"""What the command line of ``bwbuild corpus run`` mixes: its own options, and those of each build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from bwbuild.cli.split import Split, split
from bwbuild.config.settings import Settings
from bwbuild.deb import buildoptions
from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Options of a build that a corpus has for itself, and why.
REFUSED = {
    "--report": "each build has its own report in the run's directory",
    "--log": "each build has its own log in the run's directory",
    "--events": "each build tells the run",
    "--dry-run": "it shows one build: bwbuild --dry-run SOURCE",
    "--in-place": "a corpus never writes into its sources",
    "--workspace": "a corpus never writes into its sources",
    "--shell-on-failure": "nobody sits before each build",
}
#: The value of ``--resume`` that has none.
LAST = "."
_KEY = "bwbuild.corpus"


@dataclass(frozen=True, slots=True)
class Parts:
    """A command line in three parts: what is the corpus's own, what each build gets, and the sources."""

    own: tuple[str, ...]
    build: tuple[str, ...]
    rest: tuple[str, ...]


class CorpusCommand(click.Command):
    """Divides the command line before click sees it; what is for builds is :func:`build_words`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what each build gets."""
        try:
            parts = divide(args, flags(self, ctx), flags(_build_command(), ctx))
        except UsageError:
            if not ctx.resilient_parsing:
                raise
            parts = Parts((), (), ())  # a shell asks in the middle of a word
        ctx.meta[_KEY] = parts.build
        return super().parse_args(ctx, [*parts.own, "--", *parts.rest])

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, and where a shell asks what there is, those that each build has as well."""
        own = super().get_params(ctx)
        if not ctx.resilient_parsing:
            return own
        taken = {flag for parameter in own for flag in parameter.opts}.union(REFUSED)
        others = [found for found in _build_command().params if isinstance(found, click.Option)]
        return [*own, *(option for option in others if not taken.intersection(option.opts))]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """All these, and dpkg-buildpackage's."""
        from bwbuild.cli import completion  # noqa: PLC0415 - only a shell that completes needs it

        return super().shell_complete(ctx, incomplete) + completion.words(buildoptions.SPELLINGS, incomplete)


def build_words() -> tuple[str, ...]:
    """The words of the current command line that each build gets."""
    words = click.get_current_context().meta[_KEY]
    assert isinstance(words, tuple)  # noqa: S101 - for the type checker
    return words


def flags(command: click.Command, ctx: click.Context) -> dict[str, bool]:
    """The options of a command, and whether each takes a value."""
    return {
        flag: not getattr(parameter, "is_flag", False)
        for parameter in command.get_params(ctx)
        if isinstance(parameter, click.Option)
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


def divide(args: Sequence[str], own: Mapping[str, bool], build: Mapping[str, bool]) -> Parts:
    """Tell the words of a corpus from those of its builds; ``own`` comes before ``build``.

    :raises UsageError: an option that neither has, or one that makes no sense for many builds.
    """
    parts = split(_with_values(args), {**build, **own})
    mine: list[str] = []
    theirs: list[str] = []
    for flag, words in _options(parts, {**build, **own}):
        if flag in own:
            mine += words
        elif flag in REFUSED:
            raise UsageError(f"{flag} is for one build: {REFUSED[flag]}", hint="bwbuild corpus run --help")
        else:
            theirs += words
    return Parts(tuple(mine), (*theirs, *parts.dpkg), parts.rest)


def _with_values(args: Sequence[str]) -> list[str]:
    """``args`` with a value for each ``--resume``, which may have none."""
    found = []
    for word, following in zip(args, [*args, "-"][1:], strict=True):
        bare = word == "--resume" and following.startswith("-")
        found.append("--help" if word == "-?" else f"{word}={LAST}" if bare else word)
    return found


def _options(parts: Split, takes: Mapping[str, bool]) -> list[tuple[str, list[str]]]:
    found = []
    todo = list(parts.own)
    while todo:
        word = todo.pop(0)
        flag, equals, _ = word.partition("=")
        words = [word]
        if takes.get(flag) and not equals and flag != "--sign":
            words.append(todo.pop(0))
        found.append((flag, words))
    return found


@dataclass(frozen=True, slots=True)
class Checked:
    """What the words for builds mean as far as the corpus has to know.

    :ivar build_type: as dpkg-buildpackage's ``--build``.
    """

    settings: Settings
    build_type: str


def check(words: Sequence[str]) -> Checked:
    """Read the words that each build gets as it will, so that what is wrong with them is told once.

    :raises UsageError: one of them is wrong.
    :raises ConfigurationError: a file or a variable is.
    """
    from bwbuild.cli.options import configuration  # noqa: PLC0415 - not for --help

    command = _build_command()
    context = command.make_context("bwbuild", list(words))
    settings = configuration(context.params).settings
    options = buildoptions.parse(context.meta["bwbuild.dpkg"])
    return Checked(settings, options.type_name)


def _build_command() -> click.Command:
    from bwbuild.cli.build import build  # noqa: PLC0415 - as above

    return build
