"""The report of a build, from its plan and from what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bwbuild.build import verdict
from bwbuild.build.record.report import Failure, Report, Workspace
from bwbuild.errors import BwbuildError, ExitStatus

if TYPE_CHECKING:
    from bwbuild.build.execute import Build


def account(build: Build, failure: BwbuildError | None) -> Report:
    """The report but for its resources and the time of its end; ``failure``: why there is no result."""
    plan = build.plan
    workspace, base = plan.sandbox.workspace, plan.ground.base if plan.ground else None
    published = {item.name: item.path for item in build.artifacts}
    return Report(
        status=failure.status if failure else ExitStatus.SUCCESS,
        job=plan.source.job,
        started=build.started,
        finished=build.started,
        source=plan.source.name,
        source_version=plan.source.version,
        built_version=plan.version,
        distribution=plan.distribution,
        suite=base.suite.name if base else "",
        base=base.id if base else "",
        architecture=plan.options.host_arch or plan.host.architecture,
        build_architecture=plan.host.architecture,
        build_type=plan.options.type_name,
        options=plan.options.passed,
        phases=tuple(build.phases),
        artifacts=build.artifacts,
        packages=build.packages,
        changes=published.get(plan.changes),
        source_changes=published.get(plan.source_changes),
        signature=build.signature,
        checks=tuple(build.checks),
        identity=plan.sandbox.identity.kind.value,
        view=plan.settings.view.value,
        workspace=Workspace(plan.settings.workspace.value, workspace.layering.value),
        weakenings=build.weakenings,
        limit=build.reached,
        log=build.log.path,
        failure=_failure(build, failure) if failure else None,
        kept=build.kept,
    )


def _failure(build: Build, error: BwbuildError) -> Failure:
    # A verification that failed has nothing to do with the build's last lines.
    excerpt = build.scanner.excerpt() if error.status in verdict.TOLD_BY_OUTPUT else None
    return Failure.of(error, excerpt, build.undeclared)
