"""A run as JSON for other programs; docs/reports.md has every field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from bwbuild.build.record.report import plain
from bwbuild.corpus.reports.since import Since
from bwbuild.corpus.reports.text import VERDICTS, number_of
from bwbuild.corpus.values import Build, Run

#: The version of the form: it changes when a field goes or means something else, not when one is added.
FORMAT_VERSION = 1

#: Fields that are as they are in the values; a new one there is not promised to others before it stands here.
_RUN = ("name", "tool", "started", "finished", "stopped", "machine", "directory", "options")
_BUILD = (
    *(
        "key",
        "subject",
        "verdict",
        "source",
        "version",
        "architecture",
        "status",
        "exit_status",
        "problems",
        "message",
    ),
    *("errors", "started", "finished", "wall", "cpu", "memory", "space", "artifacts", "undeclared", "hidden"),
    *("attempts", "worker", "lost", "log", "report"),
)


def to_json(run: Run, since: Since | None = None) -> Iterator[bytes]:
    """``run`` as JSON in ASCII, in chunks: the same run gives the same bytes; the last ends with a newline.

    A path that is not UTF-8 has its bytes as lone surrogates, as Python has them.
    """
    counts = {verdict.value: number_of(run.builds, verdict) for verdict in VERDICTS}
    head = {"version": FORMAT_VERSION, **_fields(run, _RUN), "counts": counts, "since": plain(since)}
    yield (json.dumps(head, indent=2).removesuffix("\n}") + ',\n  "builds": [').encode("ascii")
    comma = ""
    for build in run.builds:
        yield (comma + "\n    " + json.dumps(_build(build), indent=2).replace("\n", "\n    ")).encode("ascii")
        comma = ","
    yield ("\n  ]\n}\n" if run.builds else "]\n}\n").encode("ascii")


def _fields(value: Build | Run, names: Sequence[str]) -> dict[str, object]:
    return {name: plain(getattr(value, name)) for name in names}


def _build(build: Build) -> dict[str, object]:
    packages = [
        {"name": package.name, "control": dict(package.control), "files": list(package.files)}
        for package in build.packages
    ]
    steps = [{"name": name, "seconds": seconds} for name, seconds in build.steps]
    return {**_fields(build, _BUILD), "steps": steps, "packages": packages}
