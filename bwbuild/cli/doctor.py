"""``bwbuild doctor``: what the sandbox needs, whether this machine has it, and how it is mended."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.command import MixedCommand
from bwbuild.cli.options import configuration, with_settings
from bwbuild.errors import ExitStatus

if TYPE_CHECKING:
    from bwbuild.build.record.summary import Line
    from bwbuild.host.doctor import Finding


@click.command(cls=MixedCommand)
@with_settings("identity", "view", "scratch", "output", "sign.mode", "sign.key")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, as_json: bool, **parameters: Any) -> int:
    """Try everything that the sandbox needs; say what is missing, why, and the command that mends it.

    The exit status is 0 if a build can start here, else 4.
    """
    from bwbuild.build.study.doctor import examine, failed  # noqa: PLC0415 - --help needs neither
    from bwbuild.cli.terminal import print_lines  # noqa: PLC0415

    findings = examine(configuration(parameters).settings, Path.cwd())
    if as_json:
        click.echo(_json(findings))
    else:
        print_lines(_lines(findings), sys.stdout)
    return ExitStatus.HOST if failed(findings) else ExitStatus.SUCCESS


def _json(findings: tuple[Finding, ...]) -> str:
    import json  # noqa: PLC0415
    from dataclasses import asdict  # noqa: PLC0415

    rows = [{**asdict(finding), "status": finding.status.value} for finding in findings]
    return json.dumps(rows, indent=2)


def _lines(findings: tuple[Finding, ...]) -> list[Line]:
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415
    from bwbuild.build.record.summary import Line  # noqa: PLC0415
    from bwbuild.build.study.doctor import failed  # noqa: PLC0415

    styles = {"ok": "green", "info": "", "warning": "yellow", "failed": "bold red"}
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        status = finding.status.value
        lines.append(Line(f"{status:7}  {finding.name:{width}}  {visible(finding.what)}", styles[status]))
        indent = " " * (width + 11)
        label = "note" if status == "info" else "cause"
        if finding.cause:
            lines.append(Line(f"{indent}{label}: {visible(finding.cause)}"))
        if finding.remedy:
            lines.append(Line(f"{indent}mend:  {visible(finding.remedy)}", "bold"))
    count = len(failed(findings))
    verdict = (
        f"{count} of {len(findings)} failed: a build can't start here" if count else "a build can start here"
    )
    lines.append(Line(verdict, styles["failed" if count else "ok"]))
    return lines
