"""The plan of one build: a pure function of what was read, so that ``--dry-run`` shows what a build does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bwbuild.build.granted.terms import raised
from bwbuild.build.jobs import Demand, Jobs, jobs_of
from bwbuild.build.notes import Chosen, notes_on
from bwbuild.build.record.reading import UNTOLD, Told
from bwbuild.build.restraints import restraints
from bwbuild.build.watch.limits import NO_LIMITS, Limits, ceilings, resolve, scope_of
from bwbuild.build.workspaces import choose_workspace
from bwbuild.config.settings import BuildAs, IdentityChoice, Settings
from bwbuild.config.settings import Workspace as WorkspaceChoice
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.deb.names import without_epoch
from bwbuild.deb.rebuild import Entry, Occasion, author, make_entry
from bwbuild.deb.source import Source
from bwbuild.errors import ConfigurationError
from bwbuild.events import Notice
from bwbuild.host.facts import Host
from bwbuild.permissions.answers import Decision
from bwbuild.permissions.words import USERNS, Permission
from bwbuild.root import etc
from bwbuild.root.ground import Ground
from bwbuild.root.learned import Narrowing
from bwbuild.root.view import declared_view, host_view, suite_view
from bwbuild.root.views import View
from bwbuild.sandbox import identity as identities
from bwbuild.sandbox import script
from bwbuild.sandbox.bwrap import HELPERS
from bwbuild.sandbox.environment import build_environment
from bwbuild.sandbox.network import NAMESERVER
from bwbuild.sandbox.permits import NO_PERMITS, Permits
from bwbuild.sandbox.policy import Request, RootView, compose
from bwbuild.sandbox.scope import Scope
from bwbuild.sandbox.spec import Identity, IdentityKind, Sandbox, Workspace

if TYPE_CHECKING:
    from bwbuild.build.record.history import Estimate


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that was read before anything happens."""

    settings: Settings
    source: Source
    host: Host
    caller_environment: Mapping[str, str]
    options: BuildOptions = field(default_factory=BuildOptions)
    #: orig tarballs beside the tree: name -> file
    origs: Mapping[str, Path] = field(default_factory=dict)
    #: the caller's home directory, without links on the way
    home: Path = Path("/")
    #: directories of version control at the top of the tree
    version_control: tuple[str, ...] = ()
    #: a file of the tree whose owner the sandbox can't know
    foreign: Path | None = None
    #: a socket or FIFO that a build in place would have, and what it is
    opening: tuple[Path, str] | None = None
    #: bytes that the tree takes on disk
    tree_size: int = 0
    #: what earlier builds of the source took, and what of the memory the one that took the most
    past: Estimate | None = None
    demand: Demand | None = None
    #: the type of the file system that holds the scratch directory
    scratch_type: str = ""
    #: run this in place of dpkg-buildpackage
    command: tuple[str, ...] = ()
    interactive: bool = False
    #: the view of the declared packages; None: all of the host is seen
    view: View | None = None
    #: what of the view no recorded build opened
    narrowing: Narrowing | None = None
    #: the base of a suite; None: the build stands on this machine
    ground: Ground | None = None
    #: where results go unless a setting says it; None: beside the tree
    output: Path | None = None
    #: what was found out while reading
    notes: tuple[Notice, ...] = ()
    #: seconds since the epoch: the date of a changelog entry
    now: int = 0
    #: what was told while reading, for the log
    told: Told = UNTOLD
    #: what was asked and granted, and what the build's part of it comes to here
    decisions: tuple[Decision, ...] = ()
    permits: Permits = NO_PERMITS
    #: what the part of the tests comes to, and which path a permission for one means
    test_permits: Permits = NO_PERMITS
    granted_paths: Mapping[Permission, Path] = field(default_factory=dict)
    #: what the caller's names of directories mean: ``~``, ``xdg-documents`` -> path
    meanings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done."""

    source: Source
    options: BuildOptions
    settings: Settings
    host: Host
    sandbox: Sandbox
    #: what lies over the host's /etc
    etc_files: Mapping[str, str]
    #: the architecture in the names of log, .changes and .buildinfo
    architecture: str
    #: where results are published
    output: Path
    origs: Mapping[str, Path]
    #: what the caller should know: choices that weaken the sandbox, and what is not as usual
    notes: tuple[Notice, ...]
    #: the view of the declared packages; None: all of the host is seen
    view: View | None = None
    #: what of the view no recorded build opened
    narrowing: Narrowing | None = None
    #: the base of a suite; None: the build stands on this machine
    ground: Ground | None = None
    #: what earlier builds of the source took
    past: Estimate | None = None
    #: goes before the changelog; None: the version of the source is built
    entry: Entry | None = None
    #: what was told while reading, for the log
    told: Told = UNTOLD
    limits: Limits = NO_LIMITS
    #: how many jobs dpkg-buildpackage runs at once; None: it is not known
    jobs: int | None = None
    #: what was asked and granted, and what the build's part of it comes to here
    decisions: tuple[Decision, ...] = ()
    permits: Permits = NO_PERMITS
    #: what the part of the tests comes to, and which path a permission for one means
    test_permits: Permits = NO_PERMITS
    granted_paths: Mapping[Permission, Path] = field(default_factory=dict)
    #: what the caller's names of directories mean: ``~``, ``xdg-documents`` -> path
    meanings: Mapping[str, str] = field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        """The control group in which the build runs, if there is one."""
        return scope_of(self.settings, self.host, self.limits)

    @property
    def version(self) -> str:
        """The version that is built; that of the source is ``source.version``."""
        return (self.entry or self.source).version

    @property
    def distribution(self) -> str:
        """The distribution that the changelog names as it is built."""
        return (self.entry or self.source).distribution

    @property
    def changed_by(self) -> str:
        """Who made the first entry of the changelog as it is built."""
        return (self.entry or self.source).changed_by

    @property
    def suite(self) -> str:
        """The suite that is built for: the base's, else what the changelog names."""
        return self.ground.base.suite.name if self.ground else self.distribution

    @property
    def changes(self) -> str:
        """The name of the .changes that dpkg-buildpackage will write."""
        return self._changes_names[0]

    @property
    def source_changes(self) -> str:
        """The name of the .changes of the source alone that is made besides; empty if there is none."""
        return self._changes_names[1]

    @property
    def _changes_names(self) -> tuple[str, str]:
        stem = f"{self.source.name}_{without_epoch(self.version)}"
        return self.options.changes_names(stem, self.host.architecture)

    @property
    def title(self) -> str:
        """Source, version and architecture on one line."""
        return f"{self.source.name} {self.version} ({self.architecture})"

    @property
    def script(self) -> str:
        """The launcher of the sandbox."""
        return script.launcher(self.sandbox, self.etc_files, f"The sandbox for {self.title}")

    @property
    def printed(self) -> str:
        """It for somebody to read and to keep: variables that may be secret are those of who runs it."""
        return replace(self, sandbox=replace(self.sandbox, by_name=self.permits.secret)).script


def make_plan(inputs: Inputs) -> Plan:
    """Decide everything.

    :raises ConfigurationError: settings that contradict each other.
    :raises HostError: a setting that this machine can't honour.
    """
    settings, source = inputs.settings, inputs.source
    identity = choose_identity(inputs.host, settings)
    entry = _entry(inputs)
    workspace, layering_note = choose_workspace(inputs, identity, entry)
    as_root = settings.build_as is BuildAs.ROOT
    user = "root" if identity.kind is IdentityKind.SINGLE else identities.BUILD_USER
    limits = raised(resolve(settings, inputs.host), settings.allow)
    jobs = jobs_of(inputs, limits)
    sandbox = compose(
        Request(
            identity=identity,
            workspace=workspace,
            view=_root_view(inputs),
            environment=_environment(inputs, "root" if as_root else user),
            command=_command(inputs, workspace, _buildpackage(inputs, identity, jobs, as_root=as_root)),
            restraints=restraints(settings, inputs.host.architecture),
            ceilings=ceilings(limits, inputs.host, nesting=USERNS in settings.allow),
            sysfs=inputs.host.sysfs,
            as_root=as_root,
            interactive=inputs.interactive,
            permits=inputs.permits,
        )
    )
    return Plan(
        source=source,
        options=inputs.options,
        settings=settings,
        host=inputs.host,
        sandbox=sandbox,
        etc_files=etc.files(*_accounts(inputs), (user, identity.uid, identity.gid), _nameserver(sandbox)),
        architecture=inputs.options.architecture(inputs.host.architecture),
        output=settings.output or inputs.output or source.tree.parent,
        origs=inputs.origs,
        notes=(*inputs.notes, *notes_on(inputs, Chosen(identity, entry, layering_note, jobs.notes))),
        view=inputs.view,
        narrowing=inputs.narrowing,
        ground=inputs.ground,
        entry=entry,
        past=inputs.past,
        told=inputs.told,
        limits=limits,
        jobs=jobs.number,
        decisions=inputs.decisions,
        permits=inputs.permits,
        test_permits=inputs.test_permits,
        granted_paths=inputs.granted_paths,
        meanings=inputs.meanings,
    )


def on_disk(plan: Plan) -> Plan:
    """The same with the private layer of the workspace on disk."""
    workspace = replace(plan.sandbox.workspace, memory=None)
    return replace(plan, sandbox=replace(plan.sandbox, workspace=workspace))


def choose_identity(host: Host, settings: Settings) -> Identity:
    """Which users exist inside.

    :raises HostError: what the settings want can't be had.
    """
    wanted = {
        IdentityChoice.AUTO: None,
        IdentityChoice.RANGE: IdentityKind.RANGE,
        IdentityChoice.SINGLE: IdentityKind.SINGLE,
    }[settings.identity]
    return identities.choose(host, wanted)


def _root_view(inputs: Inputs) -> RootView:
    if inputs.ground is not None:
        return suite_view(inputs.ground)
    if inputs.view is None:
        return host_view(inputs.host)
    return declared_view(inputs.host, inputs.view, inputs.narrowing)


def _accounts(inputs: Inputs) -> tuple[str, str]:
    """The texts of passwd and group that the system inside begins with."""
    found = inputs.ground or inputs.host
    return found.passwd, found.group


def _nameserver(sandbox: Sandbox) -> str | None:
    return None if sandbox.network is None else NAMESERVER[sandbox.network]


def _entry(inputs: Inputs) -> Entry | None:
    """What goes before the changelog."""
    options, settings = inputs.options, inputs.settings
    if not options.rebuild.wanted:
        return None
    if settings.workspace is WorkspaceChoice.IN_PLACE:
        raise ConfigurationError(
            "--in-place would write the new version into your own debian/changelog",
            hint="leave out --in-place, or write the entry yourself: dch --bin-nmu, dch --local",
        )
    suite = settings.dist if settings.dist not in (None, "auto") else None
    architecture = options.host_arch or inputs.host.architecture
    maintainer = author(options.maintainer, inputs.caller_environment)
    return make_entry(
        options.rebuild, inputs.source, Occasion(maintainer, inputs.now, architecture, suite or "")
    )


def _environment(inputs: Inputs, user: str) -> dict[str, str]:
    environment = build_environment(inputs.caller_environment, user)
    if inputs.interactive and "TERM" in inputs.caller_environment:
        environment["TERM"] = inputs.caller_environment["TERM"]
    if inputs.ground is not None and inputs.options.host_arch not in (None, inputs.host.architecture):
        # As sbuild has it: answers to what configure can find out only by running a program.
        environment["CONFIG_SITE"] = f"/etc/dpkg-cross/cross-config.{inputs.options.host_arch}"
    return environment


def _command(inputs: Inputs, workspace: Workspace, words: tuple[str, ...]) -> tuple[str, ...]:
    words = inputs.command or words
    return words if workspace.changelog is None else (f"{HELPERS}/with-changelog", *words)


def _buildpackage(inputs: Inputs, identity: Identity, jobs: Jobs, *, as_root: bool) -> tuple[str, ...]:
    options = inputs.options
    words = ["dpkg-buildpackage", "-us", "-uc"]
    if inputs.settings.build_path is not None:
        # dpkg records no other path than one below /build unless it is told to.
        words.append("--buildinfo-option=--always-include-path")
    if identity.kind is IdentityKind.RANGE and not as_root and options.root_command is None:
        words.append(f"-r{HELPERS}/as-root")
    words += [*jobs.options, *options.passed]
    stem = f"{inputs.source.name}_{inputs.source.file_version}"
    _, of_source = options.changes_names(stem, inputs.host.architecture)
    if not of_source:
        return tuple(words)
    genchanges = ("dpkg-genchanges", "--build=source", *options.of_changes, f"-O../{of_source}")
    return ("sh", "-ec", f'"$@"; exec {shlex.join(genchanges)}', "bwbuild", *words)
