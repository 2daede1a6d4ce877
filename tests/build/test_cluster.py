"""Corpus runs on a cluster: a real scheduler and real workers, on this machine or on machines of a lab."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab, lab, said_in
from support import COMMAND, Rules, discard, give_up, make_tree, need, processes, wait_for

from bwbuild.corpus.store import Store
from bwbuild.corpus.values import Run, Verdict

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
        assert [build for build in run.builds if any("worker killed was lost" in why for why in build.lost)]
        assert [build for build in run.builds if any("worker cut was lost" in why for why in build.lost)]
        assert all(build.attempts == len(build.lost) + 1 for build in run.builds)
        assert sums(run) == local(the_lab, directory)
