"""What goes between a run and the workers of a cluster: values alone, each bwbuild version its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bwbuild.corpus.values import Build, Job


@dataclass(frozen=True, slots=True)
class File:
    """A file that travels.

    :ivar name: its path relative to a directory that both sides have; slashes divide its parts.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shared:
    """A directory that the run and all workers see at the same path.

    :ivar directory: of one run below it; ``token``: what the file :attr:`proof` has.
    """

    directory: Path
    token: str

    @property
    def proof(self) -> Path:
        """By this file a worker knows that it sees the same directory."""
        return self.directory / "token"

    def leaving(self, ticket: str) -> Path:
        """Where the files of a source are for one attempt."""
        return self.directory / ticket / "source"

    def arriving(self, ticket: str) -> Path:
        """Where an attempt puts the files of its result."""
        return self.directory / ticket / "result"


@dataclass(frozen=True, slots=True)
class Task:
    """A job as a worker gets it.

    :ivar topic: of the events by which the worker tells how far it is.
    :ivar share: how many commands the build may run at once.
    :ivar keep: whether the artifacts come back, or their lists and sums alone.
    :ivar shared: how files travel; None: in chunks.
    """

    job: Job
    topic: str
    share: int = 1
    keep: bool = False
    shared: Shared | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a source consists of on its way.

    :ivar files: all that travels.
    :ivar archive: the name of the one that is a tar archive of a tree; empty if there is none.
    :ivar start: the source: its path relative to where the files are, or the word for bwbuild itself.
    :ivar options: of the job; paths in them are relative to where the files are.
    """

    files: tuple[File, ...] = ()
    archive: str = ""
    start: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt came to.

    :ivar ticket: of the attempt, by which its files are fetched; ``worker`` and ``address``: whose it is.
    :ivar build: None where there is no result: the attempt was refused or stopped, or ``trouble`` tells why.
    :ivar trouble: what keeps this worker from building anything, in one sentence.
    """

    ticket: str
    worker: str
    address: str
    build: Build | None = None
    files: tuple[File, ...] = ()
    trouble: str = ""
