"""What a build left, taken over: verified, and its packages looked into."""

from __future__ import annotations

from pathlib import Path

from bwbuild.build import asked, verdict
from bwbuild.build.inspect import inspection
from bwbuild.build.plan import Plan
from bwbuild.build.record import sections
from bwbuild.build.restraints import for_unpacking
from bwbuild.deb.changes import read_changes
from bwbuild.events import Observer
from bwbuild.handover.artifacts import Verified
from bwbuild.handover.verify import collect
from bwbuild.sandbox.inspection import PACKAGES
from bwbuild.sandbox.spec import Layering


def take(plan: Plan, scratch: Path, log: Observer) -> Verified:
    """Take the results into the quarantine of the scratch directory ``scratch``; ``log`` gets what they hold.

    :raises VerificationError: anything in them contradicts the .changes, or that what was to be built.
    :raises OutputError: the scratch directory can't hold them.
    """
    in_place = plan.sandbox.workspace.layering is Layering.NONE
    parent = plan.source.tree.parent if in_place else scratch / "parent"
    quarantine = scratch / PACKAGES.name
    quarantine.mkdir(mode=0o700, exist_ok=False)
    verified = collect(parent, quarantine, verdict.expected(plan))
    for event in sections.contents(verified):
        log(event)
    restrained = for_unpacking(plan.settings, plan.host.architecture)
    packages = inspection.inspect(verified.artifacts, scratch, plan.host, restrained)
    for event in sections.packages(packages):
        log(event)
    changes = read_changes(verified.changes.path, extra=plan.source.extra_fields)
    inspection.check(verified.artifacts, scratch, changes)
    if not asked.checks(plan.settings):  # which begin the section when the results are published
        for event in sections.post_build():
            log(event)
    return verified
