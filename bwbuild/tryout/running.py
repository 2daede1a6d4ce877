"""The program runs: its launcher, its streams, who watches it, and how it ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bwbuild.build.scratch import Scratch
from bwbuild.build.study.doctor import explain_scope
from bwbuild.build.verdict import killed
from bwbuild.build.watch.limits import BreachError, scope_of
from bwbuild.build.watch.watchdog import Watchdog, Watched
from bwbuild.errors import BwbuildError, CheckError, InterruptedBuild, LimitError, OutputError
from bwbuild.host.doctor import advice
from bwbuild.sandbox import runner, script
from bwbuild.sandbox.scope import NO_SCOPE
from bwbuild.sandbox.spec import Guest, Tmpfs
from bwbuild.sandbox.tail import Tail
from bwbuild.trace.parse import Parser
from bwbuild.trace.touches import READERS
from bwbuild.tryout import telling
from bwbuild.tryout.desktop import Desktop
from bwbuild.tryout.learned import Seen
from bwbuild.tryout.shots import Shots
from bwbuild.tryout.trial import Trial
from bwbuild.tryout.values import Refused, Writer
from bwbuild.tryout.x11 import Window

_CHUNK = 1 << 16
#: Bytes at the end of what a sandbox writes that tell why it did not start.
_TAIL = 1 << 12
_STARTED = "started"
#: The exit status of a program that was killed, as a shell has it.
_KILLED = 137


@dataclass(frozen=True, slots=True)
class Streams:
    """The caller's streams.

    :ivar terminal: they are a terminal, of which the program gets one of its own.
    :ivar input: whether there is an input to hand on.
    """

    output: Writer
    error: Writer
    terminal: bool
    input: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    :ivar why: it was ended from outside; empty if it was not.
    :ivar left: names of processes that ended with it.
    :ivar seen: what was traced; None: nothing was.
    :ivar refused: what its limits did not let it have.
    :ivar error: it was ended at a limit or by a signal, or there is no picture.
    """

    status: int
    why: str = ""
    left: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    seen: Seen | None = None
    notes: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()
    error: BwbuildError | None = None


def run(trial: Trial, scratch: Scratch, served: Desktop, streams: Streams) -> Ended:
    """Run the program to its end, of which is told whatever has ended it.

    :raises HostError: the sandbox does not start.
    :raises InterruptedBuild: a signal came before it had started.
    """
    shots = Shots(served.display) if trial.asked.screenshot is not None and served.display else None
    seen = Seen(trial.links, served.paths.values()) if trial.asked.learn else None
    try:
        status, why, refused = _launched(trial, scratch, streams, shots, seen)
    except (LimitError, InterruptedBuild) as error:
        if _told(scratch)[:1] != [_STARTED]:
            raise
        return Ended(error.status, left=tuple(_told(scratch)[1:]), seen=seen, error=error)
    windows = tuple(shots.windows) if shots is not None else ()
    ended = Ended(status, why, tuple(_told(scratch)[1:]), windows, seen, refused=refused)
    if shots is None or trial.asked.screenshot is None:
        return ended
    try:
        return replace(ended, notes=(_written(shots, trial.asked.screenshot, status),))
    except (CheckError, OutputError) as error:
        return replace(ended, error=error)


def _launched(
    trial: Trial, scratch: Scratch, streams: Streams, shots: Shots | None, seen: Seen | None
) -> tuple[int, str, tuple[Refused, ...]]:
    sandbox, limits = trial.sandbox, trial.limits
    file = scratch.path / "launch"
    text = script.launcher(sandbox, trial.etc_files, f"The sandbox of {trial.command[0]}")
    file.write_bytes(os.fsencode(text))
    own = scope_of(trial.settings, trial.host, limits)
    memory = [m.target for m in sandbox.mounts if isinstance(m, Tmpfs) and not m.read_only]
    tail = Tail(_TAIL)
    watched = Watched(limits, scratch.path, None, (*memory, Guest("/dev")), scoped=own != NO_SCOPE)
    watchdog = Watchdog(watched, lambda _: None)
    parser = Parser(every=True, more=READERS)

    def output(data: bytes, writer: Writer = streams.output) -> None:
        watchdog.output(data)
        tail.add(data)
        writer.write(data)
        writer.flush()

    def tick(running: runner.Running) -> bool:
        return watchdog.tick(running) or (shots is not None and shots.look())

    def trace(data: bytes) -> None:
        assert seen is not None  # noqa: S101 - for the type checker
        seen.take(parser.feed(data))

    listeners = runner.Listeners(
        output,
        lambda data: output(data, streams.error),
        tick,
        trace if seen is not None else None,
    )
    with _input(wanted=streams.input and not trial.interactive) as stdin:
        connected = sandbox.network is not None
        launch = runner.Launch(
            *(file, scratch.path),
            timeout=limits.time,
            interactive=trial.interactive,
            scope=own,
            connected=connected,
            stdin=stdin,
        )
        outcome = runner.run(launch, listeners)
    breach = killed(outcome, watchdog.seen, limits, trial.command[0])
    if breach is not None:
        raise BreachError(breach)
    if not outcome.started or _told(scratch)[:1] != [_STARTED]:
        raise advice(explain_scope(own), tail.lines(10))
    refused = telling.refused_by_limits(watchdog.seen, limits)
    if outcome.exit_code is not None:
        return outcome.exit_code, "", refused
    return (0, "", refused) if outcome.ended else (_KILLED, "it was killed from outside", refused)


@contextmanager
def _input(*, wanted: bool) -> Iterator[int | None]:
    """A pipe with the caller's input; a file of his the program could open anew, and write."""
    if not wanted:
        yield None
        return
    reader, writer = os.pipe()
    threading.Thread(target=_copy, args=(writer,), daemon=True).start()
    try:
        yield reader
    finally:
        os.close(reader)


def _copy(writer: int) -> None:
    with suppress(OSError):  # nobody reads any more, or there is no input at all
        while data := os.read(0, _CHUNK):
            while data:
                data = data[os.write(writer, data) :]
    os.close(writer)


def _told(scratch: Scratch) -> list[str]:
    """What the first process of the sandbox has told: that it started, and the names of who was left."""
    try:
        with (scratch.path / "told").open("rb") as file:
            return file.read(_CHUNK).decode("ascii", "replace").splitlines()
    except FileNotFoundError:
        return []


def check_place(path: Path) -> None:
    """Return if a picture can be written to ``path``.

    :raises OutputError: it can't.
    """
    why = "it is a directory" if path.is_dir() else ""
    if not path.parent.is_dir():
        why = f"there is no directory {path.parent}"
    elif not os.access(path.parent, os.W_OK):
        why = f"{path.parent} is not yours to write"
    if why:
        raise OutputError(f"{path} can't be written: {why}")


def _written(shots: Shots, path: Path, status: int) -> str:
    """Write the picture; what to say of it.

    :raises CheckError: there is none.
    :raises OutputError: it can't be written.
    """
    if shots.picture is None:
        why = f"in {shots.waited:.0f} s" if shots.waited else f"before it ended with exit status {status}"
        raise CheckError(
            f"no window was shown {why}, so there is no picture",
            hint="some programs show one only with an option, or a file to open",
        )
    try:
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(shots.picture.png)
        new.replace(path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror}") from error
    blank = ", all of one colour" if shots.picture.is_blank else ""
    return f"picture: {path}, {shots.picture.width}x{shots.picture.height}{blank}"
