"""What a build on a base asks of apt besides its build dependencies: pure."""

from __future__ import annotations

from bwbuild.build.study.dependencies import is_cross
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.deb.closure import Wanted
from bwbuild.deb.names import ARCHITECTURE
from bwbuild.deb.relations import parse, reduce
from bwbuild.errors import UsageError
from bwbuild.root.extra import Given

#: Qualifiers of relations that name no architecture.
_NO_ARCHITECTURE = ("", "any", "native", "all")


def options_for_apt(asked: Wanted) -> tuple[str, ...]:
    """What else ``apt-get build-dep`` has to know."""
    return (f"--host-architecture={asked.host_architecture}",) if is_cross(asked) else ()


def given(asked: Wanted, options: BuildOptions) -> Given:
    """What apt may choose from besides the suite for the build's own architecture.

    :raises UsageError: the host architecture can't be one.
    """
    if not ARCHITECTURE.fullmatch(asked.host_architecture):
        raise UsageError(f"{asked.host_architecture!r} is no architecture", hint="dpkg-architecture -L")
    named = {
        relation.qualifier
        for field, text in asked.depends.items()
        for group in reduce(parse(field, text), asked.host_architecture, asked.profiles)
        for relation in group[:1]
    }
    architectures = {asked.host_architecture, *named} - {asked.build_architecture, *_NO_ARCHITECTURE}
    return Given(
        packages=tuple(value for kind, value in options.extra if kind == "package"),
        repositories=tuple(value for kind, value in options.extra if kind == "repository"),
        keys=tuple(value for kind, value in options.extra if kind == "repository-key"),
        architectures=tuple(sorted(architectures)),
    )


def remedy(options: BuildOptions) -> str:
    """What to do where apt has no solution on a base."""
    if any(kind == "Conflicts" for kind, _ in options.added):
        return "leave out --add-conflicts if it is what can't be; else another suite may help (-d SUITE)"
    if any(kind == "repository" for kind, _ in options.extra):
        return "apt takes nothing newer of experimental or backports: give the packages to --extra-package"
    return "another suite may have them (-d SUITE), or name what has: --extra-package, --extra-repository"
