"""Builds real packages in the declared view of this machine and with sbuild in a chroot, and compares.

A build in the view must come out as one in a fresh chroot that has nothing but the declared build
dependencies: with the same result, and with a failure where a dependency is not declared. It needs what
``tests/real/prepare --chroot`` fetched and installed, an ordinary user with subordinate ids, and a network.
"""

from __future__ import annotations

import os
import re

import builds
import declarations
import outcome
import pytest
import sbuild
import viewed
from support import give_up

#: Differences that are known: source -> pattern of a whole difference -> why it is there.
EXPECTED: dict[str, dict[str, str]] = {}

#: Sources whose log does not say what is missing in words that are understood -> the words.
UNNAMED: dict[str, str] = {}


def unexpected(name: str, differences: list[str]) -> list[str]:
    """The differences that the table above does not explain."""
    return [
        line for line in differences if not any(re.fullmatch(known, line) for known in EXPECTED.get(name, {}))
    ]


def demand(name: str) -> None:
    """Fail or skip where the builds can't be made."""
    if os.getuid() == 0:
        give_up("real packages are built by an ordinary user, as their maintainers build them")
    if builds.dsc(name) is None:
        give_up(f"{name} is not there; as root: tests/real/prepare --chroot USER {name}")


def end(of: outcome.Outcome) -> str:
    """The end of a build's log, for a test that fails."""
    return "\n".join(of.package_log.splitlines()[-60:])


@pytest.mark.real
@pytest.mark.parametrize("source", declarations.listed(), ids=lambda source: source.name)
def test_a_real_package_builds_as_in_a_chroot(source: declarations.Listed) -> None:
    demand(source.name)
    chroot = sbuild.build(source.name)
    if chroot.status != 0:
        give_up(f"{source.name} does not build in a chroot")
    view = viewed.build(source.name)
    # pytest -rA shows it.
    print(f"{source.name}: {chroot.seconds:.0f} s in the chroot, {view.seconds:.0f} s in the view")
    assert view.status == 0, end(view)
    assert view.installed, "the .buildinfo names no packages"
    assert unexpected(source.name, outcome.differences(chroot, view)) == []


@pytest.mark.real
@pytest.mark.parametrize(
    "source", [source for source in declarations.listed() if source.needed], ids=lambda source: source.name
)
def test_a_real_package_fails_without_a_build_dependency(source: declarations.Listed) -> None:
    demand(source.name)
    chroot = sbuild.build(source.name, without=source.needed)
    if chroot.status == 0:
        give_up(f"{source.name} builds without {source.needed}: name another entry in the list")
    view = viewed.build(source.name, without=source.needed)
    assert view.status == 10, end(view)
    assert view.debs == {}
    found = viewed.undeclared(source.name)
    if source.name in UNNAMED:
        assert source.named not in found.values(), "it is named now: take it out of UNNAMED"
        return
    assert source.named in found.values(), f"{found}\n{end(view)}"
    assert "installed here but not in Build-Depends" in viewed.terminal(source.name)
