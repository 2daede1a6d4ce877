"""Source packages by name: apt fetches them from the suite of a base."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bwbuild import process
from bwbuild.errors import SourceError
from bwbuild.events import Level, Notice, Observer, Text
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


def fetch(base: Base, cache: Path, name: str, directory: Path, tell: Observer) -> Path:
    """Fetch a source package into the empty ``directory``; the path of its .dsc there.

    :param name: of the source, with ``=VERSION`` behind it for another than the newest.
    :raises SourceError: the suite does not have it, or it can't be fetched.
    """
    tell(Notice(Level.INFO, f"fetching {name} from {base.suite.name}"))
    done = _run(base, cache, directory, (_FETCH, name))
    tell(Text(done.text))
    found = sorted(directory.glob("*.dsc"))
    if done.returncode != 0 or len(found) != 1:
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        raise unfetched(name, base.suite.name, lines)
    return found[0]


def index(base: Base, cache: Path, directory: Path, tell: Observer) -> Path:
    """The index of all sources of a base's suite, as a file in the empty ``directory``.

    :raises SourceError: it can't be fetched.
    """
    suite = base.suite.name
    tell(Notice(Level.INFO, f"fetching the index of the sources of {suite}"))
    done = _run(base, cache, directory, (_INDEX, "Sources"))
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        raise unfetched("the index of the sources", suite, lines)
    return directory / "Sources"


def _run(base: Base, cache: Path, directory: Path, what: tuple[str, str]) -> process.Completed:
    """Run a script and its argument where the sources of the suite are known, in ``directory``."""
    script, argument = what
    with workplace(cache, "source") as place:
        chamber = Chamber(
            identity=base.identity, place=place, root=base.root, network=True, binds={_INSIDE: directory}
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
