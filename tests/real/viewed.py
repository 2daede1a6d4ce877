"""Builds with bwbuild in the declared view of this machine."""

from __future__ import annotations

import json
import os
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
    place = builds.emptied(builds.directory() / name / ("declared-without" if without else "declared"))
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
    place = tree.parent
    view = os.environ.get("BWBUILD_REAL_VIEW", "declared")
    more = builds.OPTIONS.get(place.parent.name, ())
    options = ["--view", view, "--no-sign", "--keep", "never", *builds.own(place), *more, "-b"]
    argv = [*builds.command(), *options]
    return outcome.logged(argv, tree, place / "terminal.log", builds.environment())
