"""Every attack must succeed where it is known to, so that its failure under bwbuild says something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from catalogue import KINDS
from field import Attack, Field, NotRun, Way, attacked, fields
from guide import attack_rows
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


@pytest.mark.parametrize(
    "name",
    [
        *("key beside the tree", "socket in the tree", "next build"),
        *("key in clean", "setuid result", "link"),
        *("typed text", "escape sequence", "log of a build"),
    ],
)
def test_what_runs_nothing_stops_nothing(make: Make, tmp_path: Path, name: str) -> None:
    """A command that ends at once would pass for the best of all sandboxes."""
    broken = tmp_path / "bwbuild" / "__main__.py"
    broken.parent.mkdir()
    broken.write_text("import sys\nsys.exit('broken ' + ' '.join(sys.argv))\n")
    (attack,) = (attack for attack in ATTACKS if attack.name == name)
    with make(in_home=attack.in_home, program=tmp_path) as where, pytest.raises(NotRun):
        attacked(attack, Way.BWBUILD, where)


def test_names_are_unique() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_them_all(kind: str) -> None:
    """tests/unit/test_attacks_page.py counts what it says."""
    words = {True: "**succeeds**", False: "stopped"}
    rows = [(row.what, row.script, row.bwbuild) for row in attack_rows()[kind]]
    assert rows == [(one.what, words[not one.why_not], words[bool(one.gap)]) for one in KINDS[kind]]
