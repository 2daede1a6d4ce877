"""What a build left in a directory, in the form in which bwbuild's and sbuild's are compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import debs
import suites

from bwbuild.process import Argv, run

_INSTALLED = re.compile(r"^Installed-Build-Depends:\n((?: .*\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^ (\S+) \(= (\S+)\),?$", re.MULTILINE)
_PATH = re.compile(r"^Build-Path: (.*)$", re.MULTILINE)
_BEGIN = re.compile(r"^dpkg-buildpackage: info: source package", re.MULTILINE)
_END = re.compile(r"^ ?dpkg-genchanges |^dpkg-buildpackage: (?:info: binary|error:)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One build.

    :ivar status: the builder's exit status.
    :ivar log: the builder's whole log.
    :ivar seconds: how long it took.
    :ivar debs: file name -> contents.
    :ivar installed: package -> version, from the .buildinfo; a name has its architecture if that is foreign.
    :ivar path: the Build-Path of the .buildinfo; empty if it has none.
    """

    status: int
    log: str
    seconds: float
    debs: dict[str, debs.Deb]
    installed: dict[str, str]
    path: str = ""

    @property
    def package_log(self) -> str:
        """What the package's own build wrote, without what the builder installed before and listed after."""
        begin, ends = _BEGIN.search(self.log), [match.start() for match in _END.finditer(self.log)]
        return self.log[begin.start() if begin else 0 : ends[-1] if ends else None]

    @property
    def results(self) -> Counter[str]:
        """What the test suites said."""
        return suites.results(self.package_log)


def logged(argv: Argv, directory: Path, log: Path, environment: Mapping[str, str]) -> int:
    """Run a builder in ``directory``, with all its output in ``log``; its exit status."""
    words = ["sh", "-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, *argv]
    return run(words, cwd=directory, env=environment, check=False, timeout=3600).returncode


def read(directory: Path, log: Path, status: int, seconds: float) -> Outcome:
    """Read what a build left in ``directory``."""
    found = "".join(path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.buildinfo")))
    return Outcome(
        status=status,
        log=log.read_text(encoding="utf-8", errors="replace"),
        seconds=seconds,
        debs={path.name: debs.read(path) for path in sorted(directory.glob("*.*deb"))},
        installed=installed(found),
        path="".join(_PATH.findall(found)),
    )


def installed(buildinfo: str) -> dict[str, str]:
    """The Installed-Build-Depends of the text of a .buildinfo: package -> version."""
    match = _INSTALLED.search(buildinfo)
    return dict(_ENTRY.findall(match[1])) if match else {}


def differences(chroot: Outcome, view: Outcome) -> list[str]:
    """What the other build, in the declared view or on a base, has not, has else, or has too much."""
    found = [f"installed: {line}" for line in _other_packages(chroot.installed, view.installed)]
    if chroot.path != view.path:
        found.append(f"path: {chroot.path} became {view.path}")
    for name in sorted(chroot.debs.keys() ^ view.debs.keys()):
        found.append(f"{'-' if name in chroot.debs else '+'} {name}")
    for name in sorted(chroot.debs.keys() & view.debs.keys()):
        found += [f"{name}: {line}" for line in debs.differences(chroot.debs[name], view.debs[name])]
    return found + suites.differences(chroot.results, view.results)


def _other_packages(chroot: dict[str, str], view: dict[str, str]) -> list[str]:
    found = []
    for name in sorted(chroot.keys() | view.keys()):
        one, other = chroot.get(name), view.get(name)
        if one is None or other is None:
            found.append(f"{'-' if other is None else '+'} {name} {one or other}")
        elif one != other:
            found.append(f"{name} {one} became {other}")
    return found
