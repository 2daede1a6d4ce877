"""One try from its beginning to its end: root, home, what is granted, the program, and what is told of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bwbuild.build import places
from bwbuild.build import scratch as scratches
from bwbuild.build.scratch import Scratch
from bwbuild.build.verdict import killed
from bwbuild.build.watch.limits import BreachError
from bwbuild.build.watch.watchdog import Watchdog, Watched
from bwbuild.config.settings import Settings
from bwbuild.errors import HostError
from bwbuild.events import Event, Observer, Output, Tell, notices
from bwbuild.host.facts import Host, read_host
from bwbuild.interrupt import interruptions
from bwbuild.sandbox import program, runner, script
from bwbuild.sandbox.scope import NO_SCOPE, scope
from bwbuild.sandbox.spec import Guest, Layering, Tmpfs
from bwbuild.tryout import homes, programs, root, subject, written
from bwbuild.tryout.root import Root, Wanted
from bwbuild.tryout.trial import Trial
from bwbuild.tryout.values import Account, Asked, Writer

_CHUNK = 1 << 16
#: Bytes at the end of what a sandbox writes that tell why it did not start.
_TAIL = 1 << 12


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
class Teller:
    """Who hears of it: of what matters in any case, and of progress while somebody waits."""

    notice: Tell
    progress: Tell


def run(asked: Asked, settings: Settings, streams: Streams, tell: Teller) -> Account:
    """Install what is tried and run its program; what came of it.

    :raises BwbuildError: something can't be had.
    """
    host = read_host()
    with interruptions(), ExitStack() as stack:
        there = stack.enter_context(installed(asked, settings, host, notices(tell.progress)))
        command = chosen(asked, there)
        identity = there.base.identity
        name = home_name(asked, there)
        home = stack.enter_context(homes.opened(name, identity, fresh=asked.fresh))
        place = places.scratch(settings)
        scratches.sweep(place, tell.notice)
        record = scratches.new_record(home.path, (name, "try"), Layering.NONE, identity)
        scratch = stack.enter_context(scratches.fresh(place, record))
        interactive = streams.terminal and asked.interactive
        trial = Trial(asked, settings, host, there, home, command, interactive=interactive)
        return _run(trial, scratch, streams)


@contextmanager
def installed(asked: Asked, settings: Settings, host: Host, tell: Observer) -> Iterator[Root]:
    """The root with what is tried."""
    found = subject.Subject() if asked.none else subject.find(asked.words, Path())
    for name in asked.besides:
        subject.check_name(name)
    with root.opened(Wanted(found, settings, host, tell, asked.besides)) as there:
        yield there


def home_name(asked: Asked, there: Root) -> str:
    """What the home is called."""
    if asked.home:
        return asked.home
    return there.tried[0].name if there.tried else f"root-{there.base.suite.name}"


def chosen(asked: Asked, there: Root) -> tuple[str, ...]:
    """The command that is run.

    :raises UsageError: there is no such one, or too many.
    """
    if asked.command:
        known: set[str] = set()
        for place in (*programs.PLACES, "usr/sbin", "sbin"):
            known |= there.names(place)
        programs.check(asked.command[0], known)
        return asked.command
    if not there.tried:
        return ("/bin/bash",)
    files = there.files()
    entries = {path: programs.of_entry(there.text(path) or "") for path in programs.entries_of_lists(files)}
    return programs.default(programs.of_lists(files), entries, root.described(there.tried))


def _run(trial: Trial, scratch: Scratch, streams: Streams) -> Account:
    runtime = scratch.path / program.RUNTIME
    runtime.mkdir(mode=0o700)
    identity = trial.root.base.identity
    if identity.outer_first is not None:
        os.chown(runtime, identity.outer_first + identity.uid, identity.outer_first + identity.gid)
    before = written.look(trial.home.path)
    status, ended = _launched(trial, scratch, streams)
    after = written.look(trial.home.path)
    left = _left(scratch.path / "told")
    return Account(status=status, ended=ended, written=written.compare(before, after), left=left)


def _launched(trial: Trial, scratch: Scratch, streams: Streams) -> tuple[int, str]:
    """Run the program; its exit status, and why it was ended."""
    sandbox, limits = trial.sandbox, trial.limits
    file = scratch.path / "launch"
    title = f"The sandbox of {trial.command[0]}"
    file.write_bytes(os.fsencode(script.launcher(sandbox, trial.etc_files, title)))
    manager = trial.host.manager if trial.settings.limit_scope else None
    own = scope(manager, *limits.grouped)
    tail = bytearray()

    def remember(event: Event) -> None:
        if isinstance(event, Output):
            tail.extend(event.data)
            del tail[:-_TAIL]

    memory = tuple(
        mount.target for mount in sandbox.mounts if isinstance(mount, Tmpfs) and not mount.read_only
    )
    watched = Watched(limits, scratch.path, None, (*memory, Guest("/dev")), scoped=own != NO_SCOPE)
    watchdog = Watchdog(watched, remember)

    def output(data: bytes) -> None:
        watchdog.output(data)
        _write(streams.output, data)

    def error(data: bytes) -> None:
        watchdog.output(data)
        _write(streams.error, data)

    with _input(wanted=streams.input and not trial.interactive) as stdin:
        launch = runner.Launch(file, scratch.path, limits.time, trial.interactive, own, stdin)
        outcome = runner.run(launch, runner.Listeners(output, error, watchdog.tick))
    breach = killed(outcome, watchdog.seen, limits, trial.command[0])
    if breach is not None:
        raise BreachError(breach)
    if not outcome.started:
        details = tail.decode("utf-8", "replace").splitlines()[-10:]
        raise HostError("the sandbox did not start", hint="bwbuild doctor", details=details)
    if outcome.exit_code is None:
        return 137, "it was killed from outside"
    return outcome.exit_code, ""


def _write(writer: Writer, data: bytes) -> None:
    writer.write(data)
    writer.flush()


@contextmanager
def _input(*, wanted: bool) -> Iterator[int | None]:
    """A pipe with the caller's input: of a file of his the program could open more than it is given to read."""
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


def _left(told: Path) -> tuple[str, ...]:
    try:
        with told.open("rb") as file:
            text = file.read(_CHUNK).decode("ascii", "replace")
    except FileNotFoundError:
        return ()
    return tuple(text.splitlines())
