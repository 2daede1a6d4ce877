"""``bwbuild corpus compare`` by the real command: planted regressions are found, and noise is not."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from support import Desk, Rules, make_desk, make_tree, need, wait_for

from bwbuild.corpus.compare import Change

SIZED = "head -c {} /dev/urandom > debian/tmp/usr/share/big/data"
HELD = "python3 -c 'import time; held = bytes(1) * ({} << 20); time.sleep(4)'"


@dataclass(frozen=True, slots=True)
class Planted:
    """What a source does before and after the change, and its classes then; None: it is not there."""

    old: Rules | None
    new: Rules | None
    classes: tuple[str, ...] = ()


PLANTED = {
    "breaks": Planted(Rules(), Rules(during="echo 'error: new compiler' >&2; exit 1"), ("newly-failing",)),
    "mends": Planted(Rules(during="exit 1"), Rules(), ("newly-passing",)),
    "bad": Planted(Rules(during="exit 1"), Rules(during="exit 1"), ("still-failing",)),
    "mode": Planted(Rules(), Rules(binary="chmod 600 debian/tmp/usr/share/mode/out"), ("files",)),
    "needs": Planted(
        Rules(), Rules(binary="sed -i '/^Package:/a Depends: make' debian/control"), ("dependencies",)
    ),
    "fields": Planted(
        Rules(), Rules(binary="sed -i '/^Package:/a Multi-Arch: foreign' debian/control"), ("control",)
    ),
    "big": Planted(Rules(binary=SIZED.format(100_000)), Rules(binary=SIZED.format(200_000)), ("size",)),
    "slow": Planted(Rules(), Rules(during="sleep 8"), ("time",)),
    "hungry": Planted(Rules(during=HELD.format(1)), Rules(during=HELD.format(200)), ("memory",)),
    # Both are installed here and hidden, since the source does not declare them.
    "hidden": Planted(Rules(during="strace -V"), Rules(during="expect -v"), ("still-failing", "undeclared")),
    "young": Planted(None, Rules(), ("added",)),
    "gone": Planted(Rules(), None, ("removed",)),
    "same": Planted(Rules(), Rules()),
}
#: These take more than one kind of run.
ELSEWHERE = {"flaky", "unfinished"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    need("bwrap", "dpkg-buildpackage")
    return make_desk(tmp_path)


def corpus(desk: Desk, name: str, rules: Mapping[str, Rules | None]) -> Path:
    """A directory with a source for each of ``rules``."""
    top = desk.top / name
    for source, one in rules.items():
        if one is not None:
            make_tree(top / source, one, name=source)
    return top


def run(desk: Desk, top: Path, name: str, *words: str, status: int = 0) -> None:
    """Build all sources of ``top``, however long a busy machine takes for them."""
    argv = desk.argv("corpus", "run", top, "-b", "--name", name, "--jobs", "2", *words)
    done = subprocess.run(
        argv, cwd=desk.tree, env=desk.environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr + said(desk, name)


def said(desk: Desk, name: str) -> str:
    """What the builds of a run wrote that came to nothing."""
    shown = json.loads(desk.ok("corpus", "show", "--json", name).out)
    places = [
        Path(shown["directory"]) / build["key"] for build in shown["builds"] if build["verdict"] != "passed"
    ]
    return "\n".join(
        f"== {place.name}\n{(place / 'terminal').read_text(encoding='utf-8', errors='replace')}"
        for place in places
    )


def compared(desk: Desk, old: str, new: str, *words: str) -> dict[str, dict[str, list[str]]]:
    done = desk.run("corpus", "compare", old, new, "--json", *words)
    assert done.status in (0, 15), done.both
    sources = json.loads(done.out)["sources"]
    assert isinstance(sources, dict)
    return sources


def test_every_class_is_planted() -> None:
    planted = {each for one in PLANTED.values() for each in one.classes}
    assert planted | ELSEWHERE == {change.value for change in Change}
    assert not planted & ELSEWHERE


@pytest.mark.soak
def test_planted_regressions_are_found(desk: Desk) -> None:
    need("strace", "expect")
    before = corpus(desk, "before", {name: one.old for name, one in PLANTED.items()})
    after = corpus(desk, "after", {name: one.new for name, one in PLANTED.items()})
    run(desk, before, "old", "--repeat", "3", status=10)
    run(desk, after, "new", "--repeat", "3", status=10)
    found = compared(desk, "old", "new")
    assert {name: set(each) for name, each in found.items()} == {
        name: set(one.classes) for name, one in PLANTED.items()
    }
    assert "error: new compiler" in found["breaks"]["newly-failing"][0]
    assert any("strace" in line for line in found["hidden"]["undeclared"])
    assert any("expect" in line for line in found["hidden"]["undeclared"])
    for change in {each for one in PLANTED.values() for each in one.classes}:
        assert desk.run("corpus", "compare", "old", "new", "--fail-on", change).status == 15
        assert desk.run("corpus", "compare", "old", "old", "--fail-on", change).status == (
            15 if change == "still-failing" else 0
        )
    assert desk.run("corpus", "compare", "old", "new").status == 15
    assert desk.run("corpus", "compare", "old", "new", "--fail-on", "none").status == 0


@pytest.mark.soak
def test_unsteady_and_unfinished_sources_are_found(desk: Desk) -> None:
    rules: dict[str, Rules | None] = {"unsteady": Rules(), "endless": Rules(), "same": Rules()}
    run(desk, corpus(desk, "first", rules), "old")
    # One of the new builds fails, as of a source that fails now and then.
    run(desk, corpus(desk, "second", {**rules, "unsteady": Rules(during="exit 1")}), "second", status=10)
    third = corpus(desk, "third", {**rules, "endless": Rules(during="echo BEGUN; sleep 3600")})
    stopped = desk.start("corpus", "run", third, "-b", "--name", "third", "--jobs", "2")
    wait_for(lambda: verdicts(desk, "third").count("passed") == 2, 300)
    stopped.send_signal(signal.SIGINT)
    wrote = stopped.communicate(timeout=120)[0]
    assert stopped.returncode == 130, wrote
    found = compared(desk, "old", "second,third")
    assert {name: list(each) for name, each in found.items()} == {
        "endless": [],
        "same": [],
        "unsteady": ["flaky"],
    }
    found = compared(desk, "old", "third", "--fail-on", "unfinished")
    assert {name: list(each) for name, each in found.items()} == {
        "endless": ["unfinished"],
        "same": [],
        "unsteady": [],
    }
    assert desk.run("corpus", "compare", "old", "third", "--fail-on", "unfinished").status == 15
    assert desk.run("corpus", "compare", "old", "second,third", "--fail-on", "flaky").status == 15


def verdicts(desk: Desk, name: str) -> list[str]:
    """Of the builds of a run that have ended."""
    done = desk.run("corpus", "show", "--json", name)
    return [build["verdict"] for build in json.loads(done.out)["builds"]] if done.status == 0 else []


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


@pytest.mark.long
def test_a_new_failure_decides_about_the_exit_status(desk: Desk) -> None:
    top = desk.top / "trees"
    for name in ("breaks", "mode", "same"):
        make_tree(top / name, Rules(), name=name)
    run(desk, top, "old")
    for name in ("breaks", "mode"):
        rules = PLANTED[name].new
        assert rules is not None
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
