"""Corpus runs on a cluster: a real scheduler and real workers, on this machine or on machines of a lab."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab, Worker, lab, said_in
from support import COMMAND, PYTHON, Rules, discard, give_up, make_tree, need, processes, wait_for

from bwbuild import __version__
from bwbuild.corpus.store import Store
from bwbuild.corpus.values import Run, Verdict
from bwbuild.errors import ExitStatus

#: Seconds for a run.
PATIENCE = 300


@pytest.fixture
def top() -> Iterator[Path]:
    need("bwrap", "dpkg-buildpackage", "ip", "nsenter")
    if importlib.util.find_spec("distributed") is None:
        give_up("python3-distributed is not installed")
    # Where ids that are nobody's come through: pytest's own directories are closed to them.
    made = Path(tempfile.mkdtemp(prefix="bwbuild-cluster-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    discard(made)


def sources(top: Path, names: str, during: str = "true") -> Path:
    """A directory of tiny trees, each with a package of other contents."""
    directory = top / "sources"
    for name in names.split():
        tree = make_tree(directory / name, Rules(during=f"echo {name} > out; {during}"), name=f"tiny-{name}")
        (tree / "input").write_text(f"{name}\n", encoding="utf-8")
    return directory


def words(directory: Path, name: str, *more: str) -> list[str]:
    options = ("--name", name, "--keep-artifacts", "--output", str(directory.parent / f"run-{name}"))
    return [*COMMAND, "corpus", "run", *options, *more, str(directory), "-b"]


def wait_for_run(process: subprocess.Popen[bytes], said: Path) -> str:
    process.wait(PATIENCE)
    text = said.read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in text, text
    return text


def run_of(the_lab: Lab, name: str) -> Run:
    return Store(the_lab.home / ".local/state/bwbuild/corpus").run(name)


def sums(run: Run) -> dict[str, str]:
    """Name -> sum of each package that was built, as it lies in the run's directory."""
    found = {}
    for build in run.builds:
        for artifact in build.artifacts:
            assert artifact.path is not None
            data = artifact.path.read_bytes()
            assert hashlib.sha256(data).hexdigest() == artifact.sha256
            # The others have the time of the build in them.
            if artifact.name.endswith(".deb"):
                found[artifact.name] = artifact.sha256
    return found


def local(the_lab: Lab, directory: Path) -> dict[str, str]:
    said = the_lab.top / "said-local"
    process = the_lab.start(words(directory, "local", "--jobs", "2"), said)
    text = wait_for_run(process, said)
    assert process.returncode == 0, text
    return sums(run_of(the_lab, "local"))


def test_a_run_on_two_workers(top: Path) -> None:
    directory = sources(top, "one two three")
    with lab(top, namespaces=False) as the_lab:
        address = the_lab.scheduler()
        for name in ("first", "second"):
            the_lab.worker(address, name)
        said = top / "said"
        process = the_lab.start(words(directory, "far", "--cluster", address), said)
        text = wait_for_run(process, said)
        assert process.returncode == 0, text
        run = run_of(the_lab, "far")
        assert [build.key for build in run.builds] == ["tiny-one", "tiny-three", "tiny-two"]
        assert {build.worker for build in run.builds} == {"first", "second"}
        assert all(build.attempts == 1 and not build.lost for build in run.builds)
        assert sums(run) == local(the_lab, directory)
        for build in run.builds:
            assert build.log is not None
            here, there = (
                {path.name for path in (top / f"run-{name}" / build.key).iterdir()}
                for name in ("far", "local")
            )
            assert here == there
        # Nothing stays on a worker, nor on its way.
        assert not list(top.glob("cache-*/worker/worker-*/*/source"))
        assert not (top / "run-far" / ".cluster").exists()


@pytest.mark.long
def test_nothing_is_lost_with_machines_and_connections(top: Path) -> None:
    keys = "a b c d e f g h"
    directory = sources(top, keys, during="sleep 5")
    with lab(top) as the_lab:
        centre, *others = (the_lab.machine(name) for name in ("centre", "killed", "cut", "steady"))
        address = the_lab.scheduler(centre)
        killed, cut, steady = (the_lab.worker(address, machine.name, machine) for machine in others)
        said = top / "said"
        process = the_lab.start(words(directory, "far", "--cluster", address), said)
        wait_for(lambda: said.read_text(encoding="utf-8").count(": begins") >= 3, 60)
        killed.kill()
        wait_for(lambda: not processes(f"cache-{killed.name}"), 20)
        the_lab.cut_off(others[1])
        said_in(cut.said, "is lost")
        the_lab.connect(others[1])
        wait_for(lambda: cut.connections == 2, 60)
        wait_for(lambda: said.read_text(encoding="utf-8").count(": passed") >= 3, 180)
        the_lab.cut_off(centre)
        said_in(steady.said, "is lost")
        the_lab.connect(centre)
        text = wait_for_run(process, said)
        assert process.returncode == 0, text
        run = run_of(the_lab, "far")
        assert [build.key for build in run.builds] == [f"tiny-{name}" for name in keys.split()]
        assert all(build.verdict is Verdict.PASSED for build in run.builds), text
        for name in keys.split():
            assert text.count(f"] tiny-{name}: passed") == 1
        assert [build for build in run.builds if any(why.startswith("killed: ") for why in build.lost)]
        assert [build for build in run.builds if any(why.startswith("cut: ") for why in build.lost)]
        assert all(build.attempts == len(build.lost) + 1 for build in run.builds)
        assert sums(run) == local(the_lab, directory)


@pytest.mark.long
def test_a_worker_of_another_version_is_refused(top: Path) -> None:
    directory = sources(top, "a")
    change = "import bwbuild, sys; bwbuild.__version__ = '0.0.9'"
    other = f"{change}; from bwbuild.cli.main import main; main(sys.argv[1:])"
    with lab(top, namespaces=False) as the_lab:
        address = the_lab.scheduler()
        options = ("--name", "old", "--cache", str(top / "cache-old"))
        the_lab.start([PYTHON, "-c", other, "worker", address, *options], top / "worker-old")
        said_in(top / "worker-old", "works for")
        process = the_lab.start(words(directory, "far", "--cluster", address), top / "said")
        text = wait_for_run(process, top / "said")
        assert process.returncode == ExitStatus.HOST, text
        assert f"the worker old has bwbuild 0.0.9, this is bwbuild {__version__}" in text
        # The run can be taken up when there is a worker that fits.
        the_lab.worker(address, "new")
        process = the_lab.start([*COMMAND, "corpus", "run", "--resume", "--cluster", address], top / "again")
        text = wait_for_run(process, top / "again")
        assert process.returncode == 0, text
        assert [build.worker for build in run_of(the_lab, "far").builds] == ["new"]


@pytest.mark.long
def test_a_job_whose_workers_die_is_lost_after_so_many_attempts(top: Path) -> None:
    directory = sources(top, "a", during="sleep 60")
    with lab(top, namespaces=False) as the_lab:
        address = the_lab.scheduler()
        workers = [the_lab.worker(address, name) for name in ("first", "second")]
        process = the_lab.start(
            words(directory, "far", "--cluster", address, "--attempts", "2"), top / "said"
        )
        left = set(workers)
        for _ in workers:
            wait_for(lambda: builds(left), 60)
            (busy,) = builds(left)
            busy.kill()
            left.remove(busy)
        the_lab.worker(address, "third")
        text = wait_for_run(process, top / "said")
        assert process.returncode == ExitStatus.BUILD_FAILED, text
        (build,) = run_of(the_lab, "far").builds
        assert (build.verdict, build.attempts) == (Verdict.LOST, 2)
        assert sorted(why.split(":")[0] for why in build.lost) == ["first", "second"]


def builds(workers: set[Worker]) -> list[Worker]:
    """Those with a process of a build beside their own."""
    return [
        item for item in workers if any("--events" in text for _, text in processes(f"cache-{item.name}/"))
    ]


@pytest.mark.long
def test_a_run_that_is_stopped_can_be_taken_up_again(top: Path) -> None:
    directory = sources(top, "a b c", during="sleep 8")
    with lab(top, namespaces=False) as the_lab:
        address = the_lab.scheduler()
        the_lab.worker(address, "only")
        process = the_lab.start(words(directory, "far", "--cluster", address), top / "said")
        said_in(top / "said", ": passed", 120)
        wait_for(lambda: (top / "said").read_text(encoding="utf-8").count(": begins") == 2, 60)
        process.send_signal(signal.SIGINT)
        text = wait_for_run(process, top / "said")
        assert process.returncode == ExitStatus.INTERRUPTED, text
        wait_for(lambda: not list(top.glob("cache-only/worker/worker-*/*/source")), 20)
        before = run_of(the_lab, "far")
        assert sorted(build.verdict.value for build in before.builds) == ["left", "left", "passed"]
        process = the_lab.start([*COMMAND, "corpus", "run", "--resume", "--cluster", address], top / "again")
        text = wait_for_run(process, top / "again")
        assert process.returncode == 0, text
        assert text.count(": begins") == 2


@pytest.mark.long
def test_a_large_source_takes_little_memory_on_its_way(top: Path) -> None:
    size = 300 << 20
    directory = sources(top, "a", during="sha256sum large > out; ls -l large >&2")
    with (directory / "a" / "large").open("wb") as stream:
        for _ in range(size >> 20):
            stream.write(os.urandom(1 << 20))
    with lab(top, namespaces=False) as the_lab:
        address = the_lab.scheduler()
        worker = the_lab.worker(address, "only")
        watched = {"worker": worker.process.pid, "scheduler": the_lab.pids[0]}
        before = {name: peak(pid) for name, pid in watched.items()}
        process = the_lab.start(words(directory, "far", "--cluster", address), top / "said")
        text = wait_for_run(process, top / "said")
        assert process.returncode == 0, text
        grown = {name: peak(pid) - before[name] for name, pid in watched.items()}
        assert all(number < 120 << 20 for number in grown.values()), grown


def peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = (Path("/proc") / str(pid) / "status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


@pytest.mark.long
def test_files_by_a_shared_directory_and_all_words_by_tls(top: Path) -> None:
    need("openssl")
    directory = sources(top, "a b")
    shared = top / "shared"
    shared.mkdir()
    with lab(top, namespaces=False) as the_lab:
        files = certificates(top)
        tls = ("--tls-ca", files["ca"], "--tls-cert", files["cert"], "--tls-key", files["key"])
        own = ("--tls-ca-file", files["ca"], "--tls-cert", files["cert"], "--tls-key", files["key"])
        address = the_lab.scheduler(None, *own, scheme="tls")
        assert address.startswith("tls://")
        the_lab.worker(address, "only", None, *tls)
        process = the_lab.start(words(directory, "plain", "--cluster", address), top / "plain")
        text = wait_for_run(process, top / "plain")
        assert process.returncode == ExitStatus.USAGE, text
        far = words(directory, "far", "--cluster", address, "--shared", str(shared), *tls)
        process = the_lab.start(far, top / "said")
        text = wait_for_run(process, top / "said")
        assert process.returncode == 0, text
        assert sums(run_of(the_lab, "far")) == local(the_lab, directory)
        assert not list(shared.iterdir())


def certificates(top: Path) -> dict[str, str]:
    """Files of an authority, and of a certificate that it has signed."""
    files = {name: str(top / f"{name}.pem") for name in ("ca", "cakey", "cert", "key", "request")}
    new = ("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-batch")
    authority = (*new, "-x509", "-subj", "/CN=lab", "-keyout", files["cakey"], "-out", files["ca"])
    request = (*new, "-subj", "/CN=machine", "-keyout", files["key"], "-out", files["request"])
    sign = ("openssl", "x509", "-req", "-in", files["request"], "-CA", files["ca"], "-CAkey", files["cakey"])
    for command in (authority, request, (*sign, "-CAcreateserial", "-out", files["cert"])):
        subprocess.run(command, check=True, capture_output=True)
    return files
