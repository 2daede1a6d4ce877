"""The sandbox in which a source package is unpacked: no more than dpkg-source and tar need.

Whoever made the package chose every byte that they read.
"""

from __future__ import annotations

from bwbuild.host.facts import Host
from bwbuild.sandbox import small
from bwbuild.sandbox.spec import Bind, Guest, Restraints, Scratch

#: Directories of the scratch directory: what is read, and where the tree is made.
FILES = Scratch("files")
UNPACKED = Scratch("unpacked")


def launcher(host: Host, restraints: Restraints, dsc: str, directory: str) -> str:
    """A shell script that unpacks ``dsc`` of ``FILES`` as ``directory`` of ``UNPACKED``.

    It is run as launchers of builds are.
    """
    # The sums were compared when the files came here, and the signature is no more in what is read.
    command = ("dpkg-source", "--no-check", "--no-copy", "--extract", f"/files/{dsc}", f"/build/{directory}")
    mounts = (Bind(FILES, Guest("/files")), Bind(UNPACKED, Guest("/build"), writable=True))
    return small.launcher(host, restraints, small.Small(command, mounts))
