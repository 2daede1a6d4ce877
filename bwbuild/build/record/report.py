"""The result of one build as a value, and as JSON for other programs."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from bwbuild.build.record.log import cannot_write
from bwbuild.build.scan import Excerpt
from bwbuild.checks.result import Result
from bwbuild.errors import BwbuildError, ExitStatus

if TYPE_CHECKING:
    from bwbuild.build.record.uses import Use
    from bwbuild.build.watch.limits import Reached
    from bwbuild.build.watch.resources import ChildTimes, Peak
    from bwbuild.lookup.search import Found
    from bwbuild.sandbox.pcap import Contacts

#: The version of the JSON form: it changes when a field goes or means something else, not when one is added.
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the build and the seconds it took.

    The one of dpkg-buildpackage is called ``build``; ``install`` is there where packages had to be installed
    over a base, which comes before the build and is no part of its time.
    """

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Resources:
    """What the build took.

    :ivar wall: seconds from start to end.
    :ivar cpu: seconds of user and system time of all its processes.
    :ivar peak_memory: bytes of the whole process tree at the worst sample, or of its largest single process
        if that is more; 0 when it is not known.
    :ivar peak_process: the name of the largest process then, as the kernel has it; empty if it is not known.
    :ivar peak_approximate: shared memory may count more than once in ``peak_memory``.
    :ivar disk: bytes that the build left in its workspace; None when it was not measured.
    """

    wall: float = 0.0
    cpu: float = 0.0
    peak_memory: int = 0
    peak_process: str = ""
    peak_approximate: bool = False
    disk: int | None = None

    @classmethod
    def measured(cls, wall: float, times: ChildTimes, peak: Peak, disk: int | None = None) -> Resources:
        """From the kernel's account and the samples of one build."""
        return cls(
            wall=wall,
            cpu=times.cpu,
            peak_memory=max(peak.memory, times.largest),
            peak_process=peak.process if peak.memory >= times.largest else "",
            peak_approximate=peak.approximate,
            disk=disk,
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that came out.

    :ivar name: without a directory.
    :ivar size: bytes.
    :ivar sha256: in hexadecimal, of the published content: after signing.
    :ivar path: where it was published; None if it was not.
    """

    name: str
    size: int
    sha256: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """What is in a binary package that came out; all of it is without control characters.

    :ivar name: the name of its file.
    :ivar control: the fields of its control file, in their order.
    :ivar files: one line for each member, ``MODE OWNER/GROUP SIZE PATH``, sorted by path.
    :ivar complete: whether ``files`` has all of them: a list of many megabytes is cut.
    """

    name: str
    control: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    """Whether the result is signed.

    :ivar key: the full fingerprint of the key; empty if nothing is signed.
    :ivar reason: why there is no signature; empty if there is.
    """

    key: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where the build wrote.

    :ivar kind: ``private`` or ``in-place``.
    :ivar layering: how the tree was kept from being written, such as ``overlay``, ``copy`` or ``none``.
    """

    kind: str
    layering: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result.

    :ivar message: one sentence; ``hint``: what to do, or empty; ``details``: further lines.
    :ivar excerpt: what the build's output says; None if that has nothing to do with it.
    :ivar undeclared: hidden files that the output misses, and the packages that have them.
    """

    message: str
    hint: str = ""
    details: tuple[str, ...] = ()
    excerpt: Excerpt | None = None
    undeclared: tuple[Found, ...] = ()

    @classmethod
    def of(
        cls, error: BwbuildError, excerpt: Excerpt | None = None, undeclared: tuple[Found, ...] = ()
    ) -> Failure:
        """What ``error`` says, with what the output says."""
        return cls(error.message, error.hint, error.details, excerpt, undeclared)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a build left on purpose, to look into it.

    :ivar scratch: the directory; None if nothing was kept.
    :ivar shell: the command that opens a shell in the same sandbox; empty if there is none.
    :ivar script: the sandbox as a shell script to run by hand; None if it was not written.
    """

    scratch: Path | None = None
    shell: str = ""
    script: Path | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one build. The JSON form has the same names, in this order, after ``version``.

    :ivar status: in JSON the word as ``status`` (``success``, ``build-failed`` …) and the number, which is
        the exit status of the command, as ``exit_status``.
    :ivar job: what the user asked to build: a path or a name.
    :ivar source: the source package's name; empty when it was not found out.
    :ivar source_version: with its epoch; empty when it was not found out.
    :ivar built_version: of what is built; another than the source's after --binNMU and --append-to-version.
    :ivar distribution: the first of the changelog, such as ``unstable``.
    :ivar suite: of the base that was built on, such as ``bookworm``; empty on this machine itself.
    :ivar base: the id of that base; empty on this machine itself.
    :ivar architecture: the one that is built for; ``build_architecture``: the one that builds.
    :ivar build_type: as dpkg-buildpackage's ``--build``.
    :ivar options: what was passed on to dpkg-buildpackage.
    :ivar started: with time zone; in JSON as ``2026-01-31T12:00:00Z``. So is ``finished``.
    :ivar phases: in the order of time.
    :ivar artifacts: in the order of the .changes file.
    :ivar packages: what is in the binary packages among them.
    :ivar changes: the published .changes file; None if there is none.
    :ivar source_changes: the published one that lists the source alone; None if there is none.
    :ivar checks: what lintian, autopkgtest and piuparts found, as far as they were asked for.
    :ivar identity: ``range`` or ``single``; ``view``: ``declared``, ``host`` or ``learned``.
    :ivar weakenings: what the user allowed beyond the defaults, one sentence each.
    :ivar permissions: what the source asked for and what was given, in their order.
    :ivar network: who was contacted by the build where the network was granted; ``network_of_tests``: by
        its tests; None where it was not granted or nothing shows it.
    :ivar limit: the limit that ended the build, or that it came to; None if there is none.
    :ivar log: the log file; None if none was written.
    :ivar failure: None exactly if the status is success.
    """

    status: ExitStatus
    job: str
    started: datetime
    finished: datetime
    source: str = ""
    source_version: str = ""
    built_version: str = ""
    distribution: str = ""
    suite: str = ""
    base: str = ""
    architecture: str = ""
    build_architecture: str = ""
    build_type: str = ""
    options: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    resources: Resources = Resources()
    artifacts: tuple[Artifact, ...] = ()
    packages: tuple[Package, ...] = ()
    changes: Path | None = None
    source_changes: Path | None = None
    signature: Signature = Signature()
    checks: tuple[Result, ...] = ()
    identity: str = ""
    view: str = ""
    workspace: Workspace | None = None
    weakenings: tuple[str, ...] = ()
    permissions: tuple[Use, ...] = ()
    network: Contacts | None = None
    network_of_tests: Contacts | None = None
    limit: Reached | None = None
    log: Path | None = None
    failure: Failure | None = None
    kept: Kept = Kept()

    @property
    def succeeded(self) -> bool:
        """Whether the build has a result, and no check found what was to count as a failure."""
        return self.status is ExitStatus.SUCCESS

    @property
    def title(self) -> str:
        """``SOURCE VERSION (ARCH)`` as far as it is known."""
        version = self.built_version or self.source_version
        name = " ".join(part for part in (self.source or self.job, version) if part)
        return f"{name} ({self.architecture})" if self.architecture else name


def to_json(report: Report) -> str:
    """``report`` as JSON in ASCII: the same report gives the same bytes; ends with a newline.

    A path that is not UTF-8 has its bytes as lone surrogates, as Python has them.
    """
    form = plain(report)
    assert isinstance(form, dict)  # noqa: S101 - for the type checker; a dataclass is one
    head = {"version": FORMAT_VERSION, "status": report.status.label, "exit_status": int(report.status)}
    return json.dumps(head | {key: form[key] for key in form if key != "status"}, indent=2) + "\n"


def plain(value: object) -> object:
    """``value`` as what JSON has: dataclasses as objects of their fields, times as :func:`utc` has them."""
    match value:
        case datetime():
            return utc(value)
        case Enum():
            return value.value
        case os.PathLike():
            return os.fspath(value)
        case str() | int() | float() | None:
            return value
        case Sequence():
            return [plain(item) for item in value]
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    raise TypeError(f"{type(value).__name__} has no place in a report")


def utc(when: datetime) -> str:
    """``when`` as ``2026-01-31T12:00:00Z``."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def write_json(report: Report, path: Path) -> None:
    """Write ``report`` to ``path`` as :func:`write_whole` does.

    :raises OutputError: it can't be written.
    """
    write_whole(path, [to_json(report).encode("ascii")])


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write ``path`` in one step: whoever reads it sees the old file or the complete new one.

    :raises OutputError: it can't be written.
    """
    try:
        # A directory of its own next to it: the file in it gets the mode that the umask asks for.
        with tempfile.TemporaryDirectory(prefix=".bwbuild-", dir=path.parent) as scratch:
            new = Path(scratch, "report")
            with new.open("wb") as file:
                file.writelines(chunks)
            new.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
