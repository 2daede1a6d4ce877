"""In what a build differs from the one that others are compared with: pure."""

from __future__ import annotations

from bwbuild.conduct.compare import as_roots, differences
from bwbuild.conduct.values import AGAIN, Built, Difference, Evidence


def unstable(evidence: Evidence) -> frozenset[Difference]:
    """In what builds under the same conditions differ."""
    reference = evidence.reference
    if reference is None or reference.contents is None:
        return frozenset()
    return frozenset(
        one
        for again in evidence.tries(AGAIN)
        if again.contents is not None
        for one in differences(reference.contents, again.contents)
    )


def effects(evidence: Evidence, built: Built) -> tuple[Difference, ...]:
    """In what ``built`` differs from the reference, beyond what differs anyway."""
    reference = evidence.reference
    if reference is None or reference.contents is None or built.contents is None:
        return ()
    builder, other = evidence.subject.builder, built.contents
    own = as_roots(reference.contents, builder) if built.conditions.rooted else reference.contents
    other = as_roots(other, builder) if built.conditions.rooted else other
    known = unstable(evidence)
    return tuple(one for one in differences(own, other) if one not in known)
