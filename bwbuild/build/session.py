"""A command or a shell in the sandbox of a tree, outside of a build."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bwbuild.build import scratch as scratches
from bwbuild.build.plan import Plan
from bwbuild.build.scratch import Scratch
from bwbuild.config.settings import Keep
from bwbuild.events import Level, Notice, Tell
from bwbuild.host import available
from bwbuild.host.doctor import advice
from bwbuild.interrupt import interruptions
from bwbuild.sandbox import runner
from bwbuild.sandbox.spec import Layering

if TYPE_CHECKING:
    from bwbuild.sandbox.traced import Wanted


class Writer(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take ``data``."""

    def flush(self) -> None:
        """Hand it on."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Where the output streams of the command go; an interactive one has the caller's own."""

    output: Writer
    error: Writer


def run(plan: Plan, base: Path, streams: Streams, tell: Tell) -> int:
    """Run the plan's command in a scratch directory of its own; its exit status."""
    for note in plan.notes:
        if note.level is not Level.INFO or plan.sandbox.interactive:
            tell(note)
    with interruptions(), scratches.open_for(plan, base, tell) as scratch:
        status = run_in(plan, scratch, streams)
        if plan.settings.keep is Keep.ALWAYS and plan.sandbox.workspace.layering is not Layering.NONE:
            scratches.keep(base, scratch, "kept as asked")
            tell(Notice(Level.INFO, f"kept {scratch.path}"))
    return status


def run_in(plan: Plan, scratch: Scratch, streams: Streams) -> int:
    """Run the plan's command in ``scratch``; its exit status.

    :raises HostError: the sandbox did not start.
    """
    listeners = runner.Listeners(_flushed(streams.output), _flushed(streams.error))
    outcome = launch(plan, scratch, listeners)
    if not outcome.started or outcome.exit_code is None:
        from bwbuild.build.study.doctor import explain  # noqa: PLC0415 - only a failure needs it

        raise advice(explain(plan, scratch.path.parent))
    return outcome.exit_code


def launch(
    plan: Plan, scratch: Scratch, listeners: runner.Listeners, timeout: float | None = None
) -> runner.Outcome:
    """Write the launcher into ``scratch`` and run it; an in-place tree belongs to the caller afterwards.

    :param timeout: seconds after which the sandbox is killed.
    :raises ConfigurationError: what was granted is not there any more.
    """
    available.confirm(plan.permits.looked)
    script = scratch.path / "launch"
    script.write_bytes(os.fsencode(plan.script))
    try:
        interactive = plan.sandbox.interactive
        connected = plan.sandbox.network is not None
        launch = runner.Launch(
            *(script, scratch.path),
            timeout=timeout,
            interactive=interactive,
            scope=plan.scope,
            connected=connected,
        )
        return runner.run(launch, listeners)
    finally:
        if plan.sandbox.workspace.layering is Layering.NONE:
            scratches.give_back(plan.source.tree, scratch.record)


def with_command(plan: Plan, command: tuple[str, ...], *, interactive: bool) -> Plan:
    """The same sandbox for another command."""
    return replace(plan, sandbox=replace(plan.sandbox, command=command, interactive=interactive))


def with_trace(plan: Plan, wanted: Wanted | None = None) -> Plan:
    """The same, with all that its processes do for ``trace`` of the listeners.

    :param wanted: what is traced beyond the usual, which takes longer.
    :raises HostError: this machine can't trace.
    """
    from bwbuild.sandbox import traced, tracing  # noqa: PLC0415 - few want it

    tracing.check()
    words = traced.words(wanted) if wanted else traced.WORDS
    return replace(plan, sandbox=replace(plan.sandbox, traced=words))


def _flushed(writer: Writer) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        writer.write(data)
        writer.flush()

    return write
