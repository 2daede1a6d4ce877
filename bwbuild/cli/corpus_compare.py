"""``bwbuild corpus compare``: what became of the sources of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bwbuild.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from bwbuild.build.record.summary import Line
    from bwbuild.corpus.compare import Change, Compared
    from bwbuild.corpus.store import Store
    from bwbuild.corpus.values import Run

_EPILOG = """
The classes:

\b
newly-failing, newly-passing, still-failing: what all builds of a source did
flaky          of the new builds some pass and some fail, as the old ones did not
files          packages have other files, or files of another mode or owner
dependencies   packages have other relations to packages
control        packages have other control fields, or there are other packages
undeclared     other packages that are not declared are missed, or hidden files
size           a package has grown by more than 5 % and 16 KiB
time, memory   more than 25 % and 2 s, or 32 MiB, and beyond noise
added, removed, unfinished: only one of the runs has a result

Growth is told from noise by repeated builds (--repeat 3 in bwbuild corpus run, or several runs), at least
three on each side: the medians must differ by more than 4 times the median absolute deviation, and every new
figure must be above every old one. What the typical source takes longer is the machine's, and is divided out.
"""


@click.command("compare", epilog=_EPILOG)
@click.option(
    "--fail-on",
    default="newly-failing",
    metavar="CLASSES",
    help="Classes, separated by commas, or all or none; the default is newly-failing.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.argument("old")
@click.argument("new")
def compare_command(old: str, new: str, fail_on: str, *, as_json: bool) -> int:
    """Compare the run NEW with the run OLD; each may be several runs, separated by commas.

    The exit status is 15 where a source is in one of the CLASSES of --fail-on, separated by commas.
    """
    from bwbuild.cli.terminal import print_lines  # noqa: PLC0415 - --help needs it not
    from bwbuild.corpus.compare import compare  # noqa: PLC0415
    from bwbuild.corpus.store import Store  # noqa: PLC0415

    failing = _classes(fail_on)
    store = Store()
    compared = compare(list(_runs(store, old)), list(_runs(store, new)))
    if as_json:
        click.echo(json.dumps(_as_json(compared), indent=2))
    else:
        print_lines(_lines(compared), sys.stdout)
    return ExitStatus.CHECK_FAILED if compared.of(failing) else ExitStatus.SUCCESS


def _classes(text: str) -> tuple[Change, ...]:
    from bwbuild.corpus.compare import Change  # noqa: PLC0415 - as above

    known = {change.value: change for change in Change}
    if text in ("all", "none"):
        return tuple(Change) if text == "all" else ()
    wrong = [word for word in text.split(",") if word not in known]
    if wrong:
        raise UsageError(
            f"--fail-on: {wrong[0]!r} is no class", hint=f"expected all, none or some of {', '.join(known)}"
        )
    return tuple(known[word] for word in text.split(","))


def _runs(store: Store, names: str) -> Iterator[Run]:
    for name in names.split(","):
        if not name:
            raise UsageError("the name of a run is empty", hint="bwbuild corpus list shows all")
        yield store.run(store.find(name))


def _lines(compared: Compared) -> Iterator[Line]:
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415 - as above
    from bwbuild.build.record.summary import Line  # noqa: PLC0415
    from bwbuild.corpus.compare import MEANING, Change  # noqa: PLC0415

    for change in Change:
        found = compared.of([change])
        if found:
            yield Line(f"{change.value} ({len(found)}): {MEANING[change]}", "bold")
        for each in found:
            details = [line for item in each.found if item.change is change for line in item.details]
            first = f": {visible(details[0])}" if len(details) == 1 else ""
            yield Line(f"  {visible(each.subject)}{first}")
            yield from (Line(f"    {visible(line)}") for line in details if len(details) > 1)
    if compared.drift > 1.1:
        yield Line(
            f"a typical build took {compared.drift:.2f} times as long: that counts as the machine's noise"
        )
    if compared.untimed:
        text = (
            "time and memory of {} sources were not compared: that takes 3 builds on each side (--repeat 3)"
        )
        yield Line(text.format(compared.untimed))
    changed = sum(bool(each.found) for each in compared.comparisons)
    yield Line(f"{len(compared.comparisons)} sources compared, {changed or 'none'} changed", "bold")


def _as_json(compared: Compared) -> dict[str, object]:
    sources = {
        each.subject: {item.change.value: list(item.details) for item in each.found}
        for each in compared.comparisons
    }
    return {"version": 1, "drift": compared.drift, "untimed": compared.untimed, "sources": sources}
