"""Binary packages as what is in them: looked into in a sandbox of their own, compared with the .changes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bwbuild.build.inspect.helper import passable
from bwbuild.build.record.reading import KEPT
from bwbuild.deb.changes import Changes
from bwbuild.deb.names import binary_file
from bwbuild.deb.paragraph import MAX_SIZE
from bwbuild.errors import HostError, OutputError, VerificationError
from bwbuild.handover import files
from bwbuild.handover.artifacts import Artifact
from bwbuild.handover.packages import check_control, check_member
from bwbuild.host.facts import Host
from bwbuild.sandbox import inspection, runner
from bwbuild.sandbox.inspection import ANSWERS, CONTENTS, CONTROL, CURRENT, INFO, NAMES
from bwbuild.sandbox.spec import Restraints
from bwbuild.sandbox.tail import Tail
from bwbuild.units import human_duration, human_size

#: Seconds that all packages of a build may take, and bytes that take one more: dpkg-deb is ten times as fast.
PATIENCE, PACE = 60.0, 1 << 20
#: How programs say that a disk is full; that of the sandbox's own /tmp may be the package's fault.
_WRITING = re.compile("No space left on device|write error")
#: Bytes of what the programs complain of that are remembered.
_TAIL = 1 << 14


@dataclass(frozen=True, slots=True)
class Inspected:
    """A package and what dpkg-deb shows of it: its control files, and a line for each member."""

    name: str
    shown: str


def inspect(
    artifacts: Sequence[Artifact], scratch: Path, host: Host, restraints: Restraints
) -> tuple[Inspected, ...]:
    """Look into the binary packages among ``artifacts``, which are in the quarantine of ``scratch``.

    What was found is kept in ``scratch`` for :func:`check`.

    :raises VerificationError: one can't be read, or is larger inside than any package has a reason to be.
    :raises HostError: the sandbox does not start.
    """
    packages = _packages(artifacts)
    (scratch / ANSWERS.name).mkdir(mode=0o700)
    if not packages:
        return ()
    _run(packages, scratch, inspection.launcher(host, restraints, [package.name for package in packages]))
    with files.directory(scratch / ANSWERS.name) as answers:
        return tuple(
            Inspected(
                package.name,
                f"{_excerpt(f'{number}.{INFO}', answers)}\n\n{_excerpt(f'{number}.{CONTENTS}', answers)}",
            )
            for number, package in enumerate(packages)
        )


def check(artifacts: Sequence[Artifact], scratch: Path, changes: Changes) -> None:
    """Compare what :func:`inspect` found with the names of the packages and the .changes.

    :raises VerificationError: they contradict each other, or a member's path is none that a package may have.
    """
    with files.directory(scratch / ANSWERS.name) as answers:
        for number, package in enumerate(_packages(artifacts)):
            with files.untrusted(f"{number}.{CONTROL}", answers) as opened:
                check_control(package.name, os.read(opened, MAX_SIZE + 1), changes)
            with files.untrusted(f"{number}.{NAMES}", answers) as opened:
                for member in _lines(opened):
                    check_member(package.name, member)


def _packages(artifacts: Sequence[Artifact]) -> list[Artifact]:
    return [artifact for artifact in artifacts if binary_file(artifact.name)]


def _run(packages: Sequence[Artifact], scratch: Path, launcher: str) -> None:
    tail = Tail(_TAIL)
    names = [package.name for package in packages]
    script = scratch / "inspect"
    script.write_bytes(os.fsencode(launcher))
    limit = PATIENCE + sum(package.size for package in packages) / PACE
    with passable(scratch):
        outcome = runner.run(runner.Launch(script, scratch, timeout=limit), runner.Listeners(tail.add))
    if outcome.exit_code == 0:
        return
    lines = tail.lines(10)
    with files.directory(scratch / ANSWERS.name) as answers:
        culprit = _culprit(names, answers)
    largest = max((path.lstat().st_size for path in (scratch / ANSWERS.name).iterdir()), default=0)
    if outcome.timed_out:
        raise VerificationError(f"{culprit} could not be looked into within {human_duration(limit)}")
    if not outcome.started or not culprit:
        raise HostError(
            "the sandbox for looking into packages did not start or was killed",
            hint="bwbuild doctor finds out what it lacks",
            details=lines,
        )
    if _WRITING.search("\n".join(lines)) and shutil.disk_usage(scratch).free < inspection.LARGEST:
        raise OutputError(
            f"{scratch} is full: packages could not be looked into",
            hint="free some space, or name another directory: --scratch DIR",
            details=lines,
        )
    if largest >= inspection.LARGEST or any("File size limit" in line for line in lines):
        raise VerificationError(
            f"{culprit} holds more than {human_size(inspection.LARGEST)} of control files or of file names",
            hint="no package of the archive comes near: look at what debian/rules puts into it",
            details=lines,
        )
    raise VerificationError(f"dpkg-deb can't read {culprit}", details=lines)


def _culprit(names: Sequence[str], answers: int) -> str:
    """The package at which it ended; empty if there was none."""
    if files.kind_of(CURRENT, answers) is None:
        return ""
    with files.untrusted(CURRENT, answers) as opened:
        name = os.fsdecode(os.read(opened, 4096))
    return name if name in names else ""


def _excerpt(name: str, answers: int) -> str:
    """An answer as text without its middle where it is long."""
    with files.untrusted(name, answers) as opened:
        size = os.fstat(opened).st_size
        if size <= 2 * KEPT:
            return os.read(opened, size).decode("utf-8", "surrogateescape").rstrip("\n")
        head = os.pread(opened, KEPT, 0).rpartition(b"\n")[0]
        tail = os.pread(opened, KEPT, size - KEPT).partition(b"\n")[2]
    gap = b"[%d bytes are left out here]" % (size - len(head) - len(tail))
    return b"\n".join((head, gap, tail)).decode("utf-8", "surrogateescape").rstrip("\n")


def _lines(opened: int) -> Iterator[str]:
    with os.fdopen(os.dup(opened), encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        for line in stream:
            yield line.rstrip("\n")
