"""Builds real packages without a sandbox and with bwbuild, and compares all that can be compared.

It needs what ``tests/real/prepare`` fetched and installed, and an ordinary user with subordinate ids.
"""

from __future__ import annotations

import os
import re

import builds
import debs
import pytest
import suites
from support import give_up

#: Differences that are known: source -> pattern of a whole difference -> why it is there. A source whose
#: suite gives other results from run to run, such as libipc-shareable-perl, is not for the list of sources.
EXPECTED: dict[str, dict[str, str]] = {}


def unexpected(name: str, differences: list[str]) -> list[str]:
    """The differences that the table above does not explain."""
    return [
        line for line in differences if not any(re.fullmatch(known, line) for known in EXPECTED.get(name, {}))
    ]


@pytest.mark.real
@pytest.mark.parametrize("name", builds.names())
def test_a_real_package_builds_as_without_a_sandbox(name: str) -> None:
    if os.getuid() == 0:
        give_up("real packages are built by an ordinary user, as their maintainers build them")
    if builds.dsc(name) is None:
        give_up(f"{name} is not there; as root: tests/real/prepare USER {name}")
    plain = builds.plain(name)
    if plain.status != 0:
        give_up(f"{name} does not build on this machine, with or without a sandbox")
    sandbox = builds.sandboxed(name)
    # pytest -rA shows it.
    print(f"{name}: {plain.seconds:.1f} s plain, {sandbox.seconds:.1f} s in the sandbox")
    assert sandbox.status == 0, "\n".join(sandbox.log.splitlines()[-60:])
    assert sandbox.debs.keys() == plain.debs.keys()
    found = suites.differences(plain.results, sandbox.results)
    for file, deb in plain.debs.items():
        found += [f"{file}: {line}" for line in debs.differences(deb, sandbox.debs[file])]
    assert unexpected(name, found) == []
