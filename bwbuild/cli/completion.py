"""What shells are told about the word that is being typed; click asks, and has the shells' own part."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from bwbuild.config.kinds import Choice, FilePath, Kind, Several
from bwbuild.config.permits import Permit

_FIRST = "bwbuild.commands"


def values(kind: Kind, incomplete: str) -> list[CompletionItem]:
    """Values of a setting that begin so; none where nobody can know them."""
    if isinstance(kind, Several):
        return values(kind.of, incomplete)
    if isinstance(kind, Choice | Permit):
        return words(kind.words, incomplete)
    if isinstance(kind, FilePath):
        return [CompletionItem(incomplete, type="dir" if kind.name == "DIR" else "file")]
    return []


def words(known: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Those that begin so."""
    return [CompletionItem(word) for word in known if word.startswith(incomplete)]


def remember_commands(ctx: click.Context, names: Iterable[str]) -> None:
    """Nothing was typed yet, so that the next word may be a command's as well."""
    ctx.meta[_FIRST] = tuple(names)


def source(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """A tree or a .dsc, or as the first word a command."""
    return [CompletionItem(incomplete, type="file"), *words(ctx.meta.get(_FIRST, ()), incomplete)]
