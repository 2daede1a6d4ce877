"""Scoring sandboxes on this machine: the one that a build would get, or that of a bwrap command line.

What is passed to bwrap is judged first. Then a program looks around in the real sandbox, and what it sees
counts where it is worse.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bwbuild import process
from bwbuild.audit import probe
from bwbuild.audit.assessments import ASSESSMENTS
from bwbuild.audit.facts import Facts, System
from bwbuild.audit.of_build import Setting, facts_of_build, mounts_of_build
from bwbuild.audit.of_line import KEYS
from bwbuild.audit.score import Finding, Score, score
from bwbuild.audit.words import Mounted
from bwbuild.build import inputs, places, session
from bwbuild.build import scratch as scratches
from bwbuild.build.granted.handshake import store
from bwbuild.build.plan import Plan, make_plan
from bwbuild.build.start import Start, Tree
from bwbuild.build.study.standing import Standing, standings
from bwbuild.build.study.tiny import tiny_tree
from bwbuild.build.watch.limits import Limits
from bwbuild.config.settings import Settings, Sign
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.deb.source import find_tree
from bwbuild.errors import HostError, SourceError
from bwbuild.events import Tell
from bwbuild.host.doctor import advice
from bwbuild.permissions import grants
from bwbuild.sandbox.runner import Listeners
from bwbuild.sandbox.scope import NO_SCOPE
from bwbuild.sandbox.spec import Layering

#: Seconds that a look may take.
PATIENCE = 120.0
#: How many names are shown.
_SHOWN = 5
MADE_UP = "bwbuild-audit"
#: Directories of the system that nothing inside may write.
_SYSTEM = ("/", "/usr", "/etc", "/var", "/var/lib/dpkg", "/boot", "/opt", "/srv")


@dataclass(frozen=True, slots=True)
class Audit:
    """What came out.

    :ivar subject: whose sandbox it is.
    :ivar before: the score of what is passed to bwrap, before a probe has looked.
    :ivar sight: the score of what the probe has seen; None: it did not run.
    :ivar looked: what it looked at, as assessments name it.
    :ivar evidence: names of what was found, where that says more: field -> text.
    :ivar line: a bwrap command line was scored, not a build.
    :ivar permissions: what the source asks for and what is given.
    """

    subject: str
    score: Score
    before: Score
    sight: Score | None = None
    looked: frozenset[str] = frozenset()
    evidence: Mapping[str, str] = field(default_factory=dict)
    line: bool = False
    permissions: tuple[Standing, ...] = ()

    def probed(self, finding: Finding) -> str:
        """What the probe says: ``confirmed``, ``seen`` where bwrap's words say something else, or nothing."""
        if finding not in self.before.findings:
            return "seen"
        sight = self.sight.findings if self.sight else ()
        return "confirmed" if finding.assessment.depends <= self.looked and finding in sight else ""

    def seen(self, finding: Finding) -> str:
        """The evidence for it."""
        bad = finding.badness or 0
        texts = (self.evidence.get(name, "") for name in sorted(finding.assessment.depends))
        return ", ".join(text for text in texts if text and bad)


def places_of_keys(home: Path) -> tuple[Path, ...]:
    """Where links in ``home`` lead."""
    return tuple(Path(os.path.realpath(home / name)) for name in KEYS)


@dataclass(frozen=True, slots=True)
class Look:
    """Where the probe compares: the caller's home and the tree."""

    architecture: str
    home: Path
    tree: Path

    @property
    def fields(self) -> dict[str, tuple[str, ...]]:
        """Field of the facts -> directories."""
        home = self.home
        return {
            "home": (str(home),),
            "keys": tuple(map(str, places_of_keys(home))),
            "tmp": ("/tmp",),
            "parent": (str(self.tree.parent),),
            "tree": (str(self.tree),),
            "sys": ("/sys",),
        }

    def command(self, side: str, mounts: Sequence[Mounted] = ()) -> tuple[str, ...]:
        """The command that looks; inside, also wherever ``mounts`` may show the same."""
        names = [name for names in self.fields.values() for name in names]
        where = [place for name in names for place in probe.whereabouts(name, mounts)]
        return probe.command(side, self.architecture, dict.fromkeys((*where, *_SYSTEM)))


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look printed inside, and what it is compared with."""

    output: str
    look: Look
    expected: probe.Expected


def audit_build(
    start: Start | None, options: BuildOptions, settings: Settings, tell: Tell, *, probing: bool
) -> Audit:
    """Score the sandbox that a build of ``start`` would get; None: of the tree here, or of a made-up source.

    :raises BwbuildError: such a build could not start.
    """
    given = start or _here()
    # The command of a build decides nothing about its sandbox.
    with _source(given) as begin:
        wanted = inputs.Wanted(begin, options, ("true",))
        with inputs.read(wanted, settings, os.environ, tell) as found:
            plan = make_plan(found)
            subject = f"a build of {plan.title if given else 'a made-up source, since no tree is here'}"
            facts = facts_of_build(plan.sandbox, setting(plan, found.home))
            asked = _standings(plan) if plan.decisions else ()
            if not probing:
                return replace(judged(subject, facts), permissions=asked)
            look = Look(plan.host.architecture, found.home, plan.source.tree)
            return replace(audited(subject, facts, _look(plan, look, tell)), permissions=asked)


def _standings(plan: Plan) -> tuple[Standing, ...]:
    kept = grants.load(store(os.environ))
    return standings(plan.decisions, plan.source.name, kept, plan.meanings)


def limited(limits: Limits, layering: Layering = Layering.OVERLAY) -> frozenset[str]:
    """Which of the resources that the assessments know have a limit.

    What a build in place writes can't be told from what was there, so nothing is made of that limit.
    """
    found = {
        "time": limits.time,
        "silence": limits.silence,
        "memory": limits.memory,
        "processes": limits.processes,
        "open files": limits.files,
        "disk": None if layering is Layering.NONE else limits.disk,
        "free disk": None if limits.reserve == 0 else 1,  # None there is a share of all
        "/tmp": limits.tmp,
        "/dev/shm": limits.shm,
        "log": limits.log,
    }
    return frozenset(name for name, limit in found.items() if limit is not None)


def setting(plan: Plan, home: Path) -> Setting:
    """What a build has that its sandbox does not say; ``home`` is the caller's."""
    packages = System.DECLARED if plan.view else System.PACKAGES
    return Setting(
        home=home,
        root=plan.host.caller.is_root,
        system=packages if plan.ground is None else System.NONE,
        signs=plan.settings.sign is not Sign.NEVER,
        limits=limited(plan.limits, plan.sandbox.workspace.layering),
        sampled=plan.scope == NO_SCOPE,
    )


def _here() -> Start | None:
    try:
        return Tree(find_tree(Path.cwd()))
    except SourceError:
        return None


def marker() -> str:
    """A name for a variable that nobody has."""
    return f"BWBUILD_AUDIT_{secrets.token_hex(4).upper()}"


@contextmanager
def _source(given: Start | None) -> Iterator[Start]:
    if given is not None:
        yield given
        return
    with tiny_tree(MADE_UP) as tree:
        yield Tree(tree)


def _look(plan: Plan, look: Look, tell: Tell) -> Looked:
    """Look around in the real sandbox of ``plan``.

    :raises HostError: it did not start, or the look failed.
    """
    said: list[bytes] = []
    errors: list[bytes] = []
    shown = mounts_of_build(plan.sandbox)
    probing = session.with_command(plan, look.command("inside", shown), interactive=False)
    with scratches.open_for(probing, places.scratch(plan.settings), tell) as scratch:
        outcome = session.launch(probing, scratch, Listeners(said.append, errors.append), PATIENCE)
        if not outcome.started:
            from bwbuild.build.study.doctor import explain  # noqa: PLC0415 - only a failure needs it

            raise advice(explain(plan, scratch.path.parent))
    if outcome.exit_code != 0:
        raise no_look(b"".join(errors).decode("utf-8", "replace"))
    expected = probe.Expected(
        marker=marker(),
        variables=frozenset(plan.sandbox.environment),
        mounts=shown,
    )
    return Looked(b"".join(said).decode("ascii", "replace"), look, expected)


def no_look(errors: str) -> HostError:
    """The error for a look that came to nothing, of which ``errors`` is what was said."""
    return HostError(
        "nothing could look around in the sandbox",
        hint="--no-probe judges what is passed to bwrap alone",
        details=errors.splitlines()[-5:],
    )


def audited(subject: str, facts: Facts, looked: Looked, *, filtered: bool = False) -> Audit:
    """The audit with what was seen.

    :param filtered: the sandbox has a filter of which nothing is known but what was seen.
    :raises HostError: the look did not come to its end.
    """
    output, look, expected = looked.output, looked.look, looked.expected
    inside = probe.read(output, "inside")
    outside = probe.read(process.run(look.command("outside")).stdout.decode("ascii", "replace"), "outside")
    if inside is None or outside is None:
        raise no_look(output[-2000:])
    found = {
        **probe.seen(inside, outside, expected),
        **probe.accesses(inside, outside, look.fields, expected.mounts),
    }
    after = probe.confirmed(facts, found, inside, filtered=filtered)
    return replace(
        judged(subject, after),
        before=score(facts, ASSESSMENTS),
        sight=score(probe.alone(after, found, inside), ASSESSMENTS),
        looked=probe.names_of(inside, found),
    )


def judged(subject: str, facts: Facts) -> Audit:
    """The audit without a look."""
    result = score(facts, ASSESSMENTS)
    names = ("unknown", "sockets", "writable", "mount_points")
    texts = {name: _listed(getattr(facts, name)) for name in names}
    return Audit(subject, result, result, evidence=texts)


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
