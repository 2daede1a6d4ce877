"""Values of the corpus as rows of its database, and back."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bwbuild.corpus import stored
from bwbuild.corpus.values import Artifact, Build, Job, Machine, Package, Run, Verdict
from bwbuild.errors import UsageError


def insert_run(database: sqlite3.Connection, run: Run, plan: object, jobs: Sequence[Job]) -> None:
    """Enter a run, how it is carried out, and all its jobs."""
    row = database.execute(
        "INSERT INTO run (name, tool, directory, cwd, started, machine, options, plan)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(run.name, run.tool, as_json(run.directory), as_json(run.cwd), run.started.isoformat()),
            *map(as_json, (run.machine, run.options, plan)),
        ),
    ).lastrowid
    database.executemany(
        "INSERT INTO job (run, key, subject, value) VALUES (?, ?, ?, ?)",
        [(row, job.key, job.subject or job.key, as_json(job)) for job in jobs],
    )


def insert_build(database: sqlite3.Connection, run: str, build: Build) -> None:
    """Enter a result in place of an earlier one of the same job."""
    (job,) = database.execute(
        "SELECT job.id FROM job JOIN run ON job.run = run.id WHERE run.name = ? AND key = ?", (run, build.key)
    ).fetchone()
    for table in ("build", "artifact", "package"):
        database.execute(f"DELETE FROM {table} WHERE job = ?", (job,))  # noqa: S608 - of three names
    bare = replace(build, artifacts=(), packages=())
    database.execute(
        "INSERT INTO build VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(job, build.verdict.value, build.source, build.version, build.architecture, build.status),
            *(build.message, build.wall, build.cpu, build.memory, as_json(bare)),
        ),
    )
    database.executemany(
        "INSERT INTO artifact VALUES (?, ?, ?, ?, ?)",
        [
            (job, item.name, item.size, item.sha256, None if item.path is None else as_json(item.path))
            for item in build.artifacts
        ],
    )
    database.executemany(
        "INSERT INTO package VALUES (?, ?, ?, ?, ?)",
        [
            (job, item.name, as_json(item.control), _packed(item.files), int(item.complete))
            for item in build.packages
        ],
    )


def read_run(database: sqlite3.Connection, name: str) -> tuple[Run, int]:
    """A run without its builds, and its number.

    :raises UsageError: there is none of that name.
    """
    row = database.execute(
        "SELECT id, tool, directory, cwd, started, finished, stopped, machine, options"
        " FROM run WHERE name = ?",
        (name,),
    ).fetchone()
    if row is None:
        raise UsageError(f"there is no run {name}", hint="bwbuild corpus list shows all")
    number, tool, directory, cwd, started, finished, stopped, machine, options = row
    run = Run(
        name=name,
        tool=tool,
        started=datetime.fromisoformat(started),
        finished=datetime.fromisoformat(finished) if finished else None,
        machine=stored.restored(Machine, json.loads(machine)),
        directory=Path(json.loads(directory)),
        options=tuple(json.loads(options)),
        cwd=Path(json.loads(cwd)),
        stopped=stopped,
    )
    return run, number


def read_builds(database: sqlite3.Connection, run: int, *, packages: bool) -> Iterator[Build]:
    """The result of each job of a run, in the order of their keys; ``LEFT`` where there is none."""
    rows = database.execute(
        "SELECT job.id, key, subject, build.value FROM job LEFT JOIN build ON build.job = job.id"
        " WHERE run = ? ORDER BY key",
        (run,),
    ).fetchall()
    for job, key, subject, value in rows:
        if value is None:
            yield Build(key, Verdict.LEFT, subject)
            continue
        build = stored.restored(Build, json.loads(value))
        yield replace(
            build,
            artifacts=tuple(_artifacts(database, job)),
            packages=tuple(_packages(database, job)) if packages else (),
        )


def _artifacts(database: sqlite3.Connection, job: int) -> Iterator[Artifact]:
    rows = database.execute("SELECT name, size, sha256, path FROM artifact WHERE job = ?", (job,))
    for name, size, sha256, path in rows:
        yield Artifact(name, size, sha256, Path(json.loads(path)) if path is not None else None)


def _packages(database: sqlite3.Connection, job: int) -> Iterator[Package]:
    rows = database.execute("SELECT name, control, files, complete FROM package WHERE job = ?", (job,))
    for name, control, files, complete in rows:
        pairs = tuple((field, value) for field, value in json.loads(control))
        yield Package(name, pairs, _unpacked(files), bool(complete))


def _packed(lines: Sequence[str]) -> bytes:
    return zlib.compress("\n".join(lines).encode("utf-8", "surrogateescape"), 1)


def _unpacked(data: bytes) -> tuple[str, ...]:
    text = zlib.decompress(data).decode("utf-8", "surrogateescape")
    return tuple(text.split("\n")) if text else ()


def as_json(value: object) -> str:
    """``value`` as the text of a column."""
    # ASCII: SQLite takes no lone surrogates, which paths that are no UTF-8 have.
    return json.dumps(stored.plain(value))
