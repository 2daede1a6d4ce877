"""A run as one HTML page that needs nothing else: no network, no other file, one script and one style.

All text comes from packages or may do so. It is put into the page by jinja's autoescape, or as JSON in
elements that browsers don't run and the script shows as text only; a policy in the page forbids all else.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bwbuild.build.record.report import utc
from bwbuild.corpus.reports.charts import HEIGHT, WIDTH, charts
from bwbuild.corpus.reports.details import Limits, details, row
from bwbuild.corpus.reports.since import Since, groups
from bwbuild.corpus.reports.text import BAD, VERDICTS, harmless, number_of, one_line
from bwbuild.corpus.values import Run
from bwbuild.units import human_duration, human_size

if TYPE_CHECKING:
    from jinja2 import Template

#: Rows that a reader without JavaScript gets.
_MOST_WITHOUT_SCRIPT = 200
_BAD = [verdict.value for verdict in BAD]


def to_html(run: Run, directory: Path, since: Since | None = None) -> Iterator[bytes]:
    """``run`` as a page, in chunks; the same run with the same logs gives the same bytes.

    :param directory: where the page will be: logs below it are linked.
    """
    limits = Limits.of(run.builds)
    style, script = _asset("page.css"), _asset("page.js")
    rows = [row(build) for build in run.builds]
    changes = since or Since("", ())
    page = _template().generate(
        title=one_line(f"Corpus run {run.name}", 200),
        name=one_line(run.name, 200),
        policy=_policy(style, script),
        style=style,
        script=script,
        facts=_facts(run),
        counts=[(verdict.value, number_of(run.builds, verdict)) for verdict in VERDICTS],
        total=len(run.builds),
        statuses=sorted({str(item["status"]) for item in rows}),
        against=one_line(changes.against, 200),
        groups=tuple(groups(changes, {build.key: build for build in run.builds})),
        charts=charts(run),
        size=(WIDTH, HEIGHT),
        failures=[item for item in rows if item["verdict"] in _BAD][:_MOST_WITHOUT_SCRIPT],
        limits=(human_size(limits.failed), human_size(limits.passed)),
        rows=_json(rows).decode("ascii"),
        logs=(
            _packed(details(run, build, limits, directory) | {"since": changes.of(build.key)})
            for build in run.builds
        ),
    )
    for chunk in page:
        yield chunk.encode("utf-8")


def _asset(name: str) -> str:
    return Path(__file__).with_name("page").joinpath(name).read_text(encoding="ascii")


def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - only a page needs it

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("page")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _policy(style: str, script: str) -> str:
    """The Content Security Policy: exactly this style and this script, and nothing from anywhere."""
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode("ascii")).digest()).decode() for text in (style, script)
    ]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _json(value: object) -> bytes:
    """``value`` as JSON that no HTML parser takes for anything else than text."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("ascii")


def _packed(value: object) -> str:
    """``value`` as JSON, compressed; the time, which gzip would put in, is left out."""
    return base64.b64encode(gzip.compress(_json(value), 9, mtime=0)).decode("ascii")


def _facts(run: Run) -> list[tuple[str, str]]:
    machine = run.machine
    processors = f"{machine.processors} processor{'' if machine.processors == 1 else 's'}"
    length = human_duration((run.finished - run.started).total_seconds()) if run.finished else ""
    facts = [
        ("Started", utc(run.started)),
        ("Took", length or f"not finished{run.stopped and ': '}{run.stopped}"),
        ("Machine", f"{machine.name}, {processors}, {human_size(machine.memory)}, {machine.architecture}"),
        ("Options", " ".join(run.options)),
        ("Made with", f"bwbuild {run.tool}"),
    ]
    return [(label, harmless(text)) for label, text in facts if text]
