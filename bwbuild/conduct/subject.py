"""What is looked at in a source on this machine, and what can't be: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bwbuild.build.plan import Inputs, choose_identity
from bwbuild.conduct import plans
from bwbuild.conduct.experiments import EXPERIMENTS, NAMES
from bwbuild.conduct.values import Subject
from bwbuild.sandbox.spec import IdentityKind


def subject(inputs: Inputs, only: Sequence[str], blind: str) -> Subject:
    """The subject for the experiments ``only``; for all where there are none.

    :param blind: why processes can't be looked at here; empty where they can.
    """
    identity = choose_identity(inputs.host, inputs.settings)
    asked = tuple(name for name in NAMES if not only or name in only)
    idle = _idle(inputs) if "root" in asked else {}
    unchecked = {one.name: blind for one in EXPERIMENTS if one.traced and blind}
    if "outside" in unchecked:
        unchecked["outside"] += "; no more than what is left beside the tree was looked at"
    if identity.kind is IdentityKind.SINGLE:
        unchecked["root"] = "all of the build runs as root, since there are no subordinate ids"
    return Subject(
        base=plans.base(inputs),
        builder=identity.uid,
        chosen=tuple(name for name in asked if name not in idle),
        unchecked={name: why for name, why in unchecked.items() if name in asked},
        idle=idle,
    )


def _idle(inputs: Inputs) -> Mapping[str, str]:
    needs = inputs.source.needs_root
    if needs == "no":
        return {}
    said = f"Rules-Requires-Root: {needs}" if needs else "no Rules-Requires-Root"
    return {"root": f"the source has {said}, so that debian/rules may run as root"}
