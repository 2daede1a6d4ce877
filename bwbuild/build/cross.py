"""Builds on a base for another architecture, as sbuild sets them up: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bwbuild.build.plan import Inputs
from bwbuild.deb.buildoptions import BuildOptions

PROFILES = ("cross", "nocheck")


def prepared(inputs: Inputs) -> Inputs:
    """The inputs with what a cross build has unless the caller says otherwise: profiles and build options."""
    host, native = inputs.options.host_arch, inputs.host.architecture
    if host in (None, native):
        return inputs
    environment = {"DEB_BUILD_OPTIONS": "nocheck", **inputs.caller_environment}
    return replace(
        inputs,
        options=_with_profiles(inputs.options, environment),
        caller_environment=environment,
    )


def _with_profiles(options: BuildOptions, environment: Mapping[str, str]) -> BuildOptions:
    if options.profiles is not None or environment.get("DEB_BUILD_PROFILES"):
        return options
    return replace(options, profiles=PROFILES, passed=(*options.passed, f"-P{','.join(PROFILES)}"))
