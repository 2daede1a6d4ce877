"""What is in a .deb, reduced to what two builds of one source must have in common."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from bwbuild.process import run

_TYPES = {
    tarfile.REGTYPE: "-",
    tarfile.AREGTYPE: "-",
    tarfile.DIRTYPE: "d",
    tarfile.SYMTYPE: "l",
    tarfile.LNKTYPE: "h",
    tarfile.CHRTYPE: "c",
    tarfile.BLKTYPE: "b",
    tarfile.FIFOTYPE: "p",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One name in a .deb: what ``dpkg-deb -c`` shows of it but the time, and its content."""

    #: type and permissions, such as ``-02755``
    mode: str
    #: names and numbers of owner and group
    owner: str
    link: str
    #: bytes; 0 for what is no regular file
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Deb:
    """The members of one .deb by name; those of its control archive begin with ``DEBIAN/``.

    :ivar sha256: of the whole file.
    """

    members: dict[str, Member]
    sha256: str = ""


def read(path: Path) -> Deb:
    """Read a .deb or .udeb."""
    members = _members(run(["dpkg-deb", "--fsys-tarfile", path]).stdout, "")
    members |= _members(run(["dpkg-deb", "--ctrl-tarfile", path]).stdout, "DEBIAN/")
    return Deb(members, hashlib.sha256(path.read_bytes()).hexdigest())


def _members(data: bytes, prefix: str) -> dict[str, Member]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {prefix + info.name.removeprefix("./"): _member(tar, info) for info in tar}


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    content = tar.extractfile(info) if info.isreg() else None
    data = content.read() if content else b""
    return Member(
        mode=f"{_TYPES[info.type]}{info.mode:05o}",
        owner=f"{info.uname}/{info.gname} {info.uid}/{info.gid}",
        link=info.linkname,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def differences(plain: Deb, sandbox: Deb) -> list[str]:
    """Names that only one of two builds has, and names whose type, mode, owner, link or content differ."""
    found = []
    for name in sorted(plain.members.keys() | sandbox.members.keys()):
        one, other = plain.members.get(name), sandbox.members.get(name)
        if one is None or other is None:
            found.append(f"{'-' if other is None else '+'} {name}")
            continue
        found += [
            f"{name}: {field} {getattr(one, field)} became {getattr(other, field)}"
            for field in ("mode", "owner", "link")
            if getattr(one, field) != getattr(other, field)
        ]
        if one.sha256 != other.sha256:
            found.append(f"{name}: content differs, {one.size} became {other.size} bytes")
    if not found and plain.sha256 != sandbox.sha256:
        found.append("times or packing differ")
    return found
