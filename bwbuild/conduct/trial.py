"""Making the experiments: the builds that :mod:`bwbuild.conduct.steps` asks for, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bwbuild.build import scratch as scratches
from bwbuild.build import session, space, verdict
from bwbuild.build.plan import Inputs, Plan
from bwbuild.build.scan import Excerpt, OutputScanner
from bwbuild.build.scratch import Scratch
from bwbuild.build.watch.watchdog import Watchdog, Watched
from bwbuild.conduct import listing, plans
from bwbuild.conduct.acts import Places, Watcher
from bwbuild.conduct.read import Reader
from bwbuild.conduct.steps import Step, next_step
from bwbuild.conduct.values import Built, Evidence, Kind, Listing, Subject
from bwbuild.conduct.words import described
from bwbuild.errors import BuildError, HostError, VerificationError
from bwbuild.events import Observer, Section, fan_out
from bwbuild.host.doctor import Finding as HostFinding
from bwbuild.interrupt import interruptions
from bwbuild.sandbox import runner, tracing
from bwbuild.sandbox.environment import FIXED
from bwbuild.sandbox.tail import Tail

#: Bytes of what a command of bwbuild's own complains of that are shown.
_TAIL, _LINES = 4096, 20


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: a source as it was read, where scratch directories are, and who listens."""

    inputs: Inputs
    subject: Subject
    base: Path
    tell: Observer

    def evidence(self) -> Evidence:
        """Build until there is nothing more to learn; nothing of it stays.

        :raises BwbuildError: a build could not be started, or its dependencies are missing.
        """
        evidence = Evidence(self.subject)
        with interruptions(), ExitStack() as kept:
            scratch: Scratch | None = None
            while (step := next_step(evidence)) is not None:
                self.tell(Section(described(step)))
                plan = self._plan(step)
                if step.looked:
                    kept.close()
                    scratch = kept.enter_context(self._scratch(plan))
                    evidence = self._looked_at(scratch, step, evidence)
                elif step.same_tree and scratch is not None:
                    if self._is_split:
                        self._look(plans.handed_back(self.inputs), scratch)
                    scratches.clear(scratch)
                    evidence = evidence.having(step.name, self._built(scratch, step))
                else:
                    with self._scratch(plan) as other:
                        evidence = self._built_anew(other, step, evidence)
        return evidence

    def _plan(self, step: Step) -> Plan:
        return plans.build(self.inputs, step.conditions, cleaned=step.looked and not self._is_split)

    @property
    def _is_split(self) -> bool:
        """Whether the clean at the end is a step of its own, after root has given back its files."""
        return plans.leaves_files_of_root(self.inputs)

    @contextmanager
    def _scratch(self, plan: Plan) -> Iterator[Scratch]:
        space.check(plan, self.base)
        with scratches.open_for(plan, self.base, self.tell) as scratch:
            yield scratch

    def _looked_at(self, scratch: Scratch, step: Step, evidence: Evidence) -> Evidence:
        """The build whose tree is looked at before and after it."""
        cleaned = self._run(plans.clean(self.inputs, step.conditions), scratch, step)
        if not cleaned.succeeded:
            return evidence.having(step.name, replace(cleaned, whole=False))
        before = self._listing(scratch)
        scratches.clear(scratch)
        watcher = self._watcher(step)
        built = self._built(scratch, step, watcher)
        if self._is_split and built.succeeded:
            self._look(plans.handed_back(self.inputs), scratch)
            cleaned = self._run(plans.clean(self.inputs, step.conditions), scratch, step)
            built = replace(built, succeeded=cleaned.succeeded, step=cleaned.step, errors=cleaned.errors)
        evidence = evidence.having(step.name, built)
        traced = watcher.traced() if watcher else evidence.traced
        if traced is not None:
            parent = self._plan(step).sandbox.workspace.inside.parent
            traced = traced.without({str(parent / name) for name in built.results})
        after = self._listing(scratch) if built.succeeded else None
        return replace(evidence, traced=traced, before=before, after=after)

    def _built_anew(self, scratch: Scratch, step: Step, evidence: Evidence) -> Evidence:
        """A build in a fresh tree, in which a HOME may be."""
        watcher = self._watcher(step)
        evidence = evidence.having(step.name, self._built(scratch, step, watcher))
        if watcher is None or evidence.traced is None:
            return evidence
        more = tuple(act for act in watcher.traced().acts if act.kind is Kind.HOME)
        return replace(evidence, traced=replace(evidence.traced, acts=(*evidence.traced.acts, *more)))

    def _watcher(self, step: Step) -> Watcher | None:
        inside = self._plan(step).sandbox.workspace.inside
        return Watcher(Places(inside, PurePosixPath(FIXED["HOME"]))) if step.traced else None

    def _built(self, scratch: Scratch, step: Step, watcher: Watcher | None = None) -> Built:
        plan = self._plan(step)
        built = self._run(session.with_trace(plan) if watcher else plan, scratch, step, watcher)
        if not (scratch.path / "parent" / plan.changes).is_file():
            return replace(built, whole=False)
        try:
            left = Reader(plan, scratch).left()
        except VerificationError as error:
            return replace(built, succeeded=False, whole=False, errors=(error.message, *error.details))
        return replace(built, contents=left.contents, results=left.results, beside=left.beside)

    def _run(self, plan: Plan, scratch: Scratch, step: Step, watcher: Watcher | None = None) -> Built:
        """Run dpkg-buildpackage; what came out is looked at by others."""
        scanner = OutputScanner(self.tell)
        watchdog = Watchdog(Watched.of_build(plan, scratch), fan_out(scanner, self.tell))
        take = watcher.feed if watcher else None
        listeners = runner.Listeners(watchdog.output, tick=watchdog.tick, trace=take)
        with _one_processor(scratch) if step.conditions.confined else nullcontext():
            outcome = session.launch(plan, scratch, listeners, plan.limits.time)
        excerpt = scanner.excerpt()
        built = Built(step.conditions, succeeded=True, seconds=outcome.seconds)
        breach = verdict.breach(outcome, watchdog.seen, excerpt, plan)
        if breach is not None:
            return replace(built, succeeded=False, step=excerpt.step, errors=(breach.message, breach.hint))
        try:
            verdict.check(outcome, excerpt, plan, lambda: self._explain(plan))
        except BuildError:
            return replace(built, succeeded=False, step=excerpt.step, errors=_errors(excerpt))
        return built

    def _explain(self, plan: Plan) -> tuple[HostFinding, ...]:
        from bwbuild.build.study.doctor import explain  # noqa: PLC0415 - only a failure needs it

        return explain(plan, self.base)

    def _listing(self, scratch: Scratch) -> Listing:
        return listing.parse(self._look(plans.listing(self.inputs), scratch))

    def _look(self, plan: Plan, scratch: Scratch) -> bytes:
        """Run a command of bwbuild's own in the tree; what it says."""
        answer, complaints = bytearray(), Tail(_TAIL)

        def take(data: bytes) -> None:
            if len(answer) + len(data) > listing.LARGEST:
                raise VerificationError("the tree has more files than can be listed after the build")
            answer.extend(data)

        outcome = session.launch(plan, scratch, runner.Listeners(take, complaints.add), listing.PATIENCE)
        if outcome.exit_code != 0:
            kind = VerificationError if outcome.started else HostError
            raise kind("the tree could not be looked at after the build", details=complaints.lines(_LINES))
        return bytes(answer)


def blind() -> str:
    """Why processes can't be looked at on this machine; empty where they can."""
    try:
        tracing.check()
    except HostError as error:
        return f"{error.message} ({error.hint})"
    return ""


def _errors(excerpt: Excerpt) -> tuple[str, ...]:
    """Why it failed: what the programs said first, then what gave up."""
    lines = (*excerpt.errors, excerpt.command) if excerpt.errors else (excerpt.command, *excerpt.tail[-5:])
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


@contextmanager
def _one_processor(scratch: Scratch) -> Iterator[None]:
    """Whatever is started meanwhile may use one processor alone, and counts no other."""
    helpers = scratch.path / "inside"
    helpers.mkdir(mode=0o755, exist_ok=True)
    (helpers / plans.ONLINE.name.rpartition("/")[2]).write_text(plans.ONE, encoding="ascii")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
