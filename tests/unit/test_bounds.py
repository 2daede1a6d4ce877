"""What programs in chambers may do and take, by the settings and by what was granted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_bases import IDENTITY
from made_plans import HOST, plan

from bwbuild.build.plan import Plan
from bwbuild.build.watch.bounds import LEAST_TIME, of_checks, of_installing
from bwbuild.build.watch.limits import BreachError
from bwbuild.config.settings import Settings
from bwbuild.permissions.answers import Decision, Why
from bwbuild.permissions.asked import Purpose
from bwbuild.permissions.words import parse
from bwbuild.root.bounds import Bounds
from bwbuild.sandbox.runner import Outcome
from bwbuild.sandbox.syscalls import HELD_BACK, Group


def installing(*, foreign: bool = False, **settings: object) -> Bounds:
    return of_installing(Settings(**settings), HOST, IDENTITY, foreign=foreign)  # type: ignore[arg-type]


def test_an_installation_is_held_back_as_a_build() -> None:
    bounds = installing()
    (policy,) = bounds.restraints.filters
    # dpkg changes its root, and so do scripts.
    assert set(HELD_BACK) - set(policy.groups) == {Group.CHROOT}
    assert (policy.foreign, bounds.restraints.nesting) == (False, False)
    assert bounds.restraints.keyctl == 250
    assert bounds.ceilings.processes == 4096
    assert installing(seccomp=False).restraints.filters == ()


def test_what_is_granted_to_a_build_is_not_to_an_installation() -> None:
    (policy,) = installing(allow=(parse("allow=userns"),)).restraints.filters
    assert Group.NAMESPACES in policy.groups


def test_packages_of_other_architectures_bring_other_programs() -> None:
    for bounds in (installing(foreign=True), installing(foreign_abi=True)):
        assert [policy.foreign for policy in bounds.restraints.filters] == [True]


def test_an_installation_has_an_hour_at_least() -> None:
    assert installing().timeout == 48 * 3600.0
    assert installing(timeout=5.0).timeout == LEAST_TIME
    assert installing(timeout=None).timeout is None


def granted(what: str, purpose: Purpose) -> Plan:
    decision = Decision(parse(what), purpose, granted=True, why=Why.OPTION)
    return replace(plan(), decisions=(decision,))


def test_a_check_has_what_was_granted_to_the_tests() -> None:
    usual = of_checks(plan(), IDENTITY)
    assert {item.name for item in usual.restraints.filters} == {"policy", "sync"}
    assert set(HELD_BACK) - set(usual.restraints.filters[0].groups) == {Group.CHROOT}
    assert of_checks(granted("allow=userns", Purpose.BUILD), IDENTITY).restraints == usual.restraints
    nesting = of_checks(granted("allow=userns", Purpose.TESTS), IDENTITY).restraints
    assert nesting.nesting
    assert Group.NAMESPACES not in nesting.filters[0].groups


def test_what_one_check_needs_is_lifted_for_it_alone() -> None:
    usual = of_checks(plan(), IDENTITY)
    mounting = usual.lifting(Group.MOUNTS)
    assert mounting.restraints.nesting is usual.restraints.nesting
    groups = [set(each.groups) for each in mounting.restraints.filters]
    assert groups == [set(each.groups) - {Group.MOUNTS} for each in usual.restraints.filters]
    assert usual.lifting() == usual


def test_a_breach_names_what_was_ended(tmp_path: Path) -> None:
    late = Outcome(None, started=True, timed_out=True, ended=False, seconds=3601.0)
    with pytest.raises(BreachError, match=r"^the installation took longer than 1 h"):
        installing(timeout=1.0).attend(tmp_path).judge(late)
    with pytest.raises(BreachError, match=r"^the check took longer than"):
        of_checks(plan(), IDENTITY).attend(tmp_path).judge(late)
    of_checks(plan(), IDENTITY).attend(tmp_path).judge(replace(late, exit_code=0, timed_out=False))
