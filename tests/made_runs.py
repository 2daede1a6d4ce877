"""Corpus runs that never were, with logs as bwbuild writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bwbuild.build.record.log import LogFile, LogTitle
from bwbuild.build.record.report import Artifact
from bwbuild.corpus.values import Build, Line, Machine, Package, Run, Verdict
from bwbuild.events import Field, Output, Section

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ERROR = "wrong.c:1:25: error: 'nowhere' undeclared"


def write_log(path: Path, output: bytes = b"", *, lines: int = 20, name: str = "hello") -> int:
    """Write a log whose build prints ``lines`` lines, one with :data:`ERROR`, and ``output``; its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with LogFile(LogTitle(name, "1-1", "amd64"), path, now=lambda: NOON) as log:
        log(Field("Package", name))
        log(Section("Build environment"))
        log(Field("Kernel", "6.18"))
        log(Section("Build"))
        log(Section("dpkg-buildpackage", 3))
        for number in range(lines):
            log(Output(f"gcc -c -o part{number}.o part{number}.c\n".encode()))
        log(Output(ERROR.encode() + b"\n" + output))
        log(Section("Summary"))
        log(Field("Status", "attempted"))
    return path.read_bytes().split(b"\n").index(ERROR.encode()) + 1


def made_build(key: str, verdict: Verdict = Verdict.PASSED, **fields: object) -> Build:
    """A build that has all fields where its verdict allows."""
    built = verdict in (Verdict.PASSED, Verdict.FAILED)
    base = Build(
        key=key,
        verdict=verdict,
        source=key,
        version="1:1.0-1",
        architecture="amd64",
        status={Verdict.PASSED: "success", Verdict.FAILED: "build-failed"}.get(verdict, ""),
        exit_status={Verdict.PASSED: 0, Verdict.FAILED: 10}.get(verdict),
        lost=("worker one was lost",) if verdict is Verdict.LOST else (),
        started=NOON if built else None,
        finished=NOON + timedelta(seconds=90) if built else None,
        wall=90.0 if built else 0.0,
        cpu=120.5 if built else 0.0,
        memory=300 << 20 if built else 0,
        space=1 << 20 if built else 0,
        steps=(("dpkg-source -b", 0.5), ("dh_auto_build", 1.0), ("dh_auto_test", 60.0)) if built else (),
        worker="one",
        log=Path("logs", f"{key}.build") if built else None,
        report=Path("logs", f"{key}.json") if built else None,
    )
    if verdict is Verdict.FAILED:
        base = replace(
            base,
            message="dpkg-buildpackage failed (exit status 2)",
            errors=(Line(0, ERROR),),
            problems=("the status is build-failed, not success",),
            undeclared=("libncurses-dev",),
            hidden=("usr/include/curses.h",),
        )
    if verdict is Verdict.PASSED:
        name = f"{key}_1.0-1_amd64.deb"
        files = ("-rw-r--r-- root/root 12 ./usr/share/doc/copyright",)
        base = replace(
            base,
            artifacts=(Artifact(name, 53000, "ab" * 32, Path("/out", name)),),
            packages=(Package(name, (("Package", key), ("Version", "1:1.0-1")), files),),
        )
    return replace(base, **fields)  # type: ignore[arg-type]


def made_run(directory: Path, builds: Sequence[Build], **fields: object) -> Run:
    """A run of ``builds`` with a log for each that says that it has one, unless it is there."""
    for build in builds:
        if build.log is not None and not (directory / build.log).exists():
            write_log(directory / build.log, name=build.key.replace("\n", " "))
    run = Run(
        name="trixie-1",
        tool="0.1.0",
        started=NOON,
        finished=NOON + timedelta(seconds=200),
        machine=Machine("builder", 4, 16 << 30, "amd64"),
        directory=directory,
        options=("-d", "trixie", "-b"),
        builds=tuple(sorted(builds, key=lambda build: build.key)),
    )
    return replace(run, **fields)  # type: ignore[arg-type]


def mixed(directory: Path) -> Run:
    """One of each verdict."""
    verdicts = {"alpha": "passed", "beta": "failed", "gamma": "lost", "delta": "left"}
    return made_run(directory, [made_build(key, Verdict(word)) for key, word in verdicts.items()])
