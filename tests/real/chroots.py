"""The chroots that sbuild builds in, and the package sources that they and bwbuild's bases are made of."""

from __future__ import annotations

import re
from pathlib import Path

import builds

from bwbuild.process import run

#: Waiting for the disk after each package's files is for machines that are kept.
_HOOK = "--customize-hook=echo force-unsafe-io >$1/etc/dpkg/dpkg.cfg.d/unsafe-io"


def codename() -> str:
    """The release of this machine, which is that of the chroot unless a test names another."""
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return fields["VERSION_CODENAME"].strip('"')


def chroot(suite: str) -> Path:
    """The tarball with the chroot of a suite, made of ``sources`` if there is none.

    It has apt's indexes, so that all builds in it install the same versions.
    """
    tarball = builds.directory() / "chroot" / f"{suite}.tar.zst"
    if not tarball.exists():
        tarball.parent.mkdir(exist_ok=True)
        part = tarball.with_name(f"part-{tarball.name}")
        options = ["--variant=buildd", "--quiet", "--skip=cleanup/apt/lists", _HOOK, *_merged(suite)]
        run(["mmdebstrap", *options, suite, part, *sources(suite)])
        part.rename(tarball)
    return tarball


def sources(suite: str) -> list[Path]:
    """The package sources that ``prepare`` copied from this machine, of another suite if need be."""
    own = sorted((builds.directory() / "apt/sources.d").iterdir())
    if suite == codename():
        return own
    place = builds.directory() / "chroot" / f"{suite}.sources.d"
    place.mkdir(parents=True, exist_ok=True)
    for file in own:
        text = re.sub(rf"\b{codename()}\b", suite, file.read_text(encoding="utf-8"))
        (place / file.name).write_text(text, encoding="utf-8")
    return sorted(place.iterdir())


def indexes(suite: str, directory: Path) -> Path:
    """Unpack apt's indexes of a chroot below ``directory``; where they are."""
    run(["tar", "-C", directory, "-xf", chroot(suite), "./var/lib/apt/lists"])
    return directory / "var/lib/apt/lists"


def _merged(suite: str) -> list[str]:
    """The option for the one of the two packages behind a merged /usr that is wanted.

    debootstrap and the installer choose usr-is-merged, mmdebstrap usrmerge with the Perl modules it needs. A
    chroot of this machine's release is to have the one that this machine has, any other what they choose.
    """
    found = Path("/var/lib/dpkg/info/usr-is-merged.list").exists() or suite != codename()
    return ["--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr"] if found else []
