"""What earlier builds took, so that a build can say how long it will take.

A convenience: a database that can't be used is told as a warning, and never fails a build.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import platformdirs

from bwbuild.build.jobs import Demand
from bwbuild.build.record.escaping import visible
from bwbuild.build.record.report import Report
from bwbuild.errors import ExitStatus
from bwbuild.events import Event, Level, Notice, Step

#: How many builds of one source are kept, and how many of them an estimate looks at.
KEPT_BUILDS = 50
SAMPLES = 5
#: What was added to the table of builds after the first version of the file, in the order of the versions.
_ADDED = ("space", "jobs")
#: How many steps of one build are kept.
KEPT_STEPS = 500

_VERSION = 3
_SCHEMA = """
CREATE TABLE build (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL, version TEXT NOT NULL, architecture TEXT NOT NULL, build_type TEXT NOT NULL,
    status INTEGER NOT NULL, wall REAL NOT NULL, cpu REAL NOT NULL, peak INTEGER NOT NULL,
    space INTEGER NOT NULL DEFAULT 0, jobs INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX build_of_source ON build (source, build_type, status);
CREATE TABLE step (
    build INTEGER NOT NULL REFERENCES build (id) ON DELETE CASCADE,
    name TEXT NOT NULL, start REAL NOT NULL
);
CREATE INDEX step_of_build ON step (build);
"""


@dataclass(frozen=True, slots=True)
class PastBuild:
    """One build that ended.

    :ivar wall: seconds; ``cpu``: seconds; ``peak``: bytes.
    :ivar space: bytes that its workspace took; 0 where that is not known.
    :ivar jobs: how many ran at once; 0 where that is not known.
    :ivar steps: the name of each step and the seconds from the build's start to its own, in their order.
    """

    source: str
    version: str
    architecture: str
    build_type: str
    status: ExitStatus
    wall: float
    cpu: float
    peak: int
    steps: tuple[tuple[str, float], ...] = ()
    space: int = 0
    jobs: int = 0

    @classmethod
    def of(cls, report: Report, steps: tuple[tuple[str, float], ...], jobs: int | None) -> PastBuild:
        """The build that ``report`` is about, without the checks after it."""
        checks = sum(phase.seconds for phase in report.phases if phase.name == "checks")
        built = report.status is ExitStatus.CHECK_FAILED
        return cls(
            source=report.source,
            version=report.source_version,
            architecture=report.architecture,
            build_type=report.build_type,
            status=ExitStatus.SUCCESS if built else report.status,
            wall=report.resources.wall - checks,
            cpu=report.resources.cpu,
            peak=report.resources.peak_memory,
            steps=steps,
            space=report.resources.disk or 0,
            jobs=jobs or 0,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build will take.

    :ivar seconds: the whole build.
    :ivar space: bytes of its workspace; 0 where that is not known.
    :ivar steps: when each step began, in seconds from the start, in the order of time.
    """

    seconds: float
    steps: tuple[tuple[str, float], ...] = ()
    space: int = 0

    def remaining(self, step: str, elapsed: float) -> float:
        """Seconds from now to the end, when the build is ``elapsed`` seconds old and in ``step``.

        A build that is slower or faster than the earlier ones is put back or forward to where they were in
        that step. Without a known step only the clock counts. Never negative.
        """
        place = next((index for index, (name, _) in enumerate(self.steps) if name == step), None)
        if place is None:
            return max(0.0, self.seconds - elapsed)
        start = self.steps[place][1]
        end = self.steps[place + 1][1] if place + 1 < len(self.steps) else self.seconds
        return max(0.0, self.seconds - min(max(elapsed, start), end))


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier builds of a source tell; None: nothing.

    :ivar estimate: from the last :data:`SAMPLES` successful ones.
    :ivar demand: of the last :data:`SAMPLES`, failed or not, what the one with the most jobs took.
    """

    estimate: Estimate | None = None
    demand: Demand | None = None


class StepTimes:
    """An observer that notes when each step begins; ``steps`` is what :class:`PastBuild` takes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._steps: list[tuple[str, float]] = []

    def __call__(self, event: Event) -> None:
        """Note the time of a :class:`Step`."""
        if isinstance(event, Step) and len(self._steps) < KEPT_STEPS:
            self._steps.append((event.name, self._clock() - self._start))

    @property
    def steps(self) -> tuple[tuple[str, float], ...]:
        """The steps up to now and the seconds from the making of this object to each."""
        return tuple(self._steps)


class History:
    """The builds of one user, in an SQLite file that any number of processes may use at once.

    :param tell: gets a warning when the file can't be used.
    :param path: the file, made with its directory where it is missing; by default in the user's state home.
    """

    def __init__(self, tell: Callable[[Notice], None], path: Path | None = None) -> None:
        self._tell = tell
        self.path = path or default_path()

    def record(self, build: PastBuild) -> None:
        """Remember ``build`` and forget the oldest of its source beyond :data:`KEPT_BUILDS`."""
        with self._warning(), _transaction(self.path) as database:
            _insert(database, build)

    def past(self, sources: Iterable[str], build_type: str) -> dict[str, Past]:
        """What is known of each of ``sources``, read in one transaction: there may be thousands."""
        found: dict[str, Past] = {}
        with self._warning():
            if self.path.exists():
                with _transaction(self.path) as database:
                    for source in sources:
                        name = (source, build_type)
                        found[source] = Past(_estimate(database, *name), _demand(database, *name))
        return found

    @contextmanager
    def _warning(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            path = visible(str(self.path))
            reason = visible(str(error))
            text = f"the history of builds can't be used: {reason} ({path}; it may be removed)"
            self._tell(Notice(Level.WARNING, text))


def default_path() -> Path:
    """Where the history is without an option: below ``$XDG_STATE_HOME``."""
    return platformdirs.user_state_path("bwbuild") / "history.sqlite"


@contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """The database with its tables, locked for writing; committed at the end unless an exception came."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # No WAL: it needs shared memory, which a home on a network file system does not have.
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("BEGIN IMMEDIATE")
        try:
            _make_tables(database)
            yield database
        except BaseException:
            # SQLite ends the transaction itself after some errors, such as a full disk.
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _make_tables(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    elif 0 < version < _VERSION:
        for column in _ADDED[version - 1 :]:
            database.execute(f"ALTER TABLE build ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
        database.execute(f"PRAGMA user_version = {_VERSION}")
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"it has version {version}, this bwbuild knows version {_VERSION}")


def _insert(database: sqlite3.Connection, build: PastBuild) -> None:
    cursor = database.execute(
        "INSERT INTO build (source, version, architecture, build_type, status, wall, cpu, peak, space, jobs)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(build.source, build.version, build.architecture, build.build_type),
            *(int(build.status), build.wall, build.cpu, build.peak, build.space, build.jobs),
        ),
    )
    database.executemany(
        "INSERT INTO step (build, name, start) VALUES (?, ?, ?)",
        [(cursor.lastrowid, name, start) for name, start in build.steps[:KEPT_STEPS]],
    )
    database.execute(
        "DELETE FROM build WHERE source = ?1 AND id NOT IN"
        " (SELECT id FROM build WHERE source = ?1 ORDER BY id DESC LIMIT ?2)",
        (build.source, KEPT_BUILDS),
    )


def _estimate(database: sqlite3.Connection, source: str, build_type: str) -> Estimate | None:
    builds = database.execute(
        "SELECT id, wall, space FROM build WHERE source = ? AND build_type = ? AND status = ?"
        " ORDER BY id DESC LIMIT ?",
        (source, build_type, int(ExitStatus.SUCCESS), SAMPLES),
    ).fetchall()
    if not builds:
        return None
    starts: list[tuple[str, float]] = []
    for build, _, _ in builds:
        # A step that comes again, as in an override, counts from its first time.
        query = "SELECT name, min(start) FROM step WHERE build = ? GROUP BY name"
        starts += database.execute(query, (build,))
    space = max(space for _, _, space in builds)
    return Estimate(_median([wall for _, wall, _ in builds]), _typical(starts), space)


def _demand(database: sqlite3.Connection, source: str, build_type: str) -> Demand | None:
    builds = database.execute(
        "SELECT jobs, peak, status FROM build WHERE source = ? AND build_type = ? AND jobs > 0 AND peak > 0"
        " ORDER BY id DESC LIMIT ?",
        (source, build_type, SAMPLES),
    ).fetchall()
    if not builds:
        return None
    # What many jobs took says more about many than what one took.
    jobs, peak, status = max(builds)
    return Demand(peak, jobs, ended=status == int(ExitStatus.LIMIT))


def _typical(starts: Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """The median start of each step, in the order of time."""
    by_name = groupby(sorted(starts), key=itemgetter(0))
    medians = [(name, _median([start for _, start in group])) for name, group in by_name]
    return tuple(sorted(medians, key=itemgetter(1)))


def _median(values: Sequence[float]) -> float:
    # The statistics module costs 10 ms to import, for this.
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
