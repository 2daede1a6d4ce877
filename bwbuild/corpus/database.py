"""The SQLite file of the corpus: its tables, its versions, and transactions that end in one piece.

Any number of processes may use it at once. Whatever went wrong with the file itself is an error that says
what to do; nothing is guessed, and no file is made anew over one that can't be read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from bwbuild.build.record.escaping import visible
from bwbuild.errors import OutputError

#: The version of the tables, in the file as SQLite's ``user_version``.
VERSION = 1
#: Seconds that another process may hold the file.
_PATIENCE = 60

_TABLES = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE, tool TEXT NOT NULL, directory TEXT NOT NULL, cwd TEXT NOT NULL,
    started TEXT NOT NULL, finished TEXT, stopped TEXT NOT NULL DEFAULT '',
    machine TEXT NOT NULL, options TEXT NOT NULL, plan TEXT NOT NULL
);
CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    key TEXT NOT NULL, subject TEXT NOT NULL, value TEXT NOT NULL,
    UNIQUE (run, key)
);
CREATE INDEX job_of_subject ON job (subject);
CREATE TABLE build (
    job INTEGER PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    verdict TEXT NOT NULL, source TEXT NOT NULL, version TEXT NOT NULL, architecture TEXT NOT NULL,
    status TEXT NOT NULL, message TEXT NOT NULL,
    wall REAL NOT NULL, cpu REAL NOT NULL, memory INTEGER NOT NULL,
    value TEXT NOT NULL
);
CREATE TABLE artifact (
    job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    name TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, path TEXT
);
CREATE INDEX artifact_of_job ON artifact (job);
CREATE TABLE package (
    job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    name TEXT NOT NULL, control TEXT NOT NULL, files BLOB NOT NULL, complete INTEGER NOT NULL
);
CREATE INDEX package_of_job ON package (job);
"""
#: What makes the tables of the next version out of those of each older one.
_STEPS: Mapping[int, str] = {}


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """The database with its tables, locked for writing; committed at the end unless an exception came.

    :raises OutputError: it can't be read or written, is of a newer bwbuild, or is none.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # No WAL: it needs shared memory, which a home on a network file system does not have.
        with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as database:
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("PRAGMA journal_mode = TRUNCATE")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN IMMEDIATE")
            try:
                _upgrade(database, path)
                yield database
            except BaseException:
                # SQLite ends the transaction itself after some errors, such as a full disk.
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        shown, reason = visible(str(path)), visible(str(error))
        hint = (
            "free some space" if "full" in reason else "move it away, and a new one is made; or name another"
        )
        raise OutputError(f"the database {shown} can't be used: {reason}", hint=hint) from error
    except OSError as error:
        raise OutputError(f"the database {visible(str(path))} can't be used: {error.strerror}") from error


def _upgrade(database: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or those of this version out of older ones."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version > VERSION or version < 0:
        raise OutputError(
            f"the database {visible(str(path))} has version {version}, this bwbuild knows version {VERSION}",
            hint="a newer bwbuild made it: use that one, or name another file",
        )
    steps = [_STEPS[step] for step in range(version, VERSION)] if version else [_TABLES]
    for statements in steps:
        _run(database, statements)
    database.execute(f"PRAGMA user_version = {VERSION}")


def _run(database: sqlite3.Connection, statements: str) -> None:
    # Not executescript, which would end the transaction.
    for statement in statements.split(";"):
        if statement.strip():
            database.execute(statement)
