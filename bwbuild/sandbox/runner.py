"""Running a sandbox: start it, hand on what it writes, end it, and be sure that nothing of it is left.

The end is certain only when the first process of the pid namespace is gone, since the kernel then has killed
and reaped all others. bwrap's own end is not enough: processes inside have been seen to write after it.
"""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

from bwbuild import orphans, process, tether
from bwbuild.interrupt import undisturbed
from bwbuild.sandbox import tracing
from bwbuild.sandbox.capture import captured
from bwbuild.sandbox.scope import NO_SCOPE, Scope
from bwbuild.sandbox.supervisor import Listeners, Running, Supervisor

__all__ = ["Beside", "Launch", "Listeners", "Outcome", "Running", "beside", "run"]

#: An interactive sandbox has a terminal of its own, which script(1) copies to and from the caller's: what the
#: sandbox pushes into its terminal's input never reaches the shell that started it.
_ON_A_TERMINAL = """\
export BWBUILD_PARENT=$$
exec setpriv --pdeathsig KILL script --quiet --return --command 'exec sh "$BWBUILD_SCRIPT"' /dev/null
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: the launcher script and the scratch directory that it works in."""

    script: Path
    scratch: Path
    _: KW_ONLY
    #: seconds after which the sandbox is killed
    timeout: float | None = None
    interactive: bool = False
    #: what starts the launcher in a control group
    scope: Scope = NO_SCOPE
    #: the descriptor of a pipe that its input comes from; None: it is empty
    stdin: int | None = None
    #: what leads out of its network has processes of its own
    connected: bool = False
    #: somebody looks at what goes over its interface
    capturing: bool = False

    def environment(self, status: int, tie: int) -> dict[str, str]:
        """The environment of the launcher, with two descriptors; bwrap clears it for the build."""
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "BWBUILD_SCRATCH": str(self.scratch),
            "BWBUILD_PARENT": str(os.getpid()),
            "BWBUILD_STATUS": str(status),
            tether.VARIABLE: str(tie),
            "BWBUILD_SCRIPT": str(self.script),
            **({"BWBUILD_CAPTURE": "1"} if self.capturing else {}),
            **dict(self.scope.address),
        }

    def argv(self) -> tuple[str, ...]:
        """The words that start the launcher."""
        if self.interactive:
            return (*self.scope.words, "sh", "-c", _ON_A_TERMINAL)
        return (*self.scope.words, "sh", str(self.script))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sandbox ended. ``exit_code`` is None if its command was never started or was killed.

    ``timed_out``: it was killed since its time was over; ``ended``: since a listener wanted it.
    """

    exit_code: int | None
    started: bool
    timed_out: bool
    ended: bool
    seconds: float

    @property
    def how(self) -> str:
        """How the command ended, in words."""
        return "it was killed" if self.exit_code is None else f"exit status {self.exit_code}"


def run(launch: Launch, listeners: Listeners) -> Outcome:
    """Run the sandbox to its end.

    Whatever ends this function early, such as a signal or a full disk, ends the sandbox first.

    :raises HostError: it does not end even when killed.
    """
    begin = time.monotonic()
    launch = replace(launch, capturing=listeners.traffic is not None)
    orphans.adopt()
    with (
        captured(launch.scratch, listeners.traffic),
        _pipe() as output,
        _pipe() as error,
        _pipe() as status,
        process.tied() as tie,
        tracing.opened(launch.scratch, listeners.trace) as trace,
    ):
        supervisor = None
        try:
            # Between its start and the one who ends it a signal would leave a sandbox behind.
            with undisturbed():
                child = _start(launch, (output, error if listeners.error else output), status, tie)
                error.close_write_end()
                ends = (output.read_end, error.read_end, status.read_end)
                supervisor = Supervisor(
                    child,
                    ends,
                    listeners,
                    trace,
                    interactive=launch.interactive,
                    connected=launch.connected,
                )
            supervisor.watch(math.inf if launch.timeout is None else begin + launch.timeout)
            supervisor.confirm_end()
        except BaseException:
            if supervisor is not None:
                supervisor.end()
            raise
        return Outcome(
            exit_code=None if supervisor.killed else supervisor.exit_code,
            started=supervisor.started,
            timed_out=supervisor.timed_out,
            ended=supervisor.ended,
            seconds=time.monotonic() - begin,
        )


@contextmanager
def beside(launch: Launch, log: int) -> Iterator[Beside]:
    """A sandbox that runs beside the caller until the end of the context, and is killed then.

    :param log: the descriptor of a file, which gets all that it writes.
    """
    orphans.adopt()
    with _pipe() as output, _pipe() as error, _pipe() as status, process.tied() as tie:
        own = _Pipe(output.read_end, os.dup(log))
        supervisor = None
        try:
            with undisturbed():
                output.close_write_end()
                child = _start(launch, (own, own), status, tie)
                ends = (output.read_end, error.read_end, status.read_end)
                supervisor = Supervisor(
                    child,
                    ends,
                    Listeners(lambda _: None),
                    None,
                    interactive=False,
                    connected=launch.connected,
                )
            yield Beside(child, supervisor)
        finally:
            error.close_write_end()
            own.close_write_end()
            if supervisor is not None:
                with undisturbed():
                    supervisor.end()


@dataclass(frozen=True, slots=True)
class Beside:
    """A sandbox that runs beside the caller."""

    _child: process.Process[bytes]
    _supervisor: Supervisor

    @property
    def first(self) -> int | None:
        """The first process inside; None as long as there is none."""
        return self._supervisor.first

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._child.poll() is not None


@dataclass(slots=True)
class _Pipe:
    read_end: int
    write_end: int

    def close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1


@contextmanager
def _pipe() -> Iterator[_Pipe]:
    pipe = _Pipe(*os.pipe())
    try:
        yield pipe
    finally:
        pipe.close_write_end()
        os.close(pipe.read_end)


def _start(launch: Launch, streams: tuple[_Pipe, _Pipe], status: _Pipe, tie: int) -> process.Process[bytes]:
    output, error = streams
    # A larger pipe lets a chatty build run on while the log is written.
    with suppress(OSError):  # the kernel's limit per user may be reached; the default size works too
        fcntl.fcntl(output.read_end, fcntl.F_SETPIPE_SZ, 1 << 20)
    # The launcher uses 8 and 9 itself, and its shell knows no numbers above 9.
    inherited = fcntl.fcntl(status.write_end, fcntl.F_DUPFD_CLOEXEC, 20)
    try:
        return process.start(
            launch.argv(),
            env=launch.environment(inherited, tie),
            output=(output.write_end, error.write_end),
            pass_fds=[inherited, tie],
            interactive=launch.interactive,
            stdin=launch.stdin,
        )
    finally:
        os.close(inherited)
        output.close_write_end()
        status.close_write_end()
