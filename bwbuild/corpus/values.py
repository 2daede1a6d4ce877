"""What a corpus is made of: jobs, the results of their builds, and runs.

All values are frozen, hold no open file and can travel to another machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from bwbuild.build.record.report import Artifact, Package
from bwbuild.corpus.expectations import Expectation

__all__ = ["Artifact", "Build", "Demand", "Job", "Kind", "Line", "Machine", "Package", "Run", "Verdict"]


class Kind(Enum):
    """What a job is made from."""

    TREE = "tree"
    DSC = "dsc"
    NAME = "name"


class Verdict(Enum):
    """What came of a job.

    ``PASSED``: as expected, where an expectation is there; otherwise a build that succeeded. ``FAILED``:
    the opposite. ``LOST``: no result, since every machine that had the job was lost. ``LEFT``: not built,
    since the run was stopped.
    """

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    LOST = "lost"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a build is thought to take.

    :ivar seconds: from start to end; 0 where nothing is known.
    :ivar memory: bytes of its process tree at the worst moment; assumed where nothing is known, never 0.
    :ivar known: whether an earlier build tells, so that nothing is assumed.
    """

    seconds: float
    memory: int
    known: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One source to be built.

    :ivar key: what the source is called in this run; no two jobs of a run share it. The name of a source
        package or of a directory, with a suffix where two would be the same; safe as a file's name.
    :ivar source: what ``bwbuild`` is given: the path of a tree or a .dsc, or NAME[=VERSION].
    :ivar options: further words of its command line, such as ``-d trixie -b``.
    :ivar demand: by which jobs are ordered and started.
    :ivar subject: what the builds of one source have in common, however often it is built: the key of the
        first.
    :ivar expected: what must come of it; None: it must succeed.
    """

    key: str
    kind: Kind
    source: str
    options: tuple[str, ...] = ()
    demand: Demand = Demand(0.0, 0)
    subject: str = ""
    expected: Expectation | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log that tells why a build failed.

    :ivar number: counted from 1; 0 where it is not known.
    :ivar text: without control characters.
    """

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Build:
    """What came of one job.

    :ivar key: of the job; ``subject`` likewise.
    :ivar source: the source package's name; empty when it was not found out. So is ``version``.
    :ivar status: the word of the report, such as ``success`` or ``build-failed``; empty without a report.
    :ivar exit_status: of the command; None if there is none.
    :ivar problems: how it differs from what was expected, a sentence each.
    :ivar message: why it failed, in one sentence; empty if it did not.
    :ivar errors: the first lines of the log that tell why.
    :ivar started: with time zone; ``finished`` likewise; both None for a job that was left.
    :ivar wall: seconds; ``cpu``: seconds of processor time; ``memory``: bytes at the worst moment.
    :ivar space: bytes that the build left in its workspace; 0 where it was not measured.
    :ivar steps: the name of each step and the seconds from the build's start to its own.
    :ivar packages: of all binary packages, in the order of their names.
    :ivar undeclared: packages that the build missed, since the source does not declare them.
    :ivar hidden: files that the build looked for and was not shown, since their packages are not declared.
    :ivar attempts: how many times the job was begun; ``worker``: who did it last, empty here.
    :ivar lost: one sentence for each attempt that had no result.
    :ivar log: the log's path relative to the run's directory; None if none was written. So is ``report``.
    """

    key: str
    verdict: Verdict
    subject: str = ""
    source: str = ""
    version: str = ""
    architecture: str = ""
    status: str = ""
    exit_status: int | None = None
    problems: tuple[str, ...] = ()
    message: str = ""
    errors: tuple[Line, ...] = ()
    started: datetime | None = None
    finished: datetime | None = None
    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    space: int = 0
    steps: tuple[tuple[str, float], ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    packages: tuple[Package, ...] = ()
    undeclared: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    attempts: int = 1
    worker: str = ""
    lost: tuple[str, ...] = ()
    log: Path | None = None
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where builds run.

    :ivar name: its host name; ``processors`` and ``memory`` (bytes): what builds may use of it.
    """

    name: str
    processors: int
    memory: int
    architecture: str


@dataclass(frozen=True, slots=True)
class Run:
    """One corpus run.

    :ivar name: by which the user calls it; no two runs share it.
    :ivar tool: the version of bwbuild.
    :ivar finished: None while it goes on, and after it was killed.
    :ivar directory: where its logs and reports are.
    :ivar options: of every job alike; ``cwd``: where they were typed, for what is relative in them.
    :ivar stopped: why it ended before all was built, in one sentence; empty if it did not.
    :ivar builds: one for each job that has ended or was left, in the order of their keys.
    """

    name: str
    tool: str
    started: datetime
    finished: datetime | None
    machine: Machine
    directory: Path
    options: tuple[str, ...] = ()
    cwd: Path = Path("/")
    stopped: str = ""
    builds: tuple[Build, ...] = ()
