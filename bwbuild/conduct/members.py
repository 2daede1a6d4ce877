"""What is in the packages of a build: the small sandbox that reads them, and what its answer says. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bwbuild.conduct.values import Contents, Member
from bwbuild.errors import VerificationError
from bwbuild.host.facts import Host
from bwbuild.sandbox import small
from bwbuild.sandbox.spec import Bind, Guest, Restraints, Scratch

#: The directory of the scratch directory that is read.
PACKAGES = Scratch("quarantine")
#: Bytes that an answer may have, and of address space.
LARGEST = 128 << 20
_MEMORY = 4 << 30

#: One JSON array a line for each member, and ``null`` last. It runs with the machine's own Python, which
#: is there anyway.
_PROGRAM = """\
import hashlib, json, resource, subprocess, sys, tarfile
memory = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
KINDS = {b"0": 0o100000, b"\\0": 0o100000, b"1": 0o100000, b"2": 0o120000, b"3": 0o20000, b"4": 0o60000,
         b"5": 0o40000, b"6": 0o10000}
for name in sys.argv[2:]:
    for option, prefix in (("--ctrl-tarfile", "DEBIAN/"), ("--fsys-tarfile", "")):
        dpkg = subprocess.Popen(["dpkg-deb", option, name], stdout=subprocess.PIPE)
        with tarfile.open(fileobj=dpkg.stdout, mode="r|", errors="surrogateescape") as archive:
            for member in archive:
                content = member.linkname
                if member.isreg():
                    with archive.extractfile(member) as file:
                        content = hashlib.file_digest(file, "sha256").hexdigest()
                path = member.name[2:] if member.name.startswith("./") else member.name
                mode = KINDS.get(member.type, 0) | member.mode & 0o7777
                row = [name, prefix + path, mode, member.uid, member.gid, content, int(member.mtime)]
                print(json.dumps(row))
        if dpkg.wait():
            sys.exit(1)
print("null")
"""


def launcher(host: Host, restraints: Restraints, packages: Sequence[str]) -> str:
    """A shell script that reads ``packages`` of ``PACKAGES``; it is run as launchers of builds are."""
    command = ("/usr/bin/python3", "-I", "-S", "-c", _PROGRAM, str(_MEMORY), *packages)
    mounts = (Bind(PACKAGES, Guest("/packages")),)
    return small.launcher(host, restraints, small.Small(command, mounts, anonymous=True))


def parse(answer: bytes) -> Contents:
    """The packages that an answer describes.

    :raises VerificationError: it is no whole answer.
    """
    lines = answer.decode("ascii", "replace").splitlines()
    if not lines or lines.pop() != "null":
        raise VerificationError("the packages could not be read")
    try:
        return dict(_member(json.loads(line)) for line in lines)
    except (ValueError, TypeError) as error:
        raise VerificationError("the packages could not be read") from error


def _member(fields: Any) -> tuple[tuple[str, str], Member]:
    package, path, mode, owner, group, content, time = fields
    return (package, path), Member(mode, owner, group, content, time)
