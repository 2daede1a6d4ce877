"""What a source declares to need, and what to say where the host lacks it: pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from bwbuild.deb.buildoptions import ALL, ANY, BuildOptions
from bwbuild.deb.closure import (
    BUILD_ESSENTIAL,
    Closure,
    Conflict,
    Missing,
    Wanted,
    build_fields,
    builtin_depends,
)
from bwbuild.deb.relations import parse, reduce
from bwbuild.deb.source import Source
from bwbuild.errors import DependencyError


def wanted(
    source: Source, options: BuildOptions, architecture: str, environment: Mapping[str, str]
) -> Wanted:
    """What the build of ``source`` with ``options`` asks of a machine of this architecture."""
    fields = build_fields(ANY in options.types, ALL in options.types)
    declared = {field: source.relations[field] for field in fields if source.relations.get(field)}
    profiles = options.profiles
    if profiles is None:
        profiles = tuple(environment.get("DEB_BUILD_PROFILES", "").split())
    return Wanted(
        build_architecture=architecture,
        host_architecture=options.host_arch or architecture,
        profiles=frozenset(profiles),
        depends=_relations("Depends", declared, options),
        conflicts=_relations("Conflicts", declared, options),
    )


def _relations(kind: str, declared: Mapping[str, str], options: BuildOptions) -> dict[str, str]:
    """The fields of one kind, and what the command line adds to them, called by its option."""
    found = {field: text for field, text in declared.items() if kind in field}
    if added := [text for of_kind, text in options.added if of_kind == kind]:
        found[f"--add-{kind.lower()}"] = ", ".join(added)
    return found


def control_for_apt(asked: Wanted) -> str:
    """A .dsc with nothing but relations, from which ``apt-get build-dep`` installs what sbuild would.

    Of alternatives the first counts, so that the choice does not depend on what happens to be there.
    """
    builtin = {BUILD_ESSENTIAL: builtin_depends(asked)} if is_cross(asked) else {}
    depends = [
        replace(group[0], architectures=(), profiles=())
        for field, text in (*builtin.items(), *asked.depends.items())
        for group in reduce(parse(field, text), asked.host_architecture, asked.profiles)
    ]
    conflicts = [
        replace(relation, architectures=(), profiles=())
        for field, text in asked.conflicts.items()
        for group in reduce(parse(field, text), asked.host_architecture, asked.profiles)
        for relation in group
    ]
    lines = [
        "Format: 1.0",
        "Source: build-dependencies",
        "Binary: build-dependencies",
        "Architecture: any",
        "Version: 1",
        "Maintainer: bwbuild <root@localhost>",
    ]
    for field, relations in (("Build-Depends", depends), ("Build-Conflicts", conflicts)):
        if relations:
            lines.append(f"{field}: {', '.join(map(str, relations))}")
    return "\n".join(lines) + "\n"


def is_cross(asked: Wanted) -> bool:
    """Whether the build is for another architecture than the one it runs on."""
    return asked.host_architecture != asked.build_architecture


_ADDED_CONFLICTS = "--add-conflicts"
#: The other way, which does not change this machine.
ON_A_BASE = "bwbuild --missing base"


def complaints(closure: Closure) -> tuple[str, ...]:
    """What is wrong with a closure, a line for each."""
    return (*map(_missing, closure.missing), *map(_conflict, closure.conflicts))


def refuse(source: Source, options: BuildOptions, lines: Iterable[str]) -> DependencyError:
    """The error for the :func:`complaints` about a closure."""
    found = tuple(lines)
    count = "a build dependency is" if len(found) == 1 else f"{len(found)} build dependencies are"
    hint = f"{remedy(source, options)}  # or leave this machine as it is: {ON_A_BASE}"
    if all(f" ({_ADDED_CONFLICTS}): " in line for line in found):
        hint = f"leave out {_ADDED_CONFLICTS}: other build dependencies need what it names"
    return DependencyError(f"{source.name}: {count} not met on this machine", hint=hint, details=found)


def remedy(source: Source, options: BuildOptions) -> str:
    """The command that installs what is missing on this machine."""
    words = ["sudo", "apt-get", "build-dep", *_restrictions(options), shlex.quote(source.job)]
    return " ".join(words)


def _restrictions(options: BuildOptions) -> Iterator[str]:
    if options.profiles:
        yield f"-P{','.join(options.profiles)}"
    if options.host_arch:
        yield f"-a{options.host_arch}"
    if ALL in options.types and ANY not in options.types:
        yield "--indep-only"
    elif ANY in options.types and ALL not in options.types:
        yield "--arch-only"


def _missing(missing: Missing) -> str:
    who = f"{missing.parent}, {missing.field}" if missing.parent else missing.field
    return f"{missing.relation} ({who}): {', '.join(dict.fromkeys(missing.why))}"


def _conflict(conflict: Conflict) -> str:
    return f"{conflict.relation} ({conflict.field}): {conflict.package} is needed by other build dependencies"
