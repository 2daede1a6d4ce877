"""What apt may choose from besides a base's own suite: packages of the caller's, repositories, architectures.

It is untrusted: of a package nothing is read here but its bytes, to copy them and to know it again.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bwbuild.errors import UsageError
from bwbuild.root.space import unwritable
from bwbuild.root.workplace import workplace
from bwbuild.units import without_passwords

_CHUNK = 1 << 20
#: How every package begins.
_MAGIC = b"!<arch>\n"
#: Bytes that no file with repositories or keys has.
_LARGE = 1 << 20
_LINE = re.compile(
    r"deb(?:-src)?[ \t]+(?:\[[^]\n]*\][ \t]+)?([a-z][a-z0-9+.-]*):\S+[ \t]+(?:\S*/|\S+(?:[ \t]+\S+)+)[ \t]*"
)
#: What apt reads from directories.
_LOCAL = ("file", "copy", "cdrom")
_URIS = re.compile(r"^URIs\s*:((?:.*\n)(?:[ \t].*\n)*)", re.MULTILINE | re.IGNORECASE)
_FORM = "write it as in sources.list: --extra-repository 'deb http://HOST/PATH SUITE COMPONENT'"


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller names: paths of packages or directories, repositories, paths of keyrings.

    :ivar architectures: those that packages may have besides the base's own.
    :ivar flag: what stands before a package on the command line, and in messages about it.
    """

    packages: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    flag: str = "--extra-package: "


@dataclass(frozen=True, slots=True)
class Extra:
    """What was read of it.

    :ivar place: has the packages as ``packages/NUMBER.deb``, the repositories in ``extra``, the keyrings in
        ``keys``.
    :ivar packages: the path of each package as the caller knows it; the first is number 1.
    :ivar digests: the SHA-256 of each package, sorted.
    :ivar repositories: how many there are.
    """

    place: Path
    packages: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    repositories: int = 0
    architectures: tuple[str, ...] = ()
    flag: str = "--extra-package: "

    @property
    def is_foreign(self) -> bool:
        """Whether packages can come from elsewhere than the base's own mirror."""
        return bool(self.packages) or self.repositories > 0

    @property
    def needs_network(self) -> bool:
        """Whether lists have to be fetched before apt can choose."""
        return self.repositories > 0 or bool(self.architectures)


@contextmanager
def gathered(given: Given, cache: Path) -> Iterator[Extra | None]:
    """Copies of what is given, there until the end of the context; None where nothing is.

    :raises UsageError: something is not there or not what it should be.
    :raises OutputError: the cache can't be written.
    """
    if given.keys and not given.repositories:
        raise UsageError(
            "--extra-repository-key is of no use alone", hint="name the repository: --extra-repository LINE"
        )
    if given == Given():
        yield None
        return
    files = _packages(given.packages, given.flag)
    with workplace(cache, "extra") as place:
        place.chmod(0o700)  # an address may have a password
        try:
            digests = _written(given, files, place)
        except OSError as error:
            raise unwritable(cache, error) from error
        yield Extra(
            place=place,
            packages=tuple(map(str, files)),
            digests=tuple(sorted(digests)),
            repositories=len(given.repositories),
            architectures=given.architectures,
            flag=given.flag,
        )


def _written(given: Given, files: Sequence[Path], place: Path) -> list[str]:
    """Write what is given to ``place``; the SHA-256 of each package."""
    for name in ("packages", "extra", "keys"):
        (place / name).mkdir()
    for number, word in enumerate(given.repositories, 1):
        suffix, text = _repository(word)
        (place / "extra" / f"zz-extra-{number}.{suffix}").write_text(text, encoding="utf-8")
    for number, word in enumerate(given.keys, 1):
        data = _small(word, "--extra-repository-key: ")
        suffix = "asc" if data.lstrip().startswith(b"-----BEGIN PGP") else "gpg"
        (place / "keys" / f"zz-extra-{number}.{suffix}").write_bytes(data)
    digests = [
        _copied(path, place / "packages" / f"{number}.deb", given.flag)
        for number, path in enumerate(files, 1)
    ]
    open_to_root_inside(place)
    return digests


def open_to_root_inside(place: Path) -> None:
    """Let him read what is below ``place``, whose ids need not be the caller's, whatever the umask."""
    for path in place.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _packages(words: Sequence[str], flag: str) -> list[Path]:
    files: dict[Path, None] = {}
    for word in words:
        path = _path(word)
        if path.is_dir():
            files |= dict.fromkeys(_of_directory(path, flag))
        else:
            files[path] = None
    return list(files)


def _of_directory(path: Path, flag: str) -> list[Path]:
    try:
        found = sorted(file for file in path.iterdir() if file.suffix == ".deb" and file.is_file())
    except OSError as error:
        raise UsageError(f"{flag}{path} can't be read: {error.strerror}") from error
    if not found:
        raise UsageError(f"{flag}no .deb is in {path}")
    return found


def _copied(path: Path, copy: Path, flag: str) -> str:
    """Copy a package; the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    with os.fdopen(_opened(path, flag), "rb") as file, copy.open("wb") as new:
        # What is something else may be larger than the disk; the rest is read in a chamber.
        if not (data := file.read(_CHUNK)).startswith(_MAGIC):
            hint = "make it again, or leave it out"
            raise UsageError(f"{flag}{path} is no Debian package", hint=hint)
        while data:
            digest.update(data)
            new.write(data)
            data = file.read(_CHUNK)
    return digest.hexdigest()


def _path(word: str) -> Path:
    return Path(os.path.expanduser(word))  # noqa: PTH111 - Path's fails where there is no such user


def _small(word: str, flag: str) -> bytes:
    path = _path(word)
    with os.fdopen(_opened(path, flag), "rb") as file:
        data = file.read(_LARGE + 1)
    if len(data) > _LARGE:
        raise UsageError(f"{flag}{path} is too large to be one")
    return data


def _opened(path: Path, flag: str) -> int:
    """A descriptor of a regular file; nobody waits for the other end of a FIFO."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"{flag}{path} can't be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise UsageError(f"{flag}{path} is no regular file")
    return number


def _repository(word: str) -> tuple[str, str]:
    """The suffix that apt wants of a file with this repository, and its text."""
    if word.endswith(".sources"):
        text = _small(word, "--extra-repository: ").decode("utf-8", "replace") + "\n"
        schemes = [uri.partition(":")[0] for match in _URIS.findall(text) for uri in match.split()]
        if not schemes:
            raise UsageError(f"--extra-repository: {word} has no URIs", hint="see sources.list(5)")
        suffix = "sources"
    else:
        match = _LINE.fullmatch(word)
        if match is None:
            raise UsageError(
                f"--extra-repository is {without_passwords(word)!r}, which is no line of sources.list",
                hint=_FORM,
            )
        text, schemes, suffix = word + "\n", [match[1]], "list"
    if any(scheme in _LOCAL for scheme in schemes):
        raise UsageError(
            f"--extra-repository: {without_passwords(word)} is on this machine, which apt does not see",
            hint="give its packages: --extra-package DIR",
        )
    return suffix, text
