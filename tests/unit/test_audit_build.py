"""Builds judged by their plans: the default is safe, each option that weakens the sandbox is a finding."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from made_plans import ALONE, CALLER, HOST, SUPERUSER, plan

from bwbuild.audit.assessments import ASSESSMENTS
from bwbuild.audit.facts import RESOURCES, Access, End, Facts, Streams, System, Users
from bwbuild.audit.of_build import facts_of_build, mounts_of_build
from bwbuild.audit.score import Score, score
from bwbuild.build.plan import Plan
from bwbuild.build.study.audit import Audit, judged, limited, setting
from bwbuild.build.study.audit_line import is_line
from bwbuild.build.watch.limits import NO_LIMITS
from bwbuild.cli.audit import _json
from bwbuild.cli.audit import audit as command
from bwbuild.config.settings import BuildAs, IdentityChoice, Workspace
from bwbuild.permissions.words import USERNS
from bwbuild.root.view import host_view
from bwbuild.sandbox.spec import Bind, Guest, Scratch
from bwbuild.sandbox.syscalls import Group

HOME = Path("/home/joe")


def facts(made: Plan, system: System = System.DECLARED, *, signs: bool = True) -> Facts:
    known = replace(setting(made, HOME), system=system, signs=signs)
    return facts_of_build(made.sandbox, known)


def result(made: Plan, system: System = System.DECLARED) -> Score:
    return score(facts(made, system), ASSESSMENTS)


def badness(found: Score) -> dict[str, int]:
    return {finding.assessment.name: finding.badness or 0 for finding in found.findings}


def test_the_default_build_is_safe() -> None:
    found = result(plan())
    assert found.label == "SAFE"
    assert not [finding for finding in found.findings if finding.floor]
    known = facts(plan())
    assert (known.home, known.tmp, known.parent, known.tree, known.keys) == (Access.NONE,) * 5
    assert known.users is Users.OTHERS
    assert (known.end, known.streams) == (End.AWAITED, Streams.PIPES)
    assert known.capabilities == frozenset()
    assert "CAP_CHOWN" in known.root_side
    assert {known.nesting, known.foreign, known.keyring, known.proc} == {False}
    assert known.sockets == known.mount_points == known.writable == ()


RELAXED: list[tuple[dict[str, Any], set[str]]] = [
    ({"workspace": Workspace.IN_PLACE}, {"parent directory", "source tree", "results", "home"}),
    ({"identity": IdentityChoice.SINGLE}, {"users"}),
    ({"caller": ALONE}, {"users"}),
    ({"identity": IdentityChoice.SINGLE, "caller": SUPERUSER}, {"users"}),
    ({"build_as": BuildAs.ROOT}, {"capabilities"}),
    ({"allow": (USERNS,)}, {"nested namespaces", "calls to mount", "calls for namespaces"}),
    ({"foreign_abi": True}, {"other ABIs"}),
    ({"seccomp": False}, {"families of sockets", "attacked calls", "calls to mount", "other ABIs"}),
    ({"host": replace(HOST, architecture="s390x")}, {"families of sockets"}),
    ({"host": replace(HOST, architecture="hurd-i386")}, {"session keyring"}),
    ({"interactive": True}, {"streams"}),
]


@pytest.mark.parametrize(("settings", "names"), RELAXED, ids=range(len(RELAXED)))
def test_each_weaker_choice_is_a_finding(settings: dict[str, Any], names: set[str]) -> None:
    before, after = result(plan()), result(plan(**settings))
    worse = {name for name, bad in badness(after).items() if bad > badness(before)[name]}
    assert names <= worse
    # A lower badness elsewhere, as without a root side, never makes up for it.
    assert after.tenths >= before.tenths


def test_what_a_view_shows() -> None:
    declared, everything, base = (
        result(plan(), system) for system in (System.DECLARED, System.PACKAGES, System.NONE)
    )
    for name in ("system", "/etc"):
        assert badness(base)[name] < badness(declared)[name] < badness(everything)[name]
    assert base.tenths <= declared.tenths <= everything.tenths


def test_root_of_the_machine_is_fatal() -> None:
    found = result(plan(caller=SUPERUSER, identity=IdentityChoice.SINGLE))
    assert found.label == "EXPOSED"
    assert [finding.assessment.name for finding in found.fatal] == ["users"]
    assert result(plan(caller=SUPERUSER)).label == "SAFE"


def test_in_place_is_fatal_by_the_parent_directory() -> None:
    assert result(plan(workspace=Workspace.IN_PLACE)).label == "EXPOSED"


def test_a_shell_does_not_type_on_the_callers_terminal() -> None:
    known = facts(replace_seccomp(plan(interactive=True)))
    assert Group.TERMINAL in known.unfiltered
    assert badness(score(known, ASSESSMENTS))["typing on the terminal"] == 0


def replace_seccomp(made: Plan) -> Plan:
    restraints = replace(made.sandbox.restraints, filters=())
    return replace(made, sandbox=replace(made.sandbox, restraints=restraints))


MOUNTS = [
    (Bind(HOME, Guest("/home/joe")), {"home", "keys", "source tree", "parent directory"}),
    (Bind(Path("/tmp"), Guest("/x")), {"/tmp", "sockets"}),
    (Bind(Path("/run"), Guest("/x")), {"sockets"}),
    (Bind(Path("/proc"), Guest("/x")), {"/proc"}),
    (Bind(Path("/usr"), Guest("/x"), writable=True), {"writable system"}),
    (Bind(Path("/dev"), Guest("/x")), {"devices"}),
    (Bind(HOME / ".ssh", Guest("/x")), {"keys", "home"}),
]


@pytest.mark.parametrize(("mount", "names"), MOUNTS, ids=range(len(MOUNTS)))
def test_what_is_judged_is_what_bwrap_is_told(mount: Bind, names: set[str]) -> None:
    made = plan()
    sandbox = replace(made.sandbox, mounts=(*made.sandbox.mounts, mount))
    after = badness(result(replace(made, sandbox=sandbox)))
    assert {name for name, bad in after.items() if bad > badness(result(made))[name]} >= names


@pytest.mark.parametrize("namespace", ["pid", "ipc", "uts", "net", "cgroup"])
def test_a_namespace_that_is_missing(namespace: str) -> None:
    made = plan()
    rest = tuple(name for name in made.sandbox.namespaces if name != namespace)
    found = result(replace(made, sandbox=replace(made.sandbox, namespaces=rest)))
    assert badness(found)[f"{namespace} namespace"] == 1
    assert found.tenths >= result(made).tenths


def test_capabilities_beyond_fakeroot() -> None:
    made = plan()
    more = (*made.sandbox.capabilities, "sys_admin")
    assert (
        badness(result(replace(made, sandbox=replace(made.sandbox, capabilities=more))))["capabilities"] == 10
    )


def test_what_is_the_builds_own() -> None:
    own = {str(mount.target) for mount in mounts_of_build(plan().sandbox) if mount.source is None}
    assert {"/tmp", "/run", "/build/reproducible-path", "/build/reproducible-path/tiny-1.0"} <= own
    shown = {str(mount.target) for mount in mounts_of_build(plan().sandbox) if mount.source is not None}
    assert "/sys" in shown
    assert not any(
        isinstance(m.source, Scratch) and m.writable for m in host_view(HOST).mounts if isinstance(m, Bind)
    )


LIMITS = [
    ("timeout", "limit of time"),
    ("limit_silence", "limit of silence"),
    ("limit_memory", "limit of memory"),
    ("limit_processes", "limit of processes"),
    ("limit_files", "limit of open files"),
    ("limit_disk", "limit of disk"),
    ("limit_disk_reserve", "limit of free disk"),
    ("limit_tmp", "limit of /tmp"),
    ("limit_shm", "limit of /dev/shm"),
    ("limit_log", "limit of log"),
]


@pytest.mark.parametrize(("name", "finding"), LIMITS)
def test_each_limit_that_is_off_is_a_finding(name: str, finding: str) -> None:
    endless = None if name in ("timeout", "limit_silence") else 0
    before, after = result(plan()), result(plan(**{name: endless}))
    assert badness(after)[finding] == (10 if name == "limit_memory" else 1)
    assert {n for n, bad in badness(after).items() if bad > badness(before)[n]} == {finding}
    assert after.tenths >= before.tenths


def test_limits_of_the_default_build() -> None:
    assert limited(plan().limits) == RESOURCES
    assert limited(NO_LIMITS) == frozenset()


def test_in_place_nobody_knows_what_a_build_takes_on_disk() -> None:
    made = plan(workspace=Workspace.IN_PLACE)
    assert limited(made.limits, made.sandbox.workspace.layering) == RESOURCES - {"disk"}
    assert badness(result(made))["limit of disk"] == 1
    assert badness(result(plan()))["limit of disk"] == 0


def test_a_control_group_keeps_memory_better_than_samples() -> None:
    known = facts(plan())
    assert known.sampled
    assert badness(score(known, ASSESSMENTS))["limit of memory"] == 4
    assert badness(score(replace(known, sampled=False), ASSESSMENTS))["limit of memory"] == 0


def test_unsigned_builds_give_nothing_to_debsign() -> None:
    assert badness(score(facts(plan(), signs=False), ASSESSMENTS))["signing"] == 0


def audit() -> Audit:
    return judged("a build of tiny", facts(plan(caller=CALLER)))


@pytest.mark.parametrize("text", ["11", "10.01", "-0.1", "nan", "-nan", "inf", "high", ""])
def test_a_threshold_that_no_exposure_can_be_compared_with(text: str) -> None:
    option = next(parameter for parameter in command.params if parameter.name == "threshold")
    assert [option.type.convert(good, option, None) for good in ("0", "2.5", "10")] == [0, 2.5, 10]
    with pytest.raises(click.BadParameter):
        option.type.convert(text, option, None)


@pytest.mark.parametrize(
    ("words", "is_one"),
    [(["bwrap"], True), (["/x/bwrap"], True), (["bwrap", "x"], True), (["tree"], False), ([], False)],
)
def test_what_a_command_line_is(words: list[str], is_one: bool) -> None:
    assert is_line(words) is is_one


def test_json() -> None:
    document = json.loads(_json(audit()))
    assert set(document) == {"subject", "exposure", "label", "probed", "findings", "permissions"}
    assert document["exposure"] == result(plan()).exposure
    assert document["probed"] is False
    assert len(document["findings"]) == len(ASSESSMENTS)
    keys = {"name", "weight", "badness", "range", "exposure", "floor", "state", "why", "change", "probe"}
    for row in document["findings"]:
        assert set(row) == keys | {"evidence"}
        assert 0 <= row["badness"] <= row["range"]
        assert row["probe"] is None
        assert row["state"]
