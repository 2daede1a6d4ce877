"""Downloaded packages, which all bases and layers share."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked

#: Seconds after which a package that nobody used is removed, and bytes that all of them may take.
OLD, LARGE = 30 * 86400.0, 10 << 30


@dataclass(frozen=True, slots=True)
class Archive:
    """A downloaded package: bytes, and when it was last used in seconds since the epoch."""

    path: Path
    size: int
    used: float


@contextmanager
def kept(place: Path) -> Iterator[None]:
    """No package is removed from ``place`` meanwhile."""
    with locked(place, SHARED):
        yield


def has_all(place: Path, chosen: Mapping[str, str]) -> bool:
    """Whether apt would have nothing to fetch for what it chose: name:architecture -> version."""
    return all((place / _by_name(key, version)).exists() for key, version in chosen.items())


def _by_name(key: str, version: str) -> str:
    """How apt calls the file of a package."""
    name, _, architecture = key.partition(":")
    return f"{name}_{version.replace('_', '%5f').replace(':', '%3a')}_{architecture}.deb"


def bring(place: Path, file: str, digest: str, to: Path) -> bool:
    """Copy a package into the directory ``to`` if ``place`` has it with this content; whether it has.

    :param digest: ``SHA256:`` and the digest.
    """
    for path in (place / _by_content(digest), place / file):
        with suppress(FileNotFoundError):
            shutil.copyfile(path, to / file)
            with (to / file).open("rb") as copy:
                if digest == f"SHA256:{hashlib.file_digest(copy, 'sha256').hexdigest()}":
                    return True
            (to / file).unlink()
    return False


def keep(place: Path, path: Path, digest: str) -> None:
    """Have a package in ``place`` by its content: there may be another one of its name."""
    new = place / f"{_by_content(digest)}.{os.getpid()}"
    shutil.copyfile(path, new)
    new.rename(new.with_suffix(""))


def _by_content(digest: str) -> str:
    return f"{digest.replace(':', '-')}.deb"


def stored(place: Path) -> list[Archive]:
    """All packages, the one used last first, and what is left of broken downloads."""
    found = []
    with suppress(FileNotFoundError):
        for path in place.iterdir():
            with suppress(FileNotFoundError):  # it was removed meanwhile
                state = path.stat()
                if path.suffix == ".deb":
                    # The time of the content is the mirror's. Where times of reading are not kept, that of
                    # the download counts.
                    found.append(Archive(path, state.st_size, max(state.st_atime, state.st_ctime)))
    return sorted(found, key=lambda archive: (-archive.used, archive.path))


def in_use(place: Path) -> bool:
    """Whether somebody fetches or installs packages."""
    with locked(place, EXCLUSIVE | AT_ONCE) as free:
        return place.exists() and not free


def remove(place: Path, before: float) -> int:
    """Remove packages last used before that time, unless somebody installs; the bytes that are gone."""
    with locked(place, EXCLUSIVE | AT_ONCE) as free:
        return _remove([item for item in stored(place) if item.used <= before]) if free else 0


def prune(place: Path) -> None:
    """Remove what nobody has used for long, and what is too much; nothing while somebody installs."""
    with locked(place, EXCLUSIVE | AT_ONCE) as free:
        total, old, gone = 0, time.time() - OLD, []
        for item in stored(place) if free else ():
            total += item.size
            if item.used < old or total > LARGE:
                gone.append(item)
        _remove(gone)


def _remove(archives: list[Archive]) -> int:
    total = 0
    for archive in archives:
        archive.path.unlink(missing_ok=True)
        total += archive.size
    return total
