"""Builds with bwbuild on a base that has the state of sbuild's chroot."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import builds
import chroots
import frozen
import outcome

from bwbuild.build import ground
from bwbuild.config.settings import Settings
from bwbuild.errors import SourceError
from bwbuild.events import Event
from bwbuild.host.facts import read_host
from bwbuild.process import run

#: Stanzas and lines of package sources, which are to be good for as long as the chroot is.
_STANZA = re.compile(r"^Types:.*$", re.MULTILINE)
_LINE = re.compile(r"^deb (?:\[([^]]*)\] )?", re.MULTILINE)
#: Bases stay until their chroot goes.
_FOREVER = "99999h"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two builds of one source: the first may have had to install packages, the next had them.

    :ivar made: whether the first one installed packages.
    """

    first: outcome.Outcome
    next: outcome.Outcome
    made: bool


def cache() -> Path:
    """bwbuild's cache for these tests: what others do to theirs changes no figure here."""
    return builds.directory() / "cache"


def prepare(suite: str) -> None:
    """Make the base of a suite, with the packages that the chroot's indexes name, unless it is there."""
    sources, chroot = _sources(suite), chroots.chroot(suite).stat()
    made_for = builds.directory() / "chroot" / f"{suite}-base.chroot"
    current = f"{chroot.st_size} {chroot.st_mtime_ns}"
    verb = "create" if made_for.exists() and made_for.read_text() == current else "update"
    with tempfile.TemporaryDirectory() as place, frozen.proxy(chroots.indexes(suite, Path(place))) as address:
        environment = {**builds.environment(), "http_proxy": address}
        log = builds.directory() / "chroot" / f"{suite}-base.log"
        where: list[str | Path] = ["--cache", cache(), "--base-mirror", sources]
        argv = [*builds.command(), "root", verb, *where, suite]
        status = outcome.logged(argv, builds.directory(), log, environment)
    if status != 0:
        raise RuntimeError(f"no base of {suite} can be made: {log}")
    made_for.write_text(current)


def fetch(name: str, suite: str) -> None:
    """Fetch a source from a suite as bwbuild does, unless it is there.

    Where the mirror lacks some of its files, this machine's version serves, if that is there.

    :raises SourceError: neither is to be had.
    """
    if builds.dsc(name) is not None:
        return
    place = builds.emptied(builds.directory() / name)
    settings = Settings(dist=suite, base_mirror=str(_sources(suite)), base_refresh=1e9, cache=cache())
    try:
        ground.fetcher(settings, read_host())(place.name, None, place, _unheard)
    except SourceError as error:
        own = builds.dsc(place.name)
        if own is None:
            raise
        print(f"{error.message}; taking {own.name}")
        run(["dcmd", "cp", own, builds.emptied(place)])
    (place / "ready").touch()


def options(suite: str) -> list[str | Path]:
    """bwbuild's options for the base of a suite."""
    return ["-d", suite, "--cache", cache(), "--base-mirror", _sources(suite), "--base-refresh", _FOREVER]


def build(name: str, suite: str) -> Pair:
    """Build a source twice."""
    before = _layers()
    first = _build(name, suite, "base-first")
    made = _layers() - before
    return Pair(first, _build(name, suite, "base"), bool(made))


def _build(name: str, suite: str, kind: str) -> outcome.Outcome:
    dsc = builds.dsc(name)
    assert dsc is not None
    place = builds.emptied(builds.directory() / name / kind)
    argv = [*builds.command(), *options(suite), "--no-sign", "--keep", "never", *builds.own(place), "-b", dsc]
    begin = time.monotonic()
    status = outcome.logged(argv, place, place / "terminal.log", builds.environment())
    seconds = time.monotonic() - begin
    log = next(iter(sorted(place.glob("*.build"))), place / "terminal.log")
    return outcome.read(place, log, status, seconds)


def _layers() -> set[str]:
    return {path.name for path in (cache() / "layers").glob("*") if path.is_dir()}


def _sources(suite: str) -> Path:
    """One file with what the chroot was made of, whose indexes do not expire."""
    found = chroots.sources(suite)
    (suffix,) = {path.suffix for path in found}
    text = "\n".join(path.read_text(encoding="utf-8") for path in found)
    if suffix == ".sources":
        text = _STANZA.sub("Types: deb\nCheck-Valid-Until: no", text)
    else:
        text = _LINE.sub(lambda match: f"deb [check-valid-until=no {match[1] or ''}] ", text)
    place = builds.directory() / "chroot" / f"{suite}-base{suffix}"
    if not place.exists() or place.read_text(encoding="utf-8") != text:
        place.write_text(text, encoding="utf-8")
    return place


def _unheard(event: Event) -> None:
    """Nobody watches."""
