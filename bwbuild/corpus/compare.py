"""Two runs compared: what became of each source, in classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from bwbuild.corpus import noise
from bwbuild.corpus.held import control, differences, members, relations
from bwbuild.corpus.noise import Growth
from bwbuild.corpus.values import Build, Run, Verdict
from bwbuild.units import human_duration, human_size


class Change(Enum):
    """What may be said of a source."""

    NEWLY_FAILING = "newly-failing"
    NEWLY_PASSING = "newly-passing"
    STILL_FAILING = "still-failing"
    FLAKY = "flaky"
    FILES = "files"
    DEPENDENCIES = "dependencies"
    CONTROL = "control"
    SIZE = "size"
    TIME = "time"
    MEMORY = "memory"
    UNDECLARED = "undeclared"
    ADDED = "added"
    REMOVED = "removed"
    UNFINISHED = "unfinished"


#: What each class means, for the help.
MEANING: Mapping[Change, str] = {
    Change.NEWLY_FAILING: "all builds passed, and now all fail",
    Change.NEWLY_PASSING: "all builds failed, and now all pass",
    Change.STILL_FAILING: "all builds failed, and still do",
    Change.FLAKY: "of the new builds some pass and some fail",
    Change.FILES: "packages have other files, or files of another mode or owner",
    Change.DEPENDENCIES: "packages have other relations to packages",
    Change.CONTROL: "packages have other control fields, or there are other packages",
    Change.SIZE: "packages have grown",
    Change.TIME: "the build takes longer",
    Change.MEMORY: "the build takes more memory",
    Change.UNDECLARED: "other packages that are not declared are missing, or other hidden files",
    Change.ADDED: "only the new run has it",
    Change.REMOVED: "only the old run has it",
    Change.UNFINISHED: "the new run has no result of it",
}
#: What a comparison fails on unless it is told otherwise.
DEFAULT = (Change.NEWLY_FAILING,)
_VIEWS: Mapping[Change, Callable[[Build], set[str]]] = {
    Change.FILES: members,
    Change.DEPENDENCIES: relations,
    Change.CONTROL: control,
}
#: How many lines of one class are told of a source.
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Found:
    """Something that changed; ``details``: what, a line each."""

    change: Change
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A source in both runs; ``found`` is empty where nothing changed."""

    subject: str
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """All sources, in the order of their names.

    :ivar drift: by how much a typical build takes longer; it counts as noise.
    :ivar untimed: how many sources have too few samples to tell growth of time and memory.
    """

    comparisons: tuple[Comparison, ...]
    drift: float = 1.0
    untimed: int = 0

    def of(self, changes: Iterable[Change]) -> tuple[Comparison, ...]:
        """The sources in one of these classes."""
        wanted = set(changes)
        return tuple(each for each in self.comparisons if any(item.change in wanted for item in each.found))


def compare(old: Sequence[Run], new: Sequence[Run]) -> Compared:
    """Compare the builds of the runs ``new`` with those of ``old``; several runs are more samples of each."""
    before, after = _by_subject(old), _by_subject(new)
    both = sorted(before.keys() & after.keys())
    timed = [(_walls(before[each]), _walls(after[each])) for each in both]
    drift = noise.drift(pair for pair in timed if min(map(len, pair)) >= noise.LEAST)
    comparisons = [Comparison(each, tuple(_changes(before[each], after[each], drift))) for each in both]
    comparisons += [Comparison(each, (Found(Change.ADDED),)) for each in after.keys() - before.keys()]
    comparisons += [Comparison(each, (Found(Change.REMOVED),)) for each in before.keys() - after.keys()]
    untimed = sum(0 < min(map(len, pair)) < noise.LEAST for pair in timed)
    return Compared(tuple(sorted(comparisons, key=lambda each: each.subject)), drift, untimed)


def _by_subject(runs: Sequence[Run]) -> dict[str, list[Build]]:
    found: dict[str, list[Build]] = {}
    for run in runs:
        for build in run.builds:
            found.setdefault(build.subject or build.key, []).append(build)
    return found


def _with_result(builds: Sequence[Build]) -> list[Build]:
    return [build for build in builds if build.verdict in (Verdict.PASSED, Verdict.FAILED)]


def _passed(builds: Sequence[Build]) -> list[Build]:
    return [build for build in builds if build.verdict is Verdict.PASSED]


def _walls(builds: Sequence[Build]) -> list[float]:
    return [build.wall for build in _passed(builds)]


def _changes(old: Sequence[Build], new: Sequence[Build], drift: float) -> Iterator[Found]:
    before, after = _with_result(old), _with_result(new)
    if not after:
        if any(build.verdict is not Verdict.SKIPPED for build in new):
            yield Found(Change.UNFINISHED, tuple(build.message for build in new if build.message)[:1])
        return
    yield from _verdicts(before, after)
    yield from _undeclared(before, after)
    good, still_good = _passed(before), _passed(after)
    if good and still_good:
        yield from _packages(good, still_good)
        yield from _growth(good, still_good, drift)


def _verdicts(old: Sequence[Build], new: Sequence[Build]) -> Iterator[Found]:
    passed, passes = _passed(old), _passed(new)
    failed = [build for build in new if build.verdict is Verdict.FAILED]
    if passes and failed:
        # What was as unsteady before is nothing new.
        if len(passed) == len(old) and old:
            yield Found(Change.FLAKY, (f"{len(failed)} of {len(new)} builds fail: {_why(failed[0])}",))
    elif failed and old:
        change = Change.NEWLY_FAILING if passed else Change.STILL_FAILING
        yield Found(change, (_why(failed[0]),))
    elif passes and old and not passed:
        yield Found(Change.NEWLY_PASSING)


def _why(build: Build) -> str:
    if build.problems:
        return build.problems[0]
    return f"{build.message}: {build.errors[0].text}" if build.errors else build.message


def _undeclared(old: Sequence[Build], new: Sequence[Build]) -> Iterator[Found]:
    details = [
        *_differences(_union(old, _missed), _union(new, _missed), "misses", "misses no more"),
        *_differences(_union(old, _hidden), _union(new, _hidden), "looks for hidden", "looks no more for"),
    ]
    if details:
        yield Found(Change.UNDECLARED, tuple(details[:MOST_TOLD]))


def _missed(build: Build) -> Iterable[str]:
    return build.undeclared


def _hidden(build: Build) -> Iterable[str]:
    return build.hidden


def _union(builds: Sequence[Build], part: Callable[[Build], Iterable[str]]) -> set[str]:
    return {each for build in builds for each in part(build)}


def _differences(old: set[str], new: set[str], more: str, less: str) -> Iterator[str]:
    yield from (f"{more} {each}" for each in sorted(new - old))
    yield from (f"{less} {each}" for each in sorted(old - new))


def _packages(old: Sequence[Build], new: Sequence[Build]) -> Iterator[Found]:
    for change, view in _VIEWS.items():
        details = differences([view(build) for build in old], [view(build) for build in new])
        if details:
            yield Found(change, _cut(details))


def _cut(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - MOST_TOLD
    return (*lines[:MOST_TOLD], f"and {more} more") if more > 0 else tuple(lines)


# Growth


def _growth(old: Sequence[Build], new: Sequence[Build], drift: float) -> Iterator[Found]:
    yield from _sizes(old, new)
    time = noise.grown(_walls(old), _walls(new), noise.TIME, drift=drift)
    if time:
        yield Found(Change.TIME, (_told(time, human_duration),))
    memory = noise.grown(_memories(old), _memories(new), noise.MEMORY)
    if memory:
        yield Found(Change.MEMORY, (_told(memory, _human_size),))


def _memories(builds: Sequence[Build]) -> list[float]:
    return [float(build.memory) for build in builds]


def _sizes(old: Sequence[Build], new: Sequence[Build]) -> Iterator[Found]:
    before, after = _sizes_of(old), _sizes_of(new)
    details = []
    for name in sorted(before.keys() & after.keys()):
        growth = noise.grown(before[name], after[name], noise.SIZE, samples=1)
        if growth:
            details.append(f"{name}: {_told(growth, _human_size)}")
    if details:
        yield Found(Change.SIZE, _cut(details))


def _sizes_of(builds: Sequence[Build]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for build in builds:
        for artifact in build.artifacts:
            if artifact.name.endswith((".deb", ".udeb")):
                found.setdefault(artifact.name.partition("_")[0], []).append(float(artifact.size))
    return found


def _human_size(size: float) -> str:
    return human_size(round(size))


def _told(growth: Growth, shown: Callable[[float], str]) -> str:
    return f"{shown(growth.old)} -> {shown(growth.new)} (+{growth.share:.0%})"
