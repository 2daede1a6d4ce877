"""``bwbuild corpus`` by the real command: many small sources, stopped, killed and taken up again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import support
from support import PATIENCE, Desk, Rules, make_desk, make_tree, need, processes, snapshot


def wait_for(what: Callable[[], object]) -> None:
    """Wait as long as a machine may take that builds other things too."""
    support.wait_for(what, PATIENCE)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    need("bwrap", "dpkg-buildpackage")
    return make_desk(tmp_path)


def trees(desk: Desk, **rules: Rules | None) -> Path:
    """A directory of small sources: name -> what they do besides."""
    top = desk.top / "trees"
    for name, rule in rules.items():
        make_tree(top / name, rule, name=name)
    return top


def state(desk: Desk) -> Path:
    return desk.home / ".local/state/bwbuild/corpus"


def shown(desk: Desk, *words: str) -> Any:
    return json.loads(desk.ok("corpus", "show", "--json", *words).out)


def verdicts(run: Any) -> dict[str, str]:
    return {build["key"]: build["verdict"] for build in run["builds"]}


def test_a_run_builds_all_and_keeps_results_apart(desk: Desk) -> None:
    top = trees(desk, good=None, bad=Rules(during="echo error: broken; exit 1"))
    (top / "no-source" / "debian").mkdir(parents=True)
    make_tree(top / "good-again", name="good")
    before = snapshot(top)
    done = desk.run("corpus", "run", top, "-b", "--name", "first", "--jobs", "2")
    assert done.status == 10, done.both
    assert snapshot(top) == before
    assert "2 passed, 2 failed" in done.out
    run = shown(desk)
    assert verdicts(run) == {"bad": "failed", "good": "passed", "good-2": "passed", "no-source": "failed"}
    bad, good, again, wrong = run["builds"]
    texts = [error["text"] for error in bad["errors"]]
    assert "error: broken" in texts
    assert wrong["status"] == "source"
    log = desk.ok("corpus", "log", "first", "bad").out.splitlines()
    assert [log[error["number"] - 1].strip() for error in bad["errors"] if error["number"]] == texts
    assert good["artifacts"] != again["artifacts"] or good["packages"] == again["packages"]
    assert good["packages"][0]["files"][-1].endswith(" ./usr/share/good/out")
    assert dict(map(tuple, good["packages"][0]["control"]))["Package"] == "good"
    place = state(desk) / "runs/first"
    assert sorted(path.name for path in (place / "good").iterdir()) == ["log", "report.json", "terminal"]
    assert desk.left() == []
    assert "first  " in desk.ok("corpus", "list").out
    assert "error: broken" in desk.ok("corpus", "show", "first", "bad").out
    lines = desk.ok("corpus", "show").out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["bad", "good", "good-2", "no-source", "bwbuild"]


def test_artifacts_stay_where_that_is_wanted(desk: Desk) -> None:
    top = trees(desk, good=None)
    desk.ok("corpus", "run", top, "-b", "--keep-artifacts", "--output", desk.top / "out")
    (build,) = shown(desk)["builds"]
    for artifact in build["artifacts"]:
        path = Path(artifact["path"])
        assert path.parent == desk.top / "out/good/artifacts"
        assert path.stat().st_size == artifact["size"]


def test_a_stopped_run_goes_on(desk: Desk) -> None:
    top = trees(desk, aa=None, bb=Rules(during="sleep 0.5; [ ! -e input ] || sleep 60"))
    child = desk.start("corpus", "run", top, "-b", "--name", "x", "--jobs", "2")
    database = state(desk) / "corpus.sqlite"
    wait_for(lambda: database.exists() and recorded(database) == 1)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130, out
    assert b"corpus run --resume x" in out
    assert verdicts(shown(desk, "x")) == {"aa": "passed", "bb": "left"}
    assert "stopped" in desk.ok("corpus", "list").out
    assert desk.left() == []
    rules = (top / "bb/debian/rules").read_text().replace("sleep 60", "true")
    (top / "bb/debian/rules").write_text(rules)
    done = desk.ok("corpus", "run", "--resume")
    assert "aa: begins" not in done.err
    assert verdicts(shown(desk, "x")) == {"aa": "passed", "bb": "passed"}


def recorded(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        try:
            (number,) = connection.execute("SELECT count(*) FROM build").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(number)


def sleeping(seconds: int) -> bool:
    """Whether a build is at its ``sleep``; each test has seconds of its own."""
    return bool(processes(f"sleep\x00{seconds}"))


def test_a_killed_run_loses_what_was_going_on_and_leaves_no_process(desk: Desk) -> None:
    top = trees(desk, aa=None, bb=Rules(during="sleep 4141"))
    child = desk.start("corpus", "run", top, "-b", "--name", "x", "--jobs", "2")
    wait_for(
        lambda: (state(desk) / "corpus.sqlite").exists() and recorded(state(desk) / "corpus.sqlite") == 1
    )
    wait_for(lambda: sleeping(4141))
    child.kill()
    child.communicate()
    wait_for(lambda: not sleeping(4141) and not processes(str(desk.top / "trees")))
    (top / "bb/debian/rules").write_text((top / "bb/debian/rules").read_text().replace("sleep 4141", "true"))
    desk.ok("corpus", "run", "--resume", "x")
    assert verdicts(shown(desk, "x")) == {"aa": "passed", "bb": "passed"}
    assert desk.left() == []


def test_a_second_signal_stops_at_once(desk: Desk) -> None:
    top = trees(desk, aa=Rules(during="trap '' INT TERM; sleep 4343"))
    child = desk.start("corpus", "run", top, "-b", "--name", "x")
    wait_for(lambda: sleeping(4343))
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert verdicts(shown(desk, "x")) == {"aa": "left"}


def test_a_child_that_is_killed_is_one_failed_job(desk: Desk) -> None:
    top = trees(desk, aa=Rules(during="sleep 5353"), bb=None)
    child = desk.start("corpus", "run", top, "-b", "--name", "x", "--jobs", "1")
    wait_for(lambda: sleeping(5353))
    for pid, words in processes(str(state(desk) / "runs/x/aa/report.json")):
        if "-m bwbuild build" in words:
            os.kill(pid, signal.SIGKILL)
    out, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == 10, out
    first, second = shown(desk, "x")["builds"]
    assert (first["verdict"], first["exit_status"]) == ("failed", -9)
    assert "signal 9" in first["message"]
    assert second["verdict"] == "passed"
    assert not sleeping(5353)


def test_two_runs_at_once(desk: Desk) -> None:
    top = trees(desk, aa=None, bb=None)
    children = [desk.start("corpus", "run", top, "-b", "--name", name) for name in ("x", "y")]
    for child in children:
        out, _ = child.communicate(timeout=120)
        assert child.returncode == 0, out
    assert verdicts(shown(desk, "x")) == verdicts(shown(desk, "y")) == {"aa": "passed", "bb": "passed"}


def test_a_run_that_goes_on_is_not_taken_up_twice(desk: Desk) -> None:
    top = trees(desk, aa=Rules(during="sleep 5"))
    child = desk.start("corpus", "run", top, "-b", "--name", "x")
    wait_for(lambda: "running" in desk.ok("corpus", "list").out)
    done = desk.run("corpus", "run", "--resume", "x")
    assert done.status == 2
    assert "going on" in done.err
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=PATIENCE)


def test_a_script_of_an_expectation_reaches_nothing_but_the_copy(desk: Desk) -> None:
    top = desk.top / "trees"
    outside = desk.top / "outside"
    outside.write_text("mine")
    scripts = {"inside": "touch ../beside", "reads": f"cat {outside}", "writes": f"echo > {outside}"}
    for name, script in scripts.items():
        make_tree(top / name / "tree", name=name)
        artifacts = [f"{name}_1_all.deb", f"{name}_1_ARCH.buildinfo", f"{name}_1_ARCH.changes"]
        text = f'what = "It builds."\nstatus = "success"\noptions = ["-b"]\nsetup = "{script}"\n'
        (top / name / "expect.toml").write_text(f"{text}artifacts = {artifacts}\n")
    before = snapshot(top)
    done = desk.run("corpus", "run", top, "--name", "x")
    assert done.status == 10, done.both
    assert verdicts(shown(desk, "x")) == {"inside": "passed", "reads": "failed", "writes": "failed"}
    assert "setup of expect.toml failed" in done.out
    assert outside.read_text() == "mine"
    assert snapshot(top) == before


def test_a_source_that_is_gone_when_its_turn_comes_is_one_failed_job(desk: Desk) -> None:
    top = trees(desk, aa=Rules(during="sleep 2"), bb=None)
    (desk.top / "list").write_text(f"{top}/aa\n{top}/bb # twice\n{top}/aa/../bb\n", encoding="utf-8")
    child = desk.start("corpus", "run", f"@{desk.top}/list", "-b", "--name", "x", "--jobs", "1")
    wait_for((state(desk) / "runs/x/aa/log").exists)
    (top / "bb").rename(top / "elsewhere")
    out, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == 10, out
    assert verdicts(shown(desk, "x")) == {"aa": "passed", "bb": "failed"}
    assert b"named more than once" in out


def test_a_full_disk_stops_the_run_in_order(desk: Desk) -> None:
    """The run's directory is on a file system of 40 MiB, of which a build's log takes all."""
    small = desk.top / "small"
    small.mkdir()
    top = trees(desk, aa=None, bb=Rules(during="head -c 60000000 /dev/zero | tr '\\\\0' x | fold -w 70"))
    script = (
        f"mount -t tmpfs -o size=40m none {small} && cd {desk.tree} && "
        f'"$@" corpus run {top} -b --name x --jobs 1 --output {small}/run; status=$?; '
        f"rm -rf {small}/run/bb; exit $status"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *desk.argv()],
        env=desk.environment | {"BWBUILD_IDENTITY": "single", "BWBUILD_VIEW": "host"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 14, done.stdout + done.stderr
    assert "No space left on device" in done.stderr
    assert "--resume x" in done.stdout
    assert verdicts(shown(desk, "x"))["bb"] == "left"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((".", "--report", "x"), "--report is for one build"),
        ((".", "--in-place"), "a corpus never writes into its sources"),
        (("hello",), "needs a suite"),
        (("--resume", "nobody"), "there is no run nobody"),
        ((".", "--keep", "x"), "--keep is 'x'"),
        ((".", "--name", "a/b"), "no name of a run"),
        (("--from", "nowhere"), "nowhere can't be read"),
        ((), "no source to build"),
    ],
)
def test_bad_command_lines(desk: Desk, words: tuple[str, ...], message: str) -> None:
    done = desk.run("corpus", "run", *words)
    assert done.status in (2, 5)
    assert message in done.err
    assert not (state(desk) / "runs").exists()


def test_events_tell_other_programs(desk: Desk) -> None:
    desk.ok("-b", "--events", desk.top / "events")
    events = [json.loads(text) for text in (desk.top / "events").read_text(encoding="ascii").splitlines()]
    assert [event["event"] for event in events][:1] == ["stream"]
    assert events[-1]["event"] == "end"
    assert events[-1]["own_memory"] > 1 << 20
    assert {"debian/rules binary"} <= {event["name"] for event in events if event["event"] == "step"}
    done = desk.run("-b", "--events", desk.top / "none/events")
    assert done.status == 14
    assert "none/events" in done.err


def test_a_reader_of_events_that_goes_away_ends_no_build(desk: Desk) -> None:
    os.mkfifo(desk.top / "fifo")
    child = desk.start("-b", "--events", desk.top / "fifo")
    with (desk.top / "fifo").open("rb") as stream:
        assert b"stream" in stream.readline()
    out, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, out
