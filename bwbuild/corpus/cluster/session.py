"""One connection of a run to a scheduler of dask, until it is closed or lost."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bwbuild.corpus import stored
from bwbuild.corpus.cluster import access
from bwbuild.corpus.cluster.access import NO_TLS, Tls
from bwbuild.corpus.cluster.offers import Offer, can_take, offers
from bwbuild.corpus.cluster.task import BEGUN, PROGRESS, carry_out
from bwbuild.corpus.cluster.values import Result, Shared, Task
from bwbuild.corpus.values import Job
from bwbuild.corpus.watch import Progress
from bwbuild.errors import BwbuildError, HostError, OutputError

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds for one attempt to reach a scheduler.
REACHED = 10.0
#: What dask raises where somebody does not answer: of closed connections, clients and loops, for addresses
#: that the scheduler has forgotten, and for keys that it has dropped.
GONE = (OSError, RuntimeError, ValueError, KeyError, CancelledError, asyncio.CancelledError)


@dataclass(frozen=True, slots=True)
class Reach:
    """How a cluster is reached, and what it does with each job.

    :ivar address: of the scheduler.
    :ivar attempts: how many times a job is begun at most.
    :ivar shared: a directory that this machine and all workers see at this path; None: files go in chunks.
    """

    address: str
    attempts: int = 3
    shared: Path | None = None
    tls: Tls = NO_TLS


@dataclass(frozen=True, slots=True)
class Begun:
    """A worker asks whether it may begin a job; ``task``: dask's key of it."""

    key: str
    ticket: str
    task: str
    worker: str
    address: str


@dataclass(frozen=True, slots=True)
class Told:
    """How far an attempt is."""

    key: str
    ticket: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Ended:
    """Dask is done with a task, in whatever way."""

    key: str
    future: Future[Result]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job may go: to a worker with what it ``needs``; ``only``: one of these addresses, or None."""

    needs: Mapping[str, float]
    only: Sequence[str] | None = None

    def is_there(self, found: Sequence[Offer]) -> bool:
        """Whether such a worker is among these."""
        return can_take(
            [item for item in found if self.only is None or item.address in self.only], self.needs
        )


class WorkerError(BwbuildError):
    """A worker does not answer, or can't do what it was asked for; ``is_full``: it can't write files."""

    def __init__(self, message: str, *, is_full: bool = False) -> None:
        super().__init__(message)
        self.is_full = is_full


Message = Begun | Told | Ended


class Session:
    """A connection; ``hear`` gets what comes, from other threads.

    :raises UsageError: the address or TLS's files are wrong.
    :raises HostError: there is no dask, or the scheduler can't be reached.
    """

    def __init__(self, reach: Reach, hear: Callable[[Message], None]) -> None:
        access.check_installed()
        security = access.security(reach.address, reach.tls)
        access.quieten()
        from distributed import Client  # noqa: PLC0415 - takes half a second

        self._id = secrets.token_hex(8)
        self._hear = hear
        self._submitted = 0
        self.topic = f"bwbuild-{self._id}"
        try:
            self._client: Client = Client(
                reach.address, timeout=REACHED, security=security, set_as_default=False
            )
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise HostError(
                f"the scheduler {reach.address} can't be reached: {access.reason(error)}",
                hint="is it running, does it speak TLS, and is it the same version of dask?",
            ) from error
        self._client.subscribe_topic(self.topic, self._event)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave: what of this run is still on workers is stopped there."""
        # One that has lost its scheduler closes when it has given up to look for it.
        with suppress(*GONE):
            self._client.close(timeout=REACHED + 5)

    @property
    def is_lost(self) -> bool:
        """Whether the scheduler does not answer any more; nothing of the session is then left there."""
        return bool(self._client.status != "running")

    def offers(self) -> list[Offer]:
        """The workers that are connected now.

        :raises WorkerError: the scheduler does not answer.
        """
        try:
            return offers(self._client.scheduler_info()["workers"])
        except GONE as error:
            raise WorkerError("the scheduler does not answer") from error

    def result(self, future: Future[Result], timeout: float) -> Result:
        """What a task has returned; ``timeout``: seconds for its way.

        :raises WorkerError: it was lost.
        """
        from distributed.scheduler import KilledWorker  # noqa: PLC0415 - takes half a second

        try:
            result = future.result(timeout=timeout)
        except KilledWorker as error:
            raise WorkerError("the worker was lost") from error
        except (CancelledError, asyncio.CancelledError) as error:
            raise WorkerError("the scheduler was lost") from error
        except GONE as error:
            raise WorkerError(f"its result did not come: {access.reason(error)}") from error
        assert isinstance(result, Result)  # noqa: S101 - for the type checker
        return result

    def submit(self, task: Task, place: Place) -> Future[Result]:
        """Give a job to dask, for a worker that fits ``place``."""
        self._submitted += 1
        # Without words, so that dask sees tasks of one kind.
        key = f"bwbuild-{self._submitted}-{self._id}-{task.job.key}"
        where = {"workers": list(place.only), "allow_other_workers": False} if place.only is not None else {}
        future: Future[Result] = self._client.submit(
            carry_out,
            task,
            key=key,
            pure=False,
            resources=dict(place.needs),
            # In the order in which they come here: the most expensive first.
            priority=-self._submitted,
            **where,
        )
        future.add_done_callback(partial(self._done, task.job))
        return future

    def call(self, address: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What ``function`` returns on the worker at ``address``.

        :raises WorkerError: it does not answer, or the function has failed.
        """
        try:
            return self._client.run(function, *arguments, workers=[address], **named)[address]
        except BwbuildError as error:
            raise WorkerError(error.message, is_full=isinstance(error, OutputError)) from error
        except GONE as error:
            raise WorkerError(f"the worker was lost: {access.reason(error)}") from error

    def _done(self, job: Job, future: Future[Result]) -> None:
        self._hear(Ended(job.key, future))

    def _event(self, event: tuple[float, Mapping[str, Any]]) -> None:
        _, word = event
        key, ticket = str(word["key"]), str(word["ticket"])
        if word["event"] == BEGUN:
            who = (str(word["name"]), str(word["address"]))
            self._hear(Begun(key, ticket, str(word["task"]), *who))
        elif word["event"] == PROGRESS:
            self._hear(Told(key, ticket, stored.restored(Progress, word["progress"])))


def new_shared(directory: Path) -> Shared:
    """A directory for one run below the one that all see, with the token by which workers know it.

    :raises OSError: it can't be made.
    """
    shared = Shared(directory.resolve() / f"bwbuild-{secrets.token_hex(8)}", secrets.token_hex(16))
    shared.directory.mkdir(mode=0o700)
    shared.proof.write_text(shared.token, encoding="utf-8")
    return shared
