"""What checks write, and what it comes to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from made_plans import inputs
from test_report import NOON, SUCCESS

from bwbuild.build import asked
from bwbuild.build.record import findings
from bwbuild.build.record.report import Failure, to_json
from bwbuild.build.record.summary import outcome, summary_values
from bwbuild.checks import autopkgtest, lintian, piuparts, testcontrol
from bwbuild.checks.bench import Ended
from bwbuild.checks.result import MOST, Count, OwnTest, Result, Tag, Verdict, broken, judge
from bwbuild.config.kinds import Choice, Several, Text
from bwbuild.config.layers import from_environment, from_toml, resolve
from bwbuild.config.settings import FailOn, Settings
from bwbuild.deb.buildoptions import parse
from bwbuild.errors import CheckError, ConfigurationError, ExitStatus, HostError, SourceError
from bwbuild.events import Level
from bwbuild.sandbox.spec import Identity, IdentityKind

RANGE = Identity(IdentityKind.RANGE, 1000, 1000)

#: What lintian 2.116 writes.
LINTIAN = """\
W: tiny source: inconsistent-maintainer Jane <jane@example.org> (changes vs. source) <jane@EXAMPLE.org>
E: tiny changes: bad-distribution-in-changes-file nosuch
E: tiny: no-copyright-file
W: tiny: executable-not-elf-or-script [usr/share/tiny/out]
N:
N:   a description E: tiny: not-a-tag
I: libtiny2++: hardening-no-fortify-functions [usr/lib/x86_64-linux-gnu/libtiny.so.2]
O: tiny: no-manual-page [usr/bin/tiny]
P: tiny source: package-uses-old-debhelper-compat-version 12
N: 1 hint overridden (1 warning)
"""


def test_tags_of_lintian() -> None:
    tags = lintian.parse(LINTIAN)
    assert [(tag.severity, tag.package, tag.kind, tag.tag) for tag in tags] == [
        ("warning", "tiny", "source", "inconsistent-maintainer"),
        ("error", "tiny", "changes", "bad-distribution-in-changes-file"),
        ("error", "tiny", "binary", "no-copyright-file"),
        ("warning", "tiny", "binary", "executable-not-elf-or-script"),
        ("info", "libtiny2++", "binary", "hardening-no-fortify-functions"),
        ("overridden", "tiny", "binary", "no-manual-page"),
        ("pedantic", "tiny", "source", "package-uses-old-debhelper-compat-version"),
    ]
    assert tags[1].info == "nosuch"
    assert tags[2].info == ""


@pytest.mark.parametrize(
    ("text", "verdict", "summary"),
    [
        (LINTIAN, Verdict.ERROR, "error: 2 errors, 2 warnings, 1 info, 1 pedantic, 1 overridden"),
        ("W: a: b\nI: a: c\nI: a: d\n", Verdict.WARNING, "warning: 1 warning, 2 infos"),
        ("I: a: b\n", Verdict.INFO, "info: 1 info"),
        ("O: a: b\n", Verdict.PASS, "pass: 1 overridden"),
        ("", Verdict.PASS, "pass"),
    ],
)
def test_verdict_of_lintian(text: str, verdict: Verdict, summary: str) -> None:
    result = lintian.judged(Ended(0, text, 1.5))
    assert (result.verdict, result.text, result.seconds) == (verdict, summary, 1.5)


def test_lintian_that_fails() -> None:
    result = lintian.judged(Ended(255, "Unknown option: nosuch\n\n"))
    assert (result.verdict, result.reason) == (Verdict.BROKEN, "exit status 255: Unknown option: nosuch")
    result = lintian.judged(Ended(0, "E: a: b\n", why="it was killed"))
    assert result.text == "could not be run: it was killed"


def test_many_tags_are_counted_and_not_all_held() -> None:
    result = lintian.judged(Ended(0, f"W: a: b {'x' * 10000}\n" * (MOST + 1)))
    assert result.counts == (Count("warning", MOST + 1),)
    assert len(result.tags) == MOST
    assert len(result.tags[0].info) == 500


@pytest.mark.parametrize(
    ("verdict", "limits", "fails"),
    [
        (Verdict.ERROR, ["lintian=error"], True),
        (Verdict.ERROR, ["lintian=info"], True),
        (Verdict.WARNING, ["lintian=error"], False),
        (Verdict.WARNING, ["lintian=warning"], True),
        (Verdict.INFO, ["lintian=warning"], False),
        (Verdict.PASS, ["lintian=info"], False),
        (Verdict.BROKEN, ["lintian=error"], True),
        (Verdict.ERROR, ["piuparts=fail", "autopkgtest=skip"], False),
        (Verdict.ERROR, [], False),
    ],
)
def test_what_counts_as_a_failure(verdict: Verdict, limits: list[str], fails: bool) -> None:
    result = Result("lintian", verdict, counts=(Count("error", 2),))
    assert result.counts_as_failure(limits) is fails
    if fails:
        with pytest.raises(CheckError, match=r"^lintian: ") as caught:
            judge([Result("piuparts", Verdict.PASS), result], limits)
        assert "published" in caught.value.hint
    else:
        judge([result], limits)


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("level", ["fail", "skip"])
def test_what_counts_of_tests(verdict: Verdict, level: str) -> None:
    result = Result("autopkgtest", verdict)
    bad = {Verdict.FAIL, Verdict.BROKEN} | ({Verdict.SKIP} if level == "skip" else set())
    assert result.counts_as_failure([f"autopkgtest={level}"]) is (verdict in bad)


#: What autopkgtest 5.28 writes at its end, and its file with the summary.
AUTOPKGTEST = """\
good                 PASS
bad                  FAIL non-zero exit status 3autopkgtest [12:55:28]: @@@@@@@@@@@@@@@@@@@@ summary
other                PASS

summary of the tests:
machine              SKIP Test restriction "isolation-machine" requires testbed capability "isolation-machine"
machine              SKIP Test restriction "isolation-machine" requires testbed capability "isolation-machine"
good                 PASS
a-name-longer-than-the-column PASS
bad                  FAIL non-zero exit status 3
shaky                FLAKY stderr: oops
"""


def test_tests_of_autopkgtest() -> None:
    result = autopkgtest.judged(Ended(6, AUTOPKGTEST, 2.0))
    assert [(test.name, test.outcome) for test in result.tests] == [
        ("machine", "skip"),
        ("good", "pass"),
        ("a-name-longer-than-the-column", "pass"),
        ("bad", "fail"),
        ("shaky", "flaky"),
    ]
    assert result.tests[0].reason.startswith("Test restriction ")
    assert (result.verdict, result.text) == (Verdict.FAIL, "fail: 2 pass, 1 fail, 1 flaky, 1 skip")


@pytest.mark.parametrize(
    ("status", "summary", "verdict"),
    [
        (0, "one PASS\n", Verdict.PASS),
        (2, "one PASS\ntwo SKIP it wants a machine\n", Verdict.SKIP),
        (8, "two SKIP it wants a machine\n", Verdict.SKIP),
        (8, "* SKIP no tests in this package\n", Verdict.NONE),
        (8, "one PASS (superficial)\n", Verdict.PASS),
        (4, "one FAIL timed out\n", Verdict.FAIL),
        (0, "", Verdict.BROKEN),
        (0, "one FAIL timed out\n", Verdict.BROKEN),
        (4, "one PASS\n", Verdict.BROKEN),
        (16, "", Verdict.BROKEN),
    ],
)
def test_verdict_of_autopkgtest(status: int, summary: str, verdict: Verdict) -> None:
    text = f"autopkgtest [01:02:03]: test one\n\nsummary of the tests:\n{summary}"
    assert autopkgtest.judged(Ended(status, text)).verdict is verdict


def test_package_that_autopkgtest_refuses() -> None:
    text = "blame: /mnt/a.dsc\nbadpkg: it fails\nautopkgtest [01:02:03]: ERROR: erroneous package: it fails\n"
    result = autopkgtest.judged(Ended(12, text))
    assert (result.verdict, result.reason) == (Verdict.FAIL, "erroneous package: it fails")
    result = autopkgtest.judged(Ended(16, "autopkgtest [01:02:03]: ERROR: testbed failure: gone\n"))
    assert result.text == "could not be run: exit status 16: testbed failure: gone"


CONTROL = """\
# a comment
Tests: one, two
Depends: @, python3:any | python (>= 2),
 libfoo [s390x],
 bar (>= 2) [amd64] <!nocheck>

Tests: whole
Restrictions: isolation-machine, allow-stderr
Depends: nosuch

Test-Command: true

Test-Command: false
Features: test-name=named
Restrictions: needs-recommends build-needed skip-not-installable

Tests: triggers
Restrictions: hint-testsuite-triggers
Depends: other
"""


def test_what_tests_depend_on() -> None:
    built = testcontrol.packages(
        "Package: tiny\nVersion: 1:2\nRecommends: cowsay | fortune,\n sl\n\nPackage: libt\nVersion: 3\n\n"
    )
    reader = testcontrol.Reader(built, "debhelper-compat (= 13), python3 <!nocheck>", "amd64")
    groups = reader.groups(CONTROL)
    assert [(group.names, group.optional) for group in groups] == [
        (("one", "two"), False),
        (("command1",), False),
        (("named",), True),
    ]
    both = "tiny (= 1:2), libt (= 3)"
    assert groups[0].depends == f"{both}, python3:any, bar (>= 2)"
    assert groups[1].depends == both
    assert groups[2].depends == f"{both}, cowsay, sl, build-essential, debhelper-compat (= 13), python3"
    assert testcontrol.together(groups).count("tiny (= 1:2)") == 1
    assert reader.groups("Tests: one\nDepends:\n")[0].depends == ""
    with pytest.raises(SourceError, match=r"debian/tests/control: Depends has '@@'"):
        reader.groups("Tests: one\nDepends: @@\n")


#: What piuparts 1.1.7 writes, as far as it matters.
LEFT = """\
0m28.9s DEBUG: Recording chroot state
0m28.9s ERROR: FAIL: Package purging left files on system:
  /var/lib/leftover\t not owned

0m28.9s ERROR: FAIL: Installation and purging test.
0m52.9s ERROR: piuparts run ends.
"""
PURGE = """\
0m17.9s ERROR: Command failed (status=1): ['chroot', '/home/check/tmp/tmp77a1', 'dpkg', '--purge', 'bwt-bad']
  (Reading database ...
  dpkg: error processing package bwt-bad (--purge):
0m29.9s ERROR: piuparts run ends.
"""


@pytest.mark.parametrize(
    ("status", "text", "verdict", "reason"),
    [
        (0, "0m9.4s INFO: PASS: All tests.\n0m9.4s INFO: piuparts run ends.\n", Verdict.PASS, ""),
        (1, LEFT, Verdict.FAIL, "Package purging left files on system: /var/lib/leftover\t not owned"),
        (1, PURGE, Verdict.FAIL, "Command failed (status=1): dpkg --purge bwt-bad"),
        (0, "nothing", Verdict.BROKEN, "exit status 0: nothing"),
        (127, "sh: 1: piuparts: not found\n", Verdict.BROKEN, "exit status 127: sh: 1: piuparts: not found"),
    ],
)
def test_verdict_of_piuparts(status: int, text: str, verdict: Verdict, reason: str) -> None:
    result = piuparts.judged(Ended(status, text))
    assert (result.verdict, result.reason) == (verdict, reason)


# Settings


def test_lists_of_settings() -> None:
    limits = Several(Choice(FailOn))
    assert limits.from_text("lintian=error piuparts=fail") == (FailOn.LINTIAN_ERROR, FailOn.PIUPARTS_FAIL)
    assert limits.from_toml(["lintian=info"]) == (FailOn.LINTIAN_INFO,)
    assert limits.shown((FailOn.LINTIAN_INFO, FailOn.PIUPARTS_FAIL)) == "lintian=info piuparts=fail"
    words = Several(Text("OPTION"))
    assert words.from_text("'a b' --c") == ("a b", "--c")
    assert words.from_text(words.shown(("a b", "'"))) == ("a b", "'")
    for wrong in ("lintian=fatal", "lintian", "'"):
        with pytest.raises(ValueError, match=r"one of lintian=error|as a shell reads"):
            limits.from_text(wrong)
    with pytest.raises(ValueError, match="a list"):
        limits.from_toml("lintian=error")


def test_later_lists_replace_earlier_ones() -> None:
    file = from_toml({"lintian": True, "fail-on": ["lintian=error", "piuparts=fail"]}, "config.toml")
    here = from_environment({"BWBUILD_FAIL_ON": "lintian=warning", "BWBUILD_LINTIAN_OPT": "-i --tags=a,b"})
    found = resolve([file, here]).settings
    assert asked.limits(found) == ("lintian=warning",)
    assert found.lintian_opt == ("-i", "--tags=a,b")
    with pytest.raises(ConfigurationError, match="fail-on is 'lintian=error'"):
        from_toml({"fail-on": "lintian=error"}, "config.toml")


def test_what_is_said_before_the_build() -> None:
    plain = inputs(settings=Settings(fail_on=(FailOn.LINTIAN_ERROR,)))
    assert asked.checks(plain.settings) == ()
    (note,) = asked.notes(plain, RANGE)
    assert (note.level, "without --lintian" in note.text) == (Level.WARNING, True)
    wanted = replace(plain, settings=replace(plain.settings, lintian=True))
    (note,) = asked.notes(wanted, RANGE)
    assert "base of this machine's release" in note.text
    assert asked.notes(replace(wanted, command=("true",)), RANGE) == ()
    (note,) = asked.notes(replace(wanted, options=parse(["-T", "clean"])), RANGE)
    assert "nothing to check" in note.text
    with pytest.raises(HostError, match="subordinate ids"):
        asked.notes(wanted, Identity(IdentityKind.SINGLE, 0, 0))


# Shown

RESULTS = (
    Result(
        "lintian",
        Verdict.ERROR,
        counts=(Count("error", 1), Count("info", 12)),
        tags=(
            *(Tag("info", "a", "binary", "b", "") for _ in range(12)),
            Tag("error", "a", "source", "bad\x1b[1m", "[x]"),
        ),
    ),
    Result(
        "autopkgtest",
        Verdict.FAIL,
        counts=(Count("pass", 1), Count("fail", 1)),
        tests=(OwnTest("one", "pass", ""), OwnTest("two", "fail", "non-zero exit status 1")),
    ),
    broken("piuparts", "it was killed"),
)


def test_findings_on_the_terminal_and_in_the_summary() -> None:
    report = replace(SUCCESS, checks=RESULTS)
    texts = [line.text for line in outcome(report)]
    start = texts.index("lintian:")
    assert texts[start : start + 5] == [
        "lintian:",
        "  E: a source: bad\\x1b[1m [x]",
        "",
        "autopkgtest:",
        "  fail two: non-zero exit status 1",
    ]
    assert "Lintian:     error: 1 error, 12 infos" in texts
    assert "Piuparts:    could not be run: it was killed" in texts
    values = summary_values(report)
    assert [values[key] for key in ("Lintian", "Autopkgtest", "Piuparts")] == ["error", "fail", "failed"]
    assert [item["verdict"] for item in json.loads(to_json(report))["checks"]] == ["error", "fail", "broken"]


def test_no_more_findings_than_a_terminal_holds() -> None:
    tags = tuple(Tag("warning", "a", "binary", f"b{number}", "") for number in range(12))
    lines = findings.lines([Result("lintian", Verdict.WARNING, tags=tags)])
    assert len(lines) == 13
    assert lines[-2].text == "  and 2 more, which the log has"


def test_files_are_shown_though_a_check_failed() -> None:
    error = CheckError("lintian: error: 1 error", hint="look")
    report = replace(SUCCESS, status=ExitStatus.CHECK_FAILED, failure=Failure.of(error), finished=NOON)
    texts = [line.text for line in outcome(report)]
    assert any(text.startswith("hello_2.10-3_amd64.deb ") for text in texts)
    assert texts[-1] == "hint: look"
    assert any("error: hello 1:2.10-3 (amd64): lintian: error: 1 error" in text for text in texts)
