"""What the end of a sandbox means, and what must come out of it: pure."""

from __future__ import annotations

from collections.abc import Callable

from bwbuild.build.plan import Plan
from bwbuild.build.scan import Excerpt
from bwbuild.errors import BuildError, DependencyError, ExitStatus, LimitError
from bwbuild.handover.artifacts import Expected
from bwbuild.host.doctor import Finding, advice
from bwbuild.sandbox.runner import Outcome
from bwbuild.units import human_duration

#: Failures that can come when good results are there already.
AFTER_VERIFICATION = frozenset({ExitStatus.SIGNING, ExitStatus.OUTPUT})
#: Failures that the build's own output tells of.
TOLD_BY_OUTPUT = frozenset({ExitStatus.BUILD_FAILED, ExitStatus.LIMIT, ExitStatus.DEPENDENCIES})
#: Failures after which the workspace tells more than the log.
WORTH_KEEPING = frozenset({ExitStatus.BUILD_FAILED, ExitStatus.LIMIT, ExitStatus.VERIFICATION})


def check(outcome: Outcome, excerpt: Excerpt, plan: Plan, why: Callable[[], tuple[Finding, ...]]) -> None:
    """Return if the build succeeded.

    :param why: finds out why a sandbox did not start.
    :raises LimitError: it took too long.
    :raises HostError: the sandbox did not start.
    :raises DependencyError: build dependencies are missing.
    :raises BuildError: the build failed.
    """
    if outcome.timed_out:
        limit = human_duration(plan.settings.timeout or 0)
        raise LimitError(
            f"the build took longer than {limit} and was killed", hint="--timeout TIME allows it more"
        )
    if not outcome.started or outcome.exit_code is None:
        raise advice(why(), excerpt.tail or ("it was killed from outside",))
    if outcome.exit_code == 0:
        return
    if excerpt.unmet:
        raise DependencyError(
            "build dependencies are not met: " + ", ".join(excerpt.unmet),
            hint=f"sudo apt-get build-dep {plan.source.job}",
        )
    raise BuildError(f"dpkg-buildpackage failed (exit status {outcome.exit_code})")


def expected(plan: Plan) -> Expected:
    """What the .changes must agree with."""
    source = plan.source
    native = plan.options.host_arch or plan.host.architecture
    return Expected(
        source=source.name,
        version=plan.version,
        source_version=source.version if plan.entry else None,
        changes=plan.changes,
        source_changes=plan.source_changes,
        origs=plan.origs,
        architectures=frozenset({native, "all", "source"}),
        binaries=frozenset(source.binaries),
        extra_fields=frozenset(source.extra_fields),
    )
