from __future__ import annotations

import click
import pytest

from bwbuild.cli.corpus_options import REFUSED, check, divide, flags
from bwbuild.cli.corpus_run import run_command
from bwbuild.errors import UsageError


def parts(*words: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    from bwbuild.cli.build import build  # noqa: PLC0415 - as the command does

    context = click.Context(run_command)
    found = divide(words, flags(run_command, context), flags(build, context))
    return found.own, found.build, found.rest


def test_each_word_goes_where_it_belongs() -> None:
    assert parts(
        "-d", "trixie", "--jobs", "3", "a", "-b", "--lintian", "b", "--repeat=2", "--keep", "always"
    ) == (
        ("--jobs", "3", "--repeat=2"),
        ("--dist", "trixie", "--lintian", "--keep", "always", "-b"),
        ("a", "b"),
    )


def test_resume_may_have_a_name() -> None:
    assert parts("--resume")[0] == ("--resume=.",)
    assert parts("--resume", "--jobs=1")[0] == ("--resume=.", "--jobs=1")
    assert parts("--resume", "x")[0] == ("--resume", "x")


@pytest.mark.parametrize("flag", REFUSED)
def test_what_is_for_one_build_is_refused(flag: str) -> None:
    with pytest.raises(UsageError, match="is for one build"):
        parts(flag if flag in ("--dry-run", "--in-place", "--shell-on-failure") else f"{flag}=x", "a")


def test_unknown_options_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown option --job"):
        parts("--job", "a")


def test_wrong_values_are_told_before_anything_is_built() -> None:
    with pytest.raises(UsageError, match="--keep is 'sometimes'"):
        check(("--keep", "sometimes"))
    found = check(("--dist", "trixie", "-b"))
    assert (found.settings.dist, found.build_type) == ("trixie", "binary")
