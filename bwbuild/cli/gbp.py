"""Builds for git-buildpackage: what a repository may say about them.

git-buildpackage starts the command that ``builder`` names, and a repository's own gbp.conf may do so. Words
from there look like the caller's. So where they may be the repository's, only such options count as can't
weaken the sandbox, start a program, read another configuration or write elsewhere. The caller has files and
variables for those.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from bwbuild.cli.command import MixedCommand
from bwbuild.cli.split import split
from bwbuild.deb import buildoptions, rebuild
from bwbuild.errors import UsageError

#: A repository's files that git-buildpackage reads.
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
_BUILDER = re.compile(r"^[ \t]*builder[ \t]*[=:]", re.MULTILINE | re.IGNORECASE)


def check(arguments: Sequence[str], directory: str, commands: Collection[str], *, strict: bool) -> None:
    """Refuse what the gbp.conf of a repository may have asked for.

    :param directory: the tree that git-buildpackage builds.
    :param commands: words that name a command of bwbuild.
    :param strict: nobody's options count, whatever files the repository has.
    :raises UsageError: one of ``arguments`` is not harmless and may be the repository's.
    """
    if strict:
        _refuse(arguments, commands, "gbp-bwbuild does not take this from a command line")
        return
    for name in FILES:
        path = Path(directory, name)
        if path.is_file() and _BUILDER.search(path.read_text(encoding="utf-8", errors="replace")):
            _refuse(arguments, commands, f"{name} of the repository names a builder, so this may be its wish")
            return


def _refuse(arguments: Sequence[str], commands: Collection[str], why: str) -> None:
    refused = list(arguments[:1]) if arguments and arguments[0] in commands else list(harmful(arguments))
    if refused:
        hint = "settings in ~/.config/bwbuild/config.toml and variables are surely yours: man bwbuild.toml"
        raise UsageError(f"{why}: {' '.join(refused)}", hint=hint)


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
