"""Building without what seems unused, one dependency at a time and then without all, and comparing.

Each build has a copy of the tree with another debian/control; the real one is never written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bwbuild import process
from bwbuild.build import execute, inputs, places
from bwbuild.build import scratch as scratches
from bwbuild.build.learn.analyse import Entry
from bwbuild.build.plan import Plan, make_plan
from bwbuild.build.record.report import Package, Report
from bwbuild.build.start import Tree
from bwbuild.build.study import dependencies
from bwbuild.config.settings import Keep
from bwbuild.deb import less, relations
from bwbuild.deb.names import binary_file
from bwbuild.errors import BwbuildError, ExitStatus, InterruptedBuild
from bwbuild.events import Level, Notice, Tell
from bwbuild.interrupt import interruptions
from bwbuild.sandbox import script
from bwbuild.sandbox.permits import persisted
from bwbuild.sandbox.spec import Identity, IdentityKind, Layering


@dataclass(frozen=True, slots=True)
class Tried:
    """A build without some relations, each a pair of field and relation.

    :ivar same: whether the same came out. ``result``: what did, for people.
    """

    without: tuple[tuple[str, str], ...]
    same: bool
    result: str


@dataclass(frozen=True, slots=True)
class Trimmed:
    """All builds, and the change to debian/control; empty if there is nothing to leave out."""

    tried: tuple[Tried, ...]
    change: str = ""


class Trimming:
    """The builds that compare.

    :param first: the report of the traced build of ``plan``.
    :param environment: the caller's.
    """

    def __init__(
        self,
        plan: Plan,
        first: Report,
        environment: Mapping[str, str],
        around: execute.Surroundings,
        tell: Tell,
    ) -> None:
        self._plan = plan
        self._first = first
        self._environment = environment
        self._around = around
        self._tell = tell
        self._again: Report | None = None

    def trim(self, candidates: Sequence[Entry]) -> Trimmed:
        """Build without each of the candidates, and without all that the results don't need.

        :raises InterruptedBuild: a signal came; nothing is left of it.
        """
        pairs = [(entry.field, entry.relation) for entry in candidates]
        with interruptions():
            tried = [self._try((pair,)) for pair in pairs]
            spare = tuple(one.without[0] for one in tried if one.same)
            if len(spare) > 1:
                together = self._try(spare)
                tried.append(together)
                if not together.same:
                    spare = self._one_by_one(spare, tried)
        return Trimmed(tuple(tried), self._change(spare) if spare else "")

    def _one_by_one(
        self, spare: Sequence[tuple[str, str]], tried: list[Tried]
    ) -> tuple[tuple[str, str], ...]:
        """As many of them as can be left out together, in their order."""
        gone = spare[:1]
        for pair in spare[1:]:
            tried.append(self._try((*gone, pair)))
            if tried[-1].same:
                gone = (*gone, pair)
        return tuple(gone)

    def _try(self, pairs: tuple[tuple[str, str], ...]) -> Tried:
        names = ", ".join(relation for _, relation in pairs)
        self._tell(Notice(Level.INFO, f"building without {names}"))
        with self._copied(self._edited(pairs)) as tree:
            try:
                report = self._build(tree)
            except InterruptedBuild:
                raise
            except BwbuildError as error:
                return Tried(pairs, False, error.message)
        if report.status:
            why = report.failure.message if report.failure else report.status.label
            return Tried(pairs, False, f"it fails: {why}")
        return self._compared(pairs, report)

    def _compared(self, pairs: tuple[tuple[str, str], ...], report: Report) -> Tried:
        if sums(report) == sums(self._first):
            return Tried(pairs, True, "the same, bit for bit")
        if self._again is None:
            self._tell(Notice(Level.INFO, "building once more with all, to see whether it is the same twice"))
            with self._copied(self._control) as tree:
                self._again = self._build(tree)
        if self._again.status:
            return Tried(pairs, False, "it differs, and a second build with all fails")
        different = tuple(_differences(self._again.packages, report.packages))
        if different:
            return Tried(pairs, False, f"it differs: {different[0]}")
        if sums(self._again) == sums(self._first):
            names = sorted(dict(set(sums(report).items()) ^ set(sums(self._first).items())))
            return Tried(pairs, False, f"it differs: the contents of {', '.join(names)}")
        return Tried(pairs, True, "the same files and control data; no two builds are the same, bit for bit")

    @contextmanager
    def _copied(self, control: str) -> Iterator[Path]:
        """A copy of the tree with this debian/control, beside links to its tarballs; gone afterwards."""
        source, identity = self._plan.source, self._plan.sandbox.identity
        record = scratches.new_record(source.tree, (source.name, source.version), Layering.COPY, identity)
        with scratches.fresh(places.scratch(self._plan.settings), record) as scratch:
            parent = scratch.path / "trim"
            parent.mkdir(mode=0o755)
            tree = parent / source.tree.name
            _copy(source.tree, tree)
            place = tree / "debian/control"
            place.parent.chmod(place.parent.stat().st_mode | stat.S_IRWXU)
            place.unlink()  # it may be a link
            place.write_text(control, encoding="utf-8", errors="surrogateescape")
            for name, file in self._plan.origs.items():
                (parent / name).symlink_to(file.resolve())
            yield tree

    @property
    def _control(self) -> str:
        path = self._plan.source.tree / "debian/control"
        return path.read_text(encoding="utf-8", errors="surrogateescape")

    def _edited(self, pairs: Collection[tuple[str, str]]) -> str:
        asked = dependencies.wanted(
            self._plan.source, self._plan.options, self._plan.host.architecture, self._environment
        )

        named = {(known.casefold(), relation) for known, relation in pairs}
        fields = {field for field, _ in named}

        def drop(field: str, text: str) -> bool:
            if field.casefold() not in fields:
                return False
            groups = relations.reduce(relations.parse(field, text), asked.host_architecture, asked.profiles)
            return any((field.casefold(), relations.group_text(group)) in named for group in groups)

        return less.without(self._control, drop)

    def _change(self, pairs: Collection[tuple[str, str]]) -> str:
        return less.difference(self._control, self._edited(pairs))

    def _build(self, tree: Path) -> Report:
        output = tree.parent / "results"
        output.mkdir()
        settings = replace(
            self._plan.settings, output=output, log=output, report=output / "report", keep=Keep.NEVER
        )
        # The directories that stay are this build's until the last one has ended.
        held = persisted(self._plan.permits)
        wanted = inputs.Wanted(Tree(tree), self._plan.options, held=held)
        with inputs.read(wanted, settings, self._environment, _ignore) as found:
            report = execute.build(make_plan(found), self._around)
        if report.status is ExitStatus.INTERRUPTED:
            raise InterruptedBuild(report.failure.message if report.failure else "interrupted")
        return report


def _copy(tree: Path, copy: Path) -> None:
    """Copy a tree of the caller's, whatever the modes of its files say: a build reads them as root."""
    words = ("-aT", "--reflink=auto", "--remove-destination")
    done = process.run(["cp", *words, "--", tree, copy], check=os.getuid() == 0)
    if done.returncode != 0:
        entry = script.entry(Identity(IdentityKind.SINGLE, 0, 0))
        # Who else owns a file has no number there.
        process.run([*entry, "cp", *words, "--no-preserve=ownership", "--", tree, copy])


def sums(report: Report) -> dict[str, str]:
    """The sums of the packages that came out, by name."""
    return {item.name: item.sha256 for item in report.artifacts if binary_file(item.name)}


def _differences(before: Sequence[Package], after: Sequence[Package]) -> Iterator[str]:
    """What is not the same but for sizes."""
    old, new = ({package.name: package for package in found} for found in (before, after))
    for name in sorted(old.keys() ^ new.keys()):
        yield f"{name} is {'missing' if name in old else 'new'}"
    for name in sorted(old.keys() & new.keys()):
        if _control(old[name]) != _control(new[name]):
            yield f"the control data of {name}"
        for line in sorted(_files(old[name]) ^ _files(new[name])):
            yield f"{line} of {name}"


def _control(package: Package) -> list[tuple[str, str]]:
    return [field for field in package.control if field[0] != "Installed-Size"]


def _files(package: Package) -> set[str]:
    words = (line.split(" ", 3) for line in package.files)
    return {f"{mode} {owner} {path}" for mode, owner, _, path in words}


def _ignore(_event: object) -> None:
    pass
