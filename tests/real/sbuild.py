"""Builds with sbuild in a fresh chroot, the measure for the declared view; results are kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path

import builds
import chroots
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


def build(name: str, without: str = "", suite: str = "") -> outcome.Outcome:
    """Build a source, or what is left of it ``without`` one of its build dependencies.

    An earlier build of the same .dsc in the same chroot serves as well.

    :param suite: of the chroot; empty: this machine's.
    :raises RuntimeError: sbuild failed before the build, such as in the installation of packages.
    """
    place = builds.directory() / name / ("sbuild-without" if without else "sbuild")
    dsc = builds.dsc(name)
    assert dsc is not None
    suite = suite or chroots.codename()
    key = _key(dsc, without, suite)
    kept = place / "outcome.json"
    if not kept.exists() or json.loads(kept.read_text("utf-8"))["key"] != key:
        run(["rm", "-rf", place])
        place.mkdir()
        begin = time.monotonic()
        status = _run(_edited(dsc, place / "source", without) if without else dsc, place, suite)
        seconds = time.monotonic() - begin
        log = (place / "build.log").read_text(encoding="utf-8", errors="replace")
        if not _BUILT.search(log):
            raise RuntimeError(f"sbuild did not come to the build itself: {place / 'build.log'}")
        kept.write_text(json.dumps({"key": key, "status": status, "seconds": seconds}), encoding="utf-8")
    values = json.loads(kept.read_text("utf-8"))
    return outcome.read(place, place / "build.log", values["status"], values["seconds"])


def _key(dsc: Path, without: str, suite: str) -> str:
    made = chroots.chroot(suite).stat()
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


def _run(dsc: Path, place: Path, suite: str) -> int:
    # A configuration of its own: the user's is not part of the measure.
    temporary = os.environ.get("SBUILD_TMPDIR", "/tmp")
    lines = (f"$unshare_tmpdir_template = '{temporary}/tmp.sbuild.XXXXXXXXXX';", *_SETTINGS, "1;")
    (place / ".sbuildrc").write_text("\n".join(lines), encoding="utf-8")
    environment = {**builds.ENVIRONMENT, "HOME": str(place)}
    del environment["DEB_BUILD_OPTIONS"]  # --jobs says it
    where = [f"--chroot={chroots.chroot(suite)}", f"--dist={suite}", f"--build-dir={place}"]
    return outcome.logged(["sbuild", *_OPTIONS, *where, dsc], place, place / "build.log", environment)
