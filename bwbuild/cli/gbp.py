"""Builds for git-buildpackage: what a repository may say about them.

git-buildpackage starts the command that ``builder`` names, and a repository's own gbp.conf may do so. Words
from there look like the caller's. So where they may be the repository's, only such options and variables
count as can't weaken the sandbox, start a program, read another configuration or write elsewhere. The caller
has his configuration file for those.

That is for repositories whose maintainer meant well, for himself: git-buildpackage gives the line to a shell
outside of any sandbox, so one that means harm needs no bwbuild, and can hide from it that it was there.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from bwbuild.cli.command import MixedCommand
from bwbuild.cli.options import SHORTHANDS
from bwbuild.cli.split import split
from bwbuild.config.kinds import Switch
from bwbuild.config.settings import OPTIONS, Option
from bwbuild.deb import buildoptions, rebuild
from bwbuild.errors import UsageError

#: Where git-buildpackage says which tree it builds.
VARIABLE = "GBP_BUILD_DIR"
#: A tree's files that git-buildpackage reads. It reads gbp.conf of the git directory as well.
FILES = ("debian/gbp.conf", ".gbp.conf")
#: bwbuild's own options that a repository may give.
HARMLESS = frozenset(
    (
        *("--dist", "--missing", "--no-fetch", "--no-sign", "--no-shell-on-failure", "--dry-run", "--help"),
        *("--lintian", "--autopkgtest", "--piuparts", "--no-lintian", "--no-autopkgtest", "--no-piuparts"),
        *("--fail-on", "--quiet", "--verbose", "--seccomp", "--no-foreign-abi", "--limit-scope", "--deny"),
    )
)
#: The same of those that bwbuild acts on in dpkg-buildpackage's place. What it passes on runs in the sandbox.
HARMLESS_WISHES = frozenset(
    (
        *("-us", "-ui", "-uc", "--no-sign", "-ap", "--profiles", "--host", "--maintainer"),
        *("--arch-all", "--arch-any", "--source", "--no-arch-all", "--no-arch-any", "--no-source"),
        *("--add-depends", "--add-conflicts", "--source-only-changes", "--no-source-only-changes"),
        *(f"--{name}" for name in rebuild.OPTIONS),
    )
)


def check(
    arguments: Sequence[str], environment: Mapping[str, str], commands: Collection[str], *, strict: bool
) -> None:
    """Refuse what the gbp.conf of a repository may have asked for.

    :param environment: the caller's, with :data:`VARIABLE`.
    :param commands: words that name a command of bwbuild.
    :param strict: nobody's options count, whatever files the repository has.
    :raises UsageError: an option or a variable is not harmless and may be the repository's.
    """
    why = suspicion(Path(environment.get(VARIABLE) or "."))
    if strict or why:
        words = list(arguments[:1]) if arguments and arguments[0] in commands else list(harmful(arguments))
        _refuse("gbp-bwbuild does not take this from a command line" if strict else why, words)
    if why:
        _refuse(why, list(harmful_variables(environment)))


def _refuse(why: str, refused: Sequence[str]) -> None:
    if refused:
        hint = "what you want yourself may stand in ~/.config/bwbuild/config.toml: man gbp-bwbuild"
        raise UsageError(f"{why}: {' '.join(refused)}", hint=hint)


def suspicion(tree: Path) -> str:
    """Why the repository of ``tree`` may have written the command line; empty where it names no builder."""
    git = _git_directory(tree)
    if git is None:
        return "the repository's gbp.conf can't be seen from an exported tree, so this may be its wish"
    for name, path in (*((name, tree / name) for name in FILES), (".git/gbp.conf", git / "gbp.conf")):
        try:
            if path.is_file() and _names_builder(path):
                return f"{name} of the repository names a builder, so this may be its wish"
        except (configparser.Error, OSError, UnicodeDecodeError):
            return f"{name} of the repository can't be read, so this may be its wish"
    return ""


def _git_directory(tree: Path) -> Path | None:
    """Where git has the repository whose working tree this is; None of any other tree, as of an export."""
    place = tree / ".git"
    if place.is_dir():
        return place
    try:
        # As a worktree and a submodule have it.
        before, _, after = os.fsdecode(place.read_bytes()).partition(": ")
    except OSError:
        return None
    found = tree / after.rstrip("\r\n")
    return found if before == "gitdir" and found.is_dir() else None


def _names_builder(path: Path) -> bool:
    """Read the file as git-buildpackage does, in the encoding of the locale; any section counts."""
    parser = configparser.ConfigParser()
    with path.open(encoding=None) as stream:
        parser.read_file(stream)
    return any("builder" in parser[section] for section in parser)


def harmful_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """The variables of bwbuild that a repository may not set: it may where the option is harmless."""
    known = {option.variable: option for option in OPTIONS.values()}
    for name in sorted(environment):
        if name.startswith("BWBUILD_") and not (
            name in known and HARMLESS.intersection(_spellings(known[name], environment[name]))
        ):
            yield name


def _spellings(option: Option, text: str) -> Iterator[str]:
    """The options that say what a variable of that value says."""
    try:
        value = option.kind.from_text(text)
    except ValueError:
        return
    negative = isinstance(option.kind, Switch) and not value
    yield f"--no-{option.flag[2:]}" if negative else option.flag
    yield from (flag for flag, (key, meant, _) in SHORTHANDS.items() if (key, meant) == (option.key, value))


def harmful(arguments: Sequence[str]) -> Iterator[str]:
    """The options among ``arguments`` that a repository may not give, and any source that is named."""
    own = _own_options()
    parts = split(arguments, own)
    words = iter(parts.own)
    for word in words:
        flag, equals, _ = word.partition("=")
        if flag not in HARMLESS:
            yield flag
        if own.get(flag) and not equals:
            next(words, None)
    words = iter(parts.dpkg)
    for word in words:
        found = buildoptions.find(word)
        if found is None:
            continue
        row, separate = found
        if not row.passes and not HARMLESS_WISHES.intersection(row.spellings):
            yield word
        if separate:
            next(words, None)
    yield from parts.rest


def _own_options() -> Mapping[str, bool]:
    import click  # noqa: PLC0415 - as the module of the command

    from bwbuild.cli.build import build  # noqa: PLC0415

    assert isinstance(build, MixedCommand)  # noqa: S101 - for the type checker
    return build.own_options(click.Context(build))
