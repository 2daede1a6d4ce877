"""The environment of the build: an allow-list, nothing else passes.

The names are those that dpkg records in .buildinfo (``@env_allowed`` of its Dpkg::BuildInfo) and what
dpkg-buildpackage needs besides. The locale is always C.UTF-8 and HOME never exists, as on build machines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bwbuild.errors import ConfigurationError

_TOOLS = "CC CPP CXX OBJC OBJCXX PC FC M2C AS LD AR RANLIB MAKE AWK LEX YACC"
_FLAGS = "ASFLAGS CFLAGS CPPFLAGS CXXFLAGS OBJCFLAGS OBJCXXFLAGS GCJFLAGS DFLAGS FFLAGS LDFLAGS"
_OTHER = "ARFLAGS MAKEFLAGS LD_LIBRARY_PATH DPKG_GENSYMBOLS_CHECK_LEVEL SOURCE_DATE_EPOCH"
_DPKG = (
    "DEB_BUILD_OPTIONS DEB_BUILD_PROFILES DEB_VENDOR DPKG_ROOT DPKG_ADMINDIR DPKG_DATADIR DPKG_ORIGINS_DIR"
)

#: Variables of the caller that pass into the sandbox; dpkg records DEB_CFLAGS_APPEND and the like in the
#: flags that they change.
ALLOWED = frozenset(" ".join((_TOOLS, _FLAGS, _OTHER, _DPKG)).split()) | {
    f"DEB_{flag}_{edit}" for flag in _FLAGS.split() for edit in ("SET", "STRIP", "APPEND", "PREPEND")
}

#: Variables that every build has with these values.
FIXED: Mapping[str, str] = {
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "SHELL": "/bin/sh",
    "TERM": "dumb",
}

_GRAMMAR: Mapping[str, re.Pattern[str]] = {
    "DEB_BUILD_OPTIONS": re.compile(r"[A-Za-z0-9_+=,./: -]*"),
    "DEB_BUILD_PROFILES": re.compile(r"[a-z0-9.+ -]*"),
    "SOURCE_DATE_EPOCH": re.compile(r"[0-9]*"),
}


def build_environment(caller: Mapping[str, str], user: str) -> dict[str, str]:
    """The environment inside for the environment ``caller`` outside; ``user`` is the build user's name.

    :raises ConfigurationError: a variable that dpkg interprets has a value that it could not mean.
    """
    passed = {name: caller[name] for name in sorted(ALLOWED & caller.keys())}
    for name, grammar in _GRAMMAR.items():
        if name in passed and not grammar.fullmatch(passed[name]):
            raise ConfigurationError(
                f"the variable {name} is {passed[name]!r}", hint=f"it must match {grammar.pattern}"
            )
    return {**passed, **FIXED, "USER": user, "LOGNAME": user}
