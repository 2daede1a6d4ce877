"""One job, from its source to its result: what the local pool and every other worker call."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bwbuild.build.record.log import cannot_write
from bwbuild.corpus import child, outcome, trial
from bwbuild.corpus.expectations import Expectation, differences
from bwbuild.corpus.values import Artifact, Build, Job, Verdict
from bwbuild.corpus.watch import Watch
from bwbuild.errors import BwbuildError, ExitStatus, OutputError

#: What a build of a corpus has unless its options say otherwise.
DEFAULTS = ("--keep", "never", "--no-sign")
_JOBS = re.compile(r"--jobs(-try|-force)?(=.*)?|-[jJ]=?(\d*|auto)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is carried out, and what it may take.

    :ivar directory: where its files go: ``log``, ``report.json``, ``terminal`` (what the command wrote) and
        ``artifacts``. What is there is removed first.
    :ivar cwd: where the job's options are relative to.
    :ivar share: how many commands its build may run at once, unless its options say so; None: as it decides.
    :ivar keep: whether the artifacts stay; their lists and sums are in the result in any case.
    """

    directory: Path
    cwd: Path
    share: int | None = None
    keep: bool = False


def work(job: Job, place: Place, watch: Watch) -> Build:
    """Carry ``job`` out. Whatever its source does, there is a result.

    A build that ``watch`` has stopped is ``LEFT``, with nothing of it to be kept.

    :raises OutputError: the place can't be written, as when its disk is full; nothing is known of the job.
    :raises HostError: no build can be started here.
    """
    started = datetime.now(UTC)
    try:
        _make(place.directory)
        build = _tried(job, job.expected, place, watch) if job.expected else _built(job, place, watch)
    except OSError as error:
        raise cannot_write(Path(error.filename or place.directory), error) from error
    if watch.stop.asked and build.verdict is not Verdict.PASSED:
        return Build(job.key, Verdict.LEFT, job.subject or job.key)
    return replace(build, started=build.started or started, finished=build.finished or datetime.now(UTC))


def _make(directory: Path) -> None:
    """An empty directory; what a killed attempt left may have files of other ids."""
    trial.remove(directory)
    directory.mkdir(parents=True)


def _built(job: Job, place: Place, watch: Watch) -> Build:
    artifacts = place.directory / "artifacts"
    artifacts.mkdir()
    words = [*DEFAULTS, *job.options, *_share(job, place), *_own(place), "--output", str(artifacts)]
    call = child.Call(
        words=(*words, "--workspace", "private", job.source),
        cwd=place.cwd,
        environment=os.environ,
        terminal=place.directory / "terminal",
    )
    ended = child.run(call, watch)
    report = outcome.read_report(place.directory / "report.json")
    build = outcome.result(job, ended, report, place.directory)
    _check_disk(build, report, place.directory)
    if place.keep:
        return replace(build, artifacts=tuple(_placed(item, artifacts) for item in build.artifacts))
    shutil.rmtree(artifacts)
    return build


def _placed(artifact: Artifact, directory: Path) -> Artifact:
    return replace(artifact, path=directory / artifact.name)


def _share(job: Job, place: Place) -> tuple[str, ...]:
    if place.share is None or any(_JOBS.fullmatch(word) for word in job.options):
        return ()
    return (f"-J{place.share}",)


def _own(place: Place) -> tuple[str, ...]:
    return ("--report", str(place.directory / "report.json"), "--log", str(place.directory / "log"))


def _check_disk(build: Build, report: Mapping[str, Any], directory: Path) -> None:
    """A disk that is full is nothing that a source can be blamed for: nothing more can be built.

    :raises OutputError: it is.
    """
    limit = report.get("limit") or {}
    # One that filled the disk by itself has given all of it back when it was killed.
    short = limit.get("name") == "disk-reserve" and shutil.disk_usage(directory).free < limit["value"]
    if build.exit_status == ExitStatus.OUTPUT or short:
        raise OutputError(f"{build.key}: {build.message}", hint="free some space")


def _tried(job: Job, expected: Expectation, place: Place, watch: Watch) -> Build:
    """Build a copy of the source, and compare all that came of it with what was expected."""
    subject = job.subject or job.key
    lacking = trial.lacking(expected)
    if lacking:
        return Build(job.key, Verdict.SKIPPED, subject, message=f"this machine lacks {lacking}")
    top = place.directory / "trial"
    top.mkdir()
    try:
        copied = trial.prepared(Path(job.source), expected, top)
    except BwbuildError as error:
        message = ": ".join((error.message, *error.details[-1:]))
        return Build(job.key, Verdict.FAILED, subject, message=message, problems=(message,))
    terminal = place.directory / "terminal"
    own = (*_own(place), "--scratch", str(copied.scratch))
    call = child.Call(
        words=(*trial.OPTIONS, *own, *_share(job, place), *expected.options, *job.options),
        cwd=copied.tree,
        environment=trial.environment(expected, copied, os.environ),
        terminal=terminal,
        timeout=expected.seconds,
    )
    ended = child.run(call, watch)
    report = outcome.read_report(place.directory / "report.json")
    left = trial.Left(ended.status, ended.own_memory, report, place.directory / "log", terminal)
    problems = differences(expected, trial.outcome(expected, copied, left), os.getuid())
    build = judged(outcome.result(job, ended, report, place.directory), expected, problems)
    if place.keep and build.verdict is Verdict.PASSED:
        _move(copied, build, place.directory / "artifacts")
        build = replace(
            build,
            artifacts=tuple(_placed(item, place.directory / "artifacts") for item in build.artifacts),
        )
    if build.verdict is Verdict.PASSED or not place.keep:
        trial.remove(top)
    return build


def _move(copied: trial.Copied, build: Build, directory: Path) -> None:
    directory.mkdir()
    for artifact in build.artifacts:
        (copied.parent / artifact.name).rename(directory / artifact.name)


def judged(build: Build, expected: Expectation, problems: tuple[str, ...]) -> Build:
    """``build`` with the verdict of an expectation; where that has a gap, there must be problems."""
    if expected.gap:
        unneeded = "there is no gap any more: take the key out of expect.toml"
        problems = () if problems else (unneeded,)
    verdict = Verdict.FAILED if problems else Verdict.PASSED
    return replace(build, verdict=verdict, problems=problems)
