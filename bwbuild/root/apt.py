"""apt over a base: what it would install for a source, the download, the installation."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild import process
from bwbuild.errors import DependencyError, HostError
from bwbuild.events import Level, Notice, Observer, Text
from bwbuild.root.chamber import Chamber
from bwbuild.root.ground import Base
from bwbuild.root.space import FULL, full
from bwbuild.root.workplace import workplace

#: A package that apt would install, or has to configure: name, architecture and version.
_CHOSEN = re.compile(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+) .*\[(\S+)\]\)", re.MULTILINE)
_ARCHIVES = "/var/cache/apt/archives"
_APT = (
    *("apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0"),
    *("-o", "APT::Install-Recommends=false", "-o", "APT::Get::AutomaticRemove=false"),
    # Indexes of indexes: larger than most layers, and quickly made again.
    *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
)
#: Where a chamber has what is wanted.
_INSIDE = "/mnt"
_WANTED = f"{_INSIDE}/wanted.dsc"
_CHATTER = ("Reading ", "Building ", "Note, using file ")
#: Seconds between two lines about the progress of one step.
_PAUSE = 5.0
#: The package whose maintainer script or unpacking failed, as dpkg names it.
_BROKEN = re.compile(r"^dpkg: error processing (?:package|archive) (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted over a base.

    :ivar control: the text of a .dsc with nothing but names and relations, for ``apt-get build-dep``.
    :ivar options: of apt-get, such as the profiles and the host architecture.
    :ivar cache: where layers, choices and downloads are. ``fetch``: whether the network may be asked.
    """

    base: Base
    control: str
    options: tuple[str, ...]
    cache: Path
    tell: Observer
    fetch: bool = True

    @property
    def archives(self) -> Path:
        """Where downloaded packages are."""
        return self.cache / "archives"


def choose(wish: Wish) -> dict[str, str]:
    """What apt would install, by simulation: name:architecture -> version.

    :raises DependencyError: there is no solution; apt's explanation is in the details.
    """
    wish.tell(Notice(Level.INFO, f"apt resolves the build dependencies in {wish.base.suite.name}"))
    done = _apt(wish, ("-s", *wish.options, "build-dep", _WANTED))
    if done.returncode != 0:
        raise _unsolved(wish, done)
    return {f"{name}:{architecture}": version for name, version, architecture in _CHOSEN.findall(done.text)}


def download(wish: Wish, number: int) -> None:
    """Fetch what is missing of ``number`` packages.

    :raises DependencyError: fetching is not allowed and something is missing.
    :raises HostError: something can't be fetched; what was fetched stays.
    :raises OutputError: the disk is full.
    """
    argv = ("--download-only", *wish.options, "build-dep", _WANTED)
    if not wish.fetch:
        done = _apt(wish, ("--no-download", *argv))
        if done.returncode != 0:
            raise DependencyError(
                "packages would have to be fetched, which --no-fetch forbids",
                hint="leave out --no-fetch once",
                details=_told(done),
            )
        return
    done = _apt(wish, argv, network=True, line=_Fetching(number, wish.tell))
    wish.tell(Text(done.text))
    if done.returncode != 0:
        text = done.text
        if FULL in text or "enough free space" in text:
            raise full(wish.cache, _told(done))
        if re.search(r"404 +Not Found|Hash Sum mismatch|File has unexpected size", text):
            suite = wish.base.suite.name
            raise HostError(
                f"the mirror does not have the packages of the base of {suite} any more",
                hint=f"bwbuild root update {suite}",
                details=_told(done),
            )
        raise HostError(
            f"packages can't be fetched (exit status {done.returncode})",
            hint="check the network; what was fetched is kept",
            details=_told(done),
        )


def install(wish: Wish, number: int, layer: Path) -> None:
    """Install ``number`` packages that were fetched, without the network; the result is ``layer/upper``.

    :raises HostError: a package can't be installed.
    :raises OutputError: the disk is full.
    """
    wish.tell(Notice(Level.INFO, f"installing {number} packages over the base, once"))
    # Nobody else writes here; the lock of the downloads is theirs who fetch. The layer is flushed as a whole.
    argv = ("-o", "Debug::NoLocking=1", "-o", "Dpkg::Options::=--force-unsafe-io", "--no-download")
    counter = _Counter("Setting up ", number, "installed", wish.tell)
    done = _apt(wish, (*argv, *wish.options, "build-dep", _WANTED), layer=layer, line=counter)
    wish.tell(Text(done.text))
    if done.returncode == 0:
        return
    if FULL in done.text:
        raise full(wish.cache, _told(done))
    broken = list(dict.fromkeys(_BROKEN.findall(done.text)))
    what = f"{broken[0]} of {wish.base.suite.name}" if broken else "the build dependencies"
    raise HostError(
        f"{what} can't be installed (exit status {done.returncode})",
        hint="a fresh base may have a cure (bwbuild root update SUITE), or another suite (-d SUITE)",
        details=_told(done),
    )


class _Counter:
    """Counts lines that begin a step, and tells now and then how many there were."""

    def __init__(self, mark: str, number: int, word: str, tell: Observer) -> None:
        self._mark, self._number, self._word, self._tell = mark, number, word, tell
        self._count = 0
        self._last = time.monotonic()

    def __call__(self, line: str) -> None:
        if not line.startswith(self._mark):
            return
        self._count += 1
        now = time.monotonic()
        if now - self._last >= _PAUSE:
            self._last = now
            self._tell(Notice(Level.INFO, f"{self._word} {self._count} of {self._number} packages"))


class _Fetching:
    """Tells how much there is to fetch, once apt knows it, and how far it is."""

    def __init__(self, number: int, tell: Observer) -> None:
        self._tell = tell
        self._number = number
        self._counter = _Counter("Get:", number, "fetched", tell)

    def __call__(self, line: str) -> None:
        size = needed(line)
        if size:
            self._tell(Notice(Level.INFO, f"fetching {size} for {self._number} packages"))
        self._counter(line)


def needed(line: str) -> str:
    """How much apt says in ``line`` that it has to fetch, such as ``20.5 MB``; empty where it does not."""
    match = re.match(r"Need to get ([\d.,]+ [kMG]?B)(?:/| of)", line)
    return match[1] if match and match[1] != "0 B" else ""


def _unsolved(wish: Wish, done: process.Completed) -> DependencyError:
    return DependencyError(
        f"apt can't satisfy the build dependencies in {wish.base.suite.name}",
        hint="another suite may have them (-d SUITE)",
        details=_told(done),
    )


def _told(done: process.Completed) -> list[str]:
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith(_CHATTER)][-20:]


def _apt(
    wish: Wish,
    argv: Sequence[str],
    *,
    layer: Path | None = None,
    network: bool = False,
    line: Callable[[str], None] | None = None,
) -> process.Completed:
    base = wish.base
    with workplace(wish.cache, "apt") as place:
        wanted = place / "wanted"
        wanted.mkdir()
        (wanted / "wanted.dsc").write_text(wish.control, encoding="utf-8")
        chamber = Chamber(
            identity=base.identity,
            place=place,
            root=base.root,
            layer=layer,
            network=network,
            binds={_INSIDE: wanted, _ARCHIVES: wish.archives},
        )
        return chamber.run((*_APT, *argv), line)
