"""Exposures: systemd's arithmetic, floors, and that nothing becomes better by being relaxed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bwbuild.audit.assessments import ASSESSMENTS
from bwbuild.audit.facts import NAMESPACES, RESOURCES, WORST, Facts, weakened
from bwbuild.audit.score import Assessment, score
from bwbuild.sandbox.syscalls import HELD_BACK, Group


def row(weight: int, range_: int, badness: int | None, floor: int = 0, fatal: int = 0) -> Assessment:
    """An assessment that always finds the same."""
    states = {0: "good", range_: "bad"} | ({badness: "so"} if badness is not None else {})
    return Assessment(
        "a row", weight, states, "why", lambda _: badness, frozenset(), floor=floor, fatal=fatal
    )


def rows(*badness: int | None) -> list[Assessment]:
    """PrivateNetwork, PrivateTmp, PrivateDevices, ProtectSystem, ProtectHome and UMask with these."""
    kinds = ((2500, 1), (1000, 1), (1000, 1), (1000, 10), (1000, 10), (100, 10))
    return [row(weight, range_, bad) for (weight, range_), bad in zip(kinds, badness, strict=True)]


#: What systemd-analyze security 252 says of services with such settings, under a policy with these weights.
SYSTEMD = [
    ((0, 1, 1, 10, 10, 5), 6.2, "MEDIUM"),
    ((1, 0, 1, 10, 10, 5), 8.5, "EXPOSED"),
    ((1, 1, 1, 10, 10, 5), 10.0, "DANGEROUS"),
    ((0, 0, 1, 3, 5, 2), 2.8, "OK"),
    ((0, 0, 0, 0, 5, 0), 0.8, "SAFE"),
    ((0, 0, 0, 0, 0, 0), 0.0, "PERFECT"),
]


@pytest.mark.parametrize(("badness", "exposure", "label"), SYSTEMD)
def test_sums_are_systemds(badness: tuple[int, ...], exposure: float, label: str) -> None:
    found = score(WORST, rows(*badness))
    assert (found.exposure, found.label) == (exposure, label)


def test_shares_are_systemds() -> None:
    shares = [finding.tenths for finding in score(WORST, rows(1, 1, 1, 3, 5, 5)).findings]
    assert shares == [38, 16, 16, 5, 8, 1]


def test_what_does_not_apply_is_in_neither_sum() -> None:
    with_it = score(WORST, [row(1000, 1, 1), row(1000, 1, 0), row(5000, 1, None)])
    assert with_it.tenths == score(WORST, [row(1000, 1, 1), row(1000, 1, 0)]).tenths == 50
    assert with_it.findings[2].state == "does not apply"
    assert score(WORST, [row(1000, 1, None)]).label == "PERFECT"


def test_a_floor_holds_from_its_badness_on() -> None:
    good = row(10000, 1, 0)
    assert score(WORST, [good, row(100, 10, 4, floor=90, fatal=5)]).tenths == 1
    fatal = score(WORST, [good, row(100, 10, 5, floor=90, fatal=5), row(100, 1, 1, floor=70)])
    assert (fatal.exposure, fatal.label) == (9.0, "UNSAFE")
    assert [finding.floor for finding in fatal.fatal] == [90]


def test_a_floor_lowers_nothing() -> None:
    found = score(WORST, [row(1000, 1, 1, floor=50)])
    assert found.tenths == 100
    assert found.fatal == ()


def test_weights_and_names() -> None:
    assert all(assessment.weight > 0 for assessment in ASSESSMENTS)
    names = [assessment.name for assessment in ASSESSMENTS]
    assert len(set(names)) == len(names) > 40
    assert all(assessment.why and assessment.words for assessment in ASSESSMENTS)
    assert all(min(assessment.states) == 0 < assessment.range for assessment in ASSESSMENTS)


def test_the_worst_is_dangerous_and_the_best_perfect() -> None:
    worst = score(WORST, ASSESSMENTS)
    assert (worst.exposure, worst.label) == (10.0, "DANGEROUS")
    assert all(finding.badness == finding.assessment.range for finding in worst.findings)
    assert score(BEST, ASSESSMENTS).label == "PERFECT"


SETS = {
    "shared": NAMESPACES,
    "capabilities": frozenset({"CAP_CHOWN", "CAP_SYS_ADMIN", "all"}),
    "root_side": frozenset({"CAP_CHOWN", "CAP_SYS_ADMIN", "all"}),
    "unfiltered": frozenset(HELD_BACK),
    "unlimited": RESOURCES,
}


def chain(name: str, default: object) -> list[object]:
    """The values of a field, from the best on."""
    if isinstance(default, IntEnum):
        return list(type(default))
    if isinstance(default, bool):
        return [False, True]
    if name in SETS:
        ordered = sorted(SETS[name], key=str)
        return [frozenset(ordered[:count]) for count in range(len(ordered) + 1)]
    return [(), ("x",), ("x", "y")]


CHAINS = {field.name: chain(field.name, field.default) for field in fields(Facts)}
BEST = Facts(**{name: values[0] for name, values in CHAINS.items()})
ANY = some.builds(Facts, **{name: some.sampled_from(values) for name, values in CHAINS.items()})


def relaxations() -> Iterator[tuple[str, object]]:
    """Every field with every value but the best."""
    for name, values in CHAINS.items():
        yield from ((name, value) for value in values[1:])


def test_each_default_is_the_worst() -> None:
    for name, values in CHAINS.items():
        worst = getattr(WORST, name)
        if name not in ("capabilities", "root_side"):
            assert len(worst) if isinstance(worst, tuple) else worst == values[-1], name


@pytest.mark.parametrize(
    ("name", "value"), relaxations(), ids=[str(number) for number, _ in enumerate(relaxations())]
)
def test_each_relaxation_is_a_finding(name: str, value: object) -> None:
    found = score(replace(BEST, **{name: value}), ASSESSMENTS)
    if name == "same_session":  # without the filter for terminals alone
        found = score(replace(BEST, same_session=True, unfiltered=frozenset(HELD_BACK)), ASSESSMENTS)
    bad = [finding.assessment.name for finding in found.findings if finding.badness]
    mild = [("parent", 1), ("tree", 1), ("tmp", 1)]
    # Without a capability nobody changes his root, with a filter and without.
    mild.append(("unfiltered", frozenset({Group.CHROOT})))
    assert bad or (name, value) in mild, "nothing was found"
    assert found.tenths > 0 or not bad


@given(ANY, ANY)
def test_relaxing_never_lowers_the_exposure(one: Facts, other: Facts) -> None:
    relaxed = weakened(one, **{name: getattr(other, name) for name in CHAINS})
    before, after = score(one, ASSESSMENTS), score(relaxed, ASSESSMENTS)
    assert after.tenths >= before.tenths
    for earlier, later in zip(before.findings, after.findings, strict=True):
        assert (later.badness or 0) >= (earlier.badness or 0), later.assessment.name


@given(ANY)
def test_a_judge_knows_the_state(facts: Facts) -> None:
    for finding in score(facts, ASSESSMENTS).findings:
        assert finding.badness is None or finding.state


def test_judges_depend_on_what_they_say() -> None:
    groups = {f"calls: {group.value}" for group in HELD_BACK}
    for assessment in ASSESSMENTS:
        assert assessment.depends <= CHAINS.keys() | groups, assessment.name
