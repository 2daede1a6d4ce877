"""Suites: the releases of a distribution that bases are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bwbuild.errors import ConfigurationError, HostError, SourceError

_NAME = re.compile(r"[a-z][a-z0-9.+-]{0,62}")
#: Distributions of a changelog that are no suite to build for.
_NO_SUITE = frozenset({"unreleased", "invalid"})


@dataclass(frozen=True, slots=True)
class Suite:
    """One release for one architecture, and where it comes from.

    :ivar mirror: empty: mmdebstrap's own, with updates and security fixes where the release has them.
    :ivar keyring: None: the distribution's own.
    """

    name: str
    architecture: str
    mirror: str = ""
    components: str = ""
    keyring: Path | None = None


def parse_name(text: str) -> str:
    """The name of a suite, such as ``trixie`` or ``unstable``.

    :raises ConfigurationError: it can't be one.
    """
    if not _NAME.fullmatch(text):
        raise ConfigurationError(
            f"{text!r} is no name of a suite", hint="name one such as trixie, stable or unstable: -d SUITE"
        )
    return text


def of_changelog(distribution: str) -> str:
    """The suite for a changelog's distribution, as ``-d auto`` takes it.

    :raises SourceError: it names none.
    """
    if distribution.lower() in _NO_SUITE:
        raise SourceError(
            f"the changelog's distribution is {distribution}, which is no suite",
            hint="name the suite: -d unstable",
        )
    # Uploads to a pocket of a release are built on the release itself.
    for pocket in ("-proposed-updates", "-updates", "-security", "-backports-sloppy", "-backports"):
        distribution = distribution.removesuffix(pocket)
    return parse_name(distribution)


def of_this_machine() -> str:
    """The suite of this machine's own release.

    :raises HostError: it does not say which one it is.
    """
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME" and value:
            return parse_name(value.strip("\"'"))
    raise HostError("/etc/os-release does not name this machine's release", hint="name a suite: -d SUITE")
