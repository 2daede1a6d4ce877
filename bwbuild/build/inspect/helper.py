"""Programs of this machine in small sandboxes: they read what a stranger made, with the limits of a build."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bwbuild.build import scratch as scratches
from bwbuild.build import verdict
from bwbuild.build.restraints import for_unpacking
from bwbuild.build.scratch import Scratch
from bwbuild.build.watch.limits import BreachError, Limits, ceilings, resolve, scope_of
from bwbuild.build.watch.watchdog import Watchdog, Watched
from bwbuild.config.settings import Settings
from bwbuild.errors import HostError
from bwbuild.host.facts import Host
from bwbuild.sandbox import runner, small, unpack
from bwbuild.sandbox.scope import NO_SCOPE, Scope
from bwbuild.sandbox.spec import Restraints
from bwbuild.sandbox.tail import Tail

#: Bytes of what the programs write that are remembered, and lines of them that are shown.
_TAIL, _LINES = 1 << 16, 10


@dataclass(frozen=True, slots=True)
class Reader:
    """How such programs are run."""

    host: Host
    restraints: Restraints
    limits: Limits
    scope: Scope = NO_SCOPE

    @classmethod
    def of(cls, settings: Settings, host: Host) -> Reader:
        """By the settings of a build."""
        limits = resolve(settings, host)
        group = scope_of(settings, host, limits)
        return cls(host, for_unpacking(settings, host.architecture), limits, group)

    def run(self, what: str, scratch: Scratch, command: Sequence[str]) -> tuple[int, tuple[str, ...]]:
        """Run a command that unpacks, see :func:`bwbuild.sandbox.unpack.launcher`.

        :param what: stands for it in messages.
        :returns: its exit status, and the last lines that it wrote.
        :raises LimitError: it was ended at a limit.
        :raises HostError: the sandbox does not start.
        """
        ceiling = ceilings(self.limits, self.host)
        (scratch.path / "unpack").write_bytes(
            os.fsencode(unpack.launcher(self.host, self.restraints, ceiling, command))
        )
        taken = partial(scratches.size, scratch.path, scratch.record)
        scoped = self.scope != NO_SCOPE
        watched = Watched(self.limits, scratch.path, taken, small.WRITABLE, scoped=scoped)
        script = scratch.path / "unpack"
        launch = runner.Launch(script, scratch.path, timeout=self.limits.time, scope=self.scope)
        with passable(scratch.path):
            return _run(launch, watched, what)


def _run(launch: runner.Launch, watched: Watched, what: str) -> tuple[int, tuple[str, ...]]:
    tail = Tail(_TAIL)
    watchdog = Watchdog(watched, lambda _: None)

    def output(data: bytes) -> None:
        watchdog.output(data)
        tail.add(data)

    outcome = runner.run(launch, runner.Listeners(output, tick=watchdog.tick))
    breach = verdict.killed(outcome, watchdog.seen, watched.limits, what) or watchdog.overgrown()
    if breach is not None:
        raise BreachError(breach.told_of(what))
    lines = tuple(line[:200] for line in tail.lines(_LINES))
    if not outcome.started or outcome.exit_code is None:
        raise HostError(
            f"the sandbox for {what} did not start or was killed",
            hint="bwbuild doctor finds out what it lacks",
            details=lines,
        )
    return outcome.exit_code, lines


@contextmanager
def passable(scratch: Path) -> Iterator[None]:
    """Let root's small sandbox come through to what lies in ``scratch`` and is root's own.

    The scratch directory belongs to root of the build then, whom the small one has no number for.
    """
    mode = stat.S_IMODE(scratch.stat().st_mode)
    if os.getuid() != 0:
        yield
        return
    scratch.chmod(mode | 0o011)
    try:
        yield
    finally:
        scratch.chmod(mode)
