"""Reading what a build left: its packages in a sandbox of their own, and what lies beside its tree."""

from __future__ import annotations

import os
from dataclasses import dataclass

from bwbuild.build import verdict
from bwbuild.build.inspect.helper import passable
from bwbuild.build.plan import Plan
from bwbuild.build.restraints import for_unpacking
from bwbuild.build.scratch import Scratch
from bwbuild.conduct import members
from bwbuild.conduct.values import Contents
from bwbuild.deb.names import binary_file
from bwbuild.errors import VerificationError
from bwbuild.handover.artifacts import Verified
from bwbuild.handover.verify import collect
from bwbuild.sandbox import runner
from bwbuild.sandbox.tail import Tail

#: Seconds that reading the packages of a build may take, and bytes that take one more.
PATIENCE, PACE = 120.0, 1 << 20
_TAIL = 1 << 14


@dataclass(frozen=True, slots=True)
class Left:
    """The contents of the packages, the names of all results, and what else lies beside the tree."""

    contents: Contents
    results: tuple[str, ...]
    beside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what the build of ``plan`` left in ``scratch``."""

    plan: Plan
    scratch: Scratch

    def left(self) -> Left:
        """Take the packages into the quarantine and read them.

        :raises VerificationError: they are not what the .changes says, or can't be read.
        """
        quarantine = self.scratch.path / members.PACKAGES.name
        quarantine.mkdir(mode=0o700)
        parent = self.scratch.path / "parent"
        verified = collect(parent, quarantine, verdict.expected(self.plan))
        workspace = self.plan.sandbox.workspace
        results = tuple(sorted(artifact.name for artifact in verified.artifacts))
        known = {*results, workspace.inside.name, *(path.name for path in workspace.beside)}
        beside = sorted(entry.name for entry in os.scandir(parent) if entry.name not in known)
        return Left(self._contents(verified), results, tuple(f"../{name}" for name in beside))

    def _contents(self, verified: Verified) -> Contents:
        packages = [artifact for artifact in verified.artifacts if binary_file(artifact.name)]
        names = [package.name for package in packages]
        restrained = for_unpacking(self.plan.settings, self.plan.host.architecture)
        script = self.scratch.path / "members"
        script.write_bytes(os.fsencode(members.launcher(self.plan.host, restrained, names)))
        answer, complaints = bytearray(), Tail(_TAIL)

        def take(data: bytes) -> None:
            if len(answer) + len(data) > members.LARGEST:
                raise VerificationError("the packages have more members than can be compared")
            answer.extend(data)

        limit = PATIENCE + sum(package.size for package in packages) / PACE
        with passable(self.scratch.path):
            launch = runner.Launch(script, self.scratch.path, timeout=limit)
            outcome = runner.run(launch, runner.Listeners(take, complaints.add))
        if outcome.exit_code != 0:
            raise VerificationError("the packages of the build can't be read", details=complaints.lines(10))
        return members.parse(bytes(answer))
