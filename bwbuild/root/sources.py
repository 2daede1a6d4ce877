"""Source packages by name: apt fetches them from the suite of a base."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild import process
from bwbuild.errors import SourceError
from bwbuild.events import Level, Notice, Observer, Text
from bwbuild.root.bounds import Bounds
from bwbuild.root.chamber import Chamber
from bwbuild.root.ground import Base
from bwbuild.root.workplace import workplace

_INSIDE = "/mnt"
#: What apt says of a file that its index names.
_LOST = "Failed to fetch"
#: Bases have no indexes of sources: those are large, and only this needs them.
_UPDATE = """\
set -eu
lists=/etc/apt/sources.list.d
mkdir -p $lists
for file in /etc/apt/sources.list $lists/*.list; do
  [ ! -s "$file" ] || sed -n 's/^deb /deb-src /p' "$file"
done > /tmp/src.list
for file in $lists/*.sources; do
  [ ! -s "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" > "/tmp/$(basename "$file")"
done
rm -f /etc/apt/sources.list $lists/*
cp /tmp/src.list /tmp/*.sources $lists/ 2>/dev/null || :
apt-get -q -o APT::Sandbox::User=root update
cd /mnt
"""
_FETCH = """\
apt-get -q -o APT::Sandbox::User=root --download-only --only-source source "$1"
chown "$2:$3" /mnt/*
"""
_INDEX = """\
apt-get indextargets --format '$(FILENAME)' 'Created-By: Sources' > /tmp/indexes
xargs -d '\\n' /usr/lib/apt/apt-helper cat-file < /tmp/indexes > "$1"
chown "$2:$3" "$1"
"""


@dataclass(frozen=True, slots=True)
class Archive:
    """Where sources come from: the suite of a base, by apt, which is held back by ``bounds``."""

    base: Base
    cache: Path
    bounds: Bounds


def fetch(archive: Archive, name: str, directory: Path, tell: Observer) -> Path:
    """Fetch a source package into the empty ``directory``; the path of its .dsc there.

    :param name: of the source, with ``=VERSION`` behind it for another than the newest.
    :raises SourceError: the suite does not have it, or it can't be fetched.
    """
    suite = archive.base.suite.name
    tell(Notice(Level.INFO, f"fetching {name} from {suite}"))
    done = _run(archive, directory, (_FETCH, name))
    tell(Text(done.text))
    found = sorted(directory.glob("*.dsc"))
    if done.returncode != 0 or len(found) != 1:
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        raise unfetched(name, suite, lines)
    return found[0]


def index(archive: Archive, directory: Path, tell: Observer) -> Path:
    """The index of all sources of the suite, as a file in the empty ``directory``.

    :raises SourceError: it can't be fetched.
    """
    suite = archive.base.suite.name
    tell(Notice(Level.INFO, f"fetching the index of the sources of {suite}"))
    done = _run(archive, directory, (_INDEX, "Sources"))
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        raise unfetched("the index of the sources", suite, lines)
    return directory / "Sources"


def _run(archive: Archive, directory: Path, what: tuple[str, str]) -> process.Completed:
    """Run a script and its argument where the sources of the suite are known, in ``directory``."""
    script, argument = what
    base = archive.base
    with workplace(archive.cache, "source") as place:
        chamber = Chamber(
            identity=base.identity,
            place=place,
            root=base.root,
            bounds=archive.bounds,
            network=True,
            binds={_INSIDE: directory},
        )
        owner = (str(os.getuid()), str(os.getgid()))
        # A caller who is root has no number inside; he may read and remove everybody's files anyway.
        inside = owner if base.identity.outer_first is None else ("0", "0")
        return chamber.run(["sh", "-c", _UPDATE + script, "sh", argument, *inside])


def unfetched(name: str, suite: str, lines: Sequence[str]) -> SourceError:
    """The error for what apt wrote before it failed."""
    details = [line for line in lines if line.startswith(("E:", "W:", "Err"))][-10:]
    hint = "check its name and version; rmadison shows which suites have it"
    if any(_LOST in line for line in details):
        hint = "the mirror lacks files of it or can't be reached; name another one: --base-mirror MIRROR"
    return SourceError(f"{name} can't be fetched from {suite}", hint=hint, details=details)
