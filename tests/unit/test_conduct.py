"""How a package behaves: which build comes next, and what the evidence says, without a build."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from made_plans import ALONE, HOST, SOURCE, inputs

from bwbuild.build.record.reading import Told
from bwbuild.conduct import listing, members, plans, words
from bwbuild.conduct.compare import as_roots, changes, differences
from bwbuild.conduct.experiments import EXPERIMENTS, NAMES
from bwbuild.conduct.steps import Step, next_step
from bwbuild.conduct.subject import subject
from bwbuild.conduct.values import (
    AGAIN,
    FIRST,
    SECOND,
    TOGETHER,
    UNTRACED,
    Act,
    Actor,
    Built,
    Change,
    Conditions,
    Contents,
    Difference,
    Entry,
    Evidence,
    Kind,
    Member,
    Subject,
    Traced,
)
from bwbuild.deb import buildoptions
from bwbuild.errors import UsageError, VerificationError
from bwbuild.host.facts import Processors
from bwbuild.sandbox.spec import Saved

FILE, DIRECTORY = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755
DEB = "tiny_1_all.deb"
BASE = Conditions(4)
SUBJECT = Subject(base=BASE, builder=1500, chosen=NAMES)
MEMBER = Member(FILE, 0, 0, "a", 1)
APART = ("home", "root", "processors", "umask")


def contents(**more: Member) -> Contents:
    """A package with the file ``same`` and others."""
    return {(DEB, name): member for name, member in {"same": MEMBER, **more}.items()}


def world(name: str, conditions: Conditions) -> Built:
    """A package that behaves."""
    return Built(conditions, succeeded=True, contents=contents())


def failed(conditions: Conditions) -> Built:
    return Built(conditions, succeeded=False, whole=False, step="dh_auto_test", errors=("FAIL: one",))


def with_file(conditions: Conditions, **changed: object) -> Built:
    """A build that made the file ``odd``."""
    member = replace(MEMBER, **changed)  # type: ignore[arg-type]
    return Built(conditions, succeeded=True, contents=contents(odd=member))


Given = Callable[[str, Conditions, int], Built]


def carried_out(given: Given, subject: Subject = SUBJECT) -> Evidence:
    """All builds that are asked for, in a world that gives what it gives."""
    evidence = Evidence(subject, traced=Traced(), before={}, after={})
    for number in range(20):
        step = next_step(evidence)
        if step is None:
            return evidence
        evidence = evidence.having(step.name, given(step.name, step.conditions, number))
    raise AssertionError(evidence.order)


def found(evidence: Evidence) -> dict[str, str]:
    """Experiment -> text of its findings."""
    chosen = evidence.subject.chosen
    findings = [one for e in EXPERIMENTS if e.name in chosen for one in e.judge(evidence)]
    return {finding.name: finding.text for finding in findings}


def test_a_package_that_behaves_is_built_three_times() -> None:
    evidence = carried_out(lambda name, conditions, _: world(name, conditions))
    assert evidence.order == (FIRST, SECOND, TOGETHER)
    assert found(evidence) == {}
    together = evidence.last(TOGETHER)
    assert together is not None
    assert together.conditions == Conditions(1, confined=True, umask=0o002, rooted=True, housed=True)


def test_the_first_build_is_looked_at() -> None:
    assert next_step(Evidence(SUBJECT)) == Step(FIRST, BASE, looked=True, traced=True)
    quiet = replace(SUBJECT, unchecked=dict.fromkeys(("network", "home", "outside"), "no strace"))
    assert next_step(Evidence(quiet)) == Step(FIRST, BASE, looked=True)


CAUSES: Mapping[str, Callable[[Conditions], bool]] = {
    "home": lambda conditions: conditions.housed,
    "root": lambda conditions: conditions.rooted,
    "processors": lambda conditions: conditions.jobs == 1,
    "umask": lambda conditions: conditions.umask != 0o022,
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_difference_has_one_cause(cause: str) -> None:
    def given(_: str, conditions: Conditions, __: int) -> Built:
        return with_file(conditions, content="b" if CAUSES[cause](conditions) else "a")

    evidence = carried_out(given)
    assert found(evidence).keys() == {cause}
    assert evidence.order == (FIRST, SECOND, TOGETHER, *APART, AGAIN)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_failure_has_one_cause(cause: str) -> None:
    def given(name: str, conditions: Conditions, _: int) -> Built:
        return failed(conditions) if CAUSES[cause](conditions) else world(name, conditions)

    evidence = carried_out(given)
    texts = found(evidence)
    assert texts.keys() == {cause}
    assert "FAIL: one" in texts[cause]
    assert len(evidence.tries(cause)) == 2


def test_two_causes_are_two_findings() -> None:
    def given(_: str, conditions: Conditions, __: int) -> Built:
        mode = stat.S_IFREG | (0o664 if CAUSES["umask"](conditions) else 0o644)
        return with_file(conditions, mode=mode, content=str(conditions.jobs))

    assert found(carried_out(given)).keys() == {"umask", "processors"}


def test_what_is_never_the_same_is_blamed_on_nothing_else() -> None:
    evidence = carried_out(lambda _, conditions, number: with_file(conditions, content=str(number)))
    assert found(evidence).keys() == {"reproducible"}


def test_what_changes_now_and_then_is_blamed_on_nothing_else() -> None:
    """As the minute in which it is built, which the first builds have in common."""
    evidence = carried_out(lambda _, conditions, number: with_file(conditions, content=str(number // 2)))
    assert found(evidence).keys() == {"reproducible"}


def test_a_mode_by_the_umask_is_found_in_a_file_that_is_never_the_same() -> None:
    def given(_: str, conditions: Conditions, number: int) -> Built:
        return with_file(conditions, mode=stat.S_IFREG | 0o666 & ~conditions.umask, content=str(number))

    texts = found(carried_out(given))
    assert texts.keys() == {"reproducible", "umask"}
    assert "mode 0644, now 0664" in texts["umask"]


def test_a_test_that_fails_now_and_then_is_blamed_on_no_condition() -> None:
    def given(name: str, conditions: Conditions, number: int) -> Built:
        return failed(conditions) if number == 2 else world(name, conditions)

    texts = found(carried_out(given))
    assert texts.keys() == {"reproducible"}


def test_a_second_build_that_fails_once_is_no_finding_of_it() -> None:
    def given(name: str, conditions: Conditions, number: int) -> Built:
        return failed(conditions) if number == 1 else world(name, conditions)

    evidence = carried_out(given)
    assert len(evidence.tries(SECOND)) == 2
    assert found(evidence).keys() == {"reproducible"}


def test_a_second_build_that_fails_twice() -> None:
    def given(name: str, conditions: Conditions, _: int) -> Built:
        return failed(conditions) if name == SECOND else world(name, conditions)

    assert found(carried_out(given)).keys() == {"twice"}


def test_a_second_build_that_differs() -> None:
    texts = found(
        carried_out(lambda name, conditions, _: with_file(conditions, content="b" if name == SECOND else "a"))
    )
    assert texts.keys() == {"twice"}
    assert "odd of tiny_1_all.deb (content)" in texts["twice"]


def test_a_build_that_needs_root() -> None:
    def given(name: str, conditions: Conditions, _: int) -> Built:
        return world(name, conditions) if conditions.rooted else failed(conditions)

    evidence = carried_out(given)
    assert evidence.order == (FIRST, UNTRACED, "root")
    assert found(evidence).keys() == {"root"}


def test_a_build_that_fails_with_many_jobs() -> None:
    def given(name: str, conditions: Conditions, _: int) -> Built:
        return world(name, conditions) if conditions.jobs == 1 else failed(conditions)

    evidence = carried_out(given)
    assert evidence.order == (FIRST, UNTRACED, "root", "processors")
    assert found(evidence).keys() == {"processors"}


@pytest.mark.parametrize("cause", ["root", "processors"])
def test_a_build_that_fails_now_and_then_is_blamed_on_no_condition(cause: str) -> None:
    def given(name: str, conditions: Conditions, number: int) -> Built:
        return failed(conditions) if number == 0 else world(name, conditions)

    subject = Subject(BASE, 1500, (cause, "reproducible"))
    evidence = carried_out(given, subject)
    assert evidence.order == (FIRST, cause, AGAIN)
    assert found(evidence).keys() == {"reproducible"}


def test_one_that_does_not_build_gets_no_blame_for_it() -> None:
    evidence = carried_out(lambda _, conditions, __: failed(conditions))
    assert evidence.order == (FIRST, UNTRACED, "root", "processors")
    assert found(evidence) == {}
    assert found(replace(evidence, after={"out": Entry(FILE)})) == {}, "nobody has cleaned"


def test_one_that_fails_under_a_tracer_only_goes_on_without() -> None:
    def given(name: str, conditions: Conditions, _: int) -> Built:
        return failed(conditions) if name == FIRST else world(name, conditions)

    evidence = carried_out(given)
    assert evidence.order == (FIRST, UNTRACED, SECOND, TOGETHER)
    assert found(evidence) == {}


def test_one_experiment_takes_no_more_than_it_needs() -> None:
    def order(*names: str) -> tuple[str, ...]:
        subject = replace(SUBJECT, chosen=names)
        return carried_out(lambda name, conditions, _: world(name, conditions), subject).order

    assert order("network") == (FIRST,)
    assert order("clean") == (FIRST,)
    assert order("twice") == (FIRST, SECOND)
    assert order("umask") == (FIRST, "umask")
    assert order("reproducible") == (FIRST, AGAIN)


def test_files_of_the_build_user_need_root() -> None:
    evidence = carried_out(lambda _, conditions, __: with_file(conditions, owner=1500, group=1500))
    assert "belong to the build user" in found(evidence)["root"]
    fakeroot = replace(SUBJECT, chosen=tuple(name for name in NAMES if name != "root"))
    evidence = carried_out(lambda _, conditions, __: with_file(conditions, owner=1500), fakeroot)
    assert found(evidence) == {}


def test_who_did_it_is_named_with_what_differs_and_what_is_left() -> None:
    actor = Actor("cp odd debian/tmp/odd", "binary")

    def given(_: str, conditions: Conditions, __: int) -> Built:
        return with_file(conditions, content=str(conditions.umask))

    evidence = replace(
        carried_out(given),
        traced=Traced(writers={"debian/tmp/odd": actor, "logs/one": Actor("tee logs/one", "build")}),
        after={"logs": Entry(DIRECTORY), "logs/one": Entry(FILE, "x")},
    )
    by = {one.name: one.actor for e in EXPERIMENTS for one in e.judge(evidence)}
    assert by == {"umask": actor, "clean": Actor("tee logs/one", "build")}


def test_acts_of_one_process_are_one_finding() -> None:
    curl, git = Actor("curl a b c", "build"), Actor("git fetch", "clean")
    acts = (
        Act(Kind.NETWORK, "ask for", "a.example", curl),
        Act(Kind.NETWORK, "ask for", "b.example", curl),
        Act(Kind.NETWORK, "connect to", "192.0.2.1:80", curl, "ENETUNREACH"),
        Act(Kind.HOME, "change", "/nonexistent", git, "EROFS"),
        Act(Kind.NETWORK, "ask for", "git.example", git),
    )
    evidence = replace(carried_out(lambda n, c, _: world(n, c)), traced=Traced(acts))
    findings = [one for e in EXPERIMENTS for one in e.judge(evidence)]
    assert [(one.name, one.actor) for one in findings] == [("network", curl), ("network", git), ("home", git)]
    assert findings[0].text == "tried to reach a.example, b.example and 1 more"
    assert findings[0].evidence[2] == "connect to 192.0.2.1:80: ENETUNREACH"


def test_trees() -> None:
    before = {
        "kept": Entry(FILE, "a"),
        "gone": Entry(FILE),
        "dir": Entry(DIRECTORY),
        "dir/x": Entry(FILE, "x"),
    }
    after = {
        "kept": Entry(stat.S_IFREG | 0o755, "a"),
        "dir": Entry(DIRECTORY | 0o22),
        "dir/x": Entry(FILE, "y"),
        "new": Entry(DIRECTORY),
        "new/a": Entry(FILE),
        "new/a/b": Entry(FILE),
        "empty": Entry(DIRECTORY),
        "empty/too": Entry(DIRECTORY),
    }
    assert changes(before, after) == (
        Change("dir/x", "changed"),
        Change("gone", "removed"),
        Change("kept", "mode"),
        Change("new", "left"),
    )
    assert changes(after, after) == ()
    assert changes(before, before | {"dir/empty": Entry(DIRECTORY)}) == ()
    assert changes({"d": Entry(DIRECTORY), "d/x": Entry(FILE)}, {}) == (Change("d", "removed"),)


def test_packages() -> None:
    one = contents(odd=MEMBER, gone=MEMBER)
    other = contents(odd=Member(stat.S_IFREG | 0o600, 5, 60, "b", 2), new=MEMBER)
    found = differences(one, other)
    assert [(one.path, one.aspect, one.detail) for one in found] == [
        ("gone", "missing", ""),
        ("new", "added", ""),
        ("odd", "mode", "0644, now 0600"),
        ("odd", "owner", "0:0, now 5:60"),
        ("odd", "content", ""),
        ("odd", "time", ""),
    ]
    assert Difference(DEB, "odd", "mode") in found
    assert differences(one, one) == ()
    turned = differences(contents(odd=MEMBER), contents(odd=Member(stat.S_IFLNK | 0o777, 0, 0, "same", 1)))
    assert [one.aspect for one in turned] == ["type"]


def test_who_built_is_root_where_root_packed() -> None:
    mine = contents(odd=replace(MEMBER, owner=1500, group=1500))
    assert as_roots(mine, 1500) == contents(odd=MEMBER)


def test_the_answers_are_read() -> None:
    assert listing.parse(b"100644\0ab\0a b\nc\xff\0" + b"120777\0to\0link\0" + b"\0") == {
        "a b\nc\udcff": Entry(FILE, "ab"),
        "link": Entry(stat.S_IFLNK | 0o777, "to"),
    }
    assert listing.parse(b"\0") == {}
    answer = b'["x.deb", "DEBIAN/control", 33188, 0, 0, "ab", 5]\nnull\n'
    assert members.parse(answer) == {("x.deb", "DEBIAN/control"): Member(33188, 0, 0, "ab", 5)}


@pytest.mark.parametrize("answer", [b"", b"100644\0ab\0name\0", b"100644\0ab\0\0", b"9\0ab\0name\0\0"])
def test_half_a_list_of_a_tree_is_refused(answer: bytes) -> None:
    with pytest.raises(VerificationError):
        listing.parse(answer)


@pytest.mark.parametrize("answer", [b"", b"[]\n", b"[1]\nnull\n", b"{\nnull\n", b"\xff\nnull\n"])
def test_half_a_list_of_packages_is_refused(answer: bytes) -> None:
    with pytest.raises(VerificationError):
        members.parse(answer)


def conduct(evidence: Evidence) -> words.Conduct:
    return words.Conduct(SOURCE, evidence)


def test_findings_count_as_wished() -> None:
    def given(_: str, conditions: Conditions, __: int) -> Built:
        return with_file(conditions, content=str(conditions.umask))

    unchecked = replace(SUBJECT, unchecked={"network": "no strace"})
    umask = conduct(carried_out(given, unchecked))
    assert [state.name for state in umask.states if state.state == "unchecked"] == ["network"]
    assert {
        word: umask.failing((word,)) for word in ("all", "must", "none", "umask", "network", "unchecked")
    } == {
        "all": True,
        "must": False,
        "none": False,
        "umask": True,
        "network": False,
        "unchecked": True,
    }


def asked_of(*only: str, blind: str = "", needs_root: str = "no", **more: Any) -> Subject:
    """The subject for a source that says so."""
    return subject(inputs(source=replace(SOURCE, needs_root=needs_root), **more), only, blind)


def test_what_is_asked_of_a_source() -> None:
    assert asked_of() == Subject(base=Conditions(8), builder=1500, chosen=NAMES)
    assert asked_of("umask", "clean").chosen == ("clean", "umask")
    assert asked_of("umask", blind="no strace").unchecked == {}
    blind = asked_of(blind="no strace").unchecked
    assert blind.keys() == {"network", "home", "outside"}
    assert blind["home"] == "no strace"
    assert asked_of(caller=ALONE).unchecked.keys() == {"root"}


@pytest.mark.parametrize("said", ["", "binary-targets", "dpkg/target-subcommand"])
def test_root_is_no_question_where_it_is_declared(said: str) -> None:
    found = asked_of(needs_root=said)
    assert "root" not in found.chosen
    assert found.idle.keys() == {"root"}
    assert asked_of("clean", needs_root=said).idle == {}


@pytest.mark.parametrize(
    ("dpkg", "build_depends", "asked"),
    [
        ("1.21.22", "debhelper (>= 13)", False),
        ("1.22.6", "debhelper (>= 13), dpkg-build-api (= 0)", False),
        ("1.22.6", "debhelper (>= 13), dpkg-build-api (= 1)", True),
        ("1.22.13", "", True),
        ("1.23.3", "dpkg-build-api (= 0)", True),
    ],
)
def test_newer_dpkg_takes_silence_for_no_root(dpkg: str, build_depends: str, asked: bool) -> None:
    source = replace(SOURCE, relations={"Build-Depends": build_depends})
    told = Told((), {"dpkg-dev:all": "1.22.21", "dpkg:amd64": dpkg})
    found = subject(inputs(source=source, told=told), ("root",), "")
    assert found.checks("root") is asked
    declared = replace(source, needs_root="binary-targets")
    assert not subject(inputs(source=declared, told=told), ("root",), "").checks("root")


def test_one_processor_is_held_against_two_jobs() -> None:
    host = replace(HOST, processors=Processors(1, 1))
    assert asked_of(host=host).base.jobs == 2


def words_of(conditions: Conditions, *options: str, **more: bool) -> str:
    """The command of a build's plan, as one text."""
    made = inputs("-b", *options, view=None)
    return " ".join(plans.build(made, conditions, **more).sandbox.command)


def test_plans_differ_by_their_conditions() -> None:
    plain = "dpkg-buildpackage -us -uc -r/run/bwbuild/as-root -b"
    assert words_of(Conditions(4)) == f"{plain} -J4"
    assert words_of(Conditions(1, confined=True, rooted=True)) == f"{plain} -J1 --rules-requires-root"
    assert words_of(Conditions(4), cleaned=True) == f"{plain} -J4 -tc"
    assert words_of(Conditions(4, umask=0o002)) == f'sh -c umask 0002; exec "$@" bwbuild {plain} -J4'


def test_one_processor_is_all_that_can_be_counted() -> None:
    mounts = plans.build(inputs("-b"), Conditions(1, confined=True, housed=True)).sandbox.mounts
    usual = plans.build(inputs("-b"), Conditions(1)).sandbox.mounts
    assert [str(mount.target) for mount in mounts if mount not in usual] == [
        "/nonexistent",
        "/sys/devices/system/cpu/online",
    ]
    assert mounts[-1] == usual[-1]
    one = replace(HOST, processors=Processors(1, 1))
    assert plans.build(inputs("-b", host=one), Conditions(1, confined=True)).sandbox.mounts == usual


def test_no_build_is_in_memory_alone() -> None:
    workspace = plans.build(inputs("-b"), BASE).sandbox.workspace
    assert workspace.memory is None
    assert workspace.saved is Saved.ALWAYS


@pytest.mark.parametrize("words", ["-S", "-F", "-nc", "-Tclean", "-j", "-J4", "--jobs=2", "-tc"])
def test_options_that_contradict_it(words: str) -> None:
    with pytest.raises(UsageError):
        plans.options_of(buildoptions.parse(words.split()))


def test_binary_packages_are_built_unless_some_of_them_are_asked_for() -> None:
    assert plans.options_of(buildoptions.parse(["-Pnodoc"])).passed == ("-b", "-Pnodoc")
    assert plans.options_of(buildoptions.parse(["-A"])).passed == ("-A",)


def test_what_was_not_checked_is_said() -> None:
    evidence = carried_out(lambda _, conditions, __: failed(conditions))
    texts = [line.text for line in words.lines(conduct(evidence))]
    assert [text for text in texts if text.startswith("not checked: ")] == [
        f"not checked: {', '.join(NAMES)}: the source does not build, and no more than that was seen"
    ]
    assert "does not build: FAIL: one" in texts
    clean = Built(BASE, succeeded=False, contents=contents(), errors=("rm: cannot remove",))
    evidence = carried_out(lambda name, conditions, _: clean if name == FIRST else world(name, conditions))
    assert found(evidence) == {"clean": "fails after a build: rm: cannot remove"}
    assert "not checked: twice: after the first build clean fails" in [
        line.text for line in words.lines(conduct(evidence))
    ]


def test_a_strange_name_is_shown_in_its_nakedness() -> None:
    evidence = replace(
        carried_out(lambda n, c, _: world(n, c)),
        after={"\x1b[2Jgone\n": Entry(FILE)},
        traced=Traced(writers={"\x1b[2Jgone\n": Actor("touch \x1b[2Jgone", "build")}),
    )
    (line,) = [line.text for line in words.lines(conduct(evidence)) if line.text.startswith("clean")]
    assert "\\x1b[2Jgone" in line
    assert line.isprintable()


def test_the_document() -> None:
    actor = Actor("curl a", "build")
    traced = Traced((Act(Kind.NETWORK, "ask for", "a.example", actor),))
    subject = replace(SUBJECT, chosen=("network",), idle={"root": "it says nothing"})
    evidence = replace(carried_out(lambda n, c, _: world(n, c), subject), traced=traced)
    document = words.as_json(conduct(evidence))
    assert document["version"] == 1
    assert document["built"] is True
    assert {row["name"]: row["state"] for row in document["experiments"]} == {
        "network": "found",
        "root": "no-question",
    }
    assert document["findings"] == [
        {
            "name": "network",
            "paragraph": "4.9",
            "text": "tried to reach a.example",
            "evidence": ["ask for a.example: done"],
            "process": {"command": "curl a", "target": "build"},
        }
    ]
    (built,) = document["builds"]
    assert (built["name"], built["umask"], built["jobs"]) == (FIRST, "0022", 4)
