"""What a failed build missed that is installed here, but that its source does not declare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bwbuild.deb.database import DIRECTORY, Package, read_database
from bwbuild.errors import HostError
from bwbuild.host.facts import Host
from bwbuild.lookup.search import LONGEST_LINE, Found, find, wants
from bwbuild.root.alternatives import public_links
from bwbuild.root.learned import Narrowing
from bwbuild.root.ownership import Lists
from bwbuild.root.views import View
from bwbuild.root.visible import groups


def look_up(log: Path, view: View, host: Host, narrowing: Narrowing | None = None) -> tuple[Found, ...]:
    """The hidden files that the log of a failed build names.

    :param narrowing: what of the view was hidden too.

    :raises HostError: dpkg's database can't be read.
    """
    with log.open("rb") as stream:
        # A line without an end is read in pieces.
        missed = wants(iter(lambda: stream.readline(LONGEST_LINE), b""))
    if not missed:
        return ()
    packages = read_database().packages.values()
    hidden = [package for package in packages if package.id not in view.packages]
    lists = Lists(DIRECTORY / "info", host.root_names)
    links = public_links(groups(), lists.normalised)
    if narrowing is not None:
        seen = [package for package in packages if package.id in view.packages]
        unseen = [
            (name, version, [path for path in paths if path not in narrowing.paths])
            for name, version, paths in _files(seen, lists)
        ]
        if found := find(missed, unseen, links):
            return tuple(replace(item, declared=True) for item in found)
    return find(missed, _files(hidden, lists), links)


def _files(packages: list[Package], lists: Lists) -> Iterator[tuple[str, str, list[str]]]:
    for package in packages:
        try:
            paths = lists.paths(package.file_stem)
        except HostError:
            continue  # one that is not unpacked has no files
        yield package.name, package.version, paths
