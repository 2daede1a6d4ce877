"""From a trace to what was learned: the facts, the verdict, the profile."""

from __future__ import annotations

from collections.abc import Mapping

from bwbuild.build.learn import facts, owners, profile
from bwbuild.build.learn.analyse import Verdict, judge
from bwbuild.build.learn.files import Files
from bwbuild.build.learn.profile import Profile, Subject
from bwbuild.build.learn.seen import Seen
from bwbuild.build.plan import Plan
from bwbuild.build.study.deps import Dependencies


def subject(plan: Plan) -> Subject:
    """What a profile of this build is of."""
    suite = plan.ground.base.suite.name if plan.ground else "host"
    return Subject(plan.source.name, suite, plan.options.type_name, plan.architecture)


def packages(plan: Plan, environment: Mapping[str, str]) -> dict[str, str]:
    """What a profile of this build is a measure for: id -> version.

    :raises HostError: dpkg's database does not parse.
    """
    return _versions(facts.dependencies_of(plan, environment))


def study(plan: Plan, seen: Seen, environment: Mapping[str, str]) -> tuple[Verdict, Profile]:
    """What became of the dependencies, and what the build opened.

    :param environment: the caller's, which may have build profiles.
    :raises HostError: dpkg's database does not parse.
    """
    files = Files.of(plan)
    used = owners.used(seen, files, plan)
    found = facts.dependencies_of(plan, environment)
    verdict = judge(facts.gather(found, used, seen, files, plan))
    made = profile.of(subject(plan), plan.version, _versions(found), {*used.files, *used.directories})
    return verdict, made


def _versions(found: Dependencies) -> dict[str, str]:
    return {package.id: package.version for package in found.visible()}
