"""What bwbuild itself writes into the log around the build's output: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bwbuild.build.plan import Plan
from bwbuild.build.record.reading import with_versions
from bwbuild.events import Event, Field, Section, Text
from bwbuild.handover.artifacts import Verified
from bwbuild.process import pasteable

if TYPE_CHECKING:
    from bwbuild.build.inspect.inspection import Inspected

#: Of which the results depend most: they are named apart.
_TOOLCHAIN = re.compile(
    r"(?:binutils|dpkg-dev|linux-libc-dev|(?:gcc|g\+\+)-[0-9.]+|libc[0-9.]+-dev|libstdc\+\+.*):"
)


def introduction(plan: Plan) -> Iterator[Event]:
    """The head of the log."""
    source, host = plan.source, plan.host
    yield Field("Package", source.name)
    yield Field("Version", plan.version)
    yield Field("Source Version", source.version)
    yield Field("Distribution", plan.suite)
    yield Field("Machine Architecture", host.architecture)
    yield Field("Host Architecture", plan.options.host_arch or host.architecture)
    yield Field("Build Architecture", host.architecture)
    profiles = [word[2:] for word in plan.options.passed if word.startswith("-P")]
    yield Field(
        "Build Profiles", ",".join(profiles) or plan.sandbox.environment.get("DEB_BUILD_PROFILES", "")
    )
    yield Field("Build Type", plan.options.type_name)


def environment(plan: Plan) -> Iterator[Event]:
    """The section about the environment."""
    sandbox, host = plan.sandbox, plan.host
    yield Section("Build environment")
    yield Field("Kernel", ".".join(str(part) for part in host.kernel))
    yield Field("View", "all of the base and its layer" if plan.ground else plan.settings.view.value)
    yield Field("Identity", sandbox.identity.kind.value)
    yield Field("Workspace", f"{plan.settings.workspace.value} ({sandbox.workspace.layering.value})")
    yield Field("Build Path", str(sandbox.workspace.inside))
    packages = plan.told.packages
    toolchain = {name: version for name, version in packages.items() if _TOOLCHAIN.match(name)}
    # Readers of build logs look for both, each on one line.
    yield Field("Toolchain package versions", with_versions(toolchain))
    yield Field("Package versions", with_versions(packages))
    yield from plan.notes


def command(plan: Plan) -> Iterator[Event]:
    """The heading of the build's output."""
    yield Section("User Environment", 3)
    secret = dict.fromkeys(plan.permits.secret, "(granted; no log has its value)")
    environment = {**plan.sandbox.environment, **secret}
    yield Text("\n".join(f"{name}={value}" for name, value in sorted(environment.items())))
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


def packages(inspected: Sequence[Inspected]) -> Iterator[Event]:
    """What is in the packages, as dpkg-deb shows it."""
    yield Section("Package contents")
    for package in inspected:
        yield Section(package.name, 3)
        yield Text(package.shown)


def post_build() -> Iterator[Event]:
    """What is done with the results before they are handed over."""
    yield Section("Post Build")
    yield Text("Nothing was asked for.")
