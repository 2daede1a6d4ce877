"""What the end of a sandbox means, and what must come out of it: pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bwbuild.build.plan import Plan
from bwbuild.build.scan import Excerpt
from bwbuild.build.watch import limits
from bwbuild.build.watch.limits import Breach, Limits, Seen
from bwbuild.errors import BuildError, DependencyError, ExitStatus
from bwbuild.handover.artifacts import Expected
from bwbuild.host.doctor import Finding, advice
from bwbuild.sandbox.runner import Outcome
from bwbuild.sandbox.spec import Guest

#: What the C library says, in the language that builds have.
_NO_SPACE, _NO_FILES = "No space left on device", "Too many open files"
#: What is said where no process can be started; as whole lines, and so many as no test prints by itself.
_SAID_BY_SHELLS, _MANY = re.compile(r": [Cc]annot fork$|: fork: .*Resource temporarily unavailable$"), 5
_NO_FORK = re.compile(r"[Cc]annot fork|\bfork: .*Resource temporarily unavailable")
#: Failures that can come when good results are there already.
AFTER_VERIFICATION = frozenset({ExitStatus.SIGNING, ExitStatus.OUTPUT})
#: Failures that the build's own output tells of.
TOLD_BY_OUTPUT = frozenset({ExitStatus.BUILD_FAILED, ExitStatus.LIMIT, ExitStatus.DEPENDENCIES})
#: Failures after which the workspace tells more than the log.
WORTH_KEEPING = frozenset({ExitStatus.BUILD_FAILED, ExitStatus.LIMIT, ExitStatus.VERIFICATION})
#: Limits after which the workspace is what there is too much of.
OF_DISK = frozenset({"disk", "disk-reserve"})


def breach(outcome: Outcome, seen: Seen, excerpt: Excerpt, plan: Plan) -> Breach | None:
    """The limit at which the build was ended or failed; None if there was none."""
    bounds = plan.limits
    if outcome.exit_code is None:
        return killed(outcome, seen, bounds, jobs=plan.jobs)
    if outcome.exit_code == 0:
        return None
    lines = (*excerpt.errors, *excerpt.tail)
    # A test may say the same of anything: no limit was reached that nothing but words were seen of.
    if bounds.processes is not None and (seen.refused or _at_most_processes(seen, lines, bounds.processes)):
        return limits.of_processes(bounds.processes, seen.tasks, killed=False)
    complaints = [line for line in lines if _NO_SPACE in line]
    found = _full(seen, complaints, bounds) if complaints else None
    if found is None and bounds.open_files is not None and any(_NO_FILES in line for line in lines):
        near = limits.near(seen.open, bounds.open_files[0])
        found = limits.of_files(bounds.open_files, seen.open) if near else None
    return found


def _at_most_processes(seen: Seen, lines: Sequence[str], limit: int) -> bool:
    # Between two looks a fork bomb may have begun and ended.
    if sum(_SAID_BY_SHELLS.search(line) is not None for line in lines) >= _MANY:
        return True
    return limits.near(seen.tasks, limit) and any(map(_NO_FORK.search, lines))


def killed(
    outcome: Outcome, seen: Seen, bounds: Limits, what: str = "the build", jobs: int | None = None
) -> Breach | None:
    """The limit at which ``what`` with so many ``jobs`` was ended from outside; None if it was not."""
    if outcome.timed_out:
        return limits.of_time(bounds.time or 0.0, outcome.seconds, what)
    if outcome.ended:
        return seen.breach
    # The kernel ends a group as a whole; who else kills a sandbox has his own reasons.
    if outcome.started and outcome.exit_code is None and seen.killed and bounds.memory is not None:
        return limits.of_group(bounds.memory, seen.peak, jobs)
    return None


def _full(seen: Seen, complaints: Sequence[str], bounds: Limits) -> Breach | None:
    """The file system in memory that was full, or that a complaint names and that was nearly full."""
    sizes = {"/tmp": ("tmp", bounds.tmp), "/var/tmp": ("tmp", bounds.tmp), "/dev/shm": ("shm", bounds.shm)}
    for place, (name, size) in sizes.items():
        named = any(re.search(rf"(?<![\w/.-]){place}/", line) for line in complaints)
        used = seen.used.get(Guest(place))
        if size is not None and (Guest(place) in seen.full or (named and limits.near(used or 0, size))):
            return limits.of_tmp(name, place, size, used)
    return None


def check(
    outcome: Outcome,
    excerpt: Excerpt,
    plan: Plan,
    why: Callable[[], tuple[Finding, ...]],
    seen: Seen = limits.UNSEEN,
) -> None:
    """Return if the build, which was not ended at a limit, succeeded.

    :param why: finds out why a sandbox did not start.
    :raises HostError: the sandbox did not start.
    :raises DependencyError: build dependencies are missing.
    :raises BuildError: the build failed.
    """
    if not outcome.started or outcome.exit_code is None:
        raise advice(why(), excerpt.tail or ("it was killed from outside",))
    if outcome.exit_code == 0:
        return
    if excerpt.unmet:
        raise DependencyError(
            "build dependencies are not met: " + ", ".join(excerpt.unmet),
            hint=f"sudo apt-get build-dep {plan.source.job}",
        )
    raise BuildError(
        f"dpkg-buildpackage failed (exit status {outcome.exit_code})",
        hint=_hint(excerpt, plan.limits, seen),
    )


def _hint(excerpt: Excerpt, bounds: Limits, seen: Seen) -> str:
    lines = (*excerpt.errors, *excerpt.tail)
    if bounds.open_files is not None and any(_NO_FILES in line for line in lines):
        first, most = bounds.open_files
        asking = f", and {most} where it asks for more" if most > first else ""
        return f"a process may have {first} files open{asking}; --limit-files NUMBER allows it more"
    if bounds.processes is not None and any(map(_NO_FORK.search, lines)):
        return (
            f"it may have come to its limit of {bounds.processes} processes, of which {seen.tasks} were seen;"
            " --limit-processes NUMBER allows it more"
        )
    if any(_NO_SPACE in line for line in lines):
        return (
            "it may have filled /tmp, /var/tmp or /dev/shm; --limit-tmp SIZE and --limit-shm SIZE allow more"
        )
    return ""


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
