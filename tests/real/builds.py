"""The two builds of one source: plain dpkg-buildpackage, and bwbuild."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import debs
import suites

from bwbuild.process import run

ROOT = Path(__file__).resolve().parents[2]
#: The same for both, near to what bwbuild gives a build, so that differences come from the sandbox alone.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "SHELL": "/bin/sh",
    "TERM": "dumb",
    "DEB_BUILD_OPTIONS": "parallel=2",
}
#: Options for sources that are about what a build has no business with.
OPTIONS = {"bubblewrap": ("--allow", "userns")}


@dataclass(frozen=True, slots=True)
class Built:
    """One build: how it ended, its log, seconds, and what it left: file name -> contents."""

    status: int
    log: str
    seconds: float
    debs: dict[str, debs.Deb]

    @property
    def results(self) -> Counter[str]:
        """What the test suites said."""
        return suites.results(self.log)


def directory() -> Path:
    """Where ``prepare`` put the sources, and where they are built."""
    return Path(os.environ.get("BWBUILD_REAL") or Path.home() / ".cache/bwbuild-real")


def names() -> list[str]:
    """The sources to build."""
    lines = (ROOT / "tests/real/packages").read_text(encoding="utf-8").splitlines()
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def dsc(name: str) -> Path | None:
    """The fetched .dsc of a source; None if ``prepare`` has not been run for it."""
    place = directory() / name
    return next(iter(sorted(place.glob("*.dsc"))), None) if (place / "ready").exists() else None


def command() -> list[str]:
    """The command; ``BWBUILD`` may name another one than that of this checkout."""
    return shlex.split(os.environ.get("BWBUILD", f"{sys.executable} -m bwbuild"))


def environment() -> dict[str, str]:
    """The environment of the command."""
    return {**ENVIRONMENT, "HOME": str(Path.home()), "PYTHONPATH": str(ROOT)}


def own(place: Path) -> list[str | Path]:
    """Options for a build in ``place``: its report, and a scratch directory that nobody else cleans up."""
    return ["--scratch", directory() / "scratch", "--report", place / "report.json"]


def emptied(place: Path) -> Path:
    """``place`` as an empty directory."""
    # A suite may leave directories that even their owner may not enter.
    run(["sh", "-c", 'chmod -R u+rwX "$1" 2>/dev/null; rm -rf "$1"', "sh", place])
    place.mkdir(parents=True)
    return place


def plain(name: str) -> Built:
    """Build with dpkg-buildpackage on the machine itself, under fakeroot where dpkg wants it."""
    return _build(name, "plain", ["dpkg-buildpackage", "-us", "-uc", "-b"])


def sandboxed(name: str) -> Built:
    """Build with bwbuild, with the same packages in sight: others compare the declared view, with sbuild."""
    options = ["--view", "host", "--no-sign", "--keep", "never", *own(directory() / name)]
    return _build(name, "sandbox", [*command(), *options, *OPTIONS.get(name, ()), "-b"])


def _build(name: str, kind: str, argv: list[str | Path]) -> Built:
    found = dsc(name)
    assert found is not None
    parent = emptied(directory() / name / kind)
    variables = environment()
    run(["dpkg-source", "--no-check", "-x", found], cwd=parent, env=ENVIRONMENT)
    (tree,) = (path for path in parent.iterdir() if path.is_dir())
    if kind == "plain":
        del variables["PYTHONPATH"]
    log = parent / "build.log"
    begin = time.monotonic()
    with_log: list[str | Path] = ["sh", "-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, *argv]
    status = run(with_log, cwd=tree, env=variables, check=False, timeout=1800).returncode
    seconds = time.monotonic() - begin
    if kind == "sandbox":
        # The terminal's output is short; the whole of it is in the log that bwbuild keeps.
        for whole in parent.glob("*.build"):
            log = whole
    artifacts = {path.name: debs.read(path) for path in sorted(parent.glob("*.*deb"))}
    return Built(status, log.read_text(encoding="utf-8", errors="replace"), seconds, artifacts)
