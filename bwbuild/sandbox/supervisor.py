"""Watching one sandbox: its output is handed on, its end is made sure of."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bwbuild import orphans, process
from bwbuild.errors import HostError
from bwbuild.sandbox import tracing

#: Seconds between two calls of ``Listeners.tick``.
TICK = 0.5
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Running:
    """The process ids of a sandbox: of its launcher, and of the first process inside where there is one."""

    launcher: int
    first: int | None


def _ignore(_running: Running) -> bool:
    """No tick is wanted."""
    return False


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who wants to know.

    ``output`` gets bytes as they come, of both streams unless ``error`` takes the second; ``tick`` is called
    now and then, and when it returns true the sandbox is killed. ``trace`` gets strace's lines of a sandbox
    that is ``traced``, ``traffic`` in a thread of its own what goes over the interface of a connected one.
    """

    output: Callable[[bytes], None]
    error: Callable[[bytes], None] | None = None
    tick: Callable[[Running], bool] = _ignore
    trace: Callable[[bytes], object] | None = None
    traffic: Callable[[bytes], None] | None = None


class Supervisor:
    """Watches one launcher. ``started`` and ``exit_code`` are what bwrap says of the command.

    ``timed_out`` and ``ended`` say why it was killed, if it was.
    """

    def __init__(
        self,
        child: process.Process[bytes],
        ends: tuple[int, int, int],
        listeners: Listeners,
        trace: tracing.Trace | None,
        *,
        interactive: bool,
        connected: bool = False,
    ) -> None:
        self.started = False
        self.exit_code: int | None = None
        self.timed_out = False
        self.ended = False
        self._child = child
        self._interactive = interactive
        self._connected = connected
        self._output, self._error, self._status = ends
        self._listeners = listeners
        self._trace = trace
        self._documents = b""
        #: pidfd of the first process of the sandbox
        self._first: int | None = None
        self._running = Running(child.pid, None)
        self._next_tick = time.monotonic()

    @property
    def first(self) -> int | None:
        """The first process inside, as soon as bwrap has told of one."""
        self._hear_of_first()
        return self._running.first

    @property
    def killed(self) -> bool:
        """Whether it did not end by itself."""
        return self.timed_out or self.ended

    def watch(self, deadline: float) -> None:
        """Hand on output until all writers are gone; at ``deadline`` (monotonic seconds) they are killed."""
        launcher = os.pidfd_open(self._child.pid)
        poll = select.poll()
        actions: dict[int, Callable[[], bool]] = {
            self._output: self._read_output,
            self._error: self._read_error,
            self._status: self._read_status,
            launcher: lambda: False,
        }
        if self._trace is not None:
            actions[self._trace.descriptor] = self._trace.read
        for descriptor in actions:
            poll.register(descriptor, select.POLLIN)
        waiting = set(actions)
        try:
            while waiting & {self._output, self._error, launcher}:
                now = time.monotonic()
                if now >= self._next_tick:
                    self._tick(now, deadline)
                for descriptor, _ in poll.poll(math.ceil(max(0.0, self._next_tick - now) * 1000)):
                    if not actions[descriptor]():
                        poll.unregister(descriptor)
                        waiting.discard(descriptor)
        finally:
            os.close(launcher)
        if self._trace is not None:
            self._trace.drain()

    def _tick(self, now: float, deadline: float) -> None:
        self._next_tick = now + TICK
        if self.killed:
            return
        self._next_tick = min(self._next_tick, max(now, deadline))
        self.timed_out = now >= deadline
        self.ended = not self.timed_out and self._listeners.tick(self._running)
        if self.timed_out or self.ended:
            self._kill()

    def end(self) -> None:
        """Kill the sandbox and wait until it is gone; what it still writes is dropped."""
        self._kill()
        if self._trace is not None:
            self._trace.close()
        open_ends = {self._output, self._error}
        while open_ends:
            ready, _, _ = select.select(list(open_ends), [], [], process.GRACE)
            if not ready:
                self._kill_launcher()
                break
            open_ends -= {descriptor for descriptor in ready if not os.read(descriptor, _CHUNK)}
        self.confirm_end()

    def confirm_end(self) -> None:
        """Wait until no process of the sandbox is left.

        :raises HostError: one is left after ``GRACE`` seconds.
        """
        while self._read_status():
            pass
        self._child.wait()
        # What leads out of the network comes here as an orphan, and is killed by the kernel. An interactive
        # one shares the caller's process group.
        if (
            self._connected
            and not self._interactive
            and not orphans.await_group(self._child.pid, process.GRACE)
        ):
            raise HostError("the helper of the network does not end", hint="look for pasta with ps")
        if self._first is not None:
            ready, _, _ = select.select([self._first], [], [], process.GRACE)
            if ready:
                with suppress(ChildProcessError):  # bwrap may have waited for it after all
                    os.waitid(os.P_PIDFD, self._first, os.WEXITED)
            # Forgotten first: whoever interrupts this ends the sandbox once more.
            first, self._first = self._first, None
            os.close(first)
            if not ready:
                raise HostError(
                    "a process of the sandbox can't be killed", hint="look for it with ps; it may hang in I/O"
                )

    def _kill(self) -> None:
        # The kernel kills all of a pid namespace with its first process; the launcher ends by itself then.
        # Before there is one, its helpers have to go too: that of unshare would wait for it for ever.
        self._hear_of_first()
        if self._first is None:
            self._kill_launcher()
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._first, signal.SIGKILL)

    def _hear_of_first(self) -> None:
        # bwrap may have told of one just now.
        if self._first is None and select.select([self._status], [], [], 0)[0]:
            self._read_status()

    def _kill_launcher(self) -> None:
        if self._interactive:
            self._child.kill()  # it shares the caller's process group
            return
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def _read_output(self) -> bool:
        data = os.read(self._output, _CHUNK)
        if data:
            self._listeners.output(data)
        return bool(data)

    def _read_error(self) -> bool:
        data = os.read(self._error, _CHUNK)
        if data and self._listeners.error:
            self._listeners.error(data)
        return bool(data)

    def _read_status(self) -> bool:
        """Take in what bwrap reports; False at its end."""
        data = os.read(self._status, 4096)
        self._documents += data
        *lines, self._documents = self._documents.split(b"\n")
        for line in lines:
            document = json.loads(line)
            if "child-pid" in document:
                self.started = True
                self._running = Running(self._child.pid, document["child-pid"])
                self._next_tick = time.monotonic()  # at once: what is to be looked at begins now
                with suppress(ProcessLookupError):  # gone already, and so are all others
                    self._first = os.pidfd_open(document["child-pid"])
            if "exit-code" in document:
                self.exit_code = document["exit-code"]
        return bool(data)
