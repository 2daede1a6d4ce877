"""Builds every package of ``testpkgs/`` as ``bwbuild corpus run testpkgs`` does, with the same code."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import give_up

from bwbuild.corpus.sources import Reader
from bwbuild.corpus.trial import lacking
from bwbuild.corpus.values import Build, Job, Verdict
from bwbuild.corpus.watch import Progress, Stop, Watch
from bwbuild.corpus.work import Place, work
from bwbuild.errors import ExitStatus
from bwbuild.process import run

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "testpkgs"
#: What no preparation of a machine can change.
FIXED = frozenset({"dpkg < 1.22.13"})


def jobs() -> list[Job]:
    reader = Reader((), run(["dpkg", "--print-architecture"]).text, named=False)
    return reader.jobs([str(PACKAGES)], lambda notice: pytest.fail(notice.text))


def name(job: Job) -> str:
    """The package, and the options that this run has beyond the package's own."""
    return " ".join((job.key.partition("+")[0], *job.options))


def untold(_progress: Progress) -> None:
    """Nobody looks on."""


@pytest.mark.parametrize("job", [pytest.param(job, id=name(job)) for job in jobs()])
def test_package(job: Job, tmp_path: Path) -> None:
    assert job.expected is not None
    need = lacking(job.expected)
    if need:
        reason = f"this needs {need}"
        pytest.skip(reason) if need in FIXED else give_up(reason)
    directory = tmp_path / "run" / job.key
    build = work(job, Place(directory, tmp_path), Watch(untold, Stop()))
    if build.exit_status == ExitStatus.DEPENDENCIES and job.expected.status != "dependencies":
        give_up(build.message)
    if build.verdict is not Verdict.PASSED:
        pytest.fail(told(job, build, directory), pytrace=False)


def told(job: Job, build: Build, directory: Path) -> str:
    """What is not as expected, and the ends of what was written."""
    assert job.expected is not None
    lines = [job.expected.what, *build.problems]
    for file in ("terminal", "log"):
        path = directory / file
        text = path.read_text(encoding="utf-8", errors="replace")[-4000:] if path.exists() else ""
        lines += [f"--- {file}", text]
    return "\n".join(lines)


def test_the_directory_has_them_all() -> None:
    """A package whose expectation were passed over would be green for ever."""
    found = {Path(job.source).parent.name for job in jobs()}
    assert found == {path.name for path in PACKAGES.iterdir() if path.is_dir()}
    assert len(found) > 70
