"""``bwbuild audit``: how exposed this machine is to what runs in a sandbox."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

from bwbuild.cli.command import MixedCommand, dpkg_options
from bwbuild.cli.options import SANDBOX, WATCHED, configuration, with_settings
from bwbuild.errors import ExitStatus

if TYPE_CHECKING:
    from bwbuild.audit.score import Finding
    from bwbuild.build.record.summary import Line
    from bwbuild.build.study.audit import Audit

_HIGHEST = 10.0


class _Exposure(click.FloatRange):
    """From 0 to 10; what is no number is not within any range, though no comparison says so."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


@click.command(cls=MixedCommand, options_metavar="[OPTIONS]")
@with_settings(*SANDBOX, *WATCHED, "timeout", "sign.mode")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--threshold",
    type=_Exposure(0.0, _HIGHEST),
    metavar="N",
    help="End with status 16 where the exposure is above N.",
)
@click.option("--probe/--no-probe", default=True, help="Look around inside, in the real sandbox.")
@click.argument("words", nargs=-1, metavar="[TREE | -- bwrap ...]", type=click.UNPROCESSED)
def audit(
    words: tuple[str, ...], *, as_json: bool, threshold: float | None, probe: bool, **parameters: Any
) -> int:
    """Score the sandbox that a build of TREE would get, from 0.0 (nothing found) to 10.0.

    Without TREE it is that of the tree around the current directory, or of a made-up source. After -- a bwrap
    command line is scored, as if it were started here; its command is not run.
    """
    from bwbuild.build.start import decide  # noqa: PLC0415
    from bwbuild.build.study.audit import audit_build  # noqa: PLC0415 - --help needs neither
    from bwbuild.build.study.audit_line import audit_line, is_line  # noqa: PLC0415
    from bwbuild.cli.terminal import print_lines, show_notice  # noqa: PLC0415

    options, settings = dpkg_options(), configuration(parameters).settings
    if is_line(words):
        found = audit_line(words, probing=probe)
    else:
        start = decide(words[0]) if words else None
        found = audit_build(start, options, settings, show_notice, probing=probe)
    if as_json:
        click.echo(_json(found))
    else:
        print_lines(_lines(found), sys.stdout)
    return ExitStatus.EXPOSED if threshold is not None and found.score.exposure > threshold else 0


def _json(found: Audit) -> str:
    import json  # noqa: PLC0415

    rows = [_row(found, finding) for finding in found.score.findings]
    return json.dumps(
        {
            "subject": found.subject,
            "exposure": found.score.exposure,
            "label": found.score.label,
            "probed": found.sight is not None,
            "findings": rows,
            "permissions": [item.plain() for item in found.permissions],
        },
        indent=2,
    )


def _row(found: Audit, finding: Finding) -> dict[str, object]:
    assessment = finding.assessment
    return {
        "name": assessment.name,
        "weight": assessment.weight,
        "badness": finding.badness,
        "range": assessment.range,
        "exposure": finding.tenths / 10,
        "floor": finding.floor / 10,
        "state": finding.state,
        "why": assessment.why,
        "change": assessment.words if found.line else assessment.change,
        "probe": found.probed(finding) or None,
        "evidence": found.seen(finding) or None,
    }


def _lines(found: Audit) -> list[Line]:
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415
    from bwbuild.build.record.summary import Line  # noqa: PLC0415

    findings = found.score.findings
    width = max(len(finding.assessment.name) for finding in findings)
    lines = [Line(f"    {'FINDING':{width}}  WEIGHT  EXPOSURE  PROBE      WHAT IS THE CASE", "bold")]
    for finding in sorted(findings, key=lambda finding: finding.tenths):
        assessment = finding.assessment
        share = f"{finding.tenths / 10:.1f}" if finding.badness else ""
        left = f"{_mark(finding)}   {assessment.name:{width}}  {assessment.weight:6}  {share:>8}"
        lines.append(Line(f"{left}  {found.probed(finding):9}  {visible(finding.state)}", _style(finding)))
        if finding.badness:
            lines += _details(found, finding, " " * (width + 33))
    return [*lines, *_permissions(found), *_verdict(found)]


def _permissions(found: Audit) -> list[Line]:
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415
    from bwbuild.build.record.summary import Line  # noqa: PLC0415

    lines = [Line("    PERMISSIONS", "bold")] if found.permissions else []
    for item in found.permissions:
        request = item.decision.request
        style = ("bold red" if item.grave else "yellow") if item.decision.granted else ""
        lines.append(Line(f"{'x' if item.decision.granted else ' '}   {visible(item.state)}", style))
        rows = [
            ("reason", request.reason if request else ""),
            *(("exposes", text) for text in item.exposes),
        ]
        lines += [Line(f"        {name + ':':9}{visible(text)}") for name, text in rows if text]
    return lines


def _details(found: Audit, finding: Finding, indent: str) -> list[Line]:
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415
    from bwbuild.build.record.summary import Line  # noqa: PLC0415

    assessment = finding.assessment
    change = assessment.words if found.line else assessment.change
    rows = [("seen", found.seen(finding)), ("why", assessment.why), ("change", change)]
    if finding.floor:
        rows.append(("floor", f"{finding.floor / 10:.1f}, whatever else is good"))
    return [Line(f"{indent}{name + ':':8}{visible(text)}") for name, text in rows if text]


def _verdict(found: Audit) -> list[Line]:
    from bwbuild.build.record.summary import Line  # noqa: PLC0415

    result = found.score
    names = ", ".join(finding.assessment.name for finding in result.fatal)
    lines = [Line(f"At least {result.exposure:.1f} because of: {names}")] if names else []
    if found.sight is None:
        lines.append(Line("Nobody looked inside: this is what is passed to bwrap."))
    style = "green" if result.exposure < 1 else "yellow" if result.exposure < 5 else "bold red"
    return [*lines, Line(f"Exposure of {found.subject}: {result.exposure:.1f} {result.label}", style)]


def _mark(finding: Finding) -> str:
    return "-" if finding.badness is None else "x" if finding.badness else " "


def _style(finding: Finding) -> str:
    if finding.floor:
        return "bold red"
    return "yellow" if finding.badness else ""
