"""Builds every package of ``testpkgs/`` with the real command, and compares with what is expected."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import pwd
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import NoReturn

import pytest
from expectations import (
    Expectation,
    Outcome,
    differences,
    listing,
    read,
    snapshot,
    source_name,
    upstream,
)

from bwbuild.errors import ExitStatus
from bwbuild.process import Completed, run

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "testpkgs"
PYTHON = "/usr/bin/python3"
OPTIONS = ("--keep", "never", "--no-sign")
#: ``python3 -m bwbuild`` that leaves its own greatest size in a file: what the build used does not count.
MEASURED = """
import atexit, pathlib, re, runpy, sys
peak = pathlib.Path(sys.argv.pop(1))
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: peak.write_text(re.search("VmHWM:\\\\s+([0-9]+) kB", status.read_text())[1]))
runpy.run_module("bwbuild", run_name="__main__", alter_sys=True)
"""
PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "3.0 (quilt)": ("xz", lzma.compress),
    "1.0": ("gz", lambda data: gzip.compress(data, mtime=0)),
}


def architecture() -> str:
    return run(["dpkg", "--print-architecture"]).text


@dataclass(frozen=True, slots=True)
class Case:
    """One run: a package of the corpus, and the options that this run has beyond the package's own."""

    name: str
    expected: Expectation
    more: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.name, *self.more))


def cases() -> list[Case]:
    machine = architecture()
    expectations = {path.parent.name: read(path, machine) for path in sorted(PACKAGES.glob("*/expect.toml"))}
    return [
        Case(name, expected, more) for name, expected in expectations.items() for more in ((), *expected.also)
    ]


@dataclass(frozen=True, slots=True)
class Place:
    """The directories of one run: the copied tree in its parent, and where the run's own files go."""

    tree: Path
    parent: Path
    own: Path

    @property
    def report(self) -> Path:
        return self.own / "report.json"

    @property
    def log(self) -> Path:
        return self.own / "log"

    @property
    def peak(self) -> Path:
        return self.own / "peak"

    @property
    def scratch(self) -> Path:
        return self.own / "scratch"


def place(name: str, tmp_path: Path) -> Place:
    """Copy the package's tree below ``tmp_path``, with its upstream tarball where the format wants one."""
    original = PACKAGES / name / "tree"
    source, version = source_name(original.resolve())
    found = Place(
        tmp_path / "parent" / f"{source}-{upstream(version)}", tmp_path / "parent", tmp_path / "own"
    )
    shutil.copytree(original, found.tree, symlinks=True)
    found.scratch.mkdir(parents=True)
    form = (original / "debian/source/format").read_text(encoding="utf-8").strip()
    if "-" in version and form in PACKERS:
        suffix, compress = PACKERS[form]
        orig = found.parent / f"{source}_{upstream(version)}.orig.tar.{suffix}"
        orig.write_bytes(compress(upstream_tar(found.tree)))
    return found


def upstream_tar(tree: Path) -> bytes:
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


def environment(expected: Expectation, scratch: Path) -> dict[str, str]:
    """The caller's environment for one run: this user's configuration must not decide about the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEB_", "BWBUILD_"))}
    ours = {"LC_ALL": "C.UTF-8", "TMPDIR": str(scratch), "XDG_CONFIG_HOME": str(scratch.parent / "config")}
    return kept | ours | {"PYTHONPATH": str(ROOT)} | dict(expected.environment)


def build(case: Case, where: Place) -> Completed:
    own = ["--report", str(where.report), "--log", str(where.log), "--scratch", str(where.scratch)]
    options = [*own, *case.expected.options, *case.more]
    return run(
        [PYTHON, "-c", MEASURED, str(where.peak), *OPTIONS, *options],
        check=False,
        cwd=where.tree,
        env=environment(case.expected, where.scratch),
        timeout=case.expected.seconds,
    )


def outcome(case: Case, where: Place) -> Outcome:
    """Set the package up, build it, and look at everything it left."""
    run(["sh", "-euc", case.expected.setup], cwd=where.tree, env=environment(case.expected, where.scratch))
    before = snapshot(where.parent)
    done = build(case, where)
    after = snapshot(where.parent)
    new = sorted(after.keys() - before.keys())
    return Outcome(
        exit_status=done.returncode,
        before=before,
        after=after,
        report=json.loads(where.report.read_bytes()) if where.report.exists() else {},
        terminal=done.stdout + done.stderr,
        log=where.log.read_bytes() if where.log.exists() else b"",
        changes={
            name: (where.parent / name).read_text(encoding="utf-8")
            for name in new
            if name.endswith(".changes")
        },
        listings={
            name: listing(run(["dpkg-deb", "-c", str(where.parent / name)]).text)
            for name in new
            if name.endswith(("deb", ".udeb"))
        },
        # Patterns may be absolute, which Path.glob refuses.
        present=tuple(
            found
            for pattern in case.expected.host_absent
            for found in glob(pattern, root_dir=where.parent)  # noqa: PTH207
        ),
        left=tuple(sorted(path.name for path in where.scratch.iterdir())),
        peak=int(where.peak.read_text()) * 1024,
    )


def has_range() -> bool:
    """Whether this user has subordinate ids, or is root, who may write any map."""
    if os.getuid() == 0:
        return True
    user = pwd.getpwuid(os.getuid())
    ranges = [Path(f"/etc/sub{kind}id").read_text(encoding="utf-8") for kind in "ug"]
    return all(re.search(rf"^({user.pw_name}|{user.pw_uid}):", text, re.M) for text in ranges)


def dpkg_takes_root_for_granted() -> bool:
    """Whether a missing Rules-Requires-Root means binary-targets, as it did before dpkg 1.22.13."""
    version = run(["dpkg-query", "-W", "-f", "${Version}", "dpkg"]).text
    return run(["dpkg", "--compare-versions", version, "lt", "1.22.13"], check=False).returncode == 0


NEEDS: dict[str, Callable[[], bool]] = {"range": has_range, "dpkg < 1.22.13": dpkg_takes_root_for_granted}
#: What no preparation of a machine can change.
FIXED = frozenset({"dpkg < 1.22.13"})


def give_up(reason: str) -> NoReturn:
    """Skip on a laptop, fail where the machine was prepared for the tests."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def parameter(case: Case) -> object:
    """The test must fail as long as the gap is there, so that nobody forgets to take the key out."""
    gap = case.expected.gap
    return pytest.param(case, id=str(case), marks=[pytest.mark.xfail(reason=gap, strict=True)] if gap else [])


@pytest.mark.parametrize("case", [parameter(case) for case in cases()])
def test_package(case: Case, tmp_path: Path) -> None:
    for need in case.expected.needs:
        if not NEEDS[need]():
            reason = f"this needs {need}"
            pytest.skip(reason) if need in FIXED else give_up(reason)
    where = place(case.name, tmp_path)
    found = outcome(case, where)
    if found.exit_status == ExitStatus.DEPENDENCIES and case.expected.status != "dependencies":
        give_up(found.terminal.decode("utf-8", "replace"))
    problems = differences(case.expected, found, os.getuid())
    if problems:
        terminal = found.terminal.decode("utf-8", "replace")[-4000:]
        log = found.log.decode("utf-8", "replace")[-4000:]
        pytest.fail(
            "\n".join([case.expected.what, *problems, "--- terminal", terminal, "--- log", log]), False
        )
    shutil.rmtree(tmp_path)
