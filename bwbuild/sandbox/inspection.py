"""The sandbox in which binary packages are looked into: no more than dpkg-deb and tar need.

The build chose every byte that they read. What they write is limited, file by file, and so is their memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from bwbuild.host.facts import Host
from bwbuild.sandbox import small
from bwbuild.sandbox.spec import Bind, Guest, Restraints, Scratch

#: Directories of the scratch directory: what is read, and where the answers go.
PACKAGES = Scratch("quarantine")
ANSWERS = Scratch("inspected")
#: The answers about the package of each number: its control file, what ``dpkg-deb --info`` and ``--contents``
#: show, and the names of its members, one a line; and the package that is being looked into.
CONTROL, INFO, CONTENTS, NAMES = "control", "info", "contents", "names"
CURRENT = "current"

#: Bytes that a package's control files and each answer may have. The package with the most files in Debian
#: needs a fourth of it.
LARGEST = 64 << 20
#: Bytes of address space: xz and zstd take the size of their dictionary from what they read.
_MEMORY = 2 << 30

#: dpkg-deb unpacks the control archive only when it is known to be small. The members are read once, for two
#: listings: tar's long one has names of owners in it, with which anything could be made to look like
#: anything, and the other has nothing but names.
_SCRIPT = f"""\
set -eu
ulimit -f {LARGEST // 512}
ulimit -v {_MEMORY // 1024}
members() {{ dpkg-deb --fsys-tarfile "$1" || : > /tmp/broken; }}
mkfifo /tmp/names
number=0
for name do
    package=/packages/$name answer=/answers/$number
    printf %s "$name" > /answers/{CURRENT}
    dpkg-deb --ctrl-tarfile "$package" > /tmp/control
    dpkg-deb --field "$package" > "$answer.{CONTROL}"
    dpkg-deb --info "$package" > "$answer.{INFO}"
    tar --list --absolute-names --quoting-style=escape --file=/tmp/names > "$answer.{NAMES}" &
    members "$package" | tee /tmp/names | tar --list --verbose --file=- > "$answer.{CONTENTS}"
    wait $!
    [ ! -e /tmp/broken ]
    number=$((number + 1))
done
"""


def launcher(host: Host, restraints: Restraints, packages: Sequence[str]) -> str:
    """A shell script that looks into ``packages`` of ``PACKAGES`` and stops at the first that it can't read.

    It is run as launchers of builds are.
    """
    mounts = (Bind(PACKAGES, Guest("/packages")), Bind(ANSWERS, Guest("/answers"), writable=True))
    command = ("sh", "-c", _SCRIPT, "sh", *packages)
    # dpkg-deb unpacks the control files beside the archive.
    return small.launcher(host, restraints, small.Small(command, mounts, tmp=3 * LARGEST, anonymous=True))
