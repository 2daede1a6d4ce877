"""What a run and its workers have in common: offers, the ledger of attempts, files on their way."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import pytest
from support import give_up

from bwbuild.corpus.cluster import access, files
from bwbuild.corpus.cluster.attempts import Attempt
from bwbuild.corpus.cluster.besides import besides
from bwbuild.corpus.cluster.crew import GRACE, Crew
from bwbuild.corpus.cluster.ledger import Ledger, Live
from bwbuild.corpus.cluster.offers import (
    Offer,
    Terms,
    advertised,
    fitting,
    is_alone,
    needs,
    nobody,
    offers,
    refusal,
)
from bwbuild.corpus.cluster.session import Place
from bwbuild.corpus.cluster.values import File, Parcel, Task
from bwbuild.corpus.values import Build, Demand, Job, Kind, Machine, Verdict
from bwbuild.corpus.watch import Progress
from bwbuild.errors import HostError, OutputError, SourceError, UsageError
from bwbuild.events import Notice

GIB = 1 << 30
MACHINE = Machine("m", 4, 8 * GIB, "amd64")
TERMS = Terms("amd64", "trixie", "1.0")


def offer(name: str = "m", machine: Machine = MACHINE, version: str = "1.0", bases: str = "trixie") -> Offer:
    return Offer(f"tcp://{name}", name, advertised(machine, bases.split(), version))


def job(key: str = "a", seconds: float = 0.0, memory: int = GIB) -> Job:
    return Job(key, Kind.TREE, f"/src/{key}", demand=Demand(seconds, memory))


def live(ticket: str, worker: str = "w") -> Live:
    return Live(ticket, worker, f"tcp://{worker}", 0.0)


def passed(key: str = "a") -> Build:
    return Build(key, Verdict.PASSED)


def test_an_offer_is_what_the_scheduler_tells_of_a_worker() -> None:
    told = {
        "tcp://x": {"name": "x", "resources": advertised(MACHINE, ["trixie", "sid"], "1.0")},
        "tcp://y": {},
    }
    found, other = offers(told)
    assert (found.version, found.bases, found.processors, found.memory) == (
        "1.0",
        ["sid", "trixie"],
        4,
        8 * GIB,
    )
    assert (other.name, other.version, other.processors) == ("tcp://y", "", 0)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (offer(), ""),
        (offer(version="0.9"), "the worker m has bwbuild 0.9, this is bwbuild 1.0"),
        (offer(version="1.0.1"), "the worker m has bwbuild 1.0.1, this is bwbuild 1.0"),
        (
            offer(machine=Machine("m", 4, GIB, "arm64")),
            "the worker m is arm64, and the sources are for amd64",
        ),
        (offer(bases="sid"), "the worker m has no base of trixie; it has sid"),
        (offer(bases=""), "the worker m has no base of trixie; it has none"),
        (Offer("tcp://m", "m", {}), "the worker m is no worker of bwbuild"),
    ],
)
def test_who_fits_is_who_has_no_refusal(found: Offer, why: str) -> None:
    assert refusal(found, TERMS) == why
    assert (fitting([found], TERMS) == [found]) is (why == "")
    wanted = needs(job(), TERMS, [found])
    assert all(found.resources.get(name, 0) >= number for name, number in wanted.items()) is (why == "")


def test_the_error_names_what_each_worker_lacks() -> None:
    error = nobody([offer("a", version="0.8"), offer("b", bases="")], TERMS)
    assert "0.8" in error.message
    assert "1.0" in error.message
    assert error.details == ("the worker b has no base of trixie; it has none",)
    assert "root create trixie" in error.hint
    assert "no worker is connected" in nobody([], TERMS).message


def test_a_job_never_needs_more_than_the_largest_worker_has() -> None:
    workers = [offer("small", Machine("small", 2, GIB, "amd64")), offer("large")]
    assert needs(job(memory=100 * GIB), TERMS, workers)["memory"] == 8 * GIB
    assert needs(job(memory=2 * GIB), TERMS, workers)["memory"] == 2 * GIB
    assert is_alone(job(memory=100 * GIB), workers)
    assert not is_alone(job(), workers)


def test_a_job_can_be_begun_while_a_worker_for_it_is_there() -> None:
    large, small = offer("large"), offer("small", Machine("small", 2, GIB, "amd64"))
    place = Place(needs(job(memory=6 * GIB), TERMS, [large, small]))
    assert place.is_there([small, large])
    assert not place.is_there([small])
    assert not Place(needs(job(), TERMS, [small]), ["tcp://other"]).is_there([small, large])


def test_the_most_expensive_job_goes_first_and_one_given_back_before_all() -> None:
    ledger = Ledger([job("cheap", 1), job("dear", 9), job("middle", 5)], attempts=2)
    first = ledger.take()
    assert first is not None
    assert first.key == "dear"
    assert ledger.begin("dear", live("1")) == first
    assert ledger.give_back("dear", "it burned") is None
    assert [taken.key for taken in (ledger.take(), ledger.take(), ledger.take()) if taken] == [
        "dear",
        "middle",
        "cheap",
    ]
    assert ledger.take() is None


def test_a_job_is_begun_so_many_times_and_then_lost() -> None:
    ledger = Ledger([job()], attempts=2)
    assert ledger.begin("a", live("1", "one")) is not None
    assert ledger.begin("a", live("2", "two")) is not None
    assert not ledger.is_live("a", "1")
    assert ledger.is_live("a", "2")
    assert ledger.begin("a", live("3", "three")) is None
    build = ledger.give_back("a")
    assert build is not None
    assert (build.verdict, build.attempts, build.worker) == (Verdict.LOST, 2, "two")
    assert build.lost == ("one: the worker was lost", "two: the worker was lost")
    assert ledger.open == 0


def test_a_job_that_was_not_begun_is_never_lost() -> None:
    ledger = Ledger([job()], attempts=1)
    for _ in range(5):
        assert ledger.take() is not None
        assert ledger.give_back("a") is None


def test_the_first_result_counts_whoever_has_it() -> None:
    ledger = Ledger([job()], attempts=3)
    ledger.begin("a", live("1", "one"))
    ledger.begin("a", live("2", "two"))
    build = ledger.end(passed(), "1")
    assert build is not None
    assert (build.worker, build.attempts, build.lost) == ("one", 2, ("one: the worker was lost",))
    assert ledger.end(passed(), "2") is None
    assert ledger.begin("a", live("3")) is None
    assert ledger.give_back("a") is None
    assert ledger.left("a") is None
    ledger.tell("a", "2", Progress("x"))
    assert ledger.now() == []


def test_only_the_attempt_that_counts_says_how_far_it_is() -> None:
    ledger = Ledger([job()], attempts=3)
    ledger.begin("a", live("1"))
    ledger.begin("a", live("2"))
    ledger.tell("a", "1", Progress("old"))
    assert ledger.now()[0].progress.step == ""
    ledger.tell("a", "2", Progress("new"))
    assert ledger.now()[0].progress.step == "new"
    assert ledger.waiting == 0


def test_a_job_that_is_stopped_stays_open() -> None:
    ledger = Ledger([job()], attempts=3)
    ledger.begin("a", live("1"))
    build = ledger.left("a")
    assert build is not None
    assert build.verdict is Verdict.LEFT
    assert ledger.open == 1
    assert ledger.live == []


def told_to(notices: list[Notice]) -> Crew:
    return Crew(TERMS, None, notices.append)


def test_places_are_those_of_workers_that_fit() -> None:
    crew = told_to([])
    crew.see([offer("a"), offer("b"), offer("c", version="0.9")], busy=False)
    assert crew.places == 4 + 1 + 4 + 1
    assert crew.only() is None
    crew.ban("tcp://a", "its disk is full")
    assert crew.places == 4 + 1
    assert crew.only() == ["tcp://b"]
    assert Crew(TERMS, 3, lambda _notice: None).places == 0


def test_each_refusal_is_told_once() -> None:
    told: list[Notice] = []
    crew = told_to(told)
    for _ in range(3):
        crew.see([offer("a"), offer("b", version="0.9")], busy=False)
        crew.ban("tcp://a", "its disk is full")
    assert [notice.text for notice in told] == [
        "the worker b has bwbuild 0.9, this is bwbuild 1.0",
        "the worker a gets no more jobs: its disk is full",
    ]


def test_a_crew_without_anybody_who_fits_is_an_error_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    crew = told_to([])
    crew.see([offer("b", version="0.9")], busy=False)
    now[0] += GRACE + 1
    crew.see([], busy=False)
    with pytest.raises(HostError, match=r"bwbuild 0\.9, this is bwbuild 1\.0"):
        crew.see([offer("b", version="0.9")], busy=False)
    crew.see([offer("a")], busy=False)
    crew.ban("tcp://a", "its disk is full")
    crew.see([offer("a")], busy=True)
    crew.see([offer("a")], busy=False)
    now[0] += GRACE + 1
    with pytest.raises(HostError, match="its disk is full"):
        crew.see([offer("a")], busy=False)


def tree(directory: Path) -> Path:
    made = directory / "parent" / "xx-1"
    (made / "debian").mkdir(parents=True)
    (made / "debian" / "changelog").write_text("xx (1-2) unstable; urgency=low\n", encoding="utf-8")
    (made / "run").write_text("#!/bin/sh\n", encoding="utf-8")
    (made / "run").chmod(0o755)
    (made / "link").symlink_to("run")
    (made / "-odd name\n").touch()
    for name in ("xx_1.orig.tar.gz", "xx_1.orig-more.tar.xz", "xx_2.orig.tar.gz", "y_1.orig.tar.gz"):
        (made.parent / name).write_text(name, encoding="utf-8")
    return made


def carried(packed: files.Packed, attempt: Attempt) -> Parcel | None:
    attempt.grant(packed.parcel, here=False)
    for file in packed.parcel.files:
        for data in files.chunks(packed.paths[file.name]):
            attempt.receive(data)
    return attempt.wait()


def test_a_tree_travels_with_its_own_tarballs_alone(tmp_path: Path) -> None:
    source = tree(tmp_path)
    packed = files.pack(Job("x", Kind.TREE, str(source), ("-b",)), tmp_path, tmp_path / "spool")
    attempt = Attempt(tmp_path / "worker", lambda: False)
    parcel = carried(packed, attempt)
    assert parcel is not None
    found = Path(files.unpack(parcel, attempt.source, attempt.source))
    assert found.name == "xx-1"
    assert sorted(path.name for path in found.iterdir()) == ["-odd name\n", "debian", "link", "run"]
    assert (found / "link").is_symlink()
    assert (found / "run").stat().st_mode & 0o777 == 0o755
    assert (found / "run").stat().st_mtime_ns == (source / "run").stat().st_mtime_ns
    beside = sorted(path.name for path in found.parent.iterdir())
    assert beside == ["xx-1", "xx_1.orig-more.tar.xz", "xx_1.orig.tar.gz"]
    assert parcel.options == ("-b",)


def test_a_name_needs_no_files_and_a_broken_dsc_goes_alone(tmp_path: Path) -> None:
    named = files.pack(Job("hello", Kind.NAME, "hello=1"), tmp_path, tmp_path / "spool")
    assert named.parcel == Parcel(start="hello=1")
    assert files.unpack(named.parcel, tmp_path, tmp_path) == "hello=1"
    dsc = tmp_path / "bad.dsc"
    dsc.write_text("no\n", encoding="utf-8")
    packed = files.pack(Job("bad", Kind.DSC, str(dsc)), tmp_path, tmp_path / "spool")
    assert [file.name for file in packed.parcel.files] == ["bad.dsc"]
    assert files.unpack(packed.parcel, tmp_path, tmp_path) == str(dsc)
    with pytest.raises(SourceError, match="no directory"):
        files.pack(Job("gone", Kind.TREE, str(tmp_path / "gone")), tmp_path, tmp_path / "spool")


def test_what_options_name_goes_along(tmp_path: Path) -> None:
    (tmp_path / "debs").mkdir()
    for name in ("a.deb", "b.deb", "c.txt"):
        (tmp_path / "debs" / name).write_text(name, encoding="utf-8")
    options = (
        "-d",
        "trixie",
        "--extra-package",
        "debs",
        "--extra-package=./debs/a.deb",
        "--extra-repository",
        "deb x y",
    )
    found = besides(options, tmp_path)
    assert found.options[:5] == (
        "-d",
        "trixie",
        "--extra-package",
        "./besides/0",
        "--extra-package=./besides/2/a.deb",
    )
    assert found.options[5:] == options[5:]
    assert [name for name, _ in found.paths] == ["besides/0/a.deb", "besides/0/b.deb", "besides/2/a.deb"]
    packed = files.pack(Job("hello", Kind.NAME, "hello", options), tmp_path, tmp_path / "spool")
    assert len(packed.parcel.files) == 3


def test_a_file_that_changed_on_its_way_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    file = files.describe(tmp_path / "file", "file")
    attempt = Attempt(tmp_path / "worker", lambda: False)
    attempt.grant(Parcel((file, File("empty", 0, files.describe(Path("/dev/null"), "").sha256))), here=False)
    with pytest.raises(files.DamagedError):
        attempt.receive(b"abX")
    with pytest.raises(files.DamagedError):
        files.copy(tmp_path / "file", tmp_path / "copy", File("file", 3, "0" * 64))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", ".", "a\0b"])
def test_no_file_travels_out_of_its_directory(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        files.Arriving(tmp_path, File(name, 0, ""))


def test_results_are_plain_files_and_no_copied_tree(tmp_path: Path) -> None:
    for name in ("log", "artifacts/x.deb", "trial/parent/tree", "artifacts/trial/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert sorted(file.name for file in files.results(tmp_path)) == [
        "artifacts/trial/y",
        "artifacts/x.deb",
        "log",
    ]


def test_an_attempt_is_not_made_when_refused_or_unwanted(tmp_path: Path) -> None:
    refused = Attempt(tmp_path, lambda: False)
    refused.refuse()
    assert refused.wait() is None
    assert Attempt(tmp_path, lambda: True).wait() is None


def test_a_task_can_be_pickled() -> None:
    task = Task(job(), "topic")
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301 - it was made here


@pytest.mark.parametrize(
    ("address", "tls", "message"),
    [
        ("host:1", access.NO_TLS, "no address"),
        ("tcp://", access.NO_TLS, "no address"),
        ("tcp://h:0", access.NO_TLS, "no address"),
        ("tcp://h:99999", access.NO_TLS, "no address"),
        ("http://h:1", access.NO_TLS, "no address"),
        ("tcp://h:1", access.Tls("a", "b", "c"), "tls://"),
        ("tls://h:1", access.Tls("a"), "three files"),
        ("tls://h:1", access.Tls("/nowhere", "b", "c"), "/nowhere"),
    ],
)
def test_contradictions_about_tls_are_told(address: str, tls: access.Tls, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        access.security(address, tls)


def test_tls_without_files_is_told() -> None:
    # What dask's own configuration has, dask says.
    if importlib.util.find_spec("distributed") is None:
        give_up("python3-distributed is not installed")
    with pytest.raises(UsageError, match="takes TLS"):
        access.security("tls://h:1", access.NO_TLS)
