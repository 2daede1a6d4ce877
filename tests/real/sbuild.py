"""Builds with sbuild in a fresh chroot, the measure for the declared view; results are kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path

import builds
import declarations
import outcome

from bwbuild.process import run

_OPTIONS = (
    "--chroot-mode=unshare",
    "--arch-all",
    "--no-source",
    "--no-run-lintian",
    "--no-run-piuparts",
    "--no-run-autopkgtest",
    "--no-apt-update",
    "--no-apt-upgrade",
    "--no-apt-distupgrade",
    "--build-path=/build/reproducible-path",
    "--jobs=2",
    "--nolog",
)
#: A line of the summary at the end of the log.
_BUILT = re.compile(r"^(?:Status: successful|Fail-Stage: build)$", re.MULTILINE)
#: The log keeps the names of directories, as bwbuild's does.
_SETTINGS = ("$log_filter = 0;",)
#: Waiting for the disk after each package's files is for machines that are kept.
_HOOK = "--customize-hook=echo force-unsafe-io >$1/etc/dpkg/dpkg.cfg.d/unsafe-io"


def codename() -> str:
    """The release of this machine, which is that of the chroot too."""
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return fields["VERSION_CODENAME"].strip('"')


def chroot() -> Path:
    """The tarball with the chroot, made of the package sources that ``prepare`` copied if there is none.

    It has apt's indexes, so that all builds in it install the same versions.
    """
    tarball = builds.directory() / "chroot" / f"{codename()}.tar.zst"
    if not tarball.exists():
        tarball.parent.mkdir(exist_ok=True)
        part = tarball.with_name(f"part-{tarball.name}")
        sources = sorted((builds.directory() / "apt/sources.d").iterdir())
        options = ["--variant=buildd", "--quiet", "--skip=cleanup/apt/lists", _HOOK, *_merged()]
        run(["mmdebstrap", *options, codename(), part, *sources])
        part.rename(tarball)
    return tarball


def _merged() -> list[str]:
    """The option for the same one of the two packages behind a merged /usr as this machine has.

    debootstrap and the installer choose usr-is-merged, mmdebstrap usrmerge with the Perl modules it needs.
    """
    found = Path("/var/lib/dpkg/info/usr-is-merged.list").exists()
    return ["--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr"] if found else []


def build(name: str, without: str = "") -> outcome.Outcome:
    """Build a source, or what is left of it ``without`` one of its build dependencies.

    An earlier build of the same .dsc in the same chroot serves as well.

    :raises RuntimeError: sbuild failed before the build, such as in the installation of packages.
    """
    place = builds.directory() / name / ("sbuild-without" if without else "sbuild")
    dsc = builds.dsc(name)
    assert dsc is not None
    key = _key(dsc, without)
    kept = place / "outcome.json"
    if not kept.exists() or json.loads(kept.read_text("utf-8"))["key"] != key:
        run(["rm", "-rf", place])
        place.mkdir()
        begin = time.monotonic()
        status = _run(_edited(dsc, place / "source", without) if without else dsc, place)
        seconds = time.monotonic() - begin
        log = (place / "build.log").read_text(encoding="utf-8", errors="replace")
        if not _BUILT.search(log):
            raise RuntimeError(f"sbuild did not come to the build itself: {place / 'build.log'}")
        kept.write_text(json.dumps({"key": key, "status": status, "seconds": seconds}), encoding="utf-8")
    values = json.loads(kept.read_text("utf-8"))
    return outcome.read(place, place / "build.log", values["status"], values["seconds"])


def _key(dsc: Path, without: str) -> str:
    made = chroot().stat()
    words = (dsc.read_bytes().decode(), f"{made.st_size} {made.st_mtime_ns}", without, *_OPTIONS, *_SETTINGS)
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _edited(dsc: Path, directory: Path, without: str) -> Path:
    """A source package like ``dsc`` in ``directory``, but ``without`` a build dependency."""
    directory.mkdir()
    for original in dsc.parent.glob("*.orig*"):
        (directory / original.name).symlink_to(original)
    run(["dpkg-source", "--no-check", "-x", dsc, "tree"], cwd=directory)
    declarations.remove(directory / "tree", without)
    run(["dpkg-source", "-b", "tree"], cwd=directory)
    return next(directory.glob("*.dsc"))


def _run(dsc: Path, place: Path) -> int:
    # A configuration of its own: the user's is not part of the measure.
    temporary = os.environ.get("SBUILD_TMPDIR", "/tmp")
    lines = (f"$unshare_tmpdir_template = '{temporary}/tmp.sbuild.XXXXXXXXXX';", *_SETTINGS, "1;")
    (place / ".sbuildrc").write_text("\n".join(lines), encoding="utf-8")
    environment = {**builds.ENVIRONMENT, "HOME": str(place)}
    del environment["DEB_BUILD_OPTIONS"]  # --jobs says it
    where = [f"--chroot={chroot()}", f"--dist={codename()}", f"--build-dir={place}"]
    return outcome.logged(["sbuild", *_OPTIONS, *where, dsc], place, place / "build.log", environment)
