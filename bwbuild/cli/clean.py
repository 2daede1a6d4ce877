"""``bwbuild clean``: what builds left and what is kept for the next ones; removed on request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.command import MixedCommand
from bwbuild.cli.options import configuration, with_settings
from bwbuild.units import human_duration, human_size

if TYPE_CHECKING:
    from bwbuild.build.granted import persist
    from bwbuild.build.scratch import Record
    from bwbuild.config.settings import Settings
    from bwbuild.root import bases, layers, views
    from bwbuild.sandbox.spec import Identity
    from bwbuild.tryout import homes


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that can be removed: what and where it is, its bytes, and since when it lies there unused.

    :ivar since: seconds since the epoch.
    :ivar remove: removes it unless somebody uses it by now; the bytes that are gone.
    """

    what: str
    where: str
    size: int
    since: float
    remove: Callable[[], int]
    in_use: bool = False


@click.command(cls=MixedCommand)
@with_settings("scratch", "cache")
@click.option("--remove", is_flag=True, help="Remove all of it that is not in use.")
@click.option("--homes", is_flag=True, help="Instead, the homes that bwbuild try keeps for programs.")
@click.option(
    "--older-than",
    metavar="DAYS",
    type=float,
    default=0.0,
    help="Only what is older than DAYS days; of the cache, what was last used before.",
)
@click.option("--profiles", is_flag=True, help="With --remove: what was learned of builds, too.")
def clean(*, remove: bool, homes: bool, profiles: bool, older_than: float, **parameters: Any) -> None:
    """List what builds left behind, kept workspaces and those of builds that were killed, and the cache.

    The cache has views, which are what builds see of this machine, bases of suites, layers of packages over
    them, downloaded packages, and what sources keep between their builds by the permission persist=NAME. All
    of it is made or fetched again when it is needed. What is in a home of bwbuild try is not, so homes are
    listed and removed with --homes alone. Profiles of bwbuild learn are listed, and removed with --profiles.
    """
    from bwbuild.build import places  # noqa: PLC0415 - --help does not need it
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415

    settings = configuration(parameters).settings
    # Without the option all counts, also what others use at this moment.
    before = time.time() - older_than * 86400 if older_than else math.inf
    if homes:
        _clean_homes(before, remove)
        return
    scratch, cache = places.scratch(settings), places.cache(settings)
    left = list(_workspaces(scratch, before))
    if not left:
        click.echo(f"nothing is left in {visible(str(scratch))}")
    cached = chain(
        _views(cache / "views"),
        _layers(cache),
        _bases(cache / "bases"),
        _downloads(cache / "archives", before),
        _choices(cache, before),
        _persisted(cache, settings),
    )
    total = _listed(chain(left, (entry for entry in cached if entry.since <= before)), remove)
    if total and remove:
        click.echo(f"removed {human_size(total)}")
    elif total:
        click.echo(f"{human_size(total)} in all; bwbuild clean --remove removes it")
    learned = [entry for entry in _profiles() if entry.since <= before]
    if learned and not profiles:
        click.echo("what was learned; bwbuild clean --remove --profiles removes it too")
    _listed(learned, remove and profiles)


def _clean_homes(before: float, remove: bool) -> None:
    from bwbuild.tryout import homes  # noqa: PLC0415 - only here

    found = [home for home in homes.stored() if home.used <= before]
    if not found:
        click.echo(f"no home of a program is in {homes.directory()}")
        return
    total = _listed((_home(home, homes.remove) for home in found), remove)
    if remove:
        click.echo(f"removed {human_size(total)}")
    else:
        click.echo(f"{human_size(total)} in all; bwbuild clean --homes --remove removes it")


def _home(item: homes.Stored, remove: Callable[[Path], bool]) -> Entry:
    def gone() -> int:
        return item.size if remove(item.path) else 0

    return Entry(f"home of {item.package}", str(item.path), item.size, item.used, gone, item.in_use)


def _listed(entries: Iterable[Entry], remove: bool) -> int:
    """List, and maybe remove, each; the bytes of those that are not in use."""
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415

    total = 0
    for entry in entries:
        busy = ", in use" if entry.in_use else ""
        age = human_duration(time.time() - entry.since)
        click.echo(f"{human_size(entry.size):>8}  {age:>11} ago  {visible(entry.what)}{busy}")
        click.echo(f"{'':27}{visible(entry.where)}")
        if not entry.in_use:
            total += entry.remove() if remove else entry.size
    return total


def _workspaces(base: Path, before: float) -> Iterator[Entry]:
    """What builds left before that time."""
    from bwbuild.build import scratch  # noqa: PLC0415

    for path, record in scratch.idle(base):
        if record.since <= before:
            size = scratch.size(path, record)
            what = f"{record.source} {record.version}, {record.state}"
            remove = partial(_without_workspace, path, record, size)
            yield Entry(what, f"{path} of {record.tree}", size, record.since, remove)


def _without_workspace(path: Path, record: Record, size: int) -> int:
    from bwbuild.build import scratch  # noqa: PLC0415

    scratch.remove(path, record)
    return size


def _views(place: Path) -> Iterator[Entry]:
    from bwbuild.root import views  # noqa: PLC0415

    for view in views.stored(place):
        what = "view that was never finished"
        if view.packages:
            age = human_duration(time.time() - view.made)
            what = f"view of {view.packages} packages, made {age} ago{'' if view.current else ', outdated'}"
        yield _entry(what, view, views.remove)


def _layers(cache: Path) -> Iterator[Entry]:
    from bwbuild.root import layers  # noqa: PLC0415

    for layer in layers.stored(cache):
        what = f"layer of {layer.packages} packages over {layer.base}"
        yield _entry(what if layer.base else "layer that is not whole", layer, layers.remove)


def _bases(place: Path) -> Iterator[Entry]:
    from bwbuild.root import bases  # noqa: PLC0415

    for item in bases.stored(place):
        what = "base that is not whole"
        if item.base is not None:
            suite, age = item.base.suite, human_duration(time.time() - item.base.made)
            what = f"base of {suite.name} ({suite.architecture}), made {age} ago"
        yield _entry(what, item, bases.remove)


def _profiles() -> Iterator[Entry]:
    from bwbuild.build.learn import profile  # noqa: PLC0415

    for path, found in profile.stored():
        what, since, size = "profile that this version can't read", path.stat().st_mtime, path.stat().st_size
        if found is not None:
            since = found.made
            what = f"profile of {found.subject.source} {found.version}, {len(found.paths)} files"
        yield Entry(what, str(path), size, since, partial(_without_files, [path], size))


def _entry(
    what: str, item: views.Stored | layers.Stored | bases.Stored, remove: Callable[[Path], bool]
) -> Entry:
    def gone() -> int:
        return item.size if remove(item.path) else 0

    return Entry(what, str(item.path), item.size, item.used, gone, item.in_use)


def _downloads(place: Path, before: float) -> Iterator[Entry]:
    """All downloaded packages that were last used before that time: one entry."""
    from bwbuild.root import archives  # noqa: PLC0415

    found = [archive for archive in archives.stored(place) if archive.used <= before]
    if found:
        what, size = f"{len(found)} downloaded packages", sum(archive.size for archive in found)
        remove = partial(archives.remove, place, before)
        yield Entry(what, str(place), size, found[0].used, remove, archives.in_use(place))


def _persisted(cache: Path, settings: Settings) -> Iterator[Entry]:
    """Directories that stay between the builds of a source."""
    from bwbuild.build.granted import persist  # noqa: PLC0415 - --help does not need it

    if not (cache / "persist").is_dir():
        return
    from bwbuild.build.plan import choose_identity  # noqa: PLC0415
    from bwbuild.host.facts import read_host  # noqa: PLC0415

    identity = choose_identity(read_host(), settings)
    for item in persist.stored(cache, identity):
        remove = partial(_without_persisted, item, identity)
        what = f"persist={item.name} of {item.source}"
        yield Entry(what, str(item.path), item.size, item.used, remove, item.in_use)


def _without_persisted(item: persist.Stored, identity: Identity) -> int:
    from bwbuild.build.granted import persist  # noqa: PLC0415

    return item.size if persist.remove(item.path, identity) else 0


def _choices(cache: Path, before: float) -> Iterator[Entry]:
    """What apt chose before that time: one entry."""
    from bwbuild.root import layers  # noqa: PLC0415

    found = [item for item in layers.choices(cache) if item[0] <= before]
    if found:
        paths = [path for _, path in found]
        size = sum(path.stat().st_size for path in paths if path.exists())
        remove = partial(_without_files, paths, size)
        yield Entry(
            f"{len(paths)} choices of packages by apt", str(cache / "choices"), size, found[0][0], remove
        )


def _without_files(paths: Iterable[Path], size: int) -> int:
    for path in paths:
        path.unlink(missing_ok=True)
    return size
