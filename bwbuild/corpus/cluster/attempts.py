"""Attempts at jobs on this worker: where their files are, and what the run says to them.

The run calls the functions below by dask, on the event loop of the worker. The job itself is in a thread of
the worker's pool, and whatever reads or writes files is in a thread as well.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bwbuild.corpus import trial
from bwbuild.corpus.cluster.files import CHUNK, Arriving
from bwbuild.corpus.cluster.values import File, Parcel
from bwbuild.corpus.watch import Stop
from bwbuild.errors import HostError, OutputError

#: Seconds between two looks at whether a job is still wanted.
TICK = 0.2
#: Seconds for which an attempt waits for a word or the next chunk from the run, and for which the files of
#: one that has ended wait to be fetched.
PATIENCE = 900.0


class Wish(Stop):
    """The wish to stop, which is there too when nobody is left who would take the result.

    :param unwanted: whether nobody is.
    """

    def __init__(self, unwanted: Callable[[], bool]) -> None:
        super().__init__()
        self._unwanted = unwanted

    @property
    def asked(self) -> bool:
        """Whether anybody wants it to stop."""
        return super().asked or self._unwanted()


class Attempt:
    """One attempt at one job.

    :param place: where its directory is made; :param unwanted: see :class:`Wish`.
    """

    def __init__(self, place: Path, unwanted: Callable[[], bool]) -> None:
        self.ticket = secrets.token_hex(8)
        self.top = place / self.ticket
        self.stop = Wish(unwanted)
        self.parcel: Parcel | None = None
        #: Of the result, by their names.
        self.files: dict[str, File] = {}
        self.has_ended = False
        self.heard = time.monotonic()
        self._decided = threading.Event()
        self._missing: list[File] = []
        self._arriving: Arriving | None = None
        for directory in (self.source, self.result):
            directory.mkdir(parents=True)

    def end(self, key: str, found: Sequence[File]) -> None:
        """These files, below the directory of the job ``key``, can be fetched."""
        self.heard = time.monotonic()
        self.files = {file.name: replace(file, name=f"{key}/{file.name}") for file in found}
        self.has_ended = True

    @property
    def source(self) -> Path:
        """Where the files of the source arrive."""
        return self.top / "source"

    @property
    def result(self) -> Path:
        """The directory above the job's own."""
        return self.top / "result"

    def wait(self) -> Parcel | None:
        """The source when it is there; None if there is to be no attempt."""
        while not self._decided.wait(TICK):
            if self.stop.asked or time.monotonic() - self.heard > PATIENCE:
                return None
        return self.parcel

    def grant(self, parcel: Parcel, *, here: bool) -> None:
        """The source will come, or is ``here`` already."""
        self.heard = time.monotonic()
        self.parcel = parcel
        self._missing = [] if here else list(parcel.files)
        self._next()

    def refuse(self) -> None:
        """There is to be no attempt."""
        self._decided.set()

    def receive(self, data: bytes) -> None:
        """The next chunk of the file that arrives.

        :raises OutputError: it can't be written, or was changed on its way.
        """
        self.heard = time.monotonic()
        if self._arriving is None:
            raise OutputError("a chunk of a file came that nobody waits for")
        try:
            self._arriving.write(data)
        except OSError as error:
            raise OutputError(f"can't write {self._arriving.path}: {error.strerror}") from error
        self._next()

    def _next(self) -> None:
        """Go on to the next file where the current one is complete; empty ones have no chunk."""
        while True:
            if self._arriving is not None:
                if self._arriving.size < self._missing[0].size:
                    return
                self._arriving.finish()
                self._arriving = None
                del self._missing[0]
            if not self._missing:
                self._decided.set()
                return
            self._arriving = Arriving(self.source, self._missing[0])

    def read(self, name: str, offset: int) -> bytes:
        """A chunk of a file of the result."""
        self.heard = time.monotonic()
        with (self.result / self.files[name].name).open("rb") as stream:
            stream.seek(offset)
            return stream.read(CHUNK)

    def remove(self) -> None:
        """Remove its directory, in which files may be of other ids."""
        trial.remove(self.top)


class Bench:
    """All attempts of this process.

    :ivar place: where their directories are.
    """

    place = Path()

    def __init__(self) -> None:
        self.attempts: dict[str, Attempt] = {}


#: There is one worker in a process, and what dask calls knows nothing but its arguments.
BENCH = Bench()


def enter(unwanted: Callable[[], bool]) -> Attempt:
    """A new attempt, to which the run can speak; what nobody has fetched of old ones for long is removed.

    :param unwanted: whether nobody would take its result.
    """
    now = time.monotonic()
    for old in [old for old in BENCH.attempts.values() if old.has_ended and now - old.heard > PATIENCE]:
        leave(old)
    attempt = Attempt(BENCH.place, unwanted)
    BENCH.attempts[attempt.ticket] = attempt
    return attempt


def leave(attempt: Attempt) -> None:
    """Forget ``attempt`` and remove its files."""
    if BENCH.attempts.pop(attempt.ticket, None) is not None:
        attempt.remove()


def _find(ticket: str) -> Attempt:
    found = BENCH.attempts.get(ticket)
    if found is None:
        raise HostError("the worker knows nothing of this attempt any more")
    return found


async def grant(ticket: str, parcel: Parcel, *, here: bool) -> None:
    """Say that an attempt may go on, and of what its source consists."""
    await asyncio.to_thread(_find(ticket).grant, parcel, here=here)


async def refuse(ticket: str) -> None:
    """Say that an attempt is not to be made."""
    _find(ticket).refuse()


async def receive(ticket: str, data: bytes) -> None:
    """Take the next chunk of a source."""
    await asyncio.to_thread(_find(ticket).receive, data)


async def read(ticket: str, name: str, offset: int) -> bytes:
    """Give a chunk of a result."""
    return await asyncio.to_thread(_find(ticket).read, name, offset)


async def release(ticket: str) -> None:
    """Remove what an attempt has left: it was fetched, or nobody wants it."""
    await asyncio.to_thread(leave, _find(ticket))


async def ask_to_stop(ticket: str) -> None:
    """Ask an attempt to stop, once more if it was asked before."""
    _find(ticket).stop.ask()
