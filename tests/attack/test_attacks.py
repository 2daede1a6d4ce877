"""Every attack must succeed where it is known to, so that its failure under bwbuild says something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from catalogue import KINDS
from field import Attack, Field, Way, attacked, fields
from support import as_user, need

ATTACKS = [attack for attacks in KINDS.values() for attack in attacks]
Make = Callable[..., AbstractContextManager[Field]]

pytestmark = as_user


@pytest.fixture(scope="session")
def make() -> Iterator[Make]:
    need("bwrap", "dpkg-buildpackage", "git")
    with fields() as found:
        yield found


def parameter(attack: Attack) -> object:
    """A gap's test must fail until the gap is closed, so that nobody forgets to take the text out."""
    marks = [pytest.mark.xfail(reason=attack.gap, strict=True)] if attack.gap else []
    return pytest.param(attack, id=attack.name, marks=marks)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_it_is_an_attack(make: Make, attack: Attack) -> None:
    """Under the classic script, or without a sandbox where that script stops it too."""
    with make(in_home=attack.in_home) as where:
        assert attacked(attack, attack.shown, where)


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if attack.why_not], ids=lambda attack: attack.name
)
def test_the_classic_script_stops_it(make: Make, attack: Attack) -> None:
    with make(in_home=attack.in_home) as where:
        assert not attacked(attack, Way.CLASSIC, where)


# tests/build/test_testpkgs.py builds the packages with bwbuild, and looks closer.
@pytest.mark.parametrize("attack", [parameter(attack) for attack in ATTACKS if not attack.package])
def test_bwbuild_stops_it(make: Make, attack: Attack) -> None:
    with make(in_home=attack.in_home) as where:
        assert not attacked(attack, Way.BWBUILD, where)


def test_names_are_unique() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names))
