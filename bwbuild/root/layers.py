"""Dependency layers: the packages that a build needs, installed over a base, and kept for the next build.

apt chooses packages for the source's dependencies, and the choice names the layer: sources that need the same
packages share one. What apt chose for some dependencies is remembered too, so that the next build with them
starts without apt. Packages are downloaded with the network into a directory that all layers share, and
installed without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwbuild import process
from bwbuild.errors import DependencyError, OutputError
from bwbuild.events import Level, Notice
from bwbuild.root.bases import Base, remove_tree
from bwbuild.root.chamber import Chamber, failed
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked, turn

RECORD = "layer.json"
_LAYOUT = 1
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
_CHATTER = ("Reading ", "Building ", "Note, using file ")


@dataclass(frozen=True, slots=True)
class Layer:
    """A complete layer; ``packages`` are those over the base's: name:architecture -> version."""

    path: Path
    packages: Mapping[str, str]

    @property
    def upper(self) -> Path:
        """What lies over the base's root."""
        return self.path / "upper"


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
    tell: Callable[[Notice], None]
    fetch: bool = True


@contextmanager
def opened(wish: Wish) -> Iterator[Layer]:
    """The layer for a wish, from the cache or made now, and kept while it is in use.

    :raises DependencyError: apt finds no solution, or fetching is not allowed and something is missing.
    :raises HostError: a package can't be installed.
    :raises OutputError: the cache can't be written.
    """
    with ExitStack() as stack:
        try:
            for name in ("layers", "choices", "archives"):
                (wish.cache / name).mkdir(parents=True, exist_ok=True, mode=0o755)
            key = _remembered(wish)
            layer = _found(wish, key, stack) if key else None
            if layer is None:
                chosen = _choose(wish)
                key = _key(wish, chosen)
                layer = _found(wish, key, stack) or _made_in_turn(wish, key, chosen, stack)
                _remember(wish, key)
        except OSError as error:
            hint = "free some space (bwbuild clean shows what is there), or name another place: --cache DIR"
            raise OutputError(f"{wish.cache}: {error.strerror}", hint=hint) from error
        yield layer


def stored(cache: Path) -> list[tuple[Path, float]]:
    """All layers below ``cache``, and when each was last used (seconds since the epoch), the newest first."""
    found = [(path, path.stat().st_mtime) for path in _directories(cache / "layers", "")]
    return sorted(found, key=lambda item: item[1], reverse=True)


def remove(path: Path, base: Base) -> bool:
    """Remove a layer or what is left of one, unless it is in use; whether it is gone."""
    with locked(path, EXCLUSIVE | AT_ONCE) as free:
        if free:
            (path / RECORD).unlink(missing_ok=True)
            remove_tree(path, base.identity)
    return free


def _choose(wish: Wish) -> dict[str, str]:
    """What apt would install, by simulation: name:architecture -> version."""
    wish.tell(Notice(Level.INFO, f"apt resolves the build dependencies in {wish.base.suite.name}"))
    done = _apt(wish, ("-s", *wish.options, "build-dep", f"{_INSIDE}/wanted.dsc"))
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        raise DependencyError(
            f"apt can't satisfy the build dependencies in {wish.base.suite.name}",
            hint="another suite may have them (-d SUITE)",
            details=[line for line in lines if line.strip() and not line.startswith(_CHATTER)][-20:],
        )
    return {f"{name}:{architecture}": version for name, version, architecture in _CHOSEN.findall(done.text)}


def _made_in_turn(wish: Wish, key: str, chosen: Mapping[str, str], stack: ExitStack) -> Layer:
    wait = Notice(Level.INFO, "another bwbuild installs the same packages; waiting for it")
    with turn(wish.cache / "layers" / f"{key}.lock", lambda: wish.tell(wait)):
        return _found(wish, key, stack) or _made(wish, key, chosen, stack)


def _made(wish: Wish, key: str, chosen: Mapping[str, str], stack: ExitStack) -> Layer:
    path = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=wish.cache / "layers"))
    with ExitStack() as attempt:
        attempt.callback(_remove_incomplete, path, wish.base)
        attempt.enter_context(locked(path, SHARED))
        path.chmod(0o755)
        (path / "upper").mkdir()
        (path / "upper").chmod(0o755)
        if chosen:
            _download(wish, len(chosen))
            wish.tell(Notice(Level.INFO, f"installing {len(chosen)} packages over the base, once"))
            # Nobody else writes here; the lock of the downloads is theirs who fetch.
            argv = ("-o", "Debug::NoLocking=1", "--no-download", *wish.options, "build-dep")
            done = _apt(wish, (*argv, f"{_INSIDE}/wanted.dsc"), layer=path)
            if done.returncode != 0:
                raise failed(
                    "the build dependencies can't be installed", done, "another suite may have a cure"
                )
        record = {"layout": _LAYOUT, "base": wish.base.id, "packages": dict(chosen), "made": time.time()}
        new = path / f"{RECORD}.new"
        new.write_text(json.dumps(record), encoding="utf-8")
        new.rename(path / RECORD)
        stack.push(attempt.pop_all())
    return Layer(path, chosen)


def _download(wish: Wish, number: int) -> None:
    argv = ("--download-only", *wish.options, "build-dep", f"{_INSIDE}/wanted.dsc")
    if not wish.fetch:
        argv = ("--no-download", *argv)
    else:
        wish.tell(Notice(Level.INFO, f"fetching what is missing of {number} packages"))
    wait = Notice(Level.INFO, "another bwbuild fetches packages; waiting for it")
    with turn(wish.cache / "archives.lock", lambda: wish.tell(wait)):
        done = _apt(wish, argv, network=wish.fetch)
    if done.returncode == 0:
        return
    if not wish.fetch:
        raise DependencyError(
            "packages would have to be fetched, which --no-fetch forbids",
            hint="leave out --no-fetch once",
            details=done.text.splitlines()[-20:],
        )
    raise failed("packages can't be fetched", done, "check the network; what was fetched is kept")


def _apt(
    wish: Wish, argv: Sequence[str], *, layer: Path | None = None, network: bool = False
) -> process.Completed:
    base = wish.base
    with tempfile.TemporaryDirectory(prefix="apt-", dir=wish.cache, ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        wanted = place / "wanted"
        wanted.mkdir()
        (wanted / "wanted.dsc").write_text(wish.control, encoding="utf-8")
        place.chmod(0o755)
        chamber = Chamber(
            identity=base.identity,
            place=place,
            lowers=(base.root,),
            layer=layer,
            network=network,
            binds={_INSIDE: wanted, _ARCHIVES: wish.cache / "archives"},
        )
        try:
            return chamber.run((*_APT, *argv))
        finally:
            remove_tree(place, base.identity)


def _remembered(wish: Wish) -> str:
    try:
        return (wish.cache / "choices" / _question(wish)).read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def _remember(wish: Wish, key: str) -> None:
    place = wish.cache / "choices" / _question(wish)
    new = place.with_name(f"{place.name}.{os.getpid()}")
    new.write_text(key, encoding="ascii")
    new.replace(place)


def _question(wish: Wish) -> str:
    return _digest(_LAYOUT, wish.base.id, wish.control, wish.options)


def _key(wish: Wish, chosen: Mapping[str, str]) -> str:
    return _digest(_LAYOUT, wish.base.id, sorted(chosen.items()))


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


def _found(wish: Wish, key: str, stack: ExitStack) -> Layer | None:
    for path in _directories(wish.cache / "layers", key):
        with ExitStack() as attempt:
            if not attempt.enter_context(locked(path, SHARED)):
                continue
            record = _read(path)
            if record is not None:
                os.utime(path)
                stack.push(attempt.pop_all())
                return Layer(path, record["packages"])
    return None


def _read(path: Path) -> Any:
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return record if record.get("layout") == _LAYOUT else None


def _directories(place: Path, key: str) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.name.startswith(key) and path.is_dir())
    except FileNotFoundError:
        return []


def _remove_incomplete(path: Path, base: Base) -> None:
    if not (path / RECORD).exists():
        remove_tree(path, base.identity)
