"""A run as JSON for other programs; docs/reports.md has every field."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bwbuild.build.report import plain
from bwbuild.corpus.reports.text import VERDICTS, number_of
from bwbuild.corpus.values import Build, Run

#: The version of the form: it changes when a field goes or means something else, not when one is added.
FORMAT_VERSION = 1


def to_json(run: Run) -> Iterator[bytes]:
    """``run`` as JSON in ASCII, in chunks: the same run gives the same bytes; the last ends with a newline.

    A path that is not UTF-8 has its bytes as lone surrogates, as Python has them.
    """
    form = plain(run)
    assert isinstance(form, dict)  # noqa: S101 - for the type checker; a dataclass is one
    counts = {verdict.value: number_of(run.builds, verdict) for verdict in VERDICTS}
    head = {"version": FORMAT_VERSION, **{key: form[key] for key in form if key != "builds"}, "counts": counts}
    yield (json.dumps(head, indent=2).removesuffix("\n}") + ',\n  "builds": [').encode("ascii")
    comma = ""
    for build in run.builds:
        yield (comma + "\n    " + json.dumps(_form(build), indent=2).replace("\n", "\n    ")).encode("ascii")
        comma = ","
    yield ("\n  ]\n}\n" if run.builds else "]\n}\n").encode("ascii")


def _form(build: Build) -> object:
    """Fields of control files as an object, as which they are asked for; all else as it is."""
    form = plain(build)
    assert isinstance(form, dict)  # noqa: S101 - for the type checker
    form["steps"] = [{"name": name, "seconds": seconds} for name, seconds in build.steps]
    for package, written in zip(build.packages, form["packages"], strict=True):
        written["control"] = dict(package.control)
    return form
