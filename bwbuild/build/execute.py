"""One build from its plan to its report: run the sandbox, then verify, sign and publish what came out."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bwbuild.build import asked, session, signing, space, verdict
from bwbuild.build import scratch as scratches
from bwbuild.build.granted.using import Using
from bwbuild.build.plan import Plan, on_disk
from bwbuild.build.record import sections
from bwbuild.build.record.account import account
from bwbuild.build.record.history import Estimate, History, PastBuild, StepTimes
from bwbuild.build.record.log import LogFile, LogTitle
from bwbuild.build.record.report import Artifact, Kept, Package, Phase, Report, Resources, Signature
from bwbuild.build.record.summary import after_build, summary, why
from bwbuild.build.scan import OutputScanner
from bwbuild.build.scratch import Scratch
from bwbuild.build.watch.limits import Breach, BreachError, Reached, of_disk, of_log
from bwbuild.build.watch.resources import ChildTimes, Peak
from bwbuild.build.watch.watchdog import Watchdog, Watched
from bwbuild.checks.result import Result, judge
from bwbuild.config.settings import Keep
from bwbuild.errors import BuildError, BwbuildError, ExitStatus, HostError, InterruptedBuild, OutputError
from bwbuild.events import Event, Level, Notice, Observer, Section, fan_out
from bwbuild.handover.artifacts import Verified
from bwbuild.handover.keys import Key
from bwbuild.handover.publish import check_output, publish
from bwbuild.handover.sign import sign
from bwbuild.host.doctor import Finding
from bwbuild.interrupt import interruptions
from bwbuild.permissions.asked import Purpose
from bwbuild.root.views import database_stamp
from bwbuild.sandbox import runner
from bwbuild.sandbox.spec import Layering
from bwbuild.units import human_size

if TYPE_CHECKING:
    from bwbuild.build.granted.witness import Witness
    from bwbuild.lookup.search import Found

CHANGED = "packages of this machine were changed during the build, so that it may have seen both states"
#: What a disk may answer at any time; any other error of the operating system is a bug.
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})


class _MemoryFullError(Exception):
    """The build has filled its workspace in memory."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around a build: where scratch directories are, who listens, whether somebody can be asked."""

    base: Path
    tell: Observer
    #: gets the title and, where earlier builds are known, how long it will take
    announce: Callable[[str, Estimate | None], None]
    #: takes progress off the terminal while somebody else writes there
    suspended: Callable[[], AbstractContextManager[None]]
    #: a terminal is there on which a passphrase can be typed
    terminal: bool = False
    #: opens a shell in the workspace of a failed build
    shell: Callable[[Plan, Scratch], None] | None = None
    #: gets strace's lines of a sandbox that is traced
    trace: Callable[[bytes], object] | None = None
    #: sees in that trace which permissions are used
    witness: Witness | None = None


def build(plan: Plan, around: Surroundings) -> Report:
    """Carry out ``plan``.

    Every failure that is not a bug is in the report, and in the log what went wrong and what to do about it.

    :raises OutputError: the log can't be written, so that there is nothing to tell the rest in.
    """
    check_output(plan.output)
    title = LogTitle(plan.source.name, plan.version, plan.architecture)
    log = LogFile(title, plan.settings.log or plan.output, limit=plan.limits.log)
    with log:
        return Build(plan, around, log).run()


class Build:
    """The state of one build while it runs."""

    def __init__(self, plan: Plan, around: Surroundings, log: LogFile) -> None:
        self.plan = plan
        self.around = around
        self.started = datetime.now(UTC)
        self.phases: list[Phase] = []
        if plan.ground is not None and plan.ground.layer.seconds:
            self.phases.append(Phase("install", plan.ground.layer.seconds))
        self.log = log
        self._listen()
        self.using = Using(plan, around.witness)
        self.history = History(self.tell)
        self.peak: Peak = Peak()
        self.reached: Reached | None = None
        self.kept: Kept = Kept()
        self.signature: Signature = Signature()
        self.disk: int | None = None
        self.undeclared: tuple[Found, ...] = ()
        self.artifacts: tuple[Artifact, ...] = ()
        self.packages: tuple[Package, ...] = ()
        self.checks: list[Result] = []
        self.weakenings: tuple[str, ...] = tuple(
            note.text for note in plan.notes if note.level is Level.WARNING
        )

    def run(self) -> Report:
        """Build, and report whatever happens."""
        cpu = ChildTimes.now()
        clock = time.monotonic()
        failure: BwbuildError | None = None
        try:
            with interruptions():
                self._introduce()
                self._in_scratch()
                judge(self.checks, asked.limits(self.plan.settings))
        except BwbuildError as error:
            failure = error
            if isinstance(error, BreachError):
                self.reached = error.reached
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise
            what = f"{error.filename or 'a file'}: {error.strerror}"
            failure = OutputError(what, hint="df shows what is full; --scratch DIR names another workspace")
        report = account(self, failure)
        took = Resources.measured(time.monotonic() - clock, ChildTimes.now().since(cpu), self.peak, self.disk)
        used = self.using.account(self, whole=failure is None)
        report = replace(report, resources=took, finished=datetime.now(UTC), **used)
        self._record(report)
        for event in (*why(report), *summary(report)):
            self.log(event)
        return report

    def _listen(self) -> None:
        self.scanner = OutputScanner(self._step)
        self.steps = StepTimes()
        self.tell = fan_out(self.log, self.scanner, self.steps, self.around.tell)

    def _step(self, event: Event) -> None:
        self.tell(event)

    def _introduce(self) -> None:
        self.around.announce(self.plan.title, self.plan.past)
        for event in sections.introduction(self.plan):
            self.tell(event)
        for event in self.plan.told.events:
            self.log(event)  # the terminal has shown what of it matters when it happened
        for event in sections.environment(self.plan):
            self.tell(event)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.phases.append(Phase(name, time.monotonic() - start))

    def _in_scratch(self) -> None:
        try:
            self._attempt()
        except _MemoryFullError:
            text = "the workspace in memory was full; building once more, on disk (--workspace-memory never)"
            self.tell(Notice(Level.WARNING, text))
            self.plan = on_disk(self.plan)
            self._listen()
            self._attempt()

    def _attempt(self) -> None:
        base = self.around.base
        with ExitStack() as stack:
            with self._phase("prepare"):
                space.check(self.plan, base)
                scratch = stack.enter_context(scratches.open_for(self.plan, base, self.tell))
            try:
                self._steps(scratch)
            except BwbuildError as error:
                self._after_failure(scratch, error)
                raise
            options = self.plan.options
            if self.plan.settings.keep is Keep.ALWAYS or options.no_clean or not options.makes_changes:
                self._keep(scratch, "kept for -nc" if options.no_clean else "kept as asked")

    def _steps(self, scratch: Scratch) -> None:
        key = signing.decide(self.plan)
        if isinstance(key, Signature):
            self.signature = key
            self.tell(Notice(Level.INFO, f"not signed: {key.reason}"))
        self._run_sandbox(scratch)
        if not self.plan.options.makes_changes:
            self.tell(Notice(Level.INFO, "no .changes was made, so nothing is published"))
            return
        with self._phase("verify"):
            from bwbuild.build.inspect import contents, packed, results  # noqa: PLC0415 - they would delay the start

            verified = results.take(self.plan, scratch.path, self.log)
            for text in packed.check(self.plan, verified, scratch):
                self._weaken(text)
            if self.plan.settings.report is not None:
                self.packages = contents.read(verified.artifacts, scratch.path)
        if isinstance(key, Key):
            with self._phase("sign"):
                verified = self._sign(verified, key)
        with self._phase("publish"):
            published = publish(verified, self.plan.output)
        by_name = {path.name: path for path in published}
        self.artifacts = tuple(
            Artifact(artifact.name, artifact.size, artifact.sha256, by_name.get(artifact.name))
            for artifact in verified.artifacts
        )
        self._check(verified)

    def _check(self, verified: Verified) -> None:
        if asked.checks(self.plan.settings):
            from bwbuild.build import afterwards  # noqa: PLC0415 - needs bases, as most builds do not

            with self._phase("checks"):
                tell = fan_out(self.log, self.around.tell)
                afterwards.run(self.plan, verified, tell, self.checks, self.using.traffic.get(Purpose.TESTS))

    def _run_sandbox(self, scratch: Scratch) -> None:
        self.tell(Section("Build"))
        for event in sections.command(self.plan):
            self.tell(event)
        watchdog = Watchdog(Watched.of_build(self.plan, scratch), self.tell)
        listeners = runner.Listeners(
            watchdog.output,
            tick=watchdog.tick,
            trace=self.around.trace,
            traffic=self.using.listener(Purpose.BUILD),
        )
        with self._phase("build"):
            outcome = session.launch(self.plan, scratch, listeners, self.plan.limits.time)
        seen = watchdog.seen
        self.peak = max(self.peak, seen.peak, key=lambda peak: peak.memory)
        self.disk = self._space(scratch)
        for event in after_build(datetime.now(UTC), successful=outcome.exit_code == 0):
            self.log(event)
        self._compare_host()
        self._check_limits(verdict.breach(outcome, seen, self.scanner.excerpt(), self.plan))
        if outcome.exit_code and space.memory_is_full(self.plan, scratch, self.scanner.excerpt()):
            limit = self.plan.limits.disk
            if limit is not None and self.plan.sandbox.workspace.memory == limit:
                self._check_limits(of_disk(limit, limit, killed=False))
            raise _MemoryFullError
        try:
            verdict.check(outcome, self.scanner.excerpt(), self.plan, self._explain, seen)
        except BuildError:
            self._look_up()
            raise

    def _check_limits(self, breach: Breach | None) -> None:
        limit, written = self.plan.limits.log, self.log.output
        if limit is not None and written.cut:
            self.reached = of_log(limit, written.total)
            text = (
                f"the build wrote {human_size(written.total)}, of which the log has the beginning and the end"
            )
            self.tell(Notice(Level.WARNING, text))
        if breach is not None:
            raise BreachError(breach)

    def _compare_host(self) -> None:
        view = self.plan.view
        if view is not None and view.database != database_stamp():
            self._weaken(CHANGED)

    def _weaken(self, text: str) -> None:
        self.tell(Notice(Level.WARNING, text))
        self.weakenings += (text,)

    def _look_up(self) -> None:
        if self.plan.view is None:
            return
        from bwbuild.build.study.undeclared import look_up  # noqa: PLC0415 - only a failure needs it

        try:
            self.undeclared = look_up(self.log.path, self.plan.view, self.plan.host, self.plan.narrowing)
        except HostError as error:
            # It might have said why; what did fail is said in any case.
            self.tell(Notice(Level.WARNING, f"hidden files were not looked up: {error.message}"))

    def _explain(self) -> tuple[Finding, ...]:
        from bwbuild.build.study.doctor import explain  # noqa: PLC0415 - only a sandbox that did not start needs it

        return explain(self.plan, self.around.base)

    def _space(self, scratch: Scratch) -> int | None:
        try:
            return space.taken(self.plan, scratch)
        except InterruptedBuild:
            raise
        except BwbuildError as error:
            # A figure in the log is not worth the build.
            self.tell(Notice(Level.WARNING, f"the disk space was not measured: {error.message}"))
            return None

    def _sign(self, verified: Verified, key: Key) -> Verified:
        with self.around.suspended():
            program = self.plan.options.sign_program or ""
            signed = sign(verified, key, terminal=self.around.terminal, program=program)
        self.signature = Signature(key=key.fingerprint)
        self.tell(Notice(Level.INFO, f"signed with {key.fingerprint}"))
        return signed

    def _after_failure(self, scratch: Scratch, error: BwbuildError) -> None:
        settings = self.plan.settings
        if settings.shell_on_failure and error.status is ExitStatus.BUILD_FAILED and self.around.shell:
            self.around.shell(self.plan, scratch)
        quarantine = scratch.path / "quarantine"
        has_results = error.status in verdict.AFTER_VERIFICATION and quarantine.exists()
        full = self.reached is not None and self.reached.name in verdict.OF_DISK
        if settings.keep is Keep.NEVER or full or not (has_results or error.status in verdict.WORTH_KEEPING):
            return
        self._keep(scratch, error.status.label)
        if has_results:
            error.details += (f"the verified results are in {quarantine}",)

    def _keep(self, scratch: Scratch, why: str) -> None:
        in_place = self.plan.sandbox.workspace.layering is Layering.NONE
        if in_place and not (scratch.path / "quarantine").exists():
            return  # the real tree is the workspace
        scratches.keep(self.around.base, scratch, why)
        tree = os.path.relpath(self.plan.source.tree)
        shell = f"bwbuild shell -nc {tree if tree != '.' else ''}".rstrip()
        self.kept = Kept(scratch.path, "" if in_place else shell, scratch.path / "launch")

    def _record(self, report: Report) -> None:
        if self.plan.sandbox.traced:
            return  # others are quicker
        hungry = self.reached is not None and self.reached.name == "memory"
        known = (ExitStatus.SUCCESS, ExitStatus.BUILD_FAILED, ExitStatus.CHECK_FAILED)
        if report.status not in known and not hungry:
            return
        self.history.record(PastBuild.of(report, self.steps.steps, self.plan.jobs))
