"""What a failed build missed that is installed here, but that its source does not declare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bwbuild.deb.database import DIRECTORY, Package, read_database
from bwbuild.errors import HostError
from bwbuild.host.facts import Host
from bwbuild.lookup.search import LONGEST_LINE, Found, find, wants
from bwbuild.root.alternatives import public_links
from bwbuild.root.ownership import Lists
from bwbuild.root.views import View
from bwbuild.root.visible import groups


def look_up(log: Path, view: View, host: Host) -> tuple[Found, ...]:
    """The hidden files that the log of a failed build names.

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
    return find(missed, _files(hidden, lists), public_links(groups(), lists.normalised))


def _files(packages: list[Package], lists: Lists) -> Iterator[tuple[str, str, list[str]]]:
    for package in packages:
        try:
            paths = lists.paths(package.file_stem)
        except HostError:
            continue  # one that is not unpacked has no files
        yield package.name, package.version, paths
