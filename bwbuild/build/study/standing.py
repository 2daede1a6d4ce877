"""How the permissions of a source stand before a build: asked, granted, denied, and whether use was seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bwbuild.audit.of_permission import explained
from bwbuild.build.record.uses import BLIND, unseen
from bwbuild.permissions.answers import Decision
from bwbuild.permissions.exposes import exposure
from bwbuild.permissions.grants import Grant


@dataclass(frozen=True, slots=True)
class Standing:
    """One permission.

    :ivar kept: the answer that was kept; None: there is none.
    :ivar exposes: what somebody inside gets, in lines; ``grave``: he can become the user.
    """

    decision: Decision
    kept: Grant | None
    exposes: tuple[str, ...]
    grave: bool

    @property
    def state(self) -> str:
        """It in one line."""
        asked = "asked for" if self.decision.request else "not asked for"
        used = ""
        if self.decision.granted:
            known = self.kept.use if self.kept else ""
            used = f", {known}" if known else f", no use was seen{self._blind}"
        return f"{asked}; {self.decision}{used}"

    @property
    def _blind(self) -> str:
        why = unseen(self.decision.permission, self.decision.purpose)
        return f" ({why})" if self.decision.permission.key in BLIND else ""

    def plain(self) -> dict[str, object]:
        """As JSON has it."""
        decision = self.decision
        request = decision.request
        return {
            "permission": str(decision.permission),
            "purpose": decision.purpose.value,
            "asked": request is not None,
            "reason": request.reason if request else "",
            "required": decision.required,
            "granted": decision.granted,
            "why": decision.why.value,
            "used": (self.kept.used or None) if self.kept else None,
            "unused": (self.kept.unused or None) if self.kept else None,
            "exposes": list(self.exposes),
            "grave": self.grave,
        }


def standings(
    decisions: Iterable[Decision], source: str, kept: Collection[Grant], places: Mapping[str, str]
) -> tuple[Standing, ...]:
    """All of a source's.

    :param places: what the caller's names of directories mean.
    """
    mine = {grant.request: grant for grant in kept if grant.source == source}
    return tuple(
        Standing(
            item,
            mine.get(item.request) if item.request else None,
            explained(item.permission, places),
            exposure(item.permission, places).grave,
        )
        for item in decisions
    )
