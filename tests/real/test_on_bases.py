"""Builds real packages with bwbuild on bases and with sbuild in chroots of the same day, and compares.

On a base everything is to come out as in a chroot: the same packages are installed, the build has the same
directory, and the .debs are the same bit for bit. It needs what ``tests/real/prepare --chroot`` fetched and
installed, an ordinary user with subordinate ids, and a network.
"""

from __future__ import annotations

import os
import re

import based
import builds
import chroots
import declarations
import outcome
import pytest
import sbuild
from support import give_up

from bwbuild.errors import SourceError

#: Another suite than this machine's, whose sources are in the list of its name.
OTHER = "trixie"

#: Sources that are not built the same twice, which only their contents may show -> why.
UNREPRODUCIBLE: dict[str, str] = {}

#: Other differences that are known: source -> pattern of a whole difference -> why it is there.
EXPECTED: dict[str, dict[str, str]] = {}


def unexpected(name: str, differences: list[str]) -> list[str]:
    """The differences that the tables above do not explain."""
    known = list(EXPECTED.get(name, {}))
    if name in UNREPRODUCIBLE:
        # Members that came or went, modes, owners, links and control data count all the same.
        known += [r"\S+: (?!DEBIAN/)\S+: content differs, .*", r"\S+: DEBIAN/md5sums: content differs, .*"]
    return [line for line in differences if not any(re.fullmatch(pattern, line) for pattern in known)]


def others() -> list[str]:
    """The sources of the other suite, as places below the directory of all."""
    lines = (builds.ROOT / f"tests/real/{OTHER}_packages").read_text(encoding="utf-8").splitlines()
    return [f"{OTHER}/{name}" for line in lines if (name := line.partition("#")[0].strip())]


def compare(name: str, suite: str) -> None:
    """Build in both ways and compare."""
    chroot = sbuild.build(name, suite=suite)
    if chroot.status != 0:
        give_up(f"{name} does not build in a chroot")
    base = based.build(name, suite)
    layer = "layer made" if base.made else "layer there"
    # pytest -rA shows it.
    print(
        f"{built_of(name)}: {chroot.seconds:.0f} s in the chroot, "
        f"{base.first.seconds:.0f} s on the base ({layer}), {base.next.seconds:.0f} s the next time"
    )
    for built in (base.first, base.next):
        assert built.status == 0, "\n".join(built.log.splitlines()[-60:])
        assert built.installed, "the .buildinfo names no packages"
        assert built.debs
        assert unexpected(name, outcome.differences(chroot, built)) == []


def built_of(name: str) -> str:
    """The source and its version."""
    dsc = builds.dsc(name)
    return f"{name} ({dsc.stem})" if dsc else name


@pytest.fixture(scope="module")
def own() -> str:
    """This machine's suite, with its base."""
    return ready(chroots.codename())


@pytest.fixture(scope="module")
def other() -> str:
    """The other suite, with its base."""
    return ready(OTHER)


def ready(suite: str) -> str:
    """Make the base; the suite."""
    if os.getuid() == 0:
        give_up("real packages are built by an ordinary user, as their maintainers build them")
    if not (builds.directory() / "apt/sources.d").exists():
        give_up("nothing is there; as root: tests/real/prepare --chroot USER")
    based.prepare(suite)
    return suite


@pytest.mark.real
@pytest.mark.parametrize("name", [source.name for source in declarations.listed()])
def test_a_real_package_builds_on_a_base_as_in_a_chroot(own: str, name: str) -> None:
    if builds.dsc(name) is None:
        give_up(f"{name} is not there; as root: tests/real/prepare --chroot USER {name}")
    compare(name, own)


@pytest.mark.real
@pytest.mark.parametrize("name", others())
def test_a_package_of_another_suite_builds_as_in_its_chroot(other: str, name: str) -> None:
    try:
        based.fetch(name, other)
    except SourceError as error:
        give_up(f"{error.message}: {error.details}")
    compare(name, other)
