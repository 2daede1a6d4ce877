"""What the machine's packages own, read without the command's own code, so that the two can differ."""

# It is about ten thousands of paths.
# ruff: noqa: PTH112, PTH113, PTH114, PTH115, PTH208

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

INFO = Path("/var/lib/dpkg/info")
#: What the tests look at: the rest of the file system is no matter of packages.
TOPS = ("/usr/", "/etc/")


@cache
def installed() -> frozenset[str]:
    """All packages of this machine that are installed, as dpkg-query spells them."""
    form = "${db:Status-Status} ${binary:Package}\\n"
    lines = subprocess.run(
        ["dpkg-query", "-W", f"-f={form}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return frozenset(line.removeprefix("installed ") for line in lines if line.startswith("installed "))


@cache
def owned(package: str) -> frozenset[str]:
    """The paths of one package below /usr and /etc, real ones, whether they exist or not."""
    file = INFO / f"{package}.list"
    if not file.exists():
        file = INFO / f"{package.partition(':')[0]}.list"
    lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return frozenset(path for path in map(_real, lines) if path.startswith(TOPS))


def all_of(packages: Iterable[str]) -> frozenset[str]:
    """The paths of several packages."""
    return frozenset().union(*map(owned, packages))


@cache
def diverted() -> frozenset[str]:
    """Both paths of all diversions: what is there depends on who diverts."""
    lines = Path("/var/lib/dpkg/diversions").read_text(encoding="utf-8").splitlines()
    return frozenset(map(_real, lines[::3])) | frozenset(map(_real, lines[1::3]))


def is_directory(path: str) -> bool:
    """Whether it is a directory here and no link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def bytecode(modules: Iterable[str]) -> Iterator[str]:
    """Where Python keeps the code of modules, as far as it is there."""
    for module in modules:
        directory, _, name = module.rpartition("/")
        if name.endswith(".py"):
            for file in _names(f"{directory}/__pycache__").get(name.removesuffix(".py"), ()):
                yield f"{directory}/__pycache__/{file}"


@cache
def _names(directory: str) -> dict[str, list[str]]:
    """The files of a directory by the part of their names before the first dot."""
    found: dict[str, list[str]] = {}
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


def digest(path: str) -> str:
    """The SHA-256 of a file; empty for what is none or can't be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest() if os.path.isfile(path) else ""
    except PermissionError:
        return ""


def _real(path: str) -> str:
    """/usr/bin/ls for /bin/ls: lists may have either."""
    top = path.split("/", 2)
    link = Path("/", top[1]) if len(top) > 2 else None
    if link is not None and link.is_symlink():
        return f"/{os.readlink(link).strip('/')}/{top[2]}"
    return path
