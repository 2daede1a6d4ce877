"""autopkgtest of a suite: the source's own tests, on the packages that were built, without the network.

The tests' dependencies are installed beforehand, in a layer over the base; the tests that want a machine of
their own, or the world, are skipped by autopkgtest itself, which says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bwbuild.checks.bench import HOME, TREE, Bench, Ended, Room, Subject, unmet
from bwbuild.checks.result import LONGEST, MOST, Count, OwnTest, Result, Verdict, broken, counted
from bwbuild.checks.testcontrol import Group, Reader, of_the_network, together
from bwbuild.errors import DependencyError
from bwbuild.events import Level, Notice
from bwbuild.root.extra import Given, gathered
from bwbuild.root.ground import Layer
from bwbuild.sandbox.identity import BUILD_USER

NAME = "autopkgtest"
#: dpkg-dev and a compiler are in every base.
_TOOLS = "autopkgtest, autodep8, dpkg-dev"
#: As an ordinary user: nobody outside reads what is in the source.
_READ = f"""\
set -eu
if [ -n "$1" ]; then dpkg-source --no-check --no-copy --extract "$1" tree > /dev/null
else cp -r {TREE} tree; fi
cd tree
tests=debian/tests/control
if [ ! -e $tests ] || grep -q '^Testsuite:.*autopkgtest-pkg-' debian/control; then
  if autodep8 > ../found 2> /dev/null && [ -s ../found ]; then tests=../found; fi
fi
[ ! -e $tests ] || cat $tests
"""
#: A chroot is what offers no machine and no container to tests.
_BED = ("--", "chroot", "/")
_LINE = re.compile(r"(\S.*?)\s+(PASS|FAIL|SKIP|FLAKY|NEUTRAL)(?: (.*))?")
_SUMMARY = "summary of the tests:"
#: What autopkgtest writes comes through two programs at once, which mix lines; its file is whole.
_RUN = f"""\
status=0; "$@" || status=$?
echo; echo '{_SUMMARY}'
[ ! -e {HOME}/tests/summary ] || cat {HOME}/tests/summary
exit $status
"""
_WHY = re.compile(r"^(?:autopkgtest \[[\d:]+\]: ERROR: |badpkg: )(.*)$", re.MULTILINE)
#: What autopkgtest's exit status says beyond single tests; below it are bits, of which 2 says skipped.
_FAILED, _NONE, _BAD_PACKAGE, _TROUBLE = 4, 8, 12, 16


def check(bench: Bench, subject: Subject, options: tuple[str, ...]) -> Result:
    """Run the tests of the source.

    :param options: further words for autopkgtest.
    """
    if subject.foreign:
        return Result(NAME, Verdict.SKIP, f"{subject.foreign[0]} can't be installed on this machine")
    with bench.tools(_TOOLS) as layer:
        silent = replace(bench, output=lambda _: None)
        dsc = subject.inside(subject.dsc) if subject.dsc else ""
        ended = silent.run(("sh", "-c", _READ, "sh", dsc), Room((layer,), subject.shown))
    if ended.why or ended.status:
        return broken(NAME, ended.why or f"the source can't be read: {ended.text[-200:]}", ended.seconds)
    if not ended.text.strip():
        return Result(NAME, Verdict.NONE, "the source has no tests")
    network = bench.permits.network is not None
    if not network and (names := of_the_network(ended.text)):
        text = f"denied: the network, which {', '.join(names)} of the tests would need; {bench.remedy}"
        bench.tell(Notice(Level.WARNING, text))
    native = bench.base.suite.architecture
    reader = Reader(bench.built(subject), subject.build_depends, native, network=network)
    return _in_groups(_Run(bench, subject, options), reader.groups(ended.text))


@dataclass(frozen=True, slots=True)
class _Run:
    """What runs of autopkgtest for one source have in common."""

    bench: Bench
    subject: Subject
    options: tuple[str, ...]

    def all(self, depends: str, names: tuple[str, ...] = ()) -> Ended:
        """Run all tests, or those called ``names``, where ``depends`` is installed.

        :raises DependencyError: it can't be.
        """
        given = Given(packages=tuple(str(self.subject.files / name) for name in self.subject.debs))
        wanted = ", ".join(filter(None, (_TOOLS, depends)))
        with gathered(given, self.bench.cache) as extra, self.bench.tools(wanted, extra) as layer:
            return self._in(layer, names)

    def _in(self, layer: Layer, names: tuple[str, ...]) -> Ended:
        subject, permits = self.subject, self.bench.permits
        network = "run" if permits.network else "skip"
        source = subject.inside(subject.dsc) if subject.dsc else f"{TREE}/"
        words = (
            *("sh", "-c", _RUN, "sh"),
            *(NAME, "--no-built-binaries", f"--needs-internet={network}", "--no-apt-fallback"),
            *(f"--user={BUILD_USER}", f"--output-dir={HOME}/tests"),
            *(f"--test-name={name}" for name in names),
            *self.options,
            source,
            *_BED,
        )
        return self.bench.run(words, Room((layer,), subject.shown, as_root=True, permits=permits))


def _in_groups(run: _Run, groups: tuple[Group, ...]) -> Result:
    """All tests at once, or, where their dependencies exclude each other, a group at a time."""
    try:
        return judged(run.all(together(groups)))
    except DependencyError as error:
        if len(groups) == 1:
            return _merged([_not_installable(groups[0], error)])
        text = f"{error.message}; installing the dependencies of each test by itself"
        run.bench.tell(Notice(Level.INFO, text))
    results = []
    for group in groups:
        try:
            results.append(judged(run.all(group.depends, group.names)))
        except DependencyError as error:
            results.append(_not_installable(group, error))
    return _merged(results)


def _not_installable(group: Group, error: DependencyError) -> Result:
    outcome = "skip" if group.optional else "fail"
    reason = f"its dependencies can't be installed: {unmet(error)}"[:LONGEST]
    tests = tuple(OwnTest(name, outcome, reason) for name in group.names)
    return Result(NAME, _verdict(tests), tests=tests)


def _merged(results: list[Result]) -> Result:
    trouble = next((result for result in results if result.verdict is Verdict.BROKEN), None)
    # Each run tells of those that are skipped.
    tests = tuple(dict.fromkeys(test for result in results for test in result.tests))
    seconds = sum(result.seconds for result in results)
    reason = trouble.reason if trouble else ""
    verdict = Verdict.BROKEN if trouble else _verdict(tests)
    return Result(NAME, verdict, reason, _counts(tests), (), tests[:MOST], seconds)


def judged(ended: Ended) -> Result:
    """What a run of autopkgtest comes to."""
    tests = parse(ended.text)
    why = _WHY.findall(ended.text)
    reason = (why[-1] if why else "")[:LONGEST]
    if ended.why or ended.status >= _TROUBLE:
        return broken(NAME, ended.why or f"exit status {ended.status}: {reason}".rstrip(": "), ended.seconds)
    verdict = _verdict(tests)
    if ended.status & _BAD_PACKAGE == _BAD_PACKAGE:
        return Result(NAME, Verdict.FAIL, reason, _counts(tests), (), tests[:MOST], ended.seconds)
    if ended.status == _NONE and not tests:
        return Result(NAME, Verdict.NONE, "the source has no tests", seconds=ended.seconds)
    if not tests or bool(ended.status & _FAILED) is not (verdict is Verdict.FAIL):
        return broken(
            NAME, f"exit status {ended.status} and its summary contradict each other", ended.seconds
        )
    return Result(NAME, verdict, "", _counts(tests), (), tests[:MOST], ended.seconds)


def parse(text: str) -> tuple[OwnTest, ...]:
    """The tests in the summary at the end."""
    _, summary, lines = text.rpartition(f"\n{_SUMMARY}\n")
    # One that is skipped may be there twice.
    return tuple(dict.fromkeys(_tests(lines))) if summary else ()


def _tests(text: str) -> Iterator[OwnTest]:
    for line in text.splitlines():
        match = _LINE.fullmatch(line.rstrip())
        if match and match[1] != "*":
            yield OwnTest(match[1], match[2].lower(), (match[3] or "")[:LONGEST])


def _verdict(tests: tuple[OwnTest, ...]) -> Verdict:
    outcomes = {test.outcome for test in tests}
    if "fail" in outcomes:
        return Verdict.FAIL
    return Verdict.SKIP if outcomes & {"skip", "flaky", "neutral"} else Verdict.PASS


def _counts(tests: tuple[OwnTest, ...]) -> tuple[Count, ...]:
    return counted((test.outcome for test in tests), ("pass", "fail", "flaky", "skip"))
