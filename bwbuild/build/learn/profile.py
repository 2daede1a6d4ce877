"""Profiles: which files the recorded builds of a source opened, kept in the user's state home.

A profile belongs to a source, to what of it is built and for which architecture, and to the packages that
the build saw: it is no measure where those are others.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

from bwbuild.errors import ConfigurationError, OutputError

FORMAT_VERSION = 1
#: How many differences an error names.
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Subject:
    """What a profile is of.

    :ivar build: which packages are built, as ``any,all``; ``suite``: ``host`` for this machine's packages.
    """

    source: str
    suite: str
    build: str
    architecture: str

    @property
    def file(self) -> Path:
        """Where its profile is."""
        text = "\0".join((self.source, self.suite, self.build, self.architecture))
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return directory() / f"{self.source}-{digest}.json"


@dataclass(frozen=True, slots=True)
class Profile:
    """What recorded builds opened.

    :ivar packages: id -> version of what they saw. ``version``: the source's when it was last learned.
    :ivar paths: files, links on the way to them, and directories that were read.
    :ivar made: seconds since the epoch.
    """

    subject: Subject
    version: str
    packages: Mapping[str, str]
    paths: frozenset[str]
    made: float
    builds: int = 1

    def with_more(self, other: Profile) -> Profile:
        """The same with what another build opened, which saw the same packages."""
        return Profile(
            self.subject,
            other.version,
            other.packages,
            self.paths | other.paths,
            other.made,
            self.builds + other.builds,
        )

    def check(self, packages: Mapping[str, str]) -> None:
        """See to it that the packages are those that were seen.

        :raises ConfigurationError: they are others.
        """
        changed = tuple(_changes(self.packages, packages))
        if changed:
            more = (f"and {len(changed) - _NAMED} more",) if len(changed) > _NAMED else ()
            raise ConfigurationError(
                f"the profile of {self.subject.source} was learned with other packages",
                hint="learn it again: bwbuild learn",
                details=(*changed[:_NAMED], *more),
            )


def directory() -> Path:
    """Where the profiles are."""
    return platformdirs.user_state_path("bwbuild") / "profiles"


def read(subject: Subject) -> Profile:
    """The profile of ``subject``.

    :raises ConfigurationError: there is none, or none that this version can read.
    """
    found = _read(subject.file)
    if found is None:
        raise ConfigurationError(
            f"there is no profile of {subject.source} ({subject.build}, {subject.architecture})",
            hint="bwbuild learn makes one, with the options of this build",
        )
    return found


def write(profile: Profile) -> Path:
    """Keep ``profile`` in place of an older one; where it is.

    :raises OutputError: it can't be written.
    """
    path = profile.subject.file
    subject = profile.subject
    document = {
        "version": FORMAT_VERSION,
        "source": subject.source,
        "suite": subject.suite,
        "build": subject.build,
        "architecture": subject.architecture,
        "source_version": profile.version,
        "made": profile.made,
        "builds": profile.builds,
        "packages": dict(sorted(profile.packages.items())),
        "paths": sorted(profile.paths),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        Path(name).replace(path)
    except OSError as error:
        raise OutputError(f"the profile {path} can't be written: {error.strerror}") from error
    return path


def stored() -> Iterator[tuple[Path, Profile | None]]:
    """All profiles; None for a file that is none of this version."""
    for path in sorted(directory().glob("*.json")):
        yield path, _read(path)


def of(subject: Subject, version: str, packages: Mapping[str, str], paths: Collection[str]) -> Profile:
    """A new one."""
    return Profile(subject, version, dict(packages), frozenset(paths), time.time())


def _read(path: Path) -> Profile | None:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] != FORMAT_VERSION:
            return None
        subject = Subject(found["source"], found["suite"], found["build"], found["architecture"])
        packages, paths = dict(found["packages"]), frozenset(found["paths"])
        texts = (*asdict(subject).values(), found["source_version"], *packages.values())
        if not all(isinstance(text, str) for text in texts) or not all(map(_is_path, paths)):
            return None
        made, builds = float(found["made"]), int(found["builds"])
        return Profile(subject, found["source_version"], packages, paths, made, builds)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _is_path(text: object) -> bool:
    """Whether it can be the path of a file; os.fsencode refuses what was no file's name."""
    return isinstance(text, str) and text.startswith("/") and b"\0" not in os.fsencode(text)


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterable[str]:
    for package in sorted(before.keys() | now.keys()):
        old, new = before.get(package), now.get(package)
        if old != new:
            yield f"{package}: {old or 'not there'} then, {new or 'not there'} now"
