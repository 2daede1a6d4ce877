"""One build as a process of its own: ``bwbuild`` by the same interpreter, watched until its end.

A child that crashes, hangs or writes nonsense is one failed job. What it says is read as a stranger's word:
lines are bounded, and what is not an event is passed over.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import bwbuild
from bwbuild import process
from bwbuild.build.record.escaping import visible
from bwbuild.build.record.history import KEPT_STEPS
from bwbuild.build.record.log import cannot_write
from bwbuild.corpus.watch import Progress, Watch

#: Seconds between two looks at the wish to stop.
TICK = 0.2
#: Bytes: of a longer line nothing is read.
LONGEST_LINE = 1 << 16
LONGEST_STEP = 200
#: The child ends with the thread that started it, even when that is killed.
_DIE_WITH_PARENT = (
    *("setpriv", "--pdeathsig", "TERM"),
    *("sh", "-c", '[ "$PPID" = "$1" ] || exit 125; shift; exec "$@"', "sh"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """How a child is started.

    :ivar words: the command line behind ``bwbuild``, without ``--events``.
    :ivar terminal: the file that gets what it writes to both streams.
    :ivar timeout: seconds after which it is killed; None: never.
    """

    words: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    terminal: Path
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended.

    :ivar status: its exit status; negative: the signal that killed it.
    :ivar seconds: from its start to its end; ``steps``: what began when, counted from the start of the build.
    :ivar own_memory: the most that bwbuild's own process took, in bytes; 0 if it did not say.
    :ivar stopped: it was told to end; ``timed_out``: it was killed, since its time was over.
    """

    status: int
    seconds: float
    steps: tuple[tuple[str, float], ...] = ()
    own_memory: int = 0
    stopped: bool = False
    timed_out: bool = False


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """``base`` with what a child needs to be the same program as this one."""
    return {**base, "PYTHONPATH": str(Path(bwbuild.__file__).parents[1])}


def run(call: Call, watch: Watch) -> Ended:
    """Run a child to its end; when ``watch`` wants to stop, it is told to, and killed when that is urgent.

    :raises OutputError: the file for what it writes can't be made.
    :raises HostError: setpriv is missing.
    """
    begin = time.monotonic()
    reading, writing = os.pipe()
    try:
        try:
            output = _opened(call.terminal)
            child = _start(call, output, writing)
        finally:
            os.close(writing)
        supervisor = _Supervisor(child, reading, watch)
        try:
            supervisor.follow(None if call.timeout is None else begin + call.timeout)
        except BaseException:
            supervisor.kill()
            raise
    finally:
        os.close(reading)
    heard = supervisor.heard
    return Ended(
        child.returncode,
        time.monotonic() - begin,
        tuple(heard.steps),
        heard.own_memory,
        supervisor.stopped,
        supervisor.timed_out,
    )


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error


def _start(call: Call, output: int, events: int) -> process.Process[bytes]:
    program = (sys.executable, "-P", "-m", "bwbuild")
    own = ("--events", f"/dev/fd/{events}")
    try:
        return process.start(
            [*_DIE_WITH_PARENT, str(os.getpid()), *program, "build", *own, *call.words],
            env=environment(call.environment),
            output=(output, output),
            pass_fds=[events],
            cwd=call.cwd,
        )
    finally:
        os.close(output)


class Heard:
    """What a child has told until now."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.steps: list[tuple[str, float]] = []
        self.own_memory = 0
        self._begun = 0.0
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Read on; a line that is too long is passed over."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not self._skipping:
                self._line(line)
            self._skipping = False
        if len(rest) > LONGEST_LINE:
            rest, self._skipping = b"", True
        self._rest = rest

    def _line(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict):
            self._event(event)

    def _event(self, event: Mapping[str, object]) -> None:
        seconds = _number(event.get("seconds"))
        match event.get("event"):
            case "build":
                self._begun = seconds
                expected = _number(event.get("expected"))
                self.progress = replace(self.progress, expected=expected or None)
            case "section":
                self._doing(event.get("title"))
            case "step":
                name = self._doing(event.get("name"))
                if name and len(self.steps) < KEPT_STEPS:
                    self.steps.append((name, max(0.0, seconds - self._begun)))
            case "usage":
                memory = int(_number(event.get("memory")))
                peak = max(memory, self.progress.peak)
                self.progress = replace(self.progress, memory=memory, peak=peak)
            case "end":
                self.own_memory = int(_number(event.get("own_memory")))

    def _doing(self, name: object) -> str:
        if not isinstance(name, str):
            return ""
        name = visible(name[:LONGEST_STEP])
        self.progress = replace(self.progress, step=name)
        return name


def _number(value: object) -> float:
    """A number of a sensible size; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < 1 << 62 else 0.0


class _Supervisor:
    """Follows one child: what it tells, when it ends, and whether it has to."""

    def __init__(self, child: process.Process[bytes], events: int, watch: Watch) -> None:
        self._child = child
        self._events = events
        self._watch = watch
        self.heard = Heard()
        self.stopped = False
        self.timed_out = False
        fcntl.fcntl(events, fcntl.F_SETFL, os.O_NONBLOCK)

    def follow(self, end: float | None) -> None:
        """Until the child has ended; ``end``: when its time is over."""
        talking = True
        while self._child.poll() is None:
            if talking:
                select.select([self._events], [], [], TICK)
                talking = self._listen()
            else:
                self._wait()
            if self._watch.stop.at_once:
                self.kill()
            elif self._watch.stop.asked and not self.stopped:
                self.stopped = True
                self._signal(signal.SIGTERM)
            elif end is not None and time.monotonic() > end:
                self.timed_out = True
                self.kill()
        self._listen()

    def kill(self) -> None:
        """End the child at once; the sandbox goes with it."""
        self.stopped = self.stopped or not self.timed_out
        self._signal(signal.SIGKILL)
        self._child.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._child.send_signal(number)

    def _wait(self) -> None:
        with suppress(process.TimeoutExpired):
            self._child.wait(TICK)

    def _listen(self) -> bool:
        """Read what is there; False when nobody writes any more."""
        before = self.heard.progress
        for _ in range(64):
            try:
                data = os.read(self._events, LONGEST_LINE)
            except BlockingIOError:
                break
            if not data:
                return False
            self.heard.feed(data)
        if self.heard.progress != before:
            self._watch.tell(self.heard.progress)
        return True
