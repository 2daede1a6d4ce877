"""The reading of logs: every kind of suite is understood, and no lost test goes unseen."""

from __future__ import annotations

from collections import Counter

import pytest
import suites


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("# TOTAL: 12", "automake: TOTAL 12"),
        ("# XFAIL: 0", "automake: XFAIL 0"),
        ("\x1b[0;32m# PASS:\x1b[m  12", "automake: PASS 12"),
        ("FAIL: tests/root.sh", "automake: FAIL tests/root.sh"),
        ("Files=3, Tests=51,  2 wallclock secs ( 0.02 usr  0.00 sys)", "perl: Files=3, Tests=51"),
        ("Result: NOTESTS", "perl: Result: NOTESTS"),
        ("t/pod.t .......... skipped: Author tests", "perl: t/pod.t skipped: Author tests"),
        ("======= 78 passed, 2 skipped in 0.30s =======", "pytest: 78 passed, 2 skipped"),
        ("Ran 1 test in 0.001s", "unittest: Ran 1 test"),
        ("OK (skipped=3)", "unittest: OK (skipped=3)"),
        ("ok  \tgithub.com/creack/pty\t0.034s", "go: ok github.com/creack/pty"),
        ("?   \tgithub.com/a/b\t[no test files]", "go: ? github.com/a/b"),
        ("    --- SKIP: TestChown (0.00s)", "go: SKIP TestChown"),
        ("Skipped:            3   ", "meson: Skipped 3"),
        ("4/5 test-run.sh    OK     3.04s   54 subtests passed", "subtests: 54 subtests passed"),
        (" 1/11 bubblewrap / basic  SKIP  0.01s", "meson: bubblewrap / basic SKIP"),
        ("53 commands (51 passed, 2 failed)", "commands: 53 commands (51 passed, 2 failed)"),
        ("# of expected passes\t\t117", "dejagnu: expected passes 117"),
        ("ok 3 - opens a pty", "tap: ok"),
        ("    not ok 4 - inner", "tap: not ok"),
        ("ok # SKIP no FUSE support", "tap: ok # skip"),
        ("ok 7 - later # TODO not yet", "tap: ok # todo"),
        ("checking for setxattr... no", "configure: for setxattr: no"),
        ("checking for grep... /usr/bin/grep", "configure: for grep: grep"),
        ("test 12: skipping, needs root (0.2s)", "skips: test N: skipping, needs root (TIME)"),
        ("/build/x-1.0/t/a: skipped", "skips: a: skipped"),
    ],
)
def test_a_line_is_understood(line: str, result: str) -> None:
    assert result in suites.results(line)


@pytest.mark.parametrize(
    "line",
    ["gcc -o ok ok.c", "dh_auto_test", "okay then", "# PASS: what is this", ""],
)
def test_other_lines_say_nothing(line: str) -> None:
    assert suites.results(line) == Counter()


def test_times_and_places_make_no_difference() -> None:
    one = "Files=1, Tests=2, 0 wallclock secs\nok  \tx\t0.1s\n/home/a/x-1/t: skipped after 3 s\n"
    other = "Files=1, Tests=2, 7 wallclock secs\nok  \tx\t9.9s\n/build/x-1/t: skipped after 12 s\n"
    assert suites.differences(suites.results(one), suites.results(other)) == []


def test_a_test_that_skips_silently_is_a_difference() -> None:
    plain = suites.results("ok 1 - a\nok 2 - b\nResult: PASS\n")
    sandbox = suites.results("ok 1 - a\nok 2 # SKIP no server\nResult: PASS\n")
    found = suites.differences(plain, sandbox)
    assert "-1x tap: ok" in found
    assert "+1x tap: ok # skip" in found


def test_a_suite_that_did_not_run_is_a_difference() -> None:
    assert suites.differences(suites.results("# TOTAL: 5\n"), suites.results("")) == ["-1x automake: TOTAL 5"]
