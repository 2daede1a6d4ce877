"""What has to be waited for, in threads, so that the one that carries out a run never waits for a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bwbuild.corpus.cluster import attempts
from bwbuild.corpus.cluster.files import DamagedError
from bwbuild.corpus.cluster.offers import Offer
from bwbuild.corpus.cluster.session import Begun, Session, WorkerError
from bwbuild.corpus.cluster.transfers import Carriage
from bwbuild.corpus.cluster.values import Result
from bwbuild.corpus.values import Build, Job, Verdict
from bwbuild.errors import SourceError

if TYPE_CHECKING:
    from distributed import Future

#: How many files are on their way at once, each way.
TRANSFERS = 4
#: Seconds for which the word of a worker on its result is waited for.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The workers that there are now; None: the scheduler does not answer."""

    offers: Sequence[Offer] | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a task came to.

    :ivar build: the result, with its files in ``directory``; None if there is none.
    :ivar lost: why there is none, where that is not what this run wants.
    :ivar banned: the address of a worker that can't build anything.
    """

    key: str
    task: str
    ticket: str = ""
    build: Build | None = None
    directory: Path | None = None
    lost: str = ""
    banned: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """What leaves no sense in going on."""

    error: BaseException


Outcome = Seen | Arrived | Failed


class Errands:
    """Threads for one run.

    :param hear: gets what comes of it, from those threads.
    """

    def __init__(self, carriage: Carriage, hear: Callable[[Outcome], None]) -> None:
        self._carriage = carriage
        self._hear = hear
        # Apart, so that results can't keep sources waiting, nor either of them the words in between.
        self._there = ThreadPoolExecutor(TRANSFERS, "send")
        self._back = ThreadPoolExecutor(TRANSFERS, "fetch")
        self._words = ThreadPoolExecutor(TRANSFERS, "say")

    def __enter__(self) -> Errands:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begin nothing more, and wait for what is on its way."""
        for threads in (self._there, self._back, self._words):
            threads.shutdown(cancel_futures=True)

    def look(self, session: Session) -> None:
        """See which workers there are."""
        self._go(self._words, self._look, session)

    def refuse(self, session: Session, begun: Begun) -> None:
        """Tell an attempt that it is not to be made."""
        self._go(self._words, self._say, session, begun.address, attempts.refuse, begun.ticket)

    def stop(self, session: Session, address: str, ticket: str) -> None:
        """Tell an attempt to stop."""
        self._go(self._words, self._say, session, address, attempts.ask_to_stop, ticket)

    def send(self, session: Session, job: Job, begun: Begun) -> None:
        """Tell an attempt that it may begin, and give it its source."""
        self._go(self._there, self._send, session, job, begun)

    def fetch(self, session: Session, key: str, future: Future[Result]) -> None:
        """Take the result of a task."""
        self._go(self._back, self._fetch, session, key, future)

    def _go(self, threads: ThreadPoolExecutor, errand: Callable[..., None], *arguments: Any) -> None:
        threads.submit(errand, *arguments).add_done_callback(self._done)

    def _done(self, ended: Any) -> None:
        if not ended.cancelled() and ended.exception() is not None:
            self._hear(Failed(ended.exception()))

    def _look(self, session: Session) -> None:
        try:
            found = session.offers()
        except WorkerError:
            found = None
        self._hear(Seen(found))

    def _say(self, session: Session, address: str, word: Callable[..., Any], ticket: str) -> None:
        try:
            session.call(address, word, ticket)
        except WorkerError:
            return  # it is gone, or has ended meanwhile: dask will tell

    def _send(self, session: Session, job: Job, begun: Begun) -> None:
        try:
            self._carriage.send(session, job, begun)
        except SourceError as error:
            build = Build(job.key, Verdict.FAILED, job.subject or job.key, message=error.message)
            self._hear(Arrived(job.key, begun.task, begun.ticket, build))
            self._say(session, begun.address, attempts.refuse, begun.ticket)
        except WorkerError as error:
            banned = begun.address if error.is_full else ""
            self._hear(Arrived(job.key, begun.task, begun.ticket, lost=error.message, banned=banned))
            self._say(session, begun.address, attempts.refuse, begun.ticket)

    def _fetch(self, session: Session, key: str, future: Future[Result]) -> None:
        task = str(future.key)
        try:
            result = session.result(future, PATIENCE)
            if result.build is None:
                banned = result.address if result.trouble else ""
                arrived = Arrived(key, task, result.ticket, lost=result.trouble, banned=banned)
            else:
                directory = self._carriage.fetch(session, result)
                arrived = Arrived(key, task, result.ticket, result.build, directory)
        except (WorkerError, DamagedError) as error:
            arrived = Arrived(key, task, lost=error.message)
        self._hear(arrived)
