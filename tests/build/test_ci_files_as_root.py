"""The commands of the files for CI, run as they stand in a container such as CI systems start.

Its root is an overlay over a bare suite, its workspace a volume; the network is this machine's.
Installing takes minutes: ``sudo python3 -m pytest -m long tests/build/test_ci_files_as_root.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ci_files import Job, jobs
from support import ROOT, as_root, make_tree, need

from bwbuild.cli.main import COMMANDS

pytest.importorskip("yaml")
pytestmark = [as_root, pytest.mark.long]

#: What the images of the files are.
IMAGE = "trixie"
#: None named: mmdebstrap's own choice.
MIRROR = tuple(filter(None, [os.environ.get("BWBUILD_TEST_MIRROR")]))
PATIENCE = 1800

_ENTER = """\
image=$1 layers=$2 volume=$3 script=$4
mount -t tmpfs -o mode=755 none $layers
mkdir $layers/upper $layers/work $layers/root
mount -t overlay -o lowerdir=$image,upperdir=$layers/upper,workdir=$layers/work none $layers/root
cd $layers/root
for name in dev sys; do mount --rbind /$name $name; done
mount -t proc proc proc
mkdir -p .$volume .old checkout
mount --bind $volume .$volume
mount --bind CHECKOUT checkout
cat /etc/resolv.conf > etc/resolv.conf
pivot_root . .old
umount -l .old
cd $volume/work
exec bash -eo pipefail $script
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The bare root."""
    need("mmdebstrap", "unshare", "pivot_root", "zstd")
    top = Path(tempfile.mkdtemp(prefix="bwbuild-test-", dir="/var/tmp"))
    top.chmod(0o755)
    command = ["mmdebstrap", "--variant=minbase", "--quiet", IMAGE, top / "image", *MIRROR]
    subprocess.run(command, check=True, timeout=PATIENCE)
    yield top / "image"
    subprocess.run(["rm", "-rf", "--one-file-system", top], check=True)


@pytest.fixture
def volume(image: Path) -> Iterator[Path]:
    """What the system mounts for a job: the workspace ``work``, and room beside it."""
    path = Path(tempfile.mkdtemp(dir=image.parent))
    path.chmod(0o755)
    yield path
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


def script_of(job: Job, volume: Path) -> str:
    """All of a job as one script, with what its system sets."""
    work = volume / "work"
    given = {
        "CI_BUILDS_DIR": volume / "builds",
        "CI_PROJECT_DIR": work,
        "CI_JOB_ID": 1,
        "GITHUB_WORKSPACE": work,
        "GITHUB_ENV": volume / "env",
        "GITHUB_STEP_SUMMARY": volume / "summary",
    }
    lines = [f"export {name}={value}" for name, value in given.items()]
    lines += [f'export {name}="{value}"' for name, value in job.variables.items()]
    lines.append("export INSTALL_FROM=/checkout")
    lines.append("status=0")
    for part in job.parts:
        # As GitHub starts each step: a shell of its own, with what earlier ones wrote into a file.
        lines += [": >>$GITHUB_ENV; set -a; . $GITHUB_ENV; set +a", f"cd {work / part.directory}"]
        wanted = "true" if part.always else '[ "$status" = 0 ]'
        script = f"bash -eo pipefail <<'PART' || status=$?\n{part.script}\nPART"
        lines.append(f"if {wanted}; then {script}\nfi")
    lines.append('exit "$status"')
    return "\n".join(lines) + "\n"


def run(job: Job, image: Path, volume: Path) -> subprocess.CompletedProcess[str]:
    """Run a job in a fresh container."""
    checkout, script, layers = volume / "checkout", volume / "script", volume / "layers"
    if not checkout.exists():
        ignored = shutil.ignore_patterns("__pycache__", ".git", "testpkgs", "tests")
        shutil.copytree(ROOT, checkout, ignore=ignored)
    script.write_text(script_of(job, volume))
    layers.mkdir(exist_ok=True)
    shell = ["sh", "-euc", _ENTER.replace("CHECKOUT", str(checkout)), "sh", image, layers, volume, script]
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--propagation", "private", *shell],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def job_of(file: str, name: str) -> Job:
    (found,) = (job for job in jobs(file) if job.name == name)
    return found


def bases(work: Path) -> set[str]:
    """The ids of the bases that a job has packed for the next."""
    archive = work / "bwbuild-cache.tar.zst"
    listed = subprocess.run(["tar", "--zstd", "-tf", archive], check=True, capture_output=True, text=True)
    paths = (name.split("/") for name in listed.stdout.split("\n"))
    return {path[2] for path in paths if path[:2] == [".", "bases"] and path[3:4] == ["root"]}


@pytest.mark.parametrize("file", ["gitlab-ci.yml", "github-actions.yml"])
def test_a_package(file: str, image: Path, volume: Path) -> None:
    job = job_of(file, "package")
    work = volume / "work"
    make_tree(work if file.startswith("gitlab") else work / "tree")
    first = run(job, image, volume)
    assert first.returncode == 0, first.stdout
    (base,) = bases(work)
    report = json.loads((work / "result" / "report.json").read_text())
    assert report["status"] == "success"
    assert (work / "result" / "tiny_1_all.deb").exists()

    # All that a job finds of earlier ones is the archive.
    shutil.rmtree(work / "result")
    for left in (volume / "builds", work / "bwbuild", volume / "env"):
        subprocess.run(["rm", "-rf", left], check=True)
    second = run(job, image, volume)
    assert second.returncode == 0, second.stdout
    assert bases(work) == {base}
    assert (work / "result" / "tiny_1_all.deb").exists()


@pytest.mark.parametrize("file", ["gitlab-ci.yml", "github-actions-corpus.yml"])
@pytest.mark.skipif("corpus" not in COMMANDS, reason="it is about bwbuild corpus")
def test_a_corpus(file: str, image: Path, volume: Path) -> None:
    job = job_of(file, "corpus")
    work = volume / "work"
    top = work if file.startswith("gitlab") else work / "sources"
    make_tree(top / "good", name="good")
    rules = make_tree(top / "bad", name="bad") / "debian" / "rules"
    rules.write_text(rules.read_text().replace("@echo MADE out", "@echo 'x.c:1: error: no' >&2; exit 1"))
    done = run(job, image, volume)

    assert done.returncode == 10, done.stdout
    assert 'failures="1"' in (work / "result" / "junit.xml").read_text()
    counts = json.loads((work / "result" / "corpus.json").read_text())["counts"]
    assert (counts["passed"], counts["failed"]) == (1, 1)
    assert (work / "result" / "index.html").read_text().startswith("<!DOCTYPE html>")
