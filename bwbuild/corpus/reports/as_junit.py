"""A run as JUnit XML, in the form that GitLab, GitHub's actions and Jenkins read: a source is a test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from xml.etree import ElementTree as ET

from bwbuild.build.record.report import utc
from bwbuild.corpus.reports.logs import end_of
from bwbuild.corpus.reports.text import BAD, harmless, number_of, of_path, one_line, reason
from bwbuild.corpus.values import Build, Run, Verdict
from bwbuild.errors import BwbuildError
from bwbuild.units import human_duration, human_size

#: Bytes of a log's end that a failure has; CI systems refuse files of some ten MiB.
LONGEST_END = 16 << 10
#: All failures together; later ones have less of the log's end.
ALL_ENDS = 8 << 20
_LONGEST_MESSAGE = 500
_SKIPPED = tuple(verdict for verdict in Verdict if verdict not in (*BAD, Verdict.PASSED))


def to_junit(run: Run) -> Iterator[bytes]:
    """``run`` as XML, in chunks; what XML can't hold is visible text such as ``\\x1b``.

    A build that failed is a failure, one without a result an error, one that was left is skipped.
    """
    counts = _counts(run)
    outer = {"name": _name(run), **{key: counts[key] for key in ("tests", "failures", "errors", "time")}}
    inner = {**outer, "skipped": counts["skipped"], "hostname": one_line(run.machine.name, 200)}
    inner["timestamp"] = f"{run.started.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    yield _opened("testsuites", outer) + b"\n" + _opened("testsuite", inner) + b"\n"
    yield _written(_properties(run)) + b"\n"
    share = _share(run)
    for build in run.builds:
        yield _written(_testcase(run, build, share)) + b"\n"
    yield b"</testsuite>\n</testsuites>\n"


def _counts(run: Run) -> dict[str, str]:
    numbers = {
        "tests": len(run.builds),
        "failures": number_of(run.builds, Verdict.FAILED),
        "errors": number_of(run.builds, Verdict.LOST),
        "skipped": number_of(run.builds, *_SKIPPED),
    }
    time = f"{sum(build.wall for build in run.builds):.3f}"
    return {key: str(number) for key, number in numbers.items()} | {"time": time}


def _name(run: Run) -> str:
    return f"bwbuild corpus {one_line(run.name, 200)}"


def _share(run: Run) -> int:
    """Bytes of the log's end for each failure."""
    return min(LONGEST_END, ALL_ENDS // max(1, number_of(run.builds, *BAD)))


def _opened(tag: str, attributes: dict[str, str]) -> bytes:
    return _written(ET.Element(tag, attributes)).removesuffix(b" />") + b">"


def _written(element: ET.Element) -> bytes:
    # With an encoding the bytes would begin with a declaration each.
    return ET.tostring(element, encoding="unicode").encode("utf-8")


def _properties(run: Run) -> ET.Element:
    values = {
        "bwbuild": run.tool,
        "machine": run.machine.name,
        "architecture": run.machine.architecture,
        "processors": str(run.machine.processors),
        "memory": str(run.machine.memory),
        "options": " ".join(run.options),
        "started": utc(run.started),
        "finished": utc(run.finished) if run.finished else "",
    }
    properties = ET.Element("properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", name=name, value=one_line(value, 2000))
    return properties


def _testcase(run: Run, build: Build, share: int) -> ET.Element:
    names = {"name": one_line(build.key, 200), "classname": one_line(f"bwbuild.{run.name}", 200)}
    case = ET.Element("testcase", {**names, "time": f"{build.wall:.3f}"})
    message = one_line(reason(build), _LONGEST_MESSAGE)
    if build.verdict in BAD:
        tag = "failure" if build.verdict is Verdict.FAILED else "error"
        kind = one_line(build.status or build.verdict.value, 40)
        if build.errors:
            message = one_line(f"{reason(build)}: {build.errors[0].text}", _LONGEST_MESSAGE)
        ET.SubElement(case, tag, message=message, type=kind).text = _story(run, build, share)
    elif build.verdict in _SKIPPED:
        ET.SubElement(case, "skipped", message=message)
    if build.started is not None:
        ET.SubElement(case, "system-out").text = _facts(build)
    return case


def _story(run: Run, build: Build, share: int) -> str:
    end = end_of(run, build, share)
    if isinstance(end, BwbuildError):
        last = end.message
    else:
        assert build.log is not None  # noqa: S101 - for the type checker; it was read
        last = f"the end of {of_path(build.log)}:\n\n{end}"
    first = "\n".join(f"{line.number or '?'}: {line.text}" for line in build.errors)
    return harmless("\n\n".join(filter(None, (reason(build), "\n".join(build.lost), first, last))))


def _facts(build: Build) -> str:
    lines = [
        " ".join(filter(None, (build.source, build.version, build.architecture))),
        f"time {human_duration(build.wall)}, processor time {human_duration(build.cpu)}",
        f"memory {human_size(build.memory)}, space {human_size(build.space)}",
        f"attempts {build.attempts}" if build.attempts != 1 else "",
        f"worker {build.worker}" if build.worker else "",
        *(f"not declared: {name}" for name in build.undeclared),
        *(f"{artifact.sha256}  {artifact.name}" for artifact in build.artifacts),
    ]
    return harmless("\n".join(filter(None, lines)))
