"""Runs and their results, kept from one command to the next: a database, and a directory for each run.

A result is written when its job has ended, so that whatever kills a run loses only what was going on. A job
without a result is one that is left.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from bwbuild import __version__
from bwbuild.corpus import rows, stored
from bwbuild.corpus.database import transaction
from bwbuild.corpus.values import Build, Job, Machine, Run, Verdict
from bwbuild.errors import OutputError, UsageError
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, locked

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
#: In the directory of a run: whoever carries it out has a lock on it.
LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is carried out, so that it can be taken up again.

    :ivar jobs: how many builds at once; None: as many as there are processors.
    :ivar keep: whether artifacts stay.
    """

    jobs: int | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in short: ``counts`` of its jobs by verdict, and ``running``: somebody carries it out now."""

    run: Run
    counts: tuple[tuple[Verdict, int], ...]
    running: bool

    @property
    def state(self) -> str:
        """In one word."""
        if self.running:
            return "running"
        return "finished" if self.run.finished else "stopped"


def default_place() -> Path:
    """Where the database and the runs' directories are without an option: below ``$XDG_STATE_HOME``."""
    return platformdirs.user_state_path("bwbuild") / "corpus"


class Store:
    """The runs of one user.

    :param place: a directory, made where it is missing.
    """

    def __init__(self, place: Path | None = None) -> None:
        self.place = place or default_place()
        self.path = self.place / "corpus.sqlite"

    def begin(self, run: Run, plan: Plan, jobs: Sequence[Job], output: Path | None) -> Run:
        """Enter a new run; its name, where it has none, and its directory, which is made, are in the result.

        :param output: its directory; None: one below the store's own.
        :raises UsageError: the name is taken, or no name.
        :raises OutputError: it can't be written.
        """
        if run.name and not NAME.fullmatch(run.name):
            raise UsageError(
                f"{run.name!r} is no name of a run", hint="letters, digits and _ . + - are allowed"
            )
        with transaction(self.path) as database:
            run = replace(run, name=run.name or _new_name(database, run.started))
            if database.execute("SELECT 1 FROM run WHERE name = ?", (run.name,)).fetchone():
                raise UsageError(
                    f"there is a run {run.name} already", hint=f"take it up again: --resume {run.name}"
                )
            run = replace(run, directory=(output or self.place / "runs" / run.name).absolute())
            _make_directory(run.directory)
            rows.insert_run(database, run, plan, jobs)
        return run

    def record(self, run: Run, builds: Sequence[Build]) -> None:
        """Keep results, in place of earlier ones of the same jobs; those of jobs that are left are not kept.

        :raises OutputError: they can't be written.
        """
        kept = [build for build in builds if build.verdict is not Verdict.LEFT]
        if not kept:
            return
        with transaction(self.path) as database:
            for build in kept:
                rows.insert_build(database, run.name, build)

    def end(self, run: Run, stopped: str) -> Run:
        """Say that a run is complete, or why not."""
        finished = None if stopped else datetime.now(UTC)
        with transaction(self.path) as database:
            database.execute(
                "UPDATE run SET finished = ?, stopped = ? WHERE name = ?",
                (finished.isoformat() if finished else None, stopped, run.name),
            )
        return replace(run, finished=finished, stopped=stopped)

    def names(self) -> list[str]:
        """Of all runs, the one begun first first."""
        if not self.path.exists():
            return []
        with transaction(self.path) as database:
            return [name for (name,) in database.execute("SELECT name FROM run ORDER BY id")]

    def listed(self) -> list[Listed]:
        """All runs, the one begun first first, without their builds."""
        found = []
        for name in self.names():
            with transaction(self.path) as database:
                run, row = rows.read_run(database, name)
                counts = database.execute(
                    "SELECT coalesce(verdict, 'left'), count(*) FROM job"
                    " LEFT JOIN build ON build.job = job.id WHERE run = ? GROUP BY 1",
                    (row,),
                ).fetchall()
            by_verdict = tuple((Verdict(word), number) for word, number in sorted(counts))
            found.append(Listed(run, by_verdict, is_running(run)))
        return found

    def find(self, name: str = "") -> str:
        """The name of a run: ``name`` itself, one that begins with it, or the last one if it is empty.

        :raises UsageError: there is none, or there are several.
        """
        names = self.names()
        found = [name] if name in names else [each for each in names if each.startswith(name)]
        if not found:
            what = f"there is no run {name}" if name else "there is no run yet"
            raise UsageError(what, hint="bwbuild corpus list shows all; bwbuild corpus run begins one")
        if name and len(found) > 1:
            raise UsageError(f"{name} may be {', '.join(found[:5])}", hint="write more of the name")
        return found[-1]

    def run(self, name: str, *, packages: bool = True) -> Run:
        """A run with all its builds; without ``packages`` those have no lists of packages, which may be long.

        :raises UsageError: there is no such run.
        """
        with transaction(self.path) as database:
            run, row = rows.read_run(database, name)
            return replace(run, builds=tuple(rows.read_builds(database, row, packages=packages)))

    def plan(self, name: str) -> tuple[Plan, tuple[Job, ...]]:
        """How a run is carried out, and those of its jobs that have no result yet."""
        with transaction(self.path) as database:
            _, row = rows.read_run(database, name)
            (plan,) = database.execute("SELECT plan FROM run WHERE id = ?", (row,)).fetchone()
            jobs = database.execute(
                "SELECT value FROM job WHERE run = ? AND id NOT IN (SELECT job FROM build) ORDER BY id",
                (row,),
            )
            left = tuple(stored.restored(Job, json.loads(value)) for (value,) in jobs)
            return stored.restored(Plan, json.loads(plan)), left


@contextmanager
def carrying_out(run: Run) -> Iterator[None]:
    """Be the only one who carries ``run`` out.

    :raises UsageError: somebody does already.
    :raises OutputError: its directory can't be used.
    """
    try:
        # Whoever removed the directory to make room has lost its logs, and no more.
        run.directory.mkdir(parents=True, exist_ok=True)
        (run.directory / LOCK).touch()
    except OSError as error:
        raise OutputError(f"the directory {run.directory} can't be used: {error.strerror}") from error
    with locked(run.directory / LOCK, EXCLUSIVE | AT_ONCE) as free:
        if not free:
            raise UsageError(
                f"the run {run.name} is going on", hint=f"bwbuild corpus show {run.name} says how far it is"
            )
        yield


def is_running(run: Run) -> bool:
    """Whether somebody carries ``run`` out."""
    if not (run.directory / LOCK).exists():
        return False
    with locked(run.directory / LOCK, EXCLUSIVE | AT_ONCE) as free:
        return not free


def new_run(name: str, machine: Machine, options: Sequence[str]) -> Run:
    """A run that begins now and here, without a directory yet."""
    return Run(
        name=name,
        tool=__version__,
        started=datetime.now(UTC),
        finished=None,
        machine=machine,
        directory=Path(),
        options=tuple(options),
        cwd=Path.cwd(),
    )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise OutputError(f"the directory {path} is not empty", hint="name another one: --output DIR")
        (path / LOCK).touch(exist_ok=False)
    except OSError as error:
        raise OutputError(f"the directory {path} can't be used: {error.strerror}") from error


def _new_name(database: sqlite3.Connection, started: datetime) -> str:
    """The day of a run and which one of that day it is, such as ``2026-01-31.2``."""
    day = f"{started.astimezone():%Y-%m-%d}"
    names = {name for (name,) in database.execute("SELECT name FROM run WHERE name LIKE ?", (f"{day}.%",))}
    number = 1
    while f"{day}.{number}" in names:
        number += 1
    return f"{day}.{number}"
