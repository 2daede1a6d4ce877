"""The result of a job, from what its child left: the report, the log, and how it ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bwbuild.build.record.escaping import visible
from bwbuild.corpus.child import Ended
from bwbuild.corpus.values import Artifact, Build, Job, Line, Package, Verdict
from bwbuild.errors import ExitStatus

#: Bytes of a report: the lists of packages in it are bounded where it is made.
LARGEST_REPORT = 256 << 20
#: Bytes of a log in which the lines that tell why it failed are looked for.
LARGEST_LOG = 512 << 20
#: Bytes of the end of what a child wrote that are read to say why it crashed.
_TAIL = 1 << 14
_ERROR = "bwbuild: error: "


def read_report(path: Path) -> dict[str, Any]:
    """The report at ``path``; empty where there is none, or none that can be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_REPORT + 1)
    except FileNotFoundError:
        return {}
    try:
        found = json.loads(data) if len(data) <= LARGEST_REPORT else None
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def result(job: Job, ended: Ended, report: Mapping[str, Any], directory: Path) -> Build:
    """What came of ``job``, whose child's files are in ``directory``; paths are relative to the one above it.

    Its verdict is that of a build that must succeed.
    """
    log, own = directory / "log", directory / "report.json"
    failure = _table(report.get("failure"))
    resources = _table(report.get("resources"))
    built = ended.status == ExitStatus.SUCCESS and report.get("status") == ExitStatus.SUCCESS.label
    missed = [item for item in _list(failure.get("undeclared")) if isinstance(item, dict)]
    return Build(
        key=job.key,
        subject=job.subject or job.key,
        verdict=Verdict.PASSED if built else Verdict.FAILED,
        source=_text(report.get("source")),
        version=_text(report.get("built_version")) or _text(report.get("source_version")),
        architecture=_text(report.get("architecture")),
        status=_text(report.get("status")),
        exit_status=ended.status,
        message="" if built else _text(failure.get("message")) or _crash(ended, directory / "terminal"),
        errors=_errors(_table(failure.get("excerpt")), log),
        started=_time(report.get("started")),
        finished=_time(report.get("finished")),
        wall=_number(resources.get("wall")) or ended.seconds,
        cpu=_number(resources.get("cpu")),
        memory=int(_number(resources.get("peak_memory"))),
        space=int(_number(resources.get("disk"))),
        steps=ended.steps,
        artifacts=_artifacts(report),
        packages=_packages(report),
        undeclared=tuple(sorted({_text(item.get("package")) for item in missed})),
        hidden=tuple(sorted({_text(item.get("path")) for item in missed})),
        log=log.relative_to(directory.parent) if log.exists() else None,
        report=own.relative_to(directory.parent) if report else None,
    )


def _crash(ended: Ended, terminal: Path) -> str:
    how = f"signal {-ended.status}" if ended.status < 0 else f"exit status {ended.status}"
    if ended.timed_out:
        return "bwbuild did not end in time and was killed"
    lines = tail(terminal, _TAIL).decode("utf-8", "replace").split("\n")
    told = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    last = next(reversed(told or [line for line in lines if line.strip()]), "")
    return f"bwbuild ended with {how} and left no report{f': {visible(last[:500])}' if last else ''}"


def tail(path: Path, size: int) -> bytes:
    """The last ``size`` bytes of a file; nothing where there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - size))
            return stream.read(size)
    except FileNotFoundError:
        return b""


def _errors(excerpt: Mapping[str, Any], log: Path) -> tuple[Line, ...]:
    texts = [text for text in _list(excerpt.get("errors")) if isinstance(text, str)]
    wanted = {text.encode("utf-8", "surrogateescape").strip(): 0 for text in texts}
    if wanted and log.exists():
        _number_lines(wanted, log)
    return tuple(
        Line(wanted[text.encode("utf-8", "surrogateescape").strip()], visible(text)) for text in texts
    )


def _number_lines(wanted: dict[bytes, int], log: Path) -> None:
    """Note where each line that is ``wanted`` stands for the first time."""
    left = LARGEST_LOG
    with log.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            left -= len(line)
            text = line.strip()
            if text in wanted and not wanted[text]:
                wanted[text] = number
                if all(wanted.values()):
                    return
            if left < 0:
                return


def _artifacts(report: Mapping[str, Any]) -> tuple[Artifact, ...]:
    items = [_table(item) for item in _list(report.get("artifacts"))]
    return tuple(
        Artifact(_text(item.get("name")), int(_number(item.get("size"))), _text(item.get("sha256")))
        for item in items
    )


def _packages(report: Mapping[str, Any]) -> tuple[Package, ...]:
    items = [_table(item) for item in _list(report.get("packages"))]
    found = (
        Package(
            name=_text(item.get("name")),
            control=tuple((_text(pair[0]), _text(pair[1])) for pair in _list(item.get("control"))),
            files=tuple(_text(line) for line in _list(item.get("files"))),
            complete=item.get("complete") is True,
        )
        for item in items
    )
    return tuple(sorted(found, key=lambda package: package.name))


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return visible(value) if isinstance(value, str) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value >= 0 else 0.0


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
