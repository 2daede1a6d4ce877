"""A build against an expectation: the copied tree, its preparation, and everything that the build left.

The tree is copied, so that the one of the corpus stays as it is and all that lies beside the copy can be
compared. The script of an expectation runs in a small sandbox, in which it sees the copy's parent directory
and /usr alone.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import pwd
import re
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from bwbuild import process
from bwbuild.build.restraints import for_unpacking
from bwbuild.config.settings import Settings
from bwbuild.corpus.expectations import (
    Expectation,
    Outcome,
    Snapshot,
    snapshot,
    source_name,
    upstream,
)
from bwbuild.errors import HostError, SourceError
from bwbuild.host.facts import read_host
from bwbuild.root.records import remove_tree
from bwbuild.sandbox import runner, small
from bwbuild.sandbox.spec import Bind, Guest, Scratch

#: What a build against an expectation has beside its own options.
OPTIONS = ("--keep", "never", "--no-sign")
#: Seconds that a script of an expectation may take.
PATIENCE = 60.0
#: Bytes of a log, of what the terminal got, and of a .changes that are compared.
MOST_READ = 512 << 20
_PARENT = Scratch("parent")
_PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "3.0 (quilt)": ("xz", lzma.compress),
    "1.0": ("gz", lambda data: gzip.compress(data, mtime=0)),
}


@dataclass(frozen=True, slots=True)
class Copied:
    """The directories of one trial: the copied tree in its parent, and where what else it makes goes.

    :ivar top: of both; :ivar before: all that was in ``parent`` before the build.
    """

    top: Path
    tree: Path
    before: Snapshot

    @property
    def parent(self) -> Path:
        """Where the copy and the artifacts are."""
        return self.top / _PARENT.name

    @property
    def scratch(self) -> Path:
        """Where the build's scratch directories and temporary files are."""
        return self.top / "scratch"


def environment(expected: Expectation, copied: Copied, base: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment for a build: this user's configuration must not decide about it."""
    kept = {name: value for name, value in base.items() if not name.startswith(("DEB_", "BWBUILD_"))}
    config = str(copied.top / "config")
    ours = {"LC_ALL": "C.UTF-8", "TMPDIR": str(copied.scratch), "XDG_CONFIG_HOME": config}
    return kept | ours | dict(expected.environment)


def prepared(source: Path, expected: Expectation, top: Path) -> Copied:
    """Copy the tree ``source`` below ``top``, which is made, with its upstream tarball, and set it up.

    :raises SourceError: it can't be copied, or what prepares it fails.
    """
    try:
        name, version = source_name(source.resolve())
        tree = top / _PARENT.name / _safe(f"{name}-{upstream(version)}")
        shutil.copytree(source, tree, symlinks=True)
        (top / "scratch").mkdir()
        _pack(tree, name, version)
    except (OSError, shutil.Error, UnicodeDecodeError) as error:
        raise SourceError(f"{source} can't be copied: {error}") from error
    if expected.setup:
        _set_up(tree, expected.setup, top)
    return Copied(top, tree, snapshot(top / _PARENT.name))


def _safe(name: str) -> str:
    if "/" in name or name in (".", ".."):
        raise SourceError(f"{name!r} is no name and version of a source")
    return name


def _pack(tree: Path, name: str, version: str) -> None:
    """Make the upstream tarball of everything but ``debian`` where the format wants one."""
    path = tree / "debian" / "source" / "format"
    form = path.read_text(encoding="utf-8").strip() if path.is_file() else "1.0"
    if "-" in version and form in _PACKERS:
        suffix, compress = _PACKERS[form]
        orig = tree.parent / f"{name}_{upstream(version)}.orig.tar.{suffix}"
        orig.write_bytes(compress(_upstream_tar(tree)))


def _upstream_tar(tree: Path) -> bytes:
    """Everything of ``tree`` but its ``debian``, as the same tarball each time."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if member.name.split("/")[1:2] == ["debian"]:
            return None
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = "root"
        return member

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(tree, arcname=tree.name, filter=anonymous)
    return data.getvalue()


def _set_up(tree: Path, script: str, top: Path) -> None:
    host = read_host()
    command = ("sh", "-euc", f'cd -- "$1"\n{script}', "sh", f"./{tree.name}")
    box = small.Small(command, (Bind(_PARENT, Guest("/parent"), writable=True),))
    launcher = top / "setup"
    restrained = for_unpacking(Settings(), host.architecture)
    launcher.write_bytes(os.fsencode(small.launcher(host, restrained, box)))
    said = bytearray()
    outcome = runner.run(
        runner.Launch(launcher, top, timeout=PATIENCE),
        runner.Listeners(lambda data: said.extend(data[: 1 << 16])),
    )
    launcher.unlink()
    if outcome.exit_code != 0:
        how = "took too long" if outcome.timed_out else f"failed (exit status {outcome.exit_code})"
        lines = said[-4096:].decode("utf-8", "replace").splitlines()[-10:]
        raise SourceError(f"setup of expect.toml {how}", details=lines)


@dataclass(frozen=True, slots=True)
class Left:
    """What a build left outside of the copy's parent directory.

    :ivar exit_status: of the command; ``peak``: the most memory that its own process took, in bytes.
    :ivar report: as it is in JSON; empty if there is none.
    """

    exit_status: int
    peak: int
    report: Mapping[str, Any]
    log: Path
    terminal: Path


def outcome(expected: Expectation, copied: Copied, left: Left) -> Outcome:
    """Everything that a build left, to be compared with ``expected``."""
    after = snapshot(copied.parent)
    new = sorted(after.keys() - copied.before.keys())
    return Outcome(
        exit_status=left.exit_status,
        before=copied.before,
        after=after,
        report=left.report,
        terminal=_read(left.terminal),
        log=_read(left.log),
        changes={
            name: _read(copied.parent / name).decode("utf-8", "replace")
            for name in new
            if name.endswith(".changes")
        },
        listings={item["name"]: _without_sizes(item["files"]) for item in left.report.get("packages", [])},
        # Patterns may be absolute, which Path.glob refuses.
        present=tuple(
            found
            for pattern in expected.host_absent
            for found in glob(pattern, root_dir=copied.parent)  # noqa: PTH207
        ),
        left=tuple(sorted(path.name for path in copied.scratch.iterdir())),
        peak=left.peak,
    )


def _without_sizes(lines: Sequence[str]) -> tuple[str, ...]:
    parts = (line.split(" ", 3) for line in lines)
    return tuple(" ".join((*part[:2], part[3])) for part in parts if len(part) == 4)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MOST_READ)
    except FileNotFoundError:
        return b""


def remove(top: Path) -> None:
    """Remove what a trial made, files of other ids too."""
    if top.exists():
        remove_tree(top)


def _has_range() -> bool:
    """Whether this user has subordinate ids, or is root, who may write any map."""
    if os.getuid() == 0:
        return True
    user = pwd.getpwuid(os.getuid())
    ranges = [Path(f"/etc/sub{kind}id").read_text(encoding="utf-8") for kind in "ug"]
    return all(re.search(rf"^({user.pw_name}|{user.pw_uid}):", text, re.M) for text in ranges)


def _dpkg_takes_root_for_granted() -> bool:
    """Whether a missing Rules-Requires-Root means binary-targets, as it did before dpkg 1.22.13."""
    version = process.run(["dpkg-query", "-W", "-f", "${Version}", "dpkg"]).text
    older = ["dpkg", "--compare-versions", version, "lt", "1.22.13"]
    return process.run(older, check=False).returncode == 0


#: What an expectation may need of a machine.
NEEDS: Mapping[str, Callable[[], bool]] = {
    "range": _has_range,
    "dpkg < 1.22.13": _dpkg_takes_root_for_granted,
}


def lacking(expected: Expectation) -> str:
    """The first need of ``expected`` that this machine does not meet; empty where it meets all.

    :raises HostError: nobody knows that need.
    """
    for need in expected.needs:
        if need not in NEEDS:
            raise HostError(
                f"expect.toml needs {need!r}, which nobody knows", hint=f"known: {', '.join(NEEDS)}"
            )
        if not NEEDS[need]():
            return need
    return ""
