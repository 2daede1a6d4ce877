"""What a report comes to in words: the end of the log, and what the terminal says when a build ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bwbuild.build.record import findings
from bwbuild.build.record.escaping import visible
from bwbuild.build.record.findings import Line
from bwbuild.build.record.report import Artifact, Report, utc
from bwbuild.build.record.uses import short
from bwbuild.errors import ExitStatus
from bwbuild.events import Event, Field, Level, Notice, Section, Text
from bwbuild.units import human_duration, human_size, long_stopwatch

__all__ = ["Line", "after_build", "headline", "outcome", "summary", "summary_values", "why"]

_RULE = "-" * 80
_SHORT_HASH = 12

#: The words that sbuild has for how a build ended (``attempted`` blames the package, ``given-back`` whatever
#: was missing, ``failed`` the rest), and for the stage it ended in, as far as it has one.
_SBUILD = {
    ExitStatus.SUCCESS: ("successful", ""),
    ExitStatus.USAGE: ("failed", "init"),
    ExitStatus.CONFIGURATION: ("failed", "init"),
    ExitStatus.HOST: ("failed", "create-session"),
    ExitStatus.SOURCE: ("given-back", "fetch-src"),
    ExitStatus.DEPENDENCIES: ("given-back", "install-deps"),
    ExitStatus.PERMISSION: ("given-back", "init"),
    ExitStatus.BUILD_FAILED: ("attempted", "build"),
    ExitStatus.LIMIT: ("attempted", "build"),
    ExitStatus.VERIFICATION: ("failed", "verification"),
    ExitStatus.SIGNING: ("failed", "signing"),
    ExitStatus.OUTPUT: ("failed", "publication"),
    ExitStatus.CHECK_FAILED: ("attempted", "post-build"),
    ExitStatus.EXPOSED: ("failed", "init"),
    ExitStatus.INTERRUPTED: ("failed", "abort"),
}


def after_build(when: datetime, *, successful: bool) -> tuple[Event, ...]:
    """What the log, and it alone, says when dpkg-buildpackage ended at ``when``."""
    verdict = (
        Notice(Level.INFO, "Built successfully")
        if successful
        else Notice(Level.ERROR, "Build failure (dpkg-buildpackage died)")
    )
    return (Text(f"{_RULE}\nBuild finished at {utc(when)}"), Section("Finished", 3), verdict)


def why(report: Report) -> tuple[Event, ...]:
    """What the log says before the summary of a build that failed: the rest is sbuild's few words."""
    failure = report.failure
    if failure is None:
        return ()
    more = (*failure.details, *map(str, failure.undeclared))
    text = "\n".join([failure.message, *(f"  {line}" for line in more)])
    hint = (Notice(Level.INFO, f"hint: {failure.hint}"),) if failure.hint else ()
    return (Notice(Level.ERROR, text), *hint)


def summary(report: Report) -> tuple[Event, ...]:
    """The last section of the log."""
    space = f"{_kibibytes(report.resources.disk)}k" if report.resources.disk is not None else "no"
    needed = f"Build needed {long_stopwatch(_all_seconds(report))}, {space} disk space"
    return (
        Section("Summary"),
        *(Field(key, value) for key, value in sorted(summary_values(report).items())),
        Text(f"{_RULE}\nFinished at {utc(report.finished)}\n{needed}"),
    )


def summary_values(report: Report) -> dict[str, str]:
    """The keys that readers of Debian's build logs know, in no order; what is not known is left out."""
    status, stage = _SBUILD[report.status]
    disk = report.resources.disk
    space = str(_kibibytes(disk)) if disk is not None else "n/a"
    values = {
        "Build Architecture": report.build_architecture,
        "Build Type": report.build_type,
        "Build-Space": space,
        "Build-Time": str(round(_seconds(report, "build"))),
        "Distribution": report.suite or report.distribution,
        "Fail-Stage": stage,
        "Host Architecture": report.architecture,
        "Install-Time": str(round(_seconds(report, "install"))),
        "Job": report.job,
        "Machine Architecture": report.build_architecture,
        "Package": report.source,
        "Package-Time": str(round(_all_seconds(report))),
        "Source-Version": report.source_version,
        "Space": space,
        "Status": status,
        "Version": report.built_version or report.source_version,
        **findings.summary_values(report.checks),
    }
    return {key: value for key, value in values.items() if value}


def _seconds(report: Report, name: str) -> float:
    return sum(phase.seconds for phase in report.phases if phase.name == name)


def _all_seconds(report: Report) -> float:
    # As sbuild counts: it installs dependencies as a part of the build.
    return report.resources.wall + _seconds(report, "install")


def _kibibytes(size: int) -> int:
    return -(-size // 1024)


def outcome(report: Report, width: int | None = None) -> tuple[Line, ...]:
    """What the terminal says at the end: the most important comes last, next to the prompt.

    :param width: columns that the terminal has; checksums are cut where they would not fit.
    """
    if report.failure is None:
        files = _files(report.artifacts, width)
        return (*files, *findings.lines(report.checks), *_facts(report), headline(report))
    came_out = _files(report.artifacts, width)
    found = findings.lines(report.checks)
    return (
        *(*_excerpt(report), *came_out, *found),
        *(headline(report), *_blame(report), *_facts(report), *_remedy(report)),
    )


def headline(report: Report) -> Line:
    """The result in one line."""
    title = visible(report.title)
    if report.failure is None:
        duration = human_duration(report.resources.wall)
        return Line(f"bwbuild: {title}: built in {duration}", "bold green")
    return Line(f"bwbuild: error: {title}: {visible(report.failure.message)}", "bold red")


def _files(artifacts: Sequence[Artifact], width: int | None) -> list[Line]:
    if not artifacts:
        return []
    names = [visible(artifact.name) for artifact in artifacts]
    sizes = [human_size(artifact.size) for artifact in artifacts]
    name_width = max(map(len, (*names, "File")))
    size_width = max(map(len, (*sizes, "Size")))
    fits = width is None or name_width + size_width + 64 + 4 <= width
    lines = [Line(f"{'File':{name_width}}  {'Size':>{size_width}}  SHA-256", "bold")]
    for artifact, name, size in zip(artifacts, names, sizes, strict=True):
        checksum = artifact.sha256 if fits else f"{artifact.sha256[:_SHORT_HASH]}…"
        lines.append(Line(f"{name:{name_width}}  {size:>{size_width}}  {checksum}"))
    return [*lines, Line("")]


def _facts(report: Report) -> list[Line]:
    used = report.resources
    about = "about " if used.peak_approximate else ""
    process = f", largest process {visible(used.peak_process)}" if used.peak_process else ""
    unsigned = f"none: {report.signature.reason}" if report.signature.reason else ""
    facts = {
        "Time": f"{human_duration(used.wall)}, CPU {human_duration(used.cpu)}",
        "Memory": f"{about}{human_size(used.peak_memory)} at its peak{process}" if used.peak_memory else "",
        "Changes": ", ".join(str(path) for path in (report.changes, report.source_changes) if path),
        "Signature": report.signature.key or unsigned,
        **{result.check.capitalize(): result.text for result in report.checks},
        "Weakened": "; ".join(report.weakenings),
        "Permits": "; ".join(map(str, report.permissions)),
        "Network": short(report.network),
        "Of tests": short(report.network_of_tests),
        "Log": str(report.log or ""),
        "Kept": str(report.kept.scratch or ""),
        "Shell": report.kept.shell,
        "Script": str(report.kept.script or ""),
    }
    width = max(map(len, facts)) + 1
    return [Line(f"{key + ':':{width}} {visible(value)}") for key, value in facts.items() if value]


def _excerpt(report: Report) -> list[Line]:
    excerpt = report.failure.excerpt if report.failure else None
    if excerpt is None:
        return []
    lines: list[Line] = []
    if excerpt.tail:
        lines += [Line("Last lines of the output:", "bold"), *_indented(excerpt.tail, "dim"), Line("")]
    if excerpt.errors:
        lines += [Line("First errors:", "bold"), *_indented(excerpt.errors), Line("")]
    return lines


def _blame(report: Report) -> list[Line]:
    failure = report.failure
    if failure is None:
        return []
    lines = _indented(failure.details)
    lines += _indented([str(found) for found in failure.undeclared], "bold yellow")
    excerpt = failure.excerpt
    if excerpt is None:
        return lines
    if excerpt.step:
        lines.append(Line(f"  in step {excerpt.step}"))
    if excerpt.command:
        lines.append(Line(f"  {excerpt.command}"))
    if excerpt.unmet:
        lines.append(Line(f"  missing: {', '.join(excerpt.unmet)}"))
    return lines


def _remedy(report: Report) -> list[Line]:
    hint = report.failure.hint if report.failure else ""
    return [Line(f"hint: {visible(hint)}", "bold")] if hint else []


def _indented(texts: Sequence[str], style: str = "") -> list[Line]:
    return [Line(f"  {visible(text)}".rstrip(), style) for text in texts]
