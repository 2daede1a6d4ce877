"""Write a run as a report into a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from bwbuild.build.record.log import cannot_write
from bwbuild.build.record.report import write_whole
from bwbuild.corpus.reports.since import Since
from bwbuild.corpus.values import Run


class Form(Enum):
    """Which report."""

    JSON = "json"
    JUNIT = "junit"
    HTML = "html"


def write(run: Run, form: Form, path: Path, since: Since | None = None) -> None:
    """Write ``run`` as ``form`` to ``path``, in one step where that is a regular file.

    Logs are read in the run's directory; of one that can't be read the report says so.

    :param since: how it differs from an earlier run, for the page and JSON.
    :raises OutputError: ``path`` can't be written; a file that was there is as it was.
    """
    chunks = _chunks(run, form, path, since)
    if _is_stream(path):
        _write_through(path, chunks)
    else:
        write_whole(path, chunks)


def _chunks(run: Run, form: Form, path: Path, since: Since | None) -> Iterable[bytes]:
    # Each form has libraries of its own, of which only those of the one that is asked for are imported.
    match form:
        case Form.JSON:
            from bwbuild.corpus.reports.as_json import to_json  # noqa: PLC0415

            return to_json(run, since)
        case Form.JUNIT:
            from bwbuild.corpus.reports.as_junit import to_junit  # noqa: PLC0415

            return to_junit(run)
        case Form.HTML:
            from bwbuild.corpus.reports.as_html import to_html  # noqa: PLC0415

            return to_html(run, path.parent, since)


def _is_stream(path: Path) -> bool:
    """Whether ``path`` is such as /dev/stdout, whose place no file must take."""
    return path.exists() and not path.is_dir() and (path.is_symlink() or not path.is_file())


def _write_through(path: Path, chunks: Iterable[bytes]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is a descriptor
            file.writelines(chunks)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
