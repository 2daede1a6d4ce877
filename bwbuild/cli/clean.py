"""``bwbuild clean``: what builds left, how large it is, since when; removed on request."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.command import MixedCommand
from bwbuild.cli.options import configuration, with_settings
from bwbuild.units import human_duration, human_size

if TYPE_CHECKING:
    from bwbuild.root.views import Stored


@click.command(cls=MixedCommand)
@with_settings("scratch", "cache")
@click.option("--remove", is_flag=True, help="Remove all of it that is not in use.")
@click.option(
    "--older-than",
    metavar="DAYS",
    type=float,
    default=0.0,
    help="Only what is older than DAYS days; of views, what was last used before.",
)
def clean(*, remove: bool, older_than: float, **parameters: Any) -> None:
    """List what builds left behind: kept workspaces, scratch directories of builds that were killed, views.

    Views are the cache of what builds see of this machine, and are made again when they are needed.
    """
    from bwbuild.build import declared, inputs  # noqa: PLC0415 - --help needs neither

    settings = configuration(parameters).settings
    before = time.time() - older_than * 86400
    total = _workspaces(inputs.base(settings), before, remove)
    total += _views(declared.cache(settings), before, remove)
    if total and remove:
        click.echo(f"removed {human_size(total)}")
    elif total:
        click.echo(f"{human_size(total)} in all; bwbuild clean --remove removes it")


def _workspaces(base: Path, before: float, remove: bool) -> int:
    """List, and maybe remove, what was left before that time; its bytes."""
    from bwbuild.build import scratch  # noqa: PLC0415

    found = [item for item in scratch.idle(base) if item[1].since <= before]
    total = 0
    for path, record in found:
        size = scratch.size(path, record)
        total += size
        what = f"{record.source} {record.version}, {record.state}"
        _show(size, record.since, what, f"{path} of {record.tree}")
        if remove:
            scratch.remove(path, record)
    if not found:
        click.echo(f"nothing is left in {base}")
    return total


def _views(base: Path, before: float, remove: bool) -> int:
    """List, and maybe remove, views that were last used before that time; the bytes of those not in use."""
    from bwbuild.root import views  # noqa: PLC0415

    total = 0
    for view in views.stored(base):
        if view.used > before:
            continue
        _show(view.size, view.used, _about(view), str(view.path))
        if not view.in_use and (not remove or views.remove(view.path)):
            total += view.size
    return total


def _about(view: Stored) -> str:
    if not view.packages:
        return "view that was never finished"
    words = [f"view of {view.packages} packages", f"made {human_duration(time.time() - view.made)} ago"]
    if not view.current:
        words.append("outdated")
    if view.in_use:
        words.append("in use")
    return ", ".join(words)


def _show(size: int, since: float, what: str, where: str) -> None:
    click.echo(f"{human_size(size):>8}  {human_duration(time.time() - since):>11} ago  {what}")
    click.echo(f"{'':27}{where}")
