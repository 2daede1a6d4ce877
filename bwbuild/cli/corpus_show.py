"""``bwbuild corpus list``, ``show`` and ``log``: runs and their results."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from bwbuild.corpus.store import Listed
    from bwbuild.corpus.values import Build, Run


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_command(*, as_json: bool) -> None:
    """Show all runs, the last one at the end."""
    from bwbuild.cli.corpus_words import table  # noqa: PLC0415 - --help needs it not
    from bwbuild.corpus.store import Store  # noqa: PLC0415

    found = Store().listed()
    if as_json:
        click.echo(json.dumps([_run_as_json(item) for item in found], indent=2))
        return
    if not found:
        click.echo("there is no run yet")
        return
    rows = [("run", "began", "state", "jobs", "results", "options"), *map(_row, found)]
    for line in table(rows):
        click.echo(line)


def _row(item: Listed) -> tuple[str, ...]:
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415 - as above
    from bwbuild.process import pasteable  # noqa: PLC0415

    run = item.run
    return (
        run.name,
        f"{run.started.astimezone():%Y-%m-%d %H:%M}",
        item.state,
        str(sum(number for _, number in item.counts)),
        ", ".join(f"{number} {verdict.value}" for verdict, number in item.counts),
        visible(pasteable(run.options)),
    )


def _run_as_json(item: Listed) -> dict[str, object]:
    from bwbuild.corpus.stored import plain  # noqa: PLC0415 - as above

    counts = {verdict.value: number for verdict, number in item.counts}
    return {**plain(item.run), "state": item.state, "counts": counts}


@click.command("show")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.argument("run", default="")
@click.argument("key", default="")
def show_command(run: str, key: str, *, as_json: bool) -> None:
    """Show the results of RUN, by default of the last one; with KEY all that is known of one of them."""
    from bwbuild.build.record.summary import Line  # noqa: PLC0415 - --help needs it not
    from bwbuild.cli.corpus_words import of_build, summary  # noqa: PLC0415
    from bwbuild.cli.terminal import print_lines  # noqa: PLC0415
    from bwbuild.corpus.store import Store  # noqa: PLC0415
    from bwbuild.corpus.stored import plain  # noqa: PLC0415

    store = Store()
    found = store.run(store.find(run), packages=as_json or bool(key))
    if as_json:
        what = plain(_build(found, key)) if key else plain(found)
        click.echo(json.dumps(what, indent=2))
    elif key:
        print_lines(map(Line, _details(found, _build(found, key))), sys.stdout)
    else:
        print_lines([*map(of_build, found.builds), *summary(found)], sys.stdout)


def _build(run: Run, key: str) -> Build:
    found = [build for build in run.builds if build.key == key]
    if not found:
        raise UsageError(f"the run {run.name} has no {key}", hint=f"bwbuild corpus show {run.name} lists all")
    return found[0]


def _details(run: Run, build: Build) -> Iterator[str]:
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415 - as above
    from bwbuild.units import human_duration, human_size  # noqa: PLC0415

    yield f"{build.key}: {build.verdict.value}"
    facts = {
        "source": f"{build.source} {build.version} {build.architecture}".strip(),
        "status": build.status,
        "message": visible(build.message),
        "time": f"{human_duration(build.wall)}, CPU {human_duration(build.cpu)}" if build.wall else "",
        "memory": human_size(build.memory) if build.memory else "",
        "worker": visible(build.worker),
        "attempts": str(build.attempts) if build.attempts > 1 else "",
        "log": str(run.directory / build.log) if build.log else "",
        "report": str(run.directory / build.report) if build.report else "",
    }
    yield from (f"  {name}: {value}" for name, value in facts.items() if value)
    yield from (f"  lost: {visible(why)}" for why in build.lost)
    yield from (f"  not as expected: {visible(problem)}" for problem in build.problems)
    yield from (f"  line {line.number}: {visible(line.text)}" for line in build.errors)
    yield from (f"  {item.sha256[:12]}  {human_size(item.size)}  {item.name}" for item in build.artifacts)


@click.command("log")
@click.argument("run")
@click.argument("key")
def log_command(run: str, key: str) -> None:
    """Write the log of the source KEY in RUN to standard output."""
    from bwbuild.corpus.store import Store  # noqa: PLC0415 - --help needs it not

    store = Store()
    found = store.run(store.find(run), packages=False)
    build = _build(found, key)
    path = found.directory / (build.log or f"{key}/log")
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                sys.stdout.buffer.write(chunk)
    except FileNotFoundError:
        raise UsageError(
            f"{key} of {found.name} has no log: {build.message or build.verdict.value}",
            hint=f"bwbuild corpus show {found.name} {key} says what is known of it",
        ) from None
