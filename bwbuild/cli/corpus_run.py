"""``bwbuild corpus run``: build many sources, or go on with a run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bwbuild.cli.command import complete_source
from bwbuild.cli.corpus_cluster import on_cluster, reach, with_cluster
from bwbuild.cli.corpus_options import LAST, CorpusCommand, build_words, check
from bwbuild.errors import ExitStatus, UsageError


@click.command("run", cls=CorpusCommand, options_metavar="[OPTIONS] [OPTIONS OF EACH BUILD]")
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Build N sources at once.")
@click.option(
    "--from", "lists", multiple=True, metavar="FILE", help="Read more sources from FILE, - is stdin."
)
@click.option(
    "--reverse-depends",
    "needed",
    multiple=True,
    metavar="PACKAGE",
    help="Build what build-depends on PACKAGE, or src:NAME, in the suite of -d.",
)
@click.option(
    "--repeat", type=click.IntRange(1, 100), default=1, metavar="N", help="Build each source N times."
)
@click.option("--name", default="", metavar="NAME", help="Call the run NAME.")
@click.option("--output", metavar="DIR", help="Put logs and reports into DIR, which is made.")
@click.option("--keep-artifacts", is_flag=True, help="Keep what was built, not only its lists and sums.")
@click.option("--resume", metavar="[RUN]", help="Go on with RUN, or with the last one.")
@with_cluster
@click.argument("sources", nargs=-1, shell_complete=complete_source)
def run_command(sources: tuple[str, ...], resume: str | None, **parameters: Any) -> int:
    """Build many sources in parallel, each in a sandbox of its own.

    SOURCES are trees, directories of trees, .dsc files, with -d SUITE names of source packages, and @FILE
    for a list of them. A directory with tree/ and expect.toml is a source that must do what that file says.

    Every other option is one of each build, as bwbuild --help shows them: -d trixie -b --lintian.
    """
    from bwbuild.corpus.store import Store  # noqa: PLC0415 - --help needs none of it

    reached = reach(parameters)
    store = Store()
    if resume is None:
        name = _begun(store, sources, parameters)
    elif sources or build_words():
        raise UsageError(
            "--resume goes on with the sources and options of its run", hint="leave out all others"
        )
    else:
        name = store.find("" if resume == LAST else resume)
    return _carried(store, store.run(name, packages=False), reached)


def _begun(store: Any, sources: tuple[str, ...], parameters: dict[str, Any]) -> str:
    from bwbuild.cli.terminal import show_notice  # noqa: PLC0415
    from bwbuild.corpus import carry  # noqa: PLC0415 - as above
    from bwbuild.corpus.sources import Reader  # noqa: PLC0415
    from bwbuild.corpus.store import Plan, new_run  # noqa: PLC0415

    options = build_words()
    checked = check(options)
    machine = carry.this_machine()
    named = checked.settings.dist is not None
    reader = Reader(options, machine.architecture, named, parameters["repeat"])
    plan = Plan(parameters["jobs"], parameters["keep_artifacts"])
    words = [*_words(sources, parameters["lists"]), *_dependents(checked.settings, parameters["needed"])]
    jobs = carry.with_demands(
        reader.jobs(words, show_notice), carry.room(machine, plan.jobs), checked.build_type, show_notice
    )
    output = Path(parameters["output"]) if parameters["output"] else None
    run = store.begin(new_run(parameters["name"], machine, options), plan, jobs, output)
    return str(run.name)


def _words(sources: tuple[str, ...], lists: tuple[str, ...]) -> Iterator[str]:
    """All words, with those of lists in place of their names."""
    from bwbuild.corpus.sources import lines  # noqa: PLC0415 - as above

    files = [*(word[1:] for word in sources if word.startswith("@")), *lists]
    yield from (word for word in sources if not word.startswith("@") and word != "-")
    for file in [*files, *("-" for word in sources if word == "-")]:
        yield from lines(None if file == "-" else Path(file), sys.stdin.buffer.read)


def _dependents(settings: Any, needed: tuple[str, ...]) -> list[str]:
    if not needed:
        return []
    from bwbuild.cli.terminal import show_notice  # noqa: PLC0415 - as above
    from bwbuild.corpus.reverse import reverse_depends  # noqa: PLC0415
    from bwbuild.events import notices  # noqa: PLC0415

    return reverse_depends(settings, needed, notices(show_notice))


def _carried(store: Any, run: Any, reached: Any) -> int:
    from bwbuild.cli.corpus_board import board  # noqa: PLC0415 - as above
    from bwbuild.cli.corpus_words import all_passed  # noqa: PLC0415
    from bwbuild.cli.terminal import show_error  # noqa: PLC0415
    from bwbuild.corpus.carry import carry_out  # noqa: PLC0415
    from bwbuild.corpus.watch import Stop  # noqa: PLC0415

    stop = Stop()
    with board(run) as screen, _signals(stop):
        elsewhere = on_cluster(reached, run) if reached else None
        carried = carry_out(store, run, screen, stop, elsewhere=elsewhere)
    ended = store.run(run.name, packages=False)
    screen.conclude(ended)
    if carried.error is not None:
        show_error(carried.error)
        return carried.error.status
    if carried.stopped:
        return ExitStatus.INTERRUPTED
    return ExitStatus.SUCCESS if all_passed(ended) else ExitStatus.BUILD_FAILED


@contextmanager
def _signals(stop: Any) -> Iterator[None]:
    """Turn INT, TERM and HUP into the wish to stop; the second one stops at once."""

    def handle(_number: int, _frame: object) -> None:
        stop.ask()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
