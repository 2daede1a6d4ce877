"""Trying on this machine, with the words that a build uses, everything that the sandbox needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bwbuild.build import inputs, places
from bwbuild.build import scratch as scratches
from bwbuild.build.plan import Plan, choose_identity, make_plan
from bwbuild.build.restraints import restraints
from bwbuild.build.scratch import Record
from bwbuild.build.start import Tree
from bwbuild.build.study.tiny import tiny_tree
from bwbuild.build.watch.limits import resolve, scope_of
from bwbuild.build.workspaces import NO_UPPER, TMPFS_UPPER
from bwbuild.config.settings import Settings, Sign, View
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.deb.source import find_tree, read_source
from bwbuild.errors import BwbuildError, HostError, SourceError
from bwbuild.handover.keys import NoKey, Wishes, find_key, read_devscripts
from bwbuild.host import probes
from bwbuild.host.causes import Answer, Cause, Conditions, cause_of
from bwbuild.host.doctor import Finding, Status
from bwbuild.host.facts import Host, read_host
from bwbuild.host.mounts import type_of
from bwbuild.sandbox import runner, script, seccomp
from bwbuild.sandbox.overlays import OVERLAY_OPTIONS
from bwbuild.sandbox.scope import NO_SCOPE, Scope
from bwbuild.sandbox.spec import Identity, IdentityKind, Layering

_LAYERS = """\
mkdir {at}/lower {at}/over {at}/upper {at}/work {at}/seen {at}/tree
mkdir {at}/lower/directory; echo > {at}/lower/hidden; echo > {at}/lower/removed"""
_WHITEOUT = """\
mknod {at}/over/hidden c 0 0
mount -t overlay -o ro,{options},lowerdir={at}/over:{at}/lower bwbuild {at}/seen
[ -e {at}/seen/removed ] && ! [ -e {at}/seen/hidden ]"""
# A directory made anew over a removed one needs the user attributes that not every file system has.
_UPPER = """\
mount -t overlay -o {options},lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work bwbuild {at}/tree
echo > {at}/tree/removed; rm {at}/tree/removed; rmdir {at}/tree/directory; mkdir {at}/tree/directory"""
# At the place where a build has it, which the kernel's refusal names.
_VIEW = """\
mkdir {at}/usr.over {at}/usr
mount -t overlay -o ro,{options},lowerdir={at}/usr.over:/usr bwbuild {at}/usr
[ -d {at}/usr/bin ]"""
_IN_MEMORY = "mount -t tmpfs -o mode=755 bwbuild ns\n"
_SCRATCH = "bwbuild --scratch DIR  # a directory on ext4, xfs, btrfs or a tmpfs"
_HINT = "name another directory: bwbuild --scratch DIR"


@dataclass(frozen=True, slots=True)
class Case:
    """What a sandbox on this machine would be: whose, for which users, with its scratch below ``base``."""

    host: Host
    identity: Identity
    base: Path
    layering: Layering = Layering.OVERLAY
    view: View = View.DECLARED


def examine(settings: Settings, start: Path) -> tuple[Finding, ...]:
    """Try everything; ``start`` is where the user is, for the output directory and the signing key.

    :raises HostError: dpkg is missing, so that this is no Debian system.
    """
    host = read_host()
    conditions = probes.read_conditions(host)
    base = places.scratch(settings)
    found = [
        probes.kernel(conditions),
        probes.switches(conditions),
        probes.surroundings(conditions),
        probes.subordinate_ids(host, conditions),
        _system_calls(settings, host),
        _control_group(scope_of(settings, host, resolve(settings, host))),
    ]
    try:
        identity = choose_identity(host, settings)
    except HostError as error:
        found.append(Finding("identity", Status.FAILED, "none can be had", error.message, error.hint))
        identity = Identity(IdentityKind.SINGLE, 0, 0)
    case = Case(host, identity, base, _layering(identity, host, base), settings.view)
    found += _quick(case, conditions)
    found.append(_whole(settings, case, conditions, failed(tuple(found))))
    found += probes.packages(probes.query_packages())
    return (*found, *_output(settings, start), *_signing(settings, start))


def explain(plan: Plan, base: Path) -> tuple[Finding, ...]:
    """Why the sandbox of ``plan`` did not start: the failed findings, the most telling first."""
    layering = plan.sandbox.workspace.layering
    case = Case(plan.host, plan.sandbox.identity, base, layering, plan.settings.view)
    conditions = probes.read_conditions(plan.host)
    quick = (_control_group(plan.scope), probes.kernel(conditions), _system_calls(plan.settings, plan.host))
    return failed((*quick, *_quick(case, conditions), *probes.packages(probes.query_packages())))


def explain_scope(own: Scope) -> tuple[Finding, ...]:
    """Why a sandbox in ``own`` did not start, if its control group is the reason."""
    return failed((_control_group(own),))


def failed(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those that keep a build from starting."""
    return tuple(finding for finding in findings if finding.status is Status.FAILED)


def _system_calls(settings: Settings, host: Host) -> Finding:
    if not settings.seccomp:
        return Finding("system calls", Status.INFO, "not filtered, as wanted (seccomp is false)")
    try:
        programs = [seccomp.program(wanted) for wanted in restraints(settings, host.architecture).filters]
    except HostError as error:
        return Finding("system calls", Status.FAILED, "can't be filtered", error.message, error.hint)
    instructions = sum(map(len, programs)) // seccomp.INSTRUCTION
    return probes.system_calls(probes.filter_actions(), instructions)


def _control_group(around: Scope) -> Finding:
    if around == NO_SCOPE:
        return probes.control_group(None)
    environment = _environment(Path("/")) | dict(around.address)
    return probes.control_group(probes.attempt([*around.words, "true"], env=environment))


def _layering(identity: Identity, host: Host, base: Path) -> Layering:
    if identity.outer_first is not None:
        return Layering.COPY
    if type_of(base) not in NO_UPPER:
        return Layering.OVERLAY
    return Layering.MEMORY if host.kernel >= TMPFS_UPPER else Layering.COPY


def _quick(case: Case, conditions: Conditions) -> list[Finding]:
    """What takes some hundredths of a second; it ends where nothing further can be tried."""
    environment = _environment(case.base)
    bwrap = probes.bubblewrap(probes.attempt(["bwrap", "--version"], env=environment))
    found = [bwrap, probes.space("scratch", case.base, _HINT)]
    namespace = probes.attempt(["unshare", "--user", "--mount", "true"], env=environment)
    found.append(_row("user namespace", namespace, conditions, "can be made"))
    if found[1].status is Status.FAILED or not namespace.good:
        return found
    try:
        with _workshop(case) as workshop:
            found += _inside(case, conditions, workshop, bwrap.status is not Status.FAILED)
    except (OSError, BwbuildError) as error:
        found.append(Finding.because("scratch", str(error), Cause(f"{case.base} can't be used", _HINT)))
    return found


def _inside(case: Case, conditions: Conditions, workshop: _Workshop, has_bwrap: bool) -> Iterator[Finding]:
    count = {IdentityKind.SINGLE: "root alone", IdentityKind.RANGE: "a range of ids"}[case.identity.kind]
    entered = workshop.try_script("[ $(id -u) = 0 ]")
    yield _row("identity", entered, conditions, count)
    if not entered.good:
        return
    answer = workshop.try_script(_IN_MEMORY + _layers("ns", _WHITEOUT))
    yield _row("overlay", answer, conditions, "mounted with a whiteout, in memory")
    answer = workshop.try_script(_IN_MEMORY + _mounted(_VIEW, "ns"))
    yield probes.view(answer, conditions, needed=case.view is View.DECLARED)
    answer = workshop.try_script(_IN_MEMORY + _layers("ns", _UPPER))
    needed = case.layering is Layering.MEMORY
    yield _upper("overlay in memory", answer, needed, "holds an upper layer")
    answer = workshop.try_script(_layers("disk", _UPPER))
    needed = case.layering is Layering.OVERLAY
    kind = type_of(case.base)
    yield _upper("overlay on disk", answer, needed, f"{case.base} ({kind}) holds an upper layer")
    if has_bwrap:
        answer = workshop.try_script("exec bwrap --unshare-net --ro-bind / / -- true")
        yield _row("network namespace", answer, conditions, "with its loopback")
        answer = workshop.try_script("exec bwrap --unshare-pid --ro-bind / / --proc /proc -- true")
        hidden = f", although it hides processes (hidepid={conditions.hidepid})" if conditions.hidepid else ""
        yield _row("/proc", answer, conditions, f"mounted afresh{hidden}")


def _layers(directory: str, mount: str) -> str:
    return _mounted(f"{_LAYERS}\n{mount}", directory)


def _mounted(lines: str, directory: str) -> str:
    return lines.format(at=directory, options=OVERLAY_OPTIONS)


def _row(name: str, answer: Answer, conditions: Conditions, what: str) -> Finding:
    if answer.good:
        return Finding(name, Status.OK, what)
    return Finding.because(name, answer.line, cause_of(answer, conditions))


def _upper(name: str, answer: Answer, needed: bool, what: str) -> Finding:
    if answer.good:
        return Finding(name, Status.OK, what)
    if needed:
        why = Cause("this file system can't carry the private workspace of a build", _SCRATCH)
        return Finding.because(name, answer.line, why)
    return Finding(
        name, Status.INFO, answer.line, "not needed here: the workspace is laid out in another way"
    )


class _Workshop:
    """A scratch directory in which scripts are tried as the launcher's second half."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path = path
        self._identity = identity
        self._count = 0

    def try_script(self, lines: str) -> Answer:
        """Run ``lines`` as root of a namespace, in a new directory with empty ``ns`` and ``disk``."""
        self._count += 1
        place = self._path / str(self._count)
        for path in (place, place / "ns", place / "disk"):
            path.mkdir()
        root = self._identity.outer_first
        chown = [] if root is None else [f"chown {root}:{root} . .. ns disk"]
        (place / "namespace").write_text(f"set -e\n{lines}\n", encoding="utf-8")
        launch = "\n".join(["set -eu", "umask 022", *chown, *script.enter(self._identity), ""])
        (place / "launch").write_text(launch, encoding="utf-8")
        return probes.attempt(["sh", "launch"], env=_environment(place), cwd=place, tie=True)


def _environment(scratch: Path) -> dict[str, str]:
    """The launcher's environment: a bwrap elsewhere on the caller's PATH is of no use to a build."""
    launch = runner.Launch(scratch, scratch).environment(0, 0)
    return {name: launch[name] for name in ("PATH", "LC_ALL", "BWBUILD_SCRATCH")}


@contextmanager
def _workshop(case: Case) -> Iterator[_Workshop]:
    with scratches.fresh(case.base, _record(case)) as scratch:
        yield _Workshop(scratch.path, case.identity)


def _record(case: Case) -> Record:
    return scratches.new_record(case.base, ("doctor", "0"), case.layering, case.identity)


def _whole(settings: Settings, case: Case, conditions: Conditions, earlier: tuple[Finding, ...]) -> Finding:
    """The real sandbox of a tree with next to nothing in it, which runs ``true``."""
    name = "sandbox"
    said: list[bytes] = []
    try:
        with tiny_tree("bwbuild-doctor") as tree:
            wanted = inputs.Wanted(Tree(tree), BuildOptions(), ("true",))
            with (
                inputs.read(wanted, settings, os.environ, lambda _: None) as found,
                scratches.fresh(case.base, _record(case)) as scratch,
            ):
                launcher = scratch.path / "launch"
                launcher.write_bytes(os.fsencode(make_plan(found).script))
                launch = runner.Launch(launcher, scratch.path, timeout=60)
                outcome = runner.run(launch, runner.Listeners(said.append))
    except BwbuildError as error:
        answer = Answer(1, error.message)
    else:
        if outcome.started and outcome.exit_code == 0:
            return Finding(name, Status.OK, f"started, ran true and ended in {outcome.seconds:.2f} s")
        answer = Answer(outcome.exit_code or 1, b"".join(said).decode("utf-8", "replace"))
    if earlier:
        return Finding(name, Status.FAILED, answer.line, f"see {earlier[0].name}", earlier[0].remedy)
    return Finding.because(name, answer.line, cause_of(answer, conditions))


def _output(settings: Settings, start: Path) -> tuple[Finding, ...]:
    place = settings.output
    if place is None:
        try:
            place = find_tree(start).parent
        except SourceError:
            return ()  # not in a tree: no build would begin here
    return (probes.space("output", place, "name another directory: bwbuild --output DIR"),)


def _signing(settings: Settings, start: Path) -> tuple[Finding, ...]:
    if settings.sign is Sign.NEVER:
        return (Finding("signing", Status.INFO, "not wanted (sign.mode is never)"),)
    lacking = Status.FAILED if settings.sign is Sign.ALWAYS else Status.INFO
    key = find_key(
        Wishes(
            setting=settings.sign_key or "",
            environment=os.environ.get("DEB_SIGN_KEYID", ""),
            devscripts=read_devscripts(),
            changed_by=_changed_by(start),
        )
    )
    if isinstance(key, NoKey):
        remedy = "gpg --full-generate-key  # or name a key: bwbuild --sign=KEY"
        why = Cause("results stay unsigned", remedy)
        signing = Finding.because("signing", key.reason, why, lacking)
        unneeded = Status.WARNING if lacking is Status.INFO else lacking
    else:
        signing = Finding("signing", Status.OK, f"{key.fingerprint} ({key.origin})")
        unneeded = Status.FAILED
    if probes.has_debsign():
        return (Finding("debsign", Status.OK, "installed"), signing)
    why = Cause("results can't be signed without it", "sudo apt install devscripts")
    return (Finding.because("debsign", "not installed", why, unneeded), signing)


def _changed_by(start: Path) -> str:
    """For whom a build here would be signed: the changelog's author, else whoever would write one."""
    try:
        return read_source(find_tree(start)).changed_by
    except SourceError:
        name, mail = os.environ.get("DEBFULLNAME", ""), os.environ.get("DEBEMAIL", "")
        return f"{name} <{mail}>".strip() if name and mail else mail
