"""The experiments: each rule of Debian Policy with how it is tried and judged."""

from __future__ import annotations

from dataclasses import replace

from bwbuild.conduct import judge
from bwbuild.conduct.values import Experiment

EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "network",
        "4.9",
        "required targets must not attempt network access, except to services that the build started",
        judge.network,
        traced=True,
    ),
    Experiment(
        "home",
        "4.9",
        "required targets must not attempt to write into HOME",
        judge.home,
        lambda conditions: replace(conditions, housed=True),
        traced=True,
    ),
    Experiment(
        "outside",
        "4.9",
        "required targets must not attempt to write outside of the tree, other than packages, or to /tmp",
        judge.outside,
        traced=True,
    ),
    Experiment("clean", "4.9", "clean must undo any effects of build and binary", judge.clean),
    Experiment("twice", "4.9", "after clean the tree must build again, to the same result", judge.twice),
    Experiment(
        "root",
        "5.6.31",
        "with Rules-Requires-Root: no neither root nor fakeroot must be needed",
        judge.root,
        lambda conditions: replace(conditions, rooted=True),
    ),
    Experiment(
        "processors",
        "4.15",
        "the result should not depend on the number of processors",
        judge.processors,
        lambda conditions: replace(conditions, jobs=1, confined=True),
    ),
    Experiment(
        "umask",
        "4.15",
        "the result should not depend on the umask",
        judge.umask,
        lambda conditions: replace(conditions, umask=0o002),
    ),
    Experiment("reproducible", "4.15", "building again should give the same packages", judge.reproducible),
)
NAMES = tuple(experiment.name for experiment in EXPERIMENTS)


def experiment(name: str) -> Experiment:
    """The experiment of that name."""
    return next(one for one in EXPERIMENTS if one.name == name)
