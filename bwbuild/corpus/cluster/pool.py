"""Many jobs on a cluster: dask places them, this says what may begin, and takes one result of each.

As many jobs as the workers have processors, and one more for each worker, are with dask at a time, the most
expensive first; the others wait here. So a worker that dies takes no jobs with it that it has not begun, and
what joins the cluster later gets its share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from bwbuild.build.record.log import cannot_write
from bwbuild.corpus import trial
from bwbuild.corpus.cluster import offers
from bwbuild.corpus.cluster.crew import Crew
from bwbuild.corpus.cluster.errands import Arrived, Errands, Failed, Outcome, Seen
from bwbuild.corpus.cluster.ledger import Ledger, Live
from bwbuild.corpus.cluster.offers import Terms
from bwbuild.corpus.cluster.session import Begun, Ended, Message, Place, Reach, Session, Told, new_shared
from bwbuild.corpus.cluster.transfers import SPOOL, Carriage, drop
from bwbuild.corpus.cluster.values import Result, Task
from bwbuild.corpus.pool import TICK, Listener
from bwbuild.corpus.schedule import Start
from bwbuild.corpus.values import Build, Job
from bwbuild.corpus.watch import Stop
from bwbuild.errors import HostError
from bwbuild.events import Level, Notice

if TYPE_CHECKING:
    from distributed import Future

#: Seconds for which a scheduler that does not answer any more is waited for.
PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all jobs of a run have in common.

    :ivar directory: of the run; ``cwd``: where the paths in options are relative to.
    :ivar keep: whether artifacts come back.
    :ivar jobs: how many run at once at most; None: as many as the workers have processors.
    """

    reach: Reach
    terms: Terms
    directory: Path
    cwd: Path
    tell: Callable[[Notice], None]
    keep: bool = False
    jobs: int | None = None

    def run(self, jobs: Sequence[Job], listener: Listener, stop: Stop) -> None:
        """Carry out all ``jobs``, or until somebody wants it to stop; then those that run are waited for.

        :raises HostError: the scheduler, or a worker that fits, is missing for long.
        :raises OutputError: this machine can't write results.
        """
        if not jobs:
            return
        trial.remove(self.directory / SPOOL)
        with self._carriage() as carriage:
            _State(self, jobs, listener, stop).go_on(carriage)

    @contextmanager
    def _carriage(self) -> Iterator[Carriage]:
        try:
            shared = new_shared(self.reach.shared) if self.reach.shared else None
        except OSError as error:
            raise cannot_write(Path(error.filename), error) from error
        try:
            yield Carriage(self.directory, self.cwd, shared)
        finally:
            trial.remove(self.directory / SPOOL)
            if shared is not None:
                trial.remove(shared.directory)


class _State:
    """The jobs of one run while they are on a cluster; all but what ``hear`` does is in one thread."""

    def __init__(self, cluster: Cluster, jobs: Sequence[Job], listener: Listener, stop: Stop) -> None:
        self._cluster = cluster
        self._listener = listener
        self._stop = stop
        self._ledger = Ledger(jobs, cluster.reach.attempts)
        self._heard: SimpleQueue[Message | Outcome] = SimpleQueue()
        self._futures: dict[str, Future[Result]] = {}
        self._places: dict[str, Place] = {}
        self._fetching: set[str] = set()
        self._told_to_stop = 0
        self._crew = Crew(cluster.terms, cluster.jobs, cluster.tell)

    def go_on(self, carriage: Carriage) -> None:
        """Until every job has its result, or has been stopped."""
        with Errands(carriage, self._heard.put) as errands:
            self._errands, self._carriage = errands, carriage
            while self._is_busy():
                session = self._connected()
                if session is None:
                    return
                with session:
                    self._session = session
                    self._until_lost()

    def _is_busy(self) -> bool:
        if self._stop.asked:
            return bool(self._ledger.live or self._fetching)
        return self._ledger.open > 0

    def _connected(self) -> Session | None:
        """A session; None if it is to stop before there is one."""
        end = time.monotonic() + PATIENCE
        address = self._cluster.reach.address
        if not self._crew.is_new:
            self._cluster.tell(Notice(Level.WARNING, f"the connection to {address} is lost; trying again"))
        while not self._stop.asked:
            try:
                return Session(self._cluster.reach, self._heard.put)
            except HostError:
                if self._crew.is_new or time.monotonic() > end:
                    raise
        return None

    def _until_lost(self) -> None:
        try:
            while self._is_busy() and not self._session.is_lost:
                self._look()
                self._submit()
                self._pass_on_stop()
                self._listener.tick(self._ledger.now(), self._ledger.waiting)
                self._listen()
        finally:
            self._lost()

    def _lost(self) -> None:
        """Nothing is with dask any more; where the run has not ended, the connection was cut."""
        keys = [key for key in self._futures if key not in self._fetching]
        self._futures.clear()
        builds = [build for key in keys for build in self._back(key, "the scheduler was lost")]
        if builds:
            self._listener.ended(builds)

    def _look(self) -> None:
        if self._crew.wants_to_look():
            self._errands.look(self._session)

    def _submit(self) -> None:
        """Give dask as many jobs as there are places for."""
        while not self._stop.asked and len(self._futures) < self._crew.places:
            job = self._ledger.take()
            if job is None:
                return
            found = self._crew.fitting
            task = Task(job, self._session.topic, keep=self._cluster.keep, shared=self._carriage.shared)
            place = Place(offers.needs(job, self._cluster.terms, found), self._crew.only())
            self._places[job.key] = place
            self._futures[job.key] = self._session.submit(task, place)

    def _pass_on_stop(self) -> None:
        """Tell what goes on to stop, and once more if it is urgent."""
        level = self._stop.asked + self._stop.at_once
        if level == self._told_to_stop:
            return
        self._told_to_stop = level
        for live in self._ledger.live:
            self._errands.stop(self._session, live.address, live.ticket)
        begun = {item.job.key for item in self._ledger.now()} | self._fetching
        for key in [key for key in self._futures if key not in begun]:
            self._futures.pop(key).cancel()

    def _listen(self) -> None:
        """What was heard meanwhile: all of it, so that results can be written down at once."""
        builds: list[Build] = []
        try:
            message = self._heard.get(timeout=TICK)
            while True:
                builds += self._handled(message)
                message = self._heard.get_nowait()
        except Empty:
            return
        finally:
            if builds:
                self._listener.ended(builds)

    def _handled(self, message: Message | Outcome) -> Iterator[Build]:
        match message:
            case Begun():
                self._begin(message)
            case Told():
                self._ledger.tell(message.key, message.ticket, message.progress)
            case Ended():
                self._fetch(message)
            case Arrived():
                yield from self._arrived(message)
            case Seen():
                if message.offers is not None:
                    self._crew.see(message.offers, busy=bool(self._ledger.live))
                    self._take_back()
            case Failed():
                raise _fatal(message.error, self._cluster.directory)

    def _take_back(self) -> None:
        """Jobs that no worker can begin any more, since the one for them has left."""
        begun = {item.job.key for item in self._ledger.now()} | self._fetching
        for key in [key for key in self._futures if key not in begun]:
            if not self._places[key].is_there(self._crew.fitting):
                self._futures.pop(key).cancel()
                self._ledger.give_back(key)

    def _begin(self, begun: Begun) -> None:
        future = self._futures.get(begun.key)
        is_current = future is not None and str(future.key) == begun.task and begun.key not in self._fetching
        job = None
        if is_current and not self._stop.asked and begun.address not in self._crew.banned:
            job = self._ledger.begin(
                begun.key, Live(begun.ticket, begun.worker, begun.address, time.monotonic())
            )
        if job is None:
            self._errands.refuse(self._session, begun)
            return
        if self._ledger.is_first(job.key):
            self._listener.started(job, Start(0, job, 1, offers.is_alone(job, self._crew.fitting)))
        self._errands.send(self._session, job, begun)

    def _fetch(self, ended: Ended) -> None:
        if self._futures.get(ended.key) is not ended.future or ended.key in self._fetching:
            return
        self._fetching.add(ended.key)
        self._errands.fetch(self._session, ended.key, ended.future)

    def _arrived(self, arrived: Arrived) -> Iterator[Build]:
        if arrived.key not in self._fetching and not self._ledger.is_live(arrived.key, arrived.ticket):
            return  # the source did not reach an attempt that was given up meanwhile
        self._fetching.discard(arrived.key)
        future = self._futures.get(arrived.key)
        if future is not None and str(future.key) == arrived.task:
            del self._futures[arrived.key]
            future.cancel()
        if arrived.banned:
            self._crew.ban(arrived.banned, arrived.lost)
        if arrived.build is not None:
            yield from self._result(arrived.build, arrived)
        elif arrived.key not in self._futures:
            yield from self._back(arrived.key, arrived.lost)

    def _result(self, build: Build, arrived: Arrived) -> Iterator[Build]:
        ended = self._ledger.end(build, arrived.ticket)
        if ended is None:
            if arrived.directory is not None:
                drop(arrived.directory)
        elif arrived.directory is None:
            yield ended
        else:
            yield self._carriage.put(arrived.directory, ended)

    def _back(self, key: str, why: str) -> Iterator[Build]:
        build = self._ledger.left(key) if self._stop.asked else self._ledger.give_back(key, why)
        if build is not None:
            yield build


def _fatal(error: BaseException, directory: Path) -> BaseException:
    """What a failed errand means for the run."""
    if isinstance(error, OSError):
        return cannot_write(Path(error.filename or directory), error)
    return error
