"""What bwbuild itself writes into the log around the build's output: pure."""

from __future__ import annotations

from collections.abc import Iterator

from bwbuild.build.plan import Plan
from bwbuild.events import Event, Field, Section, Text
from bwbuild.handover.artifacts import Verified
from bwbuild.process import pasteable


def introduction(plan: Plan) -> Iterator[Event]:
    """The head of the log and the section about the environment."""
    source, host = plan.source, plan.host
    yield Field("Package", source.name)
    yield Field("Version", plan.version)
    yield Field("Source Version", source.version)
    yield Field("Distribution", plan.distribution)
    yield Field("Machine Architecture", host.architecture)
    yield Field("Host Architecture", plan.options.host_arch or host.architecture)
    yield Field("Build Architecture", host.architecture)
    profiles = [word[2:] for word in plan.options.passed if word.startswith("-P")]
    yield Field(
        "Build Profiles", ",".join(profiles) or plan.sandbox.environment.get("DEB_BUILD_PROFILES", "")
    )
    yield Field("Build Type", plan.options.type_name)
    yield Section("Build environment")
    sandbox = plan.sandbox
    yield Field("Kernel", ".".join(str(part) for part in host.kernel))
    yield Field("View", plan.settings.view.value)
    yield Field("Identity", sandbox.identity.kind.value)
    yield Field("Workspace", f"{plan.settings.workspace.value} ({sandbox.workspace.layering.value})")
    yield Field("Build Path", str(sandbox.workspace.inside))
    yield from plan.notes


def command(plan: Plan) -> Iterator[Event]:
    """The heading of the build's output."""
    yield Section("User Environment", 3)
    yield Text("\n".join(f"{name}={value}" for name, value in sorted(plan.sandbox.environment.items())))
    yield Section("dpkg-buildpackage", 3)
    yield Field("Command", pasteable(plan.sandbox.command))


def contents(verified: Verified) -> Iterator[Event]:
    """The verified .changes and .buildinfo, as build machines show them."""
    yield Section("Changes")
    for changes in filter(None, (verified.changes, verified.source_changes)):
        yield Section(changes.name, 3)
        yield Text(changes.path.read_text(encoding="utf-8"))
    buildinfo = verified.named(".buildinfo")
    if buildinfo is not None:
        yield Section("Buildinfo")
        yield Text(buildinfo.path.read_text(encoding="utf-8"))
