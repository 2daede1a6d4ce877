"""Looking at what a build does with its permissions: at the network while it runs, at files afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwbuild.build.granted.handshake import store
from bwbuild.build.record.uses import NO, YES, Seen, Use, events, uses
from bwbuild.build.watch.limits import resolve
from bwbuild.config.permits import limit
from bwbuild.errors import ConfigurationError
from bwbuild.events import Level, Notice, Observer
from bwbuild.permissions import grants
from bwbuild.permissions.asked import Purpose
from bwbuild.permissions.words import Permission
from bwbuild.sandbox.pcap import Contacts, Traffic
from bwbuild.sandbox.permits import PERSIST, Permits
from bwbuild.sandbox.spec import Bind, Guest, Network

if TYPE_CHECKING:
    from bwbuild.build.execute import Build
    from bwbuild.build.granted.witness import Witness
    from bwbuild.build.plan import Plan

#: Files that are looked at for the time of their last change.
_MOST = 20000


class Using:
    """What is seen of the use of a plan's permissions while its build runs.

    :param witness: somebody traces the build, and this one sees it.
    """

    def __init__(self, plan: Plan, witness: Witness | None = None) -> None:
        self._plan = plan
        self._witness = witness
        self._began = datetime.now(UTC).timestamp()
        #: what reads the interface of each; there is none where nothing shows what goes over it
        self.traffic: dict[Purpose, Traffic] = {}
        for purpose, permits in ((Purpose.BUILD, plan.permits), (Purpose.TESTS, plan.test_permits)):
            if permits.network is Network.PASTA:
                self.traffic[purpose] = Traffic()

    def listener(self, purpose: Purpose) -> Callable[[bytes], None] | None:
        """What takes the traffic of that one; None: nobody looks."""
        traffic = self.traffic.get(purpose)
        if traffic is None:
            return None
        traffic.restart()
        return traffic.feed

    def account(self, build: Build, *, whole: bool) -> dict[str, Any]:
        """What the report of ``build`` says of them; the log has it too.

        :param whole: it came to all that it was to do.
        """
        phases = {phase.name for phase in build.phases}
        ran = tuple(p for p, name in ((Purpose.BUILD, "build"), (Purpose.TESTS, "checks")) if name in phases)
        found, network = self.uses(_taken(build), ran), self.network(ran)
        for event in events(found, network):
            build.log(event)
        self.remember(found, build.tell, whole=whole)
        return {
            "permissions": found,
            "network": network.get(Purpose.BUILD),
            "network_of_tests": network.get(Purpose.TESTS),
        }

    def network(self, ran: tuple[Purpose, ...]) -> dict[Purpose, Contacts]:
        """Who was contacted by those that ran, as far as somebody looked."""
        return {purpose: self.traffic[purpose].contacts for purpose in ran if purpose in self.traffic}

    def uses(self, taken: Mapping[str, float], ran: tuple[Purpose, ...]) -> tuple[Use, ...]:
        """What became of each permission.

        :param taken: what the build took of what has limits, by their names, where it was measured.
        """
        if not self._plan.decisions:
            return ()
        shown = dict(self._limits(taken))
        if self._witness:
            shown |= self._witness.used()
        written, lacking = tuple(self._written()), tuple(self._lacking())
        return uses(self._plan.decisions, Seen(self.network(ran), written, shown, ran, lacking))

    def remember(self, found: tuple[Use, ...], tell: Observer, *, whole: bool) -> None:
        """Remember of what was granted for good whether it was used.

        :param whole: what was not used would have been.
        """
        state = {(use.permission, use.purpose): use.used for use in found if use.asked and use.granted}
        requests = [item.request for item in self._plan.decisions if item.request and item.granted]
        known = {r: state.get((str(r.permission), r.purpose.value), "") for r in requests}
        telling = (YES, NO) if whole else (YES,)
        used = {request: word == YES for request, word in known.items() if word in telling}
        if not used:
            return
        try:
            grants.mark(store(os.environ), self._plan.source.name, used)
        except ConfigurationError as error:
            tell(Notice(Level.INFO, f"the use of permissions is not remembered: {error.message}"))

    def _written(self) -> Iterator[Permission]:
        for permission, place in _writable(self._plan):
            if _changed_since(place, self._began):
                yield permission

    def _lacking(self) -> Iterator[Permission]:
        """Variables that the caller does not have."""
        has = {**self._plan.permits.environment, **self._plan.test_permits.environment}
        for item in self._plan.decisions:
            if item.permission.key == "env" and item.permission.value not in has:
                yield item.permission

    def _limits(self, taken: Mapping[str, float]) -> Iterator[tuple[Permission, bool]]:
        plan = self._plan
        usual = resolve(plan.settings, plan.host)
        for permission in plan.settings.allow:
            name = limit(permission)[0] if permission.key == "limit" else ""
            if name in taken:
                without = getattr(usual, name)
                yield permission, without is not None and taken[name] > without


def _taken(build: Build) -> Mapping[str, float]:
    seconds = [phase.seconds for phase in build.phases if phase.name == "build"]
    taken = {
        "memory": build.peak.memory or None,
        "disk": build.disk,
        "time": max(seconds, default=None),
        "log": build.log.output.total,
    }
    return {name: number for name, number in taken.items() if number is not None}


def _writable(plan: Plan) -> Iterator[tuple[Permission, Path]]:
    both: tuple[Permits, ...] = (plan.permits, plan.test_permits)
    binds = {mount.target: mount for permits in both for mount in permits.mounts if isinstance(mount, Bind)}
    for item in dict.fromkeys(decision.permission for decision in plan.decisions if decision.granted):
        target = PERSIST / item.value if item.key == "persist" else Guest("/nonexistent")
        if item.key == "filesystem" and item.writable:
            target = Guest(plan.granted_paths.get(item, Path("/nonexistent")))
        bind = binds.get(target)
        if bind is not None and bind.writable and isinstance(bind.source, Path):
            yield item, bind.source


def _changed_since(place: Path, when: float) -> bool:
    """Whether something at or below ``place`` was changed since; what can't be looked at does not count."""
    seen = 0
    with suppress(OSError):
        if place.stat().st_ctime >= when:
            return True
    for directory, _, names in os.walk(place):
        for name in (".", *names):
            seen += 1
            with suppress(OSError):
                if os.lstat(os.path.join(directory, name)).st_ctime >= when:  # noqa: PTH118 - in a hurry
                    return True
        if seen > _MOST:
            return False
    return False
