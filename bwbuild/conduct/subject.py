"""What is looked at in a source on this machine, and what can't be: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bwbuild.build.plan import Inputs, choose_identity
from bwbuild.conduct import plans
from bwbuild.conduct.experiments import EXPERIMENTS, NAMES
from bwbuild.conduct.values import Subject
from bwbuild.deb import relations
from bwbuild.deb.versions import sort_key
from bwbuild.sandbox.spec import IdentityKind

#: The first dpkg, and the first level of dpkg-build-api, for which no Rules-Requires-Root means that none is
#: needed.
_DPKG, _LEVEL = "1.22.13", 1
_BUILD_API = "dpkg-build-api"


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
    if needs == "no" or (not needs and _is_rootless(inputs)):
        return {}
    said = f"Rules-Requires-Root: {needs}" if needs else "no Rules-Requires-Root"
    return {"root": f"the source has {said}, so that debian/rules may run as root"}


def _is_rootless(inputs: Inputs) -> bool:
    """Whether the dpkg that the build has runs all of debian/rules without root unless a field says more."""
    if any(level >= _LEVEL for level in _levels(inputs)):
        return True
    packages = inputs.told.packages.items()
    version = next((version for package, version in packages if package.partition(":")[0] == "dpkg"), "")
    return bool(version) and bool(sort_key(version) >= sort_key(_DPKG))


def _levels(inputs: Inputs) -> Iterator[int]:
    """The levels of dpkg-build-api that the source declares."""
    for field, text in inputs.source.relations.items():
        if field.startswith("Build-Depends"):
            for group in relations.parse(field, text):
                for one in group:
                    if one.name == _BUILD_API and one.operator == "=" and one.version.isdigit():
                        yield int(one.version)
