"""One job on a worker: what dask calls there."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bwbuild.corpus import stored
from bwbuild.corpus.cluster import attempts, files
from bwbuild.corpus.cluster.attempts import Attempt
from bwbuild.corpus.cluster.values import File, Parcel, Result, Shared, Task
from bwbuild.corpus.values import Build, Verdict
from bwbuild.corpus.watch import NO_PROGRESS, Progress, Watch
from bwbuild.corpus.work import Place, work
from bwbuild.errors import HostError, OutputError

if TYPE_CHECKING:
    from distributed import Worker

#: Seconds between two words on how far a job is, unless it has come to another step.
PAUSE = 3.0
#: The two kinds of events.
BEGUN, PROGRESS = "begun", "progress"


def carry_out(task: Task) -> Result:
    """Ask the run for the source, build it, and keep the files of the result until they are fetched.

    Whether there is to be an attempt is for the run to say: it alone knows how many there were.
    """
    from distributed import get_worker  # noqa: PLC0415 - takes half a second

    worker = get_worker()
    key = str(worker.get_current_task())
    attempt = attempts.enter(lambda: _is_unwanted(worker, key))
    nothing = Result(attempt.ticket, str(worker.name), worker.address)
    try:
        result = _attempted(task, attempt, _Line(worker, task, attempt.ticket, key), nothing)
    except (OutputError, HostError) as error:
        result = replace(nothing, trouble=error.message)
    except BaseException:
        attempts.leave(attempt)
        raise
    if result.build is None:
        attempts.leave(attempt)
    return result


def _is_unwanted(worker: Worker, key: str) -> bool:
    """Whether the run has gone or wants no result any more, or this worker has lost its scheduler."""
    if worker.status.name not in ("running", "paused"):
        return True
    state = worker.state.tasks.get(key)
    return state is None or state.state in ("cancelled", "released", "forgotten")


def _attempted(task: Task, attempt: Attempt, line: _Line, nothing: Result) -> Result:
    if task.shared is not None:
        _check(task.shared)
    line.say(BEGUN, name=nothing.worker, address=nothing.address)
    parcel = attempt.wait()
    if parcel is None:
        return nothing
    build = _built(task, attempt, parcel, Watch(line.tell, attempt.stop))
    if build.verdict is Verdict.LEFT:
        return nothing
    found = files.results(attempt.result / task.job.key)
    if task.shared is not None:
        _hand_over(task.shared, attempt, task.job.key, found)
    attempt.end(task.job.key, found)
    return replace(nothing, build=build, files=found)


def _built(task: Task, attempt: Attempt, parcel: Parcel, watch: Watch) -> Build:
    top = attempt.source
    if task.shared is not None:
        top = task.shared.leaving(attempt.ticket)
        _check_sums(parcel, top)
    source = files.unpack(parcel, top, attempt.source)
    place = Place(attempt.result / task.job.key, top, task.share, task.keep)
    return work(replace(task.job, source=source, options=parcel.options), place, watch)


def _check(shared: Shared) -> None:
    try:
        token = shared.proof.read_text(encoding="utf-8")
    except OSError as error:
        token = error.strerror or "it can't be read"
    if token != shared.token:
        raise HostError(f"it does not see the run's shared directory {shared.directory.parent}")


def _check_sums(parcel: Parcel, top: Path) -> None:
    for file in parcel.files:
        try:
            found = files.describe(top / files.safe(file.name), file.name)
        except OSError as error:
            raise HostError(f"{error.filename} can't be read: {error.strerror}") from error
        if found != file:
            raise HostError(f"{top / file.name} is not what the run wrote there")


def _hand_over(shared: Shared, attempt: Attempt, key: str, found: tuple[File, ...]) -> None:
    for file in found:
        try:
            files.copy(attempt.result / key / file.name, shared.arriving(attempt.ticket), file)
        except OSError as error:
            raise OutputError(f"can't write {error.filename}: {error.strerror}") from error


class _Line:
    """What a task says to its run: events of dask, which the scheduler keeps for a while, so they are few."""

    def __init__(self, worker: Worker, task: Task, ticket: str, key: str) -> None:
        self._worker = worker
        self._topic = task.topic
        self._about: dict[str, object] = {"key": task.job.key, "ticket": ticket, "task": key}
        self._last = NO_PROGRESS
        self._when = 0.0

    def say(self, event: str, **more: object) -> None:
        """Say one thing."""
        self._worker.log_event(self._topic, {"event": event} | self._about | more)

    def tell(self, progress: Progress) -> None:
        """The job has come so far."""
        now = time.monotonic()
        if progress.step == self._last.step and now - self._when < PAUSE:
            return
        self._last, self._when = progress, now
        self.say(PROGRESS, progress=stored.plain(progress))
