"""A planted change of each class is found, and noise is not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bwbuild.corpus import noise
from bwbuild.corpus.compare import Change, Compared, compare
from bwbuild.corpus.values import Artifact, Build, Line, Machine, Package, Run, Verdict

MIB = 1 << 20
PACKAGE = Package(
    "x_1.0-1_amd64.deb",
    (("Package", "x"), ("Version", "1.0-1"), ("Depends", "libc6 (>= 2.3), y (= 1.0-1)"), ("Section", "misc")),
    (
        "-rwxr-xr-x root/root 17 ./usr/bin/x",
        "-rw-r--r-- root/root 3 ./usr/lib/debug/.build-id/ab/cd12.debug",
        "drwxr-xr-x root/root 0 ./usr/lib/debug/.build-id/ab/",
    ),
)
GOOD = Build(
    "x",
    Verdict.PASSED,
    subject="x",
    version="1.0-1",
    wall=10.0,
    memory=100 * MIB,
    artifacts=(Artifact(PACKAGE.name, 1_000_000, "0" * 64), Artifact("x_1.0-1.dsc", 1, "0" * 64)),
    packages=(PACKAGE,),
)
BAD = replace(
    GOOD,
    verdict=Verdict.FAILED,
    message="dpkg-buildpackage failed",
    errors=(Line(3, "error: no"),),
    packages=(),
)


def run(*builds: Build) -> Run:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Run("r", "0.1", now, now, Machine("m", 2, 1, "amd64"), Path("/"), builds=builds)


def repeated(build: Build, number: int = 3) -> Run:
    """The same build several times, each a little different."""
    return run(
        *(
            replace(
                build,
                key=f"{build.key}~{each}",
                wall=build.wall + each / 10,
                memory=build.memory + each * MIB,
            )
            for each in range(number)
        )
    )


def changes(compared: Compared) -> dict[str, set[Change]]:
    return {each.subject: {item.change for item in each.found} for each in compared.comparisons}


def held(**more: object) -> Build:
    return replace(GOOD, packages=(replace(PACKAGE, **more),))  # type: ignore[arg-type]


def with_field(name: str, value: str) -> Build:
    return held(control=tuple((field, value if field == name else old) for field, old in PACKAGE.control))


PLANTED = {
    Change.NEWLY_FAILING: (GOOD, BAD),
    Change.NEWLY_PASSING: (BAD, GOOD),
    Change.STILL_FAILING: (BAD, BAD),
    Change.FILES: (GOOD, held(files=("-rwsr-xr-x root/root 17 ./usr/bin/x", *PACKAGE.files[1:]))),
    Change.DEPENDENCIES: (GOOD, with_field("Depends", "libc6 (>= 2.4), y (= 1.0-1)")),
    Change.CONTROL: (GOOD, with_field("Section", "utils")),
    Change.SIZE: (GOOD, replace(GOOD, artifacts=(replace(GOOD.artifacts[0], size=1_100_000),))),
    Change.TIME: (GOOD, replace(GOOD, wall=14.0)),
    Change.MEMORY: (GOOD, replace(GOOD, memory=150 * MIB)),
    Change.UNDECLARED: (replace(BAD, undeclared=("gcc",)), replace(BAD, undeclared=("g++",))),
    Change.UNFINISHED: (GOOD, replace(GOOD, verdict=Verdict.LEFT)),
}


@pytest.mark.parametrize("change", PLANTED, ids=lambda change: change.value)
def test_a_planted_change_is_found_and_nothing_else(change: Change) -> None:
    old, new = PLANTED[change]
    found = changes(compare([repeated(old)], [repeated(new)]))
    besides = {Change.STILL_FAILING} if change is Change.UNDECLARED else set()
    assert found == {"x": {change} | besides}


def test_what_only_one_run_has_is_added_or_removed() -> None:
    other = replace(GOOD, key="y", subject="y")
    assert changes(compare([run(GOOD)], [run(other)])) == {"x": {Change.REMOVED}, "y": {Change.ADDED}}


def test_an_unsteady_source_is_told_once() -> None:
    unsteady = run(GOOD, BAD, GOOD)
    assert changes(compare([repeated(GOOD)], [unsteady])) == {"x": {Change.FLAKY}}
    assert changes(compare([unsteady], [unsteady])) == {"x": set()}


def test_a_failure_is_told_with_its_first_error() -> None:
    (found,) = compare([run(GOOD)], [run(BAD)]).comparisons
    assert found.found[0].details == ("dpkg-buildpackage failed: error: no",)


def test_a_new_upload_changes_nothing_by_its_version() -> None:
    new = replace(
        with_field("Depends", "libc6 (>= 2.3), y (= 1.0-2)"), version="1.0-2", artifacts=GOOD.artifacts
    )
    files = (
        PACKAGE.files[0],
        "-rw-r--r-- root/root 3 ./usr/lib/debug/.build-id/12/34ef.debug",
        "drwxr-xr-x root/root 0 ./usr/lib/debug/.build-id/12/",
    )
    new = replace(new, packages=(replace(new.packages[0], name="x_1.0-2_amd64.deb", files=files),))
    assert changes(compare([run(GOOD)], [run(new)])) == {"x": set()}


def test_one_sample_says_nothing_of_time() -> None:
    compared = compare([run(GOOD)], [run(replace(GOOD, wall=100.0))])
    assert changes(compared) == {"x": set()}
    assert compared.untimed == 1


def test_several_runs_are_samples() -> None:
    slow = [run(replace(GOOD, wall=20.0 + each)) for each in range(3)]
    assert changes(compare([run(GOOD)] * 3, slow)) == {"x": {Change.TIME}}


def test_a_busier_machine_makes_no_source_slower_but_is_said() -> None:
    def all_of(factor: float, slow: Callable[[int], float]) -> Run:
        return run(
            *(
                replace(
                    GOOD,
                    key=f"{name}{each}",
                    subject=str(name),
                    wall=(10 + name + each / 10) * factor * slow(name),
                )
                for name in range(9)
                for each in range(3)
            )
        )

    compared = compare([all_of(1, lambda name: 1)], [all_of(2, lambda name: 2 if name == 4 else 1)])  # noqa: ARG005
    assert compared.drift == pytest.approx(2)
    assert [each.subject for each in compared.of([Change.TIME])] == ["4"]


def samples(rng: random.Random, number: int) -> Sequence[float]:
    """Times of one build on a shared machine: a floor, some spread, and now and then one that is far off."""
    return [20 * (1 + abs(rng.gauss(0, 0.1))) * (3 if rng.random() < 0.1 else 1) for _ in range(number)]


def test_noise_is_not_reported() -> None:
    rng = random.Random(1)  # noqa: S311 - the same noise in every run of the tests
    found = [noise.grown(samples(rng, 5), samples(rng, 5), noise.TIME) for _ in range(2000)]
    assert sum(growth is not None for growth in found) <= 2


def test_what_has_doubled_is_found_in_the_noise() -> None:
    rng = random.Random(2)  # noqa: S311 - as above
    found = [
        noise.grown(samples(rng, 5), [2 * each for each in samples(rng, 5)], noise.TIME) for _ in range(200)
    ]
    assert sum(growth is not None for growth in found) > 80
