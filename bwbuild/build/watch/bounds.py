"""The bounds of programs in chambers: those of a build, for what follows one, and for what is installed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from bwbuild.build import scratch as scratches
from bwbuild.build import verdict
from bwbuild.build.granted import terms
from bwbuild.build.plan import Plan
from bwbuild.build.restraints import for_checks, for_installing
from bwbuild.build.watch.limits import BreachError, Limits, ceilings, resolve, scope_of
from bwbuild.build.watch.watchdog import Watchdog, Watched
from bwbuild.config.settings import Settings
from bwbuild.host.facts import Host
from bwbuild.permissions.answers import granted
from bwbuild.permissions.asked import Purpose
from bwbuild.root.bounds import Bounds
from bwbuild.root.chamber import WRITABLE
from bwbuild.sandbox.runner import Outcome, Running
from bwbuild.sandbox.scope import NO_SCOPE, Scope
from bwbuild.sandbox.spec import Identity, Restraints

#: Seconds that packages may take to be installed, where what they are for may take less.
LEAST_TIME = 3600.0


class Attendant:
    """Watches what writes below ``place``; ``what`` stands for it in messages."""

    def __init__(self, what: str, limits: Limits, scope: Scope, identity: Identity, place: Path) -> None:
        self._what, self._limits = what, limits
        taken = partial(scratches.taken, place, identity)
        watched = Watched(limits, place, taken, WRITABLE, scoped=scope != NO_SCOPE)
        # Others hand on what it writes.
        self._watchdog = Watchdog(watched, lambda _: None)

    def output(self, data: bytes) -> None:
        """It wrote that."""
        self._watchdog.output(data)

    def tick(self, running: Running) -> bool:
        """Look at it; whether it is to be ended."""
        return self._watchdog.tick(running)

    def judge(self, outcome: Outcome) -> None:
        """Return unless it was ended.

        :raises BreachError: at a limit.
        """
        breach = verdict.killed(outcome, self._watchdog.seen, self._limits, self._what)
        if breach is not None:
            raise BreachError(breach.told_of(self._what))


def of_checks(plan: Plan, identity: Identity) -> Bounds:
    """A check may do and take what a build may that was granted what the tests were."""
    given = granted(plan.decisions, Purpose.TESTS)
    settings, limits = terms.applied(plan.settings, given), terms.raised(plan.limits, given)
    held = for_checks(settings, plan.host.architecture)
    return _bounds("the check", settings, plan.host, limits=limits, held=held, identity=identity)


def of_installing(settings: Settings, host: Host, identity: Identity, *, foreign: bool = False) -> Bounds:
    """apt and maintainer scripts have the limits of a build, but the disk until its reserve.

    :param foreign: packages of other architectures are among them.
    """
    time = settings.timeout and max(settings.timeout, LEAST_TIME)
    limits = replace(resolve(settings, host), time=time, disk=None)
    held = for_installing(settings, host.architecture, foreign=foreign)
    return _bounds("the installation", settings, host, limits=limits, held=held, identity=identity)


def _bounds(
    what: str, settings: Settings, host: Host, *, limits: Limits, held: Restraints, identity: Identity
) -> Bounds:
    own = scope_of(settings, host, limits)
    return Bounds(
        restraints=held,
        ceilings=ceilings(limits, host, nesting=held.nesting),
        scope=own,
        timeout=limits.time,
        attend=partial(Attendant, what, limits, own, identity),
    )
