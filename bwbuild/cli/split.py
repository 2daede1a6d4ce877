"""Telling apart what a command line mixes: bwbuild's own options, dpkg-buildpackage's, and the tree."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bwbuild.config.layers import nearest
from bwbuild.deb import buildoptions
from bwbuild.errors import UsageError

_SUITE = re.compile(r"[a-z][a-z0-9.+-]*")


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
        elif "--dist" in own and (suite := _suite(word, todo)):
            mine += ["--dist", suite]
        elif flag in own:
            mine.append(word)
            if own[flag] and not equals:
                if not todo:
                    raise UsageError(f"{flag} needs a value")
                mine.append(todo.pop(0))
        else:
            dpkg += _dpkg_option(word, todo, own)
    return Split(tuple(mine), tuple(dpkg), tuple(rest))


def _suite(word: str, todo: list[str]) -> str:
    """The suite of ``-d SUITE``; empty where ``-d`` is dpkg-buildpackage's, which takes no value.

    A name of a suite is never a path here: who has a directory of that name writes ./NAME.
    """
    if word.startswith("-d") and _SUITE.fullmatch(word[2:]):
        return word[2:]
    if word == "-d" and todo and _SUITE.fullmatch(todo[0]):
        return todo.pop(0)
    return ""


def _dpkg_option(word: str, todo: list[str], own: Mapping[str, bool]) -> list[str]:
    found = buildoptions.find(word)
    if found is None:
        known = [*own, *buildoptions.SPELLINGS]
        raise UsageError(f"unknown option {word}", hint=nearest(word.partition("=")[0], known))
    _, separate = found
    return [word, todo.pop(0)] if separate and todo else [word]
