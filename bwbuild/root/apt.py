"""apt over a base: what it would install for a source, the download, the installation."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bwbuild import process
from bwbuild.errors import BwbuildError, DependencyError, HostError
from bwbuild.events import Level, Notice, Observer, Text
from bwbuild.root.bounds import Bounds
from bwbuild.root.chamber import Chamber
from bwbuild.root.extra import Extra
from bwbuild.root.ground import Base
from bwbuild.root.space import FULL, full
from bwbuild.root.workplace import workplace
from bwbuild.sandbox.tail import Tail

#: A package that apt would install: name, version that is there, new one and architecture.
_CHOSEN = re.compile(r"^Inst ([^\s:]+)(?::\S+)? (?:\[([^]]*)\] )?\((\S+) .*\[(\S+)\]\)", re.MULTILINE)
#: A file that apt would fetch, and its SHA-256. Both become names of files here: a repository's words.
_FILE = re.compile(r"'[^']*' ([^\s/.][^\s/]*) \d+ (SHA256:[0-9a-f]{64})")
#: Where a chamber has what is wanted, and what apt may choose from besides the base's own suite.
_INSIDE, OFFERED = "/mnt", "/srv"
_ARCHIVES = "/var/cache/apt/archives"
APT = (
    *("apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0"),
    *("-o", "APT::Install-Recommends=false", "-o", "APT::Get::AutomaticRemove=false"),
)
#: Indexes of indexes: larger than most layers, and quickly made again.
_NO_CACHE = ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
_CACHE = (
    "-o",
    f"Dir::Cache::pkgcache={OFFERED}/packages.bin",
    "-o",
    f"Dir::Cache::srcpkgcache={OFFERED}/sources.bin",
)
_WANTED = f"{_INSIDE}/wanted.dsc"
_CHATTER = ("Reading ", "Building ", "Note, using file ")
#: Seconds between two lines about the progress of one step.
_PAUSE = 5.0
#: Bytes of what an installation writes that are looked at, and of one line of it.
_REMEMBERED, _LONGEST_LINE = 4 << 20, 1 << 16
#: What apt says where another one fetches, the seconds that one may take which is being killed, and those
#: between two looks.
_LOCKED, _DYING, _GLANCE = f"Could not get lock {_ARCHIVES}/lock", 30.0, 0.2
#: The package whose maintainer script or unpacking failed, as dpkg names it.
_BROKEN = re.compile(r"^dpkg: error processing (?:package|archive) (\S+)", re.MULTILINE)


#: Gets the directory of an unfinished layer, and what was said.
Broken = Callable[[Path, Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted over a base.

    :ivar control: the text of a .dsc with nothing but names and relations, for ``apt-get build-dep``.
    :ivar options: of apt-get, such as the profiles and the host architecture.
    :ivar cache: where layers, choices and downloads are. ``fetch``: whether the network may be asked.
    :ivar bounds: what apt and maintainer scripts may do and take.
    :ivar extra: what apt may choose from besides the base's own suite.
    :ivar what: that is, in words.
    :ivar remedy: what to do where there is no solution.
    :ivar cure: what to do where a package can't be installed.
    :ivar broken: gets the unfinished layer where a package can't be installed, before it is removed.
    """

    base: Base
    control: str
    options: tuple[str, ...]
    cache: Path
    tell: Observer
    bounds: Bounds
    fetch: bool = True
    extra: Extra | None = None
    what: str = "the build dependencies"
    remedy: str = "another suite may have them (-d SUITE)"
    broken: Broken | None = None
    cure: str = "a fresh base may have a cure (bwbuild root update SUITE), or another suite (-d SUITE)"

    @property
    def shared(self) -> Path:
        """Where downloaded packages are."""
        return self.cache / "archives"

    @property
    def archives(self) -> Path:
        """Where apt has them: of a file that is there it compares nothing but name and size."""
        if self.extra is not None and self.extra.is_foreign:
            return self.extra.place / "archives"
        return self.shared


def choose(wish: Wish) -> dict[str, str]:
    """What apt would install, by simulation: name:architecture -> version.

    :raises DependencyError: there is no solution; apt's explanation is in the details.
    :raises OutputError: the disk is full.
    """
    wish.tell(Notice(Level.INFO, f"apt resolves {wish.what} in {wish.base.suite.name}"))
    done = run(wish, ("-s", *wish.options, "build-dep", _WANTED))
    if done.returncode != 0:
        raise _unsolved(wish, done)
    return {f"{name}:{architecture}": new for name, _, new, architecture in _CHOSEN.findall(done.text)}


def newer(wish: Wish) -> list[str]:
    """Relations to the packages of the base that there is a newer version of: of what is extra, mostly."""
    done = run(wish, ("-s", "dist-upgrade"))
    if done.returncode != 0:
        raise _unsolved(wish, done)
    return [f"{name}:native (= {new})" for name, old, new, _ in _CHOSEN.findall(done.text) if old]


def contents(wish: Wish) -> dict[str, str]:
    """What :func:`choose` has chosen, byte for byte: name of the file -> algorithm and digest.

    :raises HostError: a repository has a package without a digest, or with an impossible name.
    """
    words = ("--print-uris", "-o", "Acquire::ForceHash=SHA256", "-o", "Dir::Cache::archives=/tmp")
    done = run(wish, (*words, *wish.options, "build-dep", _WANTED))
    if done.returncode != 0:
        raise _unsolved(wish, done)
    found = {}
    for line in done.text.splitlines():
        if line.startswith("'"):
            match = _FILE.fullmatch(line)
            if match is None:
                raise HostError("a repository has a package that apt can't check", details=[line])
            found[match[1]] = match[2]
    return found


def download(wish: Wish, number: int) -> None:
    """Fetch what is missing of ``number`` packages.

    :raises DependencyError: fetching is not allowed and something is missing.
    :raises HostError: something can't be fetched; what was fetched stays.
    :raises OutputError: the disk is full.
    """
    argv = ("--download-only", *wish.options, "build-dep", _WANTED)
    if not wish.fetch:
        done = _when_unlocked(lambda: run(wish, (*_without_fetching(wish), *argv)))
        if done.returncode != 0:
            raise DependencyError(
                "packages would have to be fetched, which --no-fetch forbids",
                hint="leave out --no-fetch once",
                details=_told(done),
            )
        return
    done = _when_unlocked(lambda: run(wish, argv, network=True, line=_Fetching(number, wish.tell)))
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


def _when_unlocked(apt: Callable[[], process.Completed]) -> process.Completed:
    """Another bwbuild that was killed in its turn has let it go before the last of its processes is gone."""
    end = time.monotonic() + _DYING
    while _LOCKED in (done := apt()).text and time.monotonic() < end:
        time.sleep(_GLANCE)
    return done


def install(wish: Wish, number: int, layer: Path) -> None:
    """Install ``number`` packages that were fetched, without the network; the result is ``layer/upper``.

    :raises HostError: a package can't be installed.
    :raises LimitError: a maintainer script took more than it may.
    :raises OutputError: the disk is full.
    """
    wish.tell(Notice(Level.INFO, f"installing {number} packages over the base, once"))
    # Nobody else writes here; the lock of the downloads is theirs who fetch. The layer is flushed as a whole.
    locks = ("-o", "Debug::NoLocking=1", "-o", "Dpkg::Options::=--force-unsafe-io")
    argv = (*locks, *_without_fetching(wish))
    counter = _Counter("Setting up ", number, "installed", wish.tell)
    words = _words(wish, (*argv, *wish.options, "build-dep", _WANTED))
    with _chamber(wish, layer=layer) as chamber:
        done = _watched(chamber, words, counter)
    wish.tell(Text(done.text))
    if done.returncode == 0:
        return
    if FULL in done.text:
        raise full(wish.cache, _told(done))
    if wish.broken is not None:
        wish.broken(layer, _told(done))
    broken = list(dict.fromkeys(_BROKEN.findall(done.text)))
    what = f"{broken[0]} of {wish.base.suite.name}" if broken else wish.what
    raise HostError(
        f"{what} can't be installed (exit status {done.returncode})",
        hint=wish.cure,
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


def _unsolved(wish: Wish, done: process.Completed) -> BwbuildError:
    if any(FULL in line for line in _told(done)):
        return full(wish.cache, _told(done))
    return DependencyError(
        f"apt can't satisfy {wish.what} in {wish.base.suite.name}",
        hint=wish.remedy,
        details=_told(done),
    )


def _told(done: process.Completed) -> list[str]:
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith(_CHATTER)][-20:]


def run(
    wish: Wish,
    argv: Sequence[str],
    *,
    network: bool = False,
    line: Callable[[str], None] | None = None,
    around: Sequence[str] = (),
) -> process.Completed:
    """Run apt-get in a chamber; ``around``: a command that runs it, with apt-get's words behind its own."""
    with _chamber(wish, network=network) as chamber:
        return chamber.run(_words(wish, argv, around), line)


@contextmanager
def _chamber(wish: Wish, *, layer: Path | None = None, network: bool = False) -> Iterator[Chamber]:
    base, extra = wish.base, wish.extra
    with workplace(wish.cache, "apt") as place:
        wanted = place / "wanted"
        wanted.mkdir()
        (wanted / "wanted.dsc").write_text(wish.control, encoding="utf-8")
        (wanted / "wanted.dsc").chmod(0o644)
        offered = {} if extra is None else {OFFERED: extra.place}
        yield Chamber(
            identity=base.identity,
            place=place,
            root=base.root,
            layer=layer,
            network=network,
            binds={_INSIDE: wanted, _ARCHIVES: wish.archives, **offered},
            environment={"APT_CONFIG": f"{OFFERED}/apt.conf"} if offered else {},
            bounds=wish.bounds,
        )


def _words(wish: Wish, argv: Sequence[str], around: Sequence[str] = ()) -> tuple[str, ...]:
    cache = _CACHE if wish.extra else _NO_CACHE
    return (*_with_architectures(wish.extra), *around, *APT, *cache, *argv)


def _watched(chamber: Chamber, words: Sequence[str], line: Callable[[str], None]) -> process.Completed:
    """Run apt-get with maintainer scripts, which may write without end; the result has the end of it."""
    tail, begun = Tail(_REMEMBERED), bytearray()

    def take(data: bytes) -> None:
        nonlocal begun
        tail.add(data)
        begun += data
        if b"\n" in data:
            *lines, begun = begun.split(b"\n")
            for complete in lines:
                line(complete.decode("utf-8", "replace").rstrip())
        del begun[_LONGEST_LINE:]

    outcome = chamber.watch(words, take)
    if outcome.exit_code is None:
        raise HostError("the installation was killed from outside", details=tail.lines(20))
    return process.Completed(tuple(words), outcome.exit_code, tail.data, b"")


def _without_fetching(wish: Wish) -> tuple[str, ...]:
    # apt takes a package from a directory for one to fetch, and without the network nothing else can be had.
    return () if wish.extra and wish.extra.packages else ("--no-download",)


def _with_architectures(extra: Extra | None) -> tuple[str, ...]:
    if extra is None or not extra.architectures:
        return ()
    add = "; ".join(f"dpkg --add-architecture {shlex.quote(name)}" for name in extra.architectures)
    return ("sh", "-c", f'set -e; {add}; exec "$@"', "sh")
