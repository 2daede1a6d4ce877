"""Builds with bwbuild in the declared view of this machine."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

import builds
import declarations
import outcome

from bwbuild.process import run


def build(name: str, without: str = "") -> outcome.Outcome:
    """Build a source, or what is left of it ``without`` one of its build dependencies."""
    dsc = builds.dsc(name)
    assert dsc is not None
    place = builds.directory() / name / ("declared-without" if without else "declared")
    # A suite may leave directories that even their owner may not enter.
    run(["sh", "-c", 'chmod -R u+rwX "$1" 2>/dev/null; rm -rf "$1"', "sh", place])
    place.mkdir()
    run(["dpkg-source", "--no-check", "-x", dsc], cwd=place, env=builds.ENVIRONMENT)
    (tree,) = (path for path in place.iterdir() if path.is_dir())
    if without:
        declarations.remove(tree, without)
    begin = time.monotonic()
    status = _run(tree)
    seconds = time.monotonic() - begin
    log = next(iter(sorted(place.glob("*.build"))), place / "terminal.log")
    return outcome.read(place, log, status, seconds)


def undeclared(name: str) -> dict[str, str]:
    """What the report of the last build ``without`` a dependency says was hidden: path -> package."""
    report = json.loads((builds.directory() / name / "declared-without/report.json").read_text("utf-8"))
    return {found["path"]: found["package"] for found in report["failure"]["undeclared"]}


def terminal(name: str) -> str:
    """What bwbuild wrote to the terminal in the last build ``without`` a dependency."""
    return (builds.directory() / name / "declared-without/terminal.log").read_text("utf-8", "replace")


def _run(tree: Path) -> int:
    command = shlex.split(os.environ.get("BWBUILD", f"{sys.executable} -m bwbuild"))
    place = tree.parent
    # A scratch directory of its own, so that nobody else's clean-up can reach it.
    own = ["--scratch", builds.directory() / "scratch", "--report", place / "report.json"]
    options = ["--view", os.environ.get("BWBUILD_REAL_VIEW", "declared"), "--no-sign", "--keep", "never"]
    environment = {**builds.ENVIRONMENT, "HOME": str(Path.home()), "PYTHONPATH": str(builds.ROOT)}
    options += builds.OPTIONS.get(place.parent.name, ())
    return outcome.logged([*command, *options, *own, "-b"], tree, place / "terminal.log", environment)
