"""A worker: a process that offers its machine to a scheduler of dask, and comes back when it was cut off."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bwbuild import __version__
from bwbuild.build.record.log import cannot_write
from bwbuild.corpus import trial
from bwbuild.corpus.cluster import access, attempts, offers
from bwbuild.corpus.cluster.access import NO_TLS, Tls
from bwbuild.corpus.values import Machine
from bwbuild.errors import HostError
from bwbuild.events import Level, Notice
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, locked
from bwbuild.root.records import make_place

if TYPE_CHECKING:
    from distributed import Worker

#: Seconds before a worker that was cut off knocks again.
PAUSE = 2.0
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A worker as it was asked for.

    :ivar address: of the scheduler.
    :ivar machine: its name, and what of it builds may take.
    :ivar bases: the suites of the bases that are there.
    :ivar place: below which the files of jobs are, each worker in a directory of its own.
    """

    address: str
    machine: Machine
    bases: tuple[str, ...]
    place: Path
    tls: Tls = NO_TLS


def serve(wanted: Wanted, tell: Callable[[Notice], None]) -> None:
    """Work until a signal asks to end: INT, TERM or HUP.

    :raises HostError: dask is missing, or the scheduler refuses this worker.
    :raises OutputError: there is no place for files.
    """
    access.check_installed()
    access.security(wanted.address, wanted.tls)
    access.quieten()
    import dask as configuration  # noqa: PLC0415 - as above

    # Looking at the stack of each thread a hundred times a second tells nothing of builds.
    configuration.config.set({"distributed.worker.profile.enabled": False})
    with _directory(wanted.place) as directory:
        attempts.BENCH.place = directory
        asyncio.run(_Serving(wanted, directory, tell).until_stopped())


@contextmanager
def _directory(place: Path) -> Iterator[Path]:
    """A directory of this worker's own; those of killed ones are removed."""
    try:
        make_place(place)
        for old in place.glob("worker-*"):
            with locked(old / _LOCK, EXCLUSIVE | AT_ONCE) as free:
                if free:
                    trial.remove(old)
        directory = Path(tempfile.mkdtemp(prefix="worker-", dir=place))
        # Builds have ids that are nobody's.
        directory.chmod(0o755)
        (directory / _LOCK).touch()
    except OSError as error:
        raise cannot_write(Path(error.filename or place), error) from error
    with locked(directory / _LOCK, EXCLUSIVE):
        try:
            yield directory
        finally:
            trial.remove(directory)


class _Serving:
    """One worker of dask after the other, each until it loses its scheduler."""

    def __init__(self, wanted: Wanted, directory: Path, tell: Callable[[Notice], None]) -> None:
        self._wanted = wanted
        self._directory = directory
        self._tell = tell
        self._ended = asyncio.Event()
        self._number = 0

    async def until_stopped(self) -> None:
        """Until a signal comes."""
        loop = asyncio.get_running_loop()
        self._say(Level.INFO, f"looking for the scheduler {self._wanted.address}")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        while not self._ended.is_set():
            await self._once()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ended.wait(), PAUSE)

    async def _once(self) -> None:
        """Connect, and work until the connection is lost."""
        worker = self._new()
        ended = asyncio.ensure_future(self._ended.wait())
        starting = asyncio.ensure_future(worker.start())
        try:
            await asyncio.wait({starting, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return
            self._started(starting)
            finished = asyncio.ensure_future(worker.finished())
            await asyncio.wait({finished, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not self._ended.is_set():
                self._say(Level.WARNING, f"the connection to {self._wanted.address} is lost")
        finally:
            starting.cancel()
            ended.cancel()
            await worker.close(timeout=5)

    def _new(self) -> Worker:
        from distributed import Worker  # noqa: PLC0415 - takes half a second

        # The scheduler may still know the connection that was lost by the plain name.
        self._number += 1
        machine = self._wanted.machine
        return Worker(
            self._wanted.address,
            name=machine.name if self._number == 1 else f"{machine.name}~{self._number}",
            nthreads=machine.processors,
            # Builds are other processes: what this one takes itself is not worth a limit.
            memory_limit=0,
            resources=offers.advertised(machine, self._wanted.bases),
            local_directory=os.fspath(self._directory),
            security=access.security(self._wanted.address, self._wanted.tls),
            dashboard=False,
        )

    def _started(self, starting: asyncio.Future[Worker]) -> None:
        try:
            worker = starting.result()
        except (OSError, ValueError, RuntimeError) as error:
            raise HostError(
                f"the scheduler {self._wanted.address} does not take this worker: {access.reason(error)}",
                hint="another worker may have its name: --name NAME",
            ) from error
        has = f"bases of {', '.join(self._wanted.bases)}" if self._wanted.bases else "no bases"
        self._say(
            Level.INFO, f"{worker.name} (bwbuild {__version__}) works for {self._wanted.address}; {has}"
        )

    def _say(self, level: Level, text: str) -> None:
        self._tell(Notice(level, text))
