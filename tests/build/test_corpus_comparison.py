"""``bwbuild corpus compare`` by the real command: planted regressions are found, and noise is not."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from support import Desk, Rules, make_desk, make_tree, need

#: What a source does after the change: name -> its rules before and after, and the class that it must be in.
SIZED = "head -c {} /dev/urandom > debian/tmp/usr/share/big/data"
PLANTED = {
    "breaks": (Rules(), Rules(during="echo 'error: new compiler' >&2; exit 1"), "newly-failing"),
    "mends": (Rules(during="exit 1"), Rules(), "newly-passing"),
    "bad": (Rules(during="exit 1"), Rules(during="exit 1"), "still-failing"),
    "mode": (Rules(), Rules(binary="chmod 600 debian/tmp/usr/share/mode/out"), "files"),
    "needs": (Rules(), Rules(binary="sed -i '/^Package:/a Depends: make' debian/control"), "dependencies"),
    "fields": (Rules(), Rules(binary="sed -i '/^Package:/a Multi-Arch: foreign' debian/control"), "control"),
    "big": (Rules(binary=SIZED.format(100_000)), Rules(binary=SIZED.format(200_000)), "size"),
    "slow": (Rules(), Rules(during="sleep 8"), "time"),
    "same": (Rules(), Rules(), None),
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    need("bwrap", "dpkg-buildpackage")
    return make_desk(tmp_path)


def corpus(desk: Desk, name: str, side: int) -> Path:
    """The sources as they are before (0) or after (1) the change."""
    top = desk.top / name
    for source, sides in PLANTED.items():
        rules = sides[side]
        assert isinstance(rules, Rules)
        make_tree(top / source, rules, name=source)
    return top


def run(desk: Desk, top: Path, name: str, *words: str, status: int = 0) -> None:
    """Build all sources of ``top``, however long a busy machine takes for them."""
    argv = desk.argv("corpus", "run", top, "-b", "--name", name, "--jobs", "2", *words)
    done = subprocess.run(
        argv, cwd=desk.tree, env=desk.environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr


def compared(desk: Desk, old: str, new: str, *words: str) -> dict[str, dict[str, list[str]]]:
    done = desk.run("corpus", "compare", old, new, "--json", *words)
    assert done.status in (0, 15), done.both
    sources = json.loads(done.out)["sources"]
    assert isinstance(sources, dict)
    return sources


@pytest.mark.soak
def test_planted_regressions_are_found_and_noise_is_not(desk: Desk) -> None:
    before, after = corpus(desk, "before", 0), corpus(desk, "after", 1)
    run(desk, before, "old", "--repeat", "3", status=10)
    run(desk, after, "new", "--repeat", "3", status=10)
    found = compared(desk, "old", "new")
    for source, (_, _, change) in PLANTED.items():
        assert list(found[source]) == ([change] if change else []), (source, found[source])
    assert "error: new compiler" in found["breaks"]["newly-failing"][0]
    assert desk.run("corpus", "compare", "old", "new").status == 15
    assert desk.run("corpus", "compare", "old", "new", "--fail-on", "none").status == 0


@pytest.mark.long
@pytest.mark.soak
def test_ten_runs_of_the_same_report_nothing(desk: Desk) -> None:
    top = desk.top / "trees"
    for name in ("one", "two", "three", "four", "five"):
        make_tree(top / name, Rules(binary=SIZED.format(50_000).replace("/big/", f"/{name}/")), name=name)
    names = [f"run{number}" for number in range(10)]
    for name in names:
        run(desk, top, name)
    halves = (",".join(names[:5]), ",".join(names[5:]))
    for old, new in [*pairwise(names), halves, (",".join(names[::2]), ",".join(names[1::2]))]:
        found = compared(desk, old, new, "--fail-on", "all")
        assert not any(found.values()), (old, new, found)


def test_a_new_failure_decides_about_the_exit_status(desk: Desk) -> None:
    top = desk.top / "trees"
    for name in ("breaks", "mode", "same"):
        make_tree(top / name, Rules(), name=name)
    run(desk, top, "old")
    for name in ("breaks", "mode"):
        rules = PLANTED[name][1]
        assert isinstance(rules, Rules)
        (top / name / "debian/rules").write_text(rules.text(name), encoding="utf-8")
    run(desk, top, "new", status=10)
    found = compared(desk, "old", "new")
    assert [list(found[name]) for name in ("breaks", "mode", "same")] == [["newly-failing"], ["files"], []]
    done = desk.run("corpus", "compare", "old", "new")
    assert done.status == 15
    assert "error: new compiler" in done.out
    assert "time and memory of 2 sources were not compared" in done.out
    assert desk.run("corpus", "compare", "old", "new", "--fail-on", "time,size").status == 0
    assert desk.run("corpus", "compare", "old", "new", "--fail-on", "files").status == 15
    assert desk.run("corpus", "compare", "new", "new").status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "b"), "there is no run"),
        (("a,", "b"), "there is no run"),
        (("--fail-on", "x", "a", "b"), "is no class"),
    ],
)
def test_bad_command_lines(desk: Desk, words: tuple[str, ...], message: str) -> None:
    done = desk.run("corpus", "compare", *words)
    assert done.status == 2
    assert message in done.err
