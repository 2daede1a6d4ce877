"""The files of sources to workers, and those of results back: in threads, a chunk of each at a time."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from bwbuild.build.record.log import cannot_write
from bwbuild.corpus import trial
from bwbuild.corpus.cluster import attempts, files
from bwbuild.corpus.cluster.session import Begun, Session
from bwbuild.corpus.cluster.values import File, Result, Shared
from bwbuild.corpus.values import Build, Job

#: In the directory of a run: what is on its way.
SPOOL = ".cluster"


@dataclass(frozen=True, slots=True)
class Carriage:
    """How files travel in one run.

    :ivar directory: of the run; ``cwd``: where the paths in options are relative to.
    :ivar shared: by which they go; None: in chunks through dask.
    """

    directory: Path
    cwd: Path
    shared: Shared | None = None

    @property
    def spool(self) -> Path:
        """Where files are on their way."""
        return self.directory / SPOOL

    def send(self, session: Session, job: Job, begun: Begun) -> None:
        """Let an attempt begin, and give it the source of ``job``.

        :raises SourceError: the source can't be read; the attempt is refused then.
        :raises WorkerError: the worker is gone, or can't write it.
        :raises OSError: this machine can't write it.
        """
        own = self.spool / begun.ticket
        try:
            packed = files.pack(job, self.cwd, own)
            if self.shared is not None:
                self._lay_out(packed, self.shared.leaving(begun.ticket))
            here = self.shared is not None
            session.call(begun.address, attempts.grant, begun.ticket, packed.parcel, here=here)
            for file in packed.parcel.files if not here else ():
                for data in files.chunks(packed.paths[file.name]):
                    session.call(begun.address, attempts.receive, begun.ticket, data)
        finally:
            trial.remove(own)

    def _lay_out(self, packed: files.Packed, directory: Path) -> None:
        for file in packed.parcel.files:
            files.copy(packed.paths[file.name], directory, file)

    def fetch(self, session: Session, result: Result) -> Path:
        """The files of a result, each as it was on the worker; returns the directory where they are.

        :raises WorkerError: the worker is gone.
        :raises DamagedError: a file did not arrive as it was.
        :raises OSError: this machine can't write them.
        """
        directory = self.spool / f"{result.ticket}-result"
        directory.mkdir(parents=True)
        for file in result.files:
            if self.shared is not None:
                files.copy(self.shared.arriving(result.ticket) / files.safe(file.name), directory, file)
            else:
                self._fetch(session, directory, result, file)
        self.forget(result.ticket)
        session.call(result.address, attempts.release, result.ticket)
        return directory

    def _fetch(self, session: Session, directory: Path, result: Result, file: File) -> None:
        arriving = files.Arriving(directory, file)
        try:
            while arriving.size < file.size:
                data = session.call(result.address, attempts.read, result.ticket, file.name, arriving.size)
                if not data:
                    break
                arriving.write(data)
            arriving.finish()
        finally:
            arriving.close()

    def forget(self, ticket: str) -> None:
        """Remove what of an attempt is in the shared directory."""
        if self.shared is not None:
            shutil.rmtree(self.shared.directory / ticket, ignore_errors=True)

    def put(self, directory: Path, build: Build) -> Build:
        """Put the files of the one result of a job where the local pool would have them.

        :raises OutputError: that is not possible.
        """
        place = self.directory / build.key
        try:
            trial.remove(place)
            directory.rename(place)
        except OSError as error:
            raise cannot_write(place, error) from error
        at = place / "artifacts"
        kept = (replace(item, path=at / item.name if item.path else None) for item in build.artifacts)
        return replace(build, artifacts=tuple(kept))


def drop(directory: Path) -> None:
    """Remove the files of a result that is not the first of its job."""
    shutil.rmtree(directory, ignore_errors=True)
