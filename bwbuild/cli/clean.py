"""``bwbuild clean``: what builds left, how large it is, since when; removed on request."""

from __future__ import annotations

import time
from typing import Any

import click

from bwbuild.cli.command import MixedCommand
from bwbuild.cli.options import configuration, with_settings
from bwbuild.units import human_duration, human_size


@click.command(cls=MixedCommand)
@with_settings("scratch")
@click.option("--remove", is_flag=True, help="Remove all of it.")
@click.option(
    "--older-than", metavar="DAYS", type=float, default=0.0, help="Only what is older than DAYS days."
)
def clean(*, remove: bool, older_than: float, **parameters: Any) -> None:
    """List what builds left behind: kept workspaces, and scratch directories of builds that were killed."""
    from bwbuild.build import inputs, scratch  # noqa: PLC0415 - --help needs neither

    base = inputs.base(configuration(parameters).settings)
    now = time.time()
    found = [item for item in scratch.idle(base) if now - item[1].since >= older_than * 86400]
    total = 0
    for path, record in found:
        size = scratch.size(path, record)
        total += size
        what = f"{record.source} {record.version}, {record.state}"
        click.echo(f"{human_size(size):>10}  {human_duration(now - record.since):>8} ago  {what}")
        click.echo(f"{'':>10}  {'':>8}      {path} of {record.tree}")
        if remove:
            scratch.remove(path, record)
    if not found:
        click.echo(f"nothing is left in {base}")
    elif remove:
        click.echo(f"removed {human_size(total)}")
    else:
        click.echo(f"{human_size(total)} in all; bwbuild clean --remove removes it")
