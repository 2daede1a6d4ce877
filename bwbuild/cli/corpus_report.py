"""``bwbuild corpus report``: a run as an HTML page, as JUnit XML and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bwbuild.errors import UsageError

if TYPE_CHECKING:
    from bwbuild.corpus.reports.since import Since
    from bwbuild.corpus.store import Store
    from bwbuild.corpus.values import Run


@click.command("report")
@click.option("--html", metavar="FILE", help="Write a page that needs nothing else.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML, as CI systems read it.")
@click.option("--json", metavar="FILE", help="Write JSON.")
@click.option("--against", metavar="RUN", help="Say in page and JSON what has changed since RUN.")
@click.argument("run", default="")
def report_command(run: str, against: str | None, **files: str | None) -> None:
    """Write what came of RUN, by default of the last one, into files.

    As often as you like, also while it goes on: then it is what has ended.
    """
    from bwbuild.corpus.reports.write import Form, write  # noqa: PLC0415 - --help needs neither
    from bwbuild.corpus.store import Store  # noqa: PLC0415

    wanted = {form: Path(name) for form in Form if (name := files[form.value]) is not None}
    if not wanted:
        raise UsageError("which report?", hint="name one file at least: bwbuild corpus report --html FILE")
    store = Store()
    found = store.run(store.find(run), packages=against is not None or Form.JSON in wanted)
    since = _since(store, against, found) if against is not None else None
    for form, path in wanted.items():
        write(found, form, path, since)


def _since(store: Store, against: str, run: Run) -> Since:
    from bwbuild.corpus import compare  # noqa: PLC0415 - as above
    from bwbuild.corpus.reports.since import Change, Since  # noqa: PLC0415

    old = store.run(store.find(against))
    if old.name == run.name:
        raise UsageError(
            f"{run.name} can't be compared with itself", hint="bwbuild corpus list shows the others"
        )
    found = [
        (each.subject, item) for each in compare.compare([old], [run]).comparisons for item in each.found
    ]
    ordered = sorted(found, key=lambda pair: list(compare.Change).index(pair[1].change))
    changes = (Change(subject, item.change.value, item.details) for subject, item in ordered)
    return Since(old.name, tuple(changes))
