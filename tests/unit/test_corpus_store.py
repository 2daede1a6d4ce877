from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from bwbuild.corpus import database
from bwbuild.corpus.store import Plan, Store, carrying_out, new_run
from bwbuild.corpus.values import Artifact, Build, Job, Kind, Machine, Package, Run, Verdict
from bwbuild.errors import OutputError, UsageError

MACHINE = Machine("here", 2, 1 << 30, "amd64")
JOBS = [Job(key, Kind.NAME, key, ("-b",), subject=key) for key in ("a", "b", "c")]
GOOD = Build(
    "a",
    Verdict.PASSED,
    subject="a",
    wall=1.5,
    artifacts=(Artifact("a_1_all.deb", 3, "0" * 64),),
    packages=(Package("a_1_all.deb", (("Package", "a"),), ("-rw-r--r-- root/root 1 ./x", "x"), False),),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def begin(store: Store, name: str = "", output: Path | None = None) -> Run:
    return store.begin(new_run(name, MACHINE, ("-b",)), Plan(3, keep=True), JOBS, output)


def test_what_was_recorded_comes_back(store: Store) -> None:
    run = begin(store)
    store.record(run, [GOOD, Build("c", Verdict.LEFT)])
    found = store.run(run.name)
    assert [build.verdict.value for build in found.builds] == ["passed", "left", "left"]
    assert found.builds[0] == GOOD
    assert found.options == ("-b",)
    assert found.machine == MACHINE
    assert found.directory.is_dir()
    assert store.run(run.name, packages=False).builds[0].packages == ()


def test_what_is_left_is_what_has_no_result(store: Store) -> None:
    run = begin(store)
    assert store.plan(run.name) == (Plan(3, keep=True), tuple(JOBS))
    store.record(run, [GOOD])
    assert [job.key for job in store.plan(run.name)[1]] == ["b", "c"]


def test_a_later_result_takes_the_place_of_an_earlier_one(store: Store) -> None:
    run = begin(store)
    store.record(run, [Build("a", Verdict.FAILED, artifacts=GOOD.artifacts * 2)])
    store.record(run, [GOOD])
    assert store.run(run.name).builds[0] == GOOD


def test_names_are_made_found_and_refused(store: Store) -> None:
    first, second, named = begin(store), begin(store), begin(store, "gcc-14")
    assert first.name.endswith(".1")
    assert second.name.endswith(".2")
    assert store.find() == "gcc-14"
    assert store.find("gcc") == "gcc-14"
    with pytest.raises(UsageError, match="may be"):
        store.find(first.name[:4])
    with pytest.raises(UsageError, match="there is no run x"):
        store.find("x")
    with pytest.raises(UsageError, match="already"):
        begin(store, named.name)
    with pytest.raises(UsageError, match="no name"):
        begin(store, "../x")


def test_there_is_no_run_yet(store: Store) -> None:
    assert store.listed() == []
    with pytest.raises(UsageError, match="no run yet"):
        store.find()
    assert not store.path.exists()


def test_a_run_in_a_directory_that_has_something_is_not_begun(store: Store, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    with pytest.raises(OutputError, match="not empty"):
        begin(store, "x", tmp_path / "full")
    assert store.names() == []


def test_only_one_carries_a_run_out(store: Store) -> None:
    run = begin(store)
    with carrying_out(run):
        assert [item.state for item in store.listed()] == ["running"]
        with pytest.raises(UsageError, match="going on"), carrying_out(run):
            pass
    assert [item.state for item in store.listed()] == ["stopped"]
    store.end(run, "")
    assert [item.state for item in store.listed()] == ["finished"]


def test_a_run_whose_directory_was_removed_goes_on(store: Store) -> None:
    run = begin(store)
    shutil.rmtree(run.directory)
    with carrying_out(run):
        assert run.directory.is_dir()


def test_a_database_of_a_newer_version_is_refused_and_stays(store: Store) -> None:
    begin(store)
    with sqlite3.connect(store.path) as connection:
        connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    before = store.path.read_bytes()
    with pytest.raises(OutputError, match=f"version {database.VERSION + 1}, this bwbuild knows version"):
        store.listed()
    assert store.path.read_bytes() == before


def test_a_database_of_an_older_version_is_brought_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(store)
    store.record(run, [GOOD])
    new = database.VERSION + 1
    monkeypatch.setattr(database, "VERSION", new)
    monkeypatch.setattr(database, "_STEPS", {new - 1: "ALTER TABLE run ADD COLUMN note TEXT"})
    assert store.run(run.name).builds[0] == GOOD
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (new,)
        assert connection.execute("SELECT note FROM run").fetchone() == (None,)


def test_what_is_no_database_is_named_and_stays(store: Store) -> None:
    store.place.mkdir()
    store.path.write_text("my notes " * 1000)
    with pytest.raises(OutputError, match=r"corpus\.sqlite can't be used: file is not a database"):
        begin(store)
    assert store.path.read_text() == "my notes " * 1000


def test_a_directory_that_is_no_utf8_comes_back(store: Store, tmp_path: Path) -> None:
    run = begin(store, "x", tmp_path / "odd\udcff")
    assert store.run("x").directory == run.directory
