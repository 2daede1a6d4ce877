"""A compiler's cache that stays between the builds of a source: what ``--compiler-cache`` comes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bwbuild.config.settings import CompilerCache, Settings
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.permissions.words import Permission
from bwbuild.sandbox.environment import FIXED
from bwbuild.sandbox.permits import PERSIST, Permits

#: Root of the sandbox compiles too, and the build must be able to use what it left.
_CCACHE: Mapping[str, str] = {
    "CCACHE_UMASK": "000",
    "PATH": f"/usr/lib/ccache:{FIXED['PATH']}",
}
#: It has no links that are called like compilers: cargo and cmake are told, and others are as they were.
_SCCACHE: Mapping[str, str] = {
    "RUSTC_WRAPPER": "/usr/bin/sccache",
    "CMAKE_C_COMPILER_LAUNCHER": "/usr/bin/sccache",
    "CMAKE_CXX_COMPILER_LAUNCHER": "/usr/bin/sccache",
    # Its server ends with the sandbox at the latest; until then it keeps the build waiting for nothing.
    "SCCACHE_IDLE_TIMEOUT": "0",
}


def permission(settings: Settings) -> tuple[Permission, ...]:
    """The directory that stays, if a cache is wanted."""
    if settings.compiler_cache is CompilerCache.NONE:
        return ()
    return (Permission("persist", settings.compiler_cache.value),)


def declared(options: BuildOptions, settings: Settings) -> BuildOptions:
    """The same with the cache's package among the build dependencies, so that the build sees it."""
    if settings.compiler_cache is CompilerCache.NONE:
        return options
    return replace(options, added=(*options.added, ("Depends", settings.compiler_cache.value)))


def connected(permits: Permits, settings: Settings) -> Permits:
    """The same with the variables that lead compilers to the cache, unless its directory was denied."""
    cache = settings.compiler_cache
    place = PERSIST / cache.value
    if all(getattr(mount, "target", None) != place for mount in permits.mounts):
        return permits
    variables = {CompilerCache.CCACHE: _CCACHE, CompilerCache.SCCACHE: _SCCACHE}.get(cache, {})
    where = {f"{cache.name}_DIR": str(place)} if variables else {}
    return replace(permits, environment={**permits.environment, **variables, **where})
