"""The sandbox in which a source package is unpacked: no more than dpkg-source and tar need.

Whoever made the package chose every byte that they read.
"""

from __future__ import annotations

from collections.abc import Sequence

from bwbuild.host.facts import Host
from bwbuild.sandbox import small
from bwbuild.sandbox.spec import Bind, Ceilings, Guest, Restraints, Scratch

#: Directories of the scratch directory: what is read, and where the tree is made.
FILES = Scratch("files")
UNPACKED = Scratch("unpacked")

#: Modes that shut out their owner are a nuisance for who looks at the files.
_TAR = """\
tar --extract --no-same-owner --no-same-permissions --file="/files/$1" --directory="$2" || exit
chmod -R u+rwX "$2"
"""


def launcher(host: Host, restraints: Restraints, ceilings: Ceilings, command: Sequence[str]) -> str:
    """A shell script that runs ``command``, which finds ``FILES`` and ``UNPACKED`` as /files and /build.

    It is run as launchers of builds are.
    """
    mounts = (Bind(FILES, Guest("/files")), Bind(UNPACKED, Guest("/build"), writable=True))
    own = small.Small(command, mounts, tmp=ceilings.tmp, ceilings=ceilings)
    return small.launcher(host, restraints, own)


def source(dsc: str, directory: str, *options: str) -> tuple[str, ...]:
    """The command that unpacks ``dsc`` of ``FILES`` as ``directory`` of ``UNPACKED``."""
    # The sums were compared when the files came here, and the signature is no more in what is read.
    words = ("dpkg-source", "--no-check", "--no-copy", *options, "--extract")
    return (*words, f"/files/{dsc}", f"/build/{directory}")


def archive(name: str, directory: str) -> tuple[str, ...]:
    """The command that unpacks the tar archive ``name`` of ``FILES`` below ``directory``, which is made."""
    return ("sh", "-ec", f'mkdir "$2"\n{_TAR}', "sh", name, f"/build/{directory}")
