"""What a permission exposes, in the audit's words: for prompts, notes and ``--explain``."""

from __future__ import annotations

from collections.abc import Mapping

from bwbuild.audit.assessments import ASSESSMENTS
from bwbuild.permissions.exposes import NO_PLACES, exposure
from bwbuild.permissions.words import Permission

_BY_NAME = {assessment.name: assessment for assessment in ASSESSMENTS}


def explained(permission: Permission, places: Mapping[str, str] = NO_PLACES) -> tuple[str, ...]:
    """What somebody inside gets; then, for each finding of the audit that it makes worse, what that means.

    :param places: as :func:`bwbuild.permissions.words.absolute` has them.
    """
    exposed = exposure(permission, places)
    return (exposed.text, *(f"{name}: {_BY_NAME[name].why}" for name in exposed.findings))
