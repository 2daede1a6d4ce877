"""Carrying out a run: its jobs through the pool, each result written down when it is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bwbuild.build.record.history import History, Past
from bwbuild.build.watch.limits import LEAST_RESERVE, MOST_RESERVE
from bwbuild.corpus import schedule
from bwbuild.corpus.pool import Builder, Listener, Pool, Running
from bwbuild.corpus.schedule import Room, Start
from bwbuild.corpus.store import Plan, Store, carrying_out
from bwbuild.corpus.values import Build, Demand, Job, Kind, Machine, Run
from bwbuild.corpus.watch import Stop, Watch
from bwbuild.corpus.work import Place, work
from bwbuild.errors import BwbuildError, HostError, OutputError
from bwbuild.events import Notice
from bwbuild.host.memory import read_memory
from bwbuild.process import run as run_program

#: Bytes that have to be free where results go, before another job begins.
LEAST_FREE = 32 << 20


def this_machine() -> Machine:
    """The machine, and what of it builds may use.

    :raises HostError: dpkg is missing.
    """
    total = read_memory().total
    usable = total - min(max(total // 8, LEAST_RESERVE), MOST_RESERVE, total // 2)
    return Machine(
        name=os.uname().nodename,
        processors=len(os.sched_getaffinity(0)),
        memory=usable,
        architecture=run_program(["dpkg", "--print-architecture"]).text,
    )


def room(machine: Machine, jobs: int | None) -> Room:
    """What the builds of a run may take together; as many run at once as there are processors."""
    return Room(jobs or machine.processors, machine.processors, machine.memory)


def with_demands(
    jobs: Iterable[Job], room: Room, build_type: str, tell: Callable[[Notice], None]
) -> list[Job]:
    """``jobs`` with what the history of builds says that they take."""
    found = list(jobs)
    known = History(tell).past({source_of(job) for job in found}, build_type)
    return [replace(job, demand=_demand(room, known.get(source_of(job), Past()))) for job in found]


def _demand(room: Room, past: Past) -> Demand:
    seconds = past.estimate.seconds if past.estimate else None
    memory = (past.demand.memory, past.demand.jobs) if past.demand else None
    return schedule.demanded(room, seconds, memory)


def source_of(job: Job) -> str:
    """The name of the source package as far as the job alone tells it."""
    if job.kind is Kind.DSC:
        return Path(job.source).name.partition("_")[0]
    if job.kind is Kind.NAME:
        return job.source.partition("=")[0]
    return job.subject or job.key


class Jobs(Protocol):
    """What carries out jobs: a pool on this machine, or a cluster."""

    def run(self, jobs: Sequence[Job], listener: Listener, stop: Stop) -> None:
        """All of them, or until somebody wants it to stop."""


@dataclass(frozen=True, slots=True)
class Carried:
    """How a run came to its end: why it stopped before, empty if it did not."""

    run: Run
    stopped: str = ""
    error: BwbuildError | None = None


def carry_out(
    store: Store,
    run: Run,
    listener: Listener,
    stop: Stop,
    builder: Builder | None = None,
    *,
    elsewhere: Callable[[Run, Plan], Jobs] | None = None,
) -> Carried:
    """Build all that is left of ``run``.

    Failures of sources are results. What leaves no sense in going on, such as a full disk, stops the run in
    order, and is in what is returned; the run can be taken up again then.

    :param builder: in place of the one that builds.
    :param elsewhere: makes what carries out jobs in place of this machine's pool.
    :raises UsageError: somebody carries it out already.
    """
    with carrying_out(run):
        plan, jobs = store.plan(run.name)
        here = Pool(room(run.machine, plan.jobs), builder or _builder(run, plan), _available)
        pool = elsewhere(run, plan) if elsewhere else here
        error = _run(pool, jobs, _Recording(store, run, listener), stop)
        stopped = error.message if error else "interrupted" if stop.asked else ""
        try:
            return Carried(store.end(run, stopped), stopped, error)
        except OutputError as full:
            return Carried(run, full.message, error or full)


def _run(pool: Jobs, jobs: Sequence[Job], listener: Listener, stop: Stop) -> BwbuildError | None:
    try:
        pool.run(jobs, listener, stop)
    except (OutputError, HostError) as error:
        return error
    return None


def _available() -> int:
    return read_memory().available


def _builder(run: Run, plan: Plan) -> Builder:
    def build(job: Job, share: int, watch: Watch) -> Build:
        free = shutil.disk_usage(run.directory).free
        if free < LEAST_FREE:
            raise OutputError(
                f"{free >> 20} MiB are free on the file system of {run.directory}", hint="free some space"
            )
        place = Place(run.directory / job.key, run.cwd, share, plan.keep)
        return work(job, place, watch)

    return build


class _Recording:
    """A listener that writes results down before it hands them on."""

    def __init__(self, store: Store, run: Run, listener: Listener) -> None:
        self._store = store
        self._run = run
        self._listener = listener

    def started(self, job: Job, start: Start) -> None:
        self._listener.started(job, start)

    def ended(self, builds: Sequence[Build]) -> None:
        self._store.record(self._run, builds)
        self._listener.ended(builds)

    def tick(self, running: Sequence[Running], waiting: int) -> None:
        self._listener.tick(running, waiting)
