"""``bwbuild deps``: which packages a build sees, why, and what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from bwbuild.cli.command import MixedCommand, complete_source, dpkg_options
from bwbuild.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from bwbuild.build.study.deps import Dependencies
    from bwbuild.deb.source import Source


@click.command(cls=MixedCommand)
@click.option("--why", metavar="PACKAGE", default=None, help="Say how PACKAGE comes in, or that it does not.")
@click.option("--hidden", is_flag=True, help="List what is installed here and hidden, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--dist", metavar="SUITE", default=None, help="Refused: this is about this machine.")
@click.argument("source", required=False, default=".", shell_complete=complete_source)
def deps(source: str, *, why: str | None, hidden: bool, as_json: bool, dist: str | None) -> int:
    """Show which installed packages a build sees, what asks for them, and what is missing.

    SOURCE is a tree or a .dsc. -P, -a, -A, -B and -S count as for a build. The exit status is 0 if everything
    that is declared is there (with --why: if the build sees PACKAGE), else 6.
    """
    from bwbuild.build.study import deps as texts  # noqa: PLC0415 - --help needs none of them
    from bwbuild.build.study import why as reasons  # noqa: PLC0415
    from bwbuild.cli.terminal import print_lines  # noqa: PLC0415

    if (why is not None) + hidden + as_json > 1:
        raise UsageError("--why, --hidden and --json are three ways to show it", hint="give one of them")
    _refuse_suites(dist)
    found = _read(source)
    if why is not None:
        answer = reasons.explain(found, why)
        print_lines(reasons.lines(answer, _arrow()), sys.stdout)
        return ExitStatus.SUCCESS if answer.is_visible else ExitStatus.DEPENDENCIES
    if as_json:
        import json  # noqa: PLC0415

        click.echo(json.dumps(texts.as_json(found), indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print_lines(texts.overview(found, width, list_hidden=hidden), sys.stdout)
    return ExitStatus.SUCCESS if found.are_met else ExitStatus.DEPENDENCIES


def _refuse_suites(dist: str | None) -> None:
    """What apt would choose in a suite is no question to this machine's packages."""
    extra = dpkg_options().extra
    if dist is None and not extra:
        return
    option = "-d SUITE" if dist is not None else f"--extra-{extra[0][0]}"
    raise UsageError(
        f"bwbuild deps is about the packages of this machine, and {option} about those of a suite",
        hint=f"bwbuild run -d {dist or 'SUITE'} -- dpkg-query -W shows what a build on a base of it has",
    )


def _read(word: str) -> Dependencies:
    from bwbuild.build import declared  # noqa: PLC0415
    from bwbuild.build.study import dependencies  # noqa: PLC0415
    from bwbuild.build.study.deps import Dependencies  # noqa: PLC0415
    from bwbuild.host.facts import read_host  # noqa: PLC0415

    options = dpkg_options()
    source = _source(word)
    asked = dependencies.wanted(source, options, read_host().architecture, os.environ)
    database, closure = declared.resolve(asked)
    return Dependencies(source, options, asked, database, closure)


def _source(word: str) -> Source:
    """A tree, or what a .dsc alone says: nothing has to be unpacked for that."""
    from bwbuild.build.start import DscFile, Tree, decide, needs_suite  # noqa: PLC0415
    from bwbuild.deb.source import find_tree, read_source  # noqa: PLC0415

    start = decide(word)
    if isinstance(start, Tree):
        return read_source(find_tree(start.path))
    if not isinstance(start, DscFile):
        raise needs_suite(start)
    from bwbuild.build.inspect.unpack import signature_note  # noqa: PLC0415
    from bwbuild.cli.terminal import show_progress  # noqa: PLC0415
    from bwbuild.deb.dsc import read_dsc  # noqa: PLC0415

    dsc = read_dsc(start.path)
    show_progress(signature_note(dsc))
    return dsc.as_source()


def _arrow() -> str:
    try:
        "→".encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return "->"
    return "→"
