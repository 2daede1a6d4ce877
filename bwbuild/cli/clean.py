"""``bwbuild clean``: what builds left and what is kept for the next ones; removed on request."""

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
    help="Only what is older than DAYS days; of the cache, what was last used before.",
)
def clean(*, remove: bool, older_than: float, **parameters: Any) -> None:
    """List what builds left behind, kept workspaces and those of builds that were killed, and the cache.

    The cache has views, which are what builds see of this machine, bases of suites, layers of packages over
    them and downloaded packages. All of it is made or fetched again when it is needed.
    """
    from bwbuild.build import declared, ground, inputs  # noqa: PLC0415 - --help needs none of them

    settings = configuration(parameters).settings
    before = time.time() - older_than * 86400
    total = _workspaces(inputs.base(settings), before, remove)
    total += _views(declared.cache(settings), before, remove)
    cache = ground.cache(settings)
    total += _layers(cache, before, remove)
    total += _bases(cache / "bases", before, remove)
    total += _downloads(cache / "archives", before, remove)
    total += _choices(cache, before, remove)
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


def _layers(cache: Path, before: float, remove: bool) -> int:
    """As :func:`_views`."""
    from bwbuild.root import layers  # noqa: PLC0415

    total = 0
    for layer in layers.stored(cache):
        if layer.used > before:
            continue
        what = f"layer of {layer.packages} packages over {layer.base}"
        what = what if layer.base else "layer that is not whole"
        _show(layer.size, layer.used, f"{what}{_busy(layer.in_use)}", str(layer.path))
        if not layer.in_use and (not remove or layers.remove(layer.path)):
            total += layer.size
    return total


def _bases(place: Path, before: float, remove: bool) -> int:
    """As :func:`_views`."""
    from bwbuild.root import bases  # noqa: PLC0415

    total = 0
    for item in bases.stored(place):
        if item.used > before:
            continue
        what = "base that is not whole"
        if item.base is not None:
            suite, age = item.base.suite, human_duration(time.time() - item.base.made)
            what = f"base of {suite.name} ({suite.architecture}), made {age} ago"
        _show(item.size, item.used, f"{what}{_busy(item.in_use)}", str(item.path))
        if not item.in_use and (not remove or bases.remove(item.path)):
            total += item.size
    return total


def _downloads(place: Path, before: float, remove: bool) -> int:
    """As :func:`_views`, for downloaded packages: one entry."""
    from bwbuild.root import archives  # noqa: PLC0415

    found = [archive for archive in archives.stored(place) if archive.used <= before]
    if not found:
        return 0
    busy, size = archives.in_use(place), sum(archive.size for archive in found)
    _show(size, found[0].used, f"{len(found)} downloaded packages{_busy(busy)}", str(place))
    return archives.remove(place, before) if remove else 0 if busy else size


def _choices(cache: Path, before: float, remove: bool) -> int:
    """As :func:`_views`, for what apt chose: one entry."""
    from bwbuild.root import layers  # noqa: PLC0415

    found = [item for item in layers.choices(cache) if item[0] <= before]
    if not found:
        return 0
    size = sum(path.stat().st_size for _, path in found if path.exists())
    _show(size, found[0][0], f"{len(found)} choices of packages by apt", str(cache / "choices"))
    for _, path in found if remove else ():
        path.unlink(missing_ok=True)
    return size


def _busy(in_use: bool) -> str:
    return ", in use" if in_use else ""


def _about(view: Stored) -> str:
    if not view.packages:
        return "view that was never finished"
    words = [f"view of {view.packages} packages", f"made {human_duration(time.time() - view.made)} ago"]
    if not view.current:
        words.append("outdated")
    return ", ".join(words) + _busy(view.in_use)


def _show(size: int, since: float, what: str, where: str) -> None:
    click.echo(f"{human_size(size):>8}  {human_duration(time.time() - since):>11} ago  {what}")
    click.echo(f"{'':27}{where}")
