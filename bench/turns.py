"""Two ways of one thing in turns: what the scripts beside this module share."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bwbuild import process  # noqa: E402 - found by the line above

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "DEB_BUILD_OPTIONS": "parallel=2",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One build: seconds of the clock, seconds of processor time, bytes of the started process alone."""

    wall: float
    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Side:
    """All builds of one way: medians, the extremes of the clock, the largest memory."""

    wall: float
    fastest: float
    slowest: float
    cpu: float
    memory: int

    @classmethod
    def of(cls, runs: list[Run]) -> Side:
        """The summary of ``runs``."""
        walls = [run.wall for run in runs]
        return cls(
            wall=statistics.median(walls),
            fastest=min(walls),
            slowest=max(walls),
            cpu=statistics.median(run.cpu for run in runs),
            memory=max(run.memory for run in runs),
        )


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do it: words of a command line, and its environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One package built both ways.

    :ivar seconds: that the second way adds, of the clock, and ``cpu``, of processor time: the median over the
        pairs of neighbouring builds, which a machine that becomes slower or faster disturbs least.
    """

    package: str
    runs: int
    first: Side
    second: Side
    seconds: float
    cpu: float

    @classmethod
    def of(cls, package: str, pairs: list[tuple[Run, Run]]) -> Difference:
        """The result of pairs of builds."""
        return cls(
            package,
            len(pairs),
            Side.of([first for first, _ in pairs]),
            Side.of([second for _, second in pairs]),
            statistics.median(second.wall - first.wall for first, second in pairs),
            statistics.median(second.cpu - first.cpu for first, second in pairs),
        )

    @property
    def share(self) -> float:
        """The added seconds as a part of the first way's median."""
        return self.seconds / self.first.wall

    def lines(self, first: str, second: str) -> list[str]:
        """This for a reader; ``first`` and ``second`` are what the ways are called."""
        found = [f"{self.package}, {self.runs} each way"]
        for name, side in ((first, self.first), (second, self.second)):
            spread = f"{side.fastest:.2f} to {side.slowest:.2f}"
            found.append(f"  {name:18} {side.wall:7.2f} s ({spread})   processor {side.cpu:.2f} s")
        added = f"{self.seconds:+7.2f} s, {self.share:+.1%}"
        return [*found, f"  {'difference':18} {added}   processor {self.cpu:+.2f} s"]


@dataclass(frozen=True, slots=True)
class Package:
    """What is built: ``unpack`` lays its tree into an empty directory and returns it."""

    name: str
    unpack: Callable[[Path], Path]


def tiny() -> Package:
    """A package of this repository that builds in no time: the difference is all overhead."""

    def unpack(parent: Path) -> Path:
        tree = parent / "tiny"
        shutil.copytree(ROOT / "testpkgs/no-debhelper/tree", tree, symlinks=True)
        return tree

    return Package("tiny", unpack)


def from_dsc(dsc: Path) -> Package:
    """A source package on disk."""

    def unpack(parent: Path) -> Path:
        process.run(["dpkg-source", "--no-check", "-x", dsc.resolve()], cwd=parent, env=ENVIRONMENT)
        return next(path for path in parent.iterdir() if path.is_dir())

    return Package(dsc.name.partition("_")[0], unpack)


def generated(files: int = 12) -> Package:
    """A made package of ``files`` C files with 150 functions each: about 15 s."""
    control = "Source: made\nMaintainer: Nobody <nobody@example.org>\nStandards-Version: 4.6.2\n\n"
    texts = {
        "debian/control": f"{control}Package: made\nArchitecture: any\nDescription: a made package\n",
        "debian/changelog": "made (1) unstable; urgency=low\n\n  * Made.\n\n"
        " -- Nobody <nobody@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n",
        "debian/source/format": "3.0 (native)\n",
        "debian/rules": (
            "#!/usr/bin/make -f\nOBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))\n"
            "build build-arch: made.a\nbuild-indep:\n%.o: %.c\n\tcc -O2 -g -c -o $@ $<\n"
            "made.a: $(OBJECTS)\n\tar rcs $@ $^\nclean:\n\trm -rf *.o made.a debian/made debian/files\n"
            "binary binary-arch: build\n\tinstall -D -m644 made.a debian/made/usr/lib/made/made.a\n"
            "\tmkdir -p debian/made/DEBIAN\n\tdpkg-gencontrol -Pdebian/made\n"
            "\tdpkg-deb --root-owner-group -b debian/made ..\nbinary-indep:\n"
        ),
    }
    function = (
        "int f{0}(int *a, int n) {{ int s = {0}; for (int i = 0; i < n; i++) {{ if (a[i] % {1}) s += a[i];"
        " else s ^= a[n - i - 1]; for (int j = i; j < n; j += {1}) a[j] ^= s >> (j & 7); }} return s; }}\n"
    )
    source = "".join(function.format(number, number % 13 + 2) for number in range(150))

    def unpack(parent: Path) -> Path:
        tree = parent / "made-1"
        for name, text in texts.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text, encoding="utf-8")
        (tree / "debian/rules").chmod(0o755)
        for number in range(files):
            (tree / f"part{number}.c").write_text(source, encoding="utf-8")
        return tree

    return Package("made", unpack)


def measure(command: tuple[str, ...], tree: Path, environment: Mapping[str, str]) -> Run:
    """Run ``command`` in ``tree`` and measure it.

    :raises SystemExit: it failed; its output is on standard error.
    """
    with tempfile.TemporaryFile() as output:
        begin = time.monotonic()
        words = ["/usr/bin/env", "-C", str(tree), *command]
        child = process.start(words, env=environment, output=(output.fileno(), output.fileno()))
        memory, ended = 0, 0
        while not ended:
            memory = max(memory, own_peak(child.pid))
            time.sleep(0.01)
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        wall = time.monotonic() - begin
        if status != 0:
            output.seek(0)
            sys.stderr.buffer.write(output.read()[-8000:])
            raise SystemExit(f"{' '.join(command)} failed in {tree}")
    return Run(wall, usage.ru_utime + usage.ru_stime, memory)


def own_peak(pid: int) -> int:
    """The resident maximum of one process without its children, in bytes; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) << 10 if found else 0


@contextmanager
def unpacked(package: Package, directory: Path) -> Iterator[Path]:
    """A fresh tree of ``package`` in a parent of its own, gone afterwards."""
    parent = Path(tempfile.mkdtemp(dir=directory))
    try:
        yield package.unpack(parent)
    finally:
        shutil.rmtree(parent)


def own_environment(directory: Path) -> dict[str, str]:
    """The environment of bwbuild: home and byte code are the benchmark's own, as if it were installed."""
    own = {"HOME": str(directory), "PYTHONPYCACHEPREFIX": str(directory / "bytecode")}
    return {**ENVIRONMENT, **own, "PYTHONPATH": str(ROOT)}


def compare(package: Package, runs: int, directory: Path, ways: tuple[Way, Way]) -> Difference:
    """Do it both ways in turns: first, second, second, first, and so on.

    Before that once each way, uncounted: what a first build alone does is measured elsewhere.
    """
    pairs = []
    for turn in range(-1, runs):
        done = {}
        # A B, B A, A B: what comes second in a pair has no lasting advantage.
        for number in (0, 1) if turn % 2 else (1, 0):
            with unpacked(package, directory) as tree:
                done[number] = measure(ways[number].command, tree, ways[number].environment)
        if turn >= 0:
            pairs.append((done[0], done[1]))
    return Difference.of(package.name, pairs)


def larger(sources: list[Path]) -> list[Package]:
    """What takes about 15 s: ``sources`` if there are any, else hello if it is here, else a made package."""
    hello = sorted((Path.home() / ".cache/bwbuild-real/hello").glob("hello_*.dsc"))
    return [from_dsc(dsc) for dsc in sources or hello] or [generated()]
