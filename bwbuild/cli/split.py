"""Telling apart what a command line mixes: bwbuild's own options, dpkg-buildpackage's, and the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bwbuild.config.layers import nearest
from bwbuild.deb import buildoptions
from bwbuild.errors import UsageError


@dataclass(frozen=True, slots=True)
class Split:
    """A command line in three parts, each in the order in which it was typed."""

    own: tuple[str, ...]
    dpkg: tuple[str, ...]
    rest: tuple[str, ...]


def split(words: Sequence[str], own: Mapping[str, bool]) -> Split:
    """Divide ``words``; ``own`` says of each of bwbuild's options whether it takes a value.

    ``--sign`` takes one only behind ``=``. What follows ``--`` is in the rest whatever it looks like.

    :raises UsageError: an option that neither has, with the nearest one that exists.
    """
    mine: list[str] = []
    dpkg: list[str] = []
    rest: list[str] = []
    todo = list(words)
    while todo:
        word = todo.pop(0)
        flag, equals, _ = word.partition("=")
        if word == "--":
            rest += todo
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
        elif flag == "--sign":
            mine.append(word if equals else "--sign=")
        elif flag in own:
            mine.append(word)
            if own[flag] and not equals:
                if not todo:
                    raise UsageError(f"{flag} needs a value")
                mine.append(todo.pop(0))
        else:
            dpkg += _dpkg_option(word, todo, own)
    return Split(tuple(mine), tuple(dpkg), tuple(rest))


def _dpkg_option(word: str, todo: list[str], own: Mapping[str, bool]) -> list[str]:
    found = buildoptions.find(word)
    if found is None:
        known = [*own, *buildoptions.SPELLINGS]
        raise UsageError(f"unknown option {word}", hint=nearest(word.partition("=")[0], known))
    _, separate = found
    return [word, todo.pop(0)] if separate and todo else [word]
