"""What shells are told about the word that is being typed; click asks, and has the shells' own part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import click
from click.shell_completion import CompletionItem

from bwbuild.config.kinds import Choice, FilePath, Kind, Several

#: Answers for one parameter: context, parameter and the beginning of the word.
Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_FIRST = "bwbuild.commands"


def of_kind(kind: Kind) -> Completion | None:
    """How values of a setting are completed; None where nobody can know them."""
    if isinstance(kind, Several):
        return of_kind(kind.of)
    if isinstance(kind, Choice):
        return partial(_words, kind.words)
    if isinstance(kind, FilePath):
        return _paths("dir" if kind.name == "DIR" else "file")
    return None


def words(known: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Those that begin so."""
    return [CompletionItem(word) for word in known if word.startswith(incomplete)]


def remember_commands(ctx: click.Context, names: Iterable[str]) -> None:
    """Nothing was typed yet, so that the next word may be a command's as well."""
    ctx.meta[_FIRST] = tuple(names)


def source(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A tree or a .dsc, or as the first word a command."""
    return _paths("file")(ctx, parameter, incomplete) + words(ctx.meta.get(_FIRST, ()), incomplete)


def _words(
    known: Iterable[str], _ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return words(known, incomplete)


def _paths(kind: str) -> Completion:
    return lambda _ctx, _parameter, incomplete: [CompletionItem(incomplete, type=kind)]
