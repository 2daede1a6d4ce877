"""Bare Debian systems: the package is built and installed there, and the guide typed page by page."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import guide
import pytest
from support import ROOT, as_root, need

MIRROR = os.environ.get("BWBUILD_TEST_MIRROR", "")
PLACE = Path(os.environ.get("BWBUILD_BARE", "/var/tmp"))
#: Seconds for one page.
PATIENCE = 3600

pytestmark = [pytest.mark.long, as_root]


@dataclass(frozen=True, slots=True)
class Machine:
    """A system of a suite in a directory of its own; jane works there."""

    suite: str
    root: Path

    @property
    def home(self) -> Path:
        """Jane's home directory, seen from here."""
        return self.root / "home/jane"

    def type(self, blocks: list[guide.Block]) -> None:
        """Let jane type blocks of the guide; the example's mirror is the machine's."""
        mirror = (self.root / "etc/apt/sources.list").read_text(encoding="utf-8").split()[1]
        self.run(guide.script(blocks, mirror))

    def run(self, script: str) -> None:
        """Let jane run a shell script; what it says comes with the failure."""
        log = self.root.with_suffix(".log")
        with log.open("ab") as output:
            words = [ROOT / "tests/bare/machine", self.suite, self.root, "bash", "-c", script]
            done = subprocess.run(
                words,
                env={**os.environ, "MIRROR": MIRROR},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=PATIENCE,
                check=False,
            )
        text = log.read_text(encoding="utf-8", errors="replace")
        assert done.returncode == 0, f"{log}:\n{text[-6000:]}"

    def check_out(self) -> None:
        """A clone of this checkout's last commit, as jane would make it."""
        clone = ["git", "-c", f"safe.directory={ROOT}/.git", "clone", "--quiet", "--no-local", ROOT]
        subprocess.run([*clone, self.home / "bwbuild"], check=True)
        self.own(self.home / "bwbuild")

    def own(self, path: Path) -> None:
        """Give a path to jane."""
        words = ["chown", "--recursive", "--reference", self.home, path]
        subprocess.run(words, check=True)


def machine(suite: str, name: str) -> Iterator[Machine]:
    """A new machine; it goes unless BWBUILD_BARE names a directory."""
    need("mmdebstrap", "git", "unshare")
    found = Machine(suite, PLACE / f"bwbuild-bare-{suite}-{name}")
    PLACE.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(found.root, ignore_errors=True)
    found.root.with_suffix(".log").unlink(missing_ok=True)
    found.run("")
    yield found
    if "BWBUILD_BARE" not in os.environ:
        shutil.rmtree(found.root)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def suite(request: pytest.FixtureRequest) -> str:
    """A release that bwbuild is packaged for."""
    found = request.param
    assert isinstance(found, str)
    return found


@pytest.fixture(scope="module")
def builder(suite: str) -> Iterator[Machine]:
    """A machine that has built the package from a checkout, as README.md and CONTRIBUTING.md say."""
    for found in machine(suite, "builder"):
        found.check_out()
        section = [block for block in guide.blocks(ROOT / "README.md") if "orig" in "".join(block.lines)]
        found.type(section)
        yield found


@pytest.fixture(scope="module")
def newcomer(suite: str, builder: Machine) -> Iterator[Machine]:
    """A machine with a checkout and the built package in the home directory, and nothing else."""
    for found in machine(suite, "newcomer"):
        found.check_out()
        for package in builder.home.glob("bwbuild_*.deb"):
            shutil.copy(package, found.home)
            found.own(found.home / package.name)
        yield found


@pytest.mark.parametrize("page", guide.TYPED)
def test_page(newcomer: Machine, page: str) -> None:
    newcomer.type(guide.blocks(ROOT / page))


def test_contributing(builder: Machine) -> None:
    builder.type(guide.blocks(ROOT / "CONTRIBUTING.md"))


def test_smart_card(newcomer: Machine) -> None:
    """The key is on a card, though on one of software."""
    newcomer.run("set -eu\nsh ~/bwbuild/tests/bare/card\n")


def test_autopkgtest(newcomer: Machine) -> None:
    """The package's own tests, on the machine itself: no container around them holds anything back."""
    newcomer.run(
        "set -eu\nsudo apt-get install autopkgtest\n"
        "sudo autopkgtest --user=jane --no-built-binaries ~/bwbuild/ -- null\n"
    )
