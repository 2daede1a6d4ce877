"""The plan of one build: a pure function of what was read, so that ``--dry-run`` shows what a build does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bwbuild.config.settings import BuildAs, IdentityChoice, Keep, Settings
from bwbuild.config.settings import Workspace as WorkspaceChoice
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.deb.source import Source
from bwbuild.errors import ConfigurationError, HostError
from bwbuild.events import Level, Notice
from bwbuild.host.facts import Host
from bwbuild.root import etc
from bwbuild.root.ground import Ground
from bwbuild.root.view import declared_view, host_view, suite_view
from bwbuild.root.views import View
from bwbuild.sandbox import identity as identities
from bwbuild.sandbox import script
from bwbuild.sandbox.bwrap import HELPERS
from bwbuild.sandbox.environment import build_environment
from bwbuild.sandbox.policy import PARENT, Request, RootView, compose
from bwbuild.sandbox.spec import Guest, Identity, IdentityKind, Layering, Sandbox, Saved, Workspace

#: File systems that refuse to be the upper layer of an overlay in a user namespace.
NO_UPPER = frozenset(
    {"overlay", "aufs", "ecryptfs", "vfat", "exfat", "ntfs3", "fuse", "fuseblk", "virtiofs", "9p"}
    | {"nfs", "nfs4", "cifs", "smb3", "afs", "ceph"}
)
#: Directories of many owners and purposes, with sockets of agents and sessions: never writable for a build.
SHARED = frozenset(
    {"/", "/dev", "/etc", "/home", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/srv", "/sys", "/tmp"}
    | {"/usr", "/var", "/var/lib", "/var/tmp"}
)
#: From this kernel on a tmpfs has the user attributes that an upper layer needs.
TMPFS_UPPER = (6, 6)


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
    #: the type of the file system that holds the scratch directory
    scratch_type: str = ""
    #: run this in place of dpkg-buildpackage
    command: tuple[str, ...] = ()
    interactive: bool = False
    #: the view of the declared packages; None: all of the host is seen
    view: View | None = None
    #: the base of a suite; None: the build stands on this machine
    ground: Ground | None = None
    #: where results go unless a setting says it; None: beside the tree
    output: Path | None = None
    #: what was found out while reading
    notes: tuple[Notice, ...] = ()


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
    #: the base of a suite; None: the build stands on this machine
    ground: Ground | None = None

    @property
    def changes(self) -> str:
        """The name of the .changes that dpkg-buildpackage will write."""
        name = f"{self.source.name}_{self.source.file_version}_{self.architecture}.changes"
        return self.options.changes_file or name

    @property
    def title(self) -> str:
        """Source, version and architecture on one line."""
        return f"{self.source.name} {self.source.version} ({self.architecture})"

    @property
    def script(self) -> str:
        """The launcher of the sandbox."""
        return script.launcher(self.sandbox, self.etc_files, f"The sandbox for {self.title}")


def make_plan(inputs: Inputs) -> Plan:
    """Decide everything.

    :raises ConfigurationError: settings that contradict each other.
    :raises HostError: a setting that this machine can't honour.
    """
    settings, source = inputs.settings, inputs.source
    identity = choose_identity(inputs.host, settings)
    workspace, layering_note = _workspace(inputs, identity)
    as_root = settings.build_as is BuildAs.ROOT
    user = "root" if identity.kind is IdentityKind.SINGLE else identities.BUILD_USER
    environment = build_environment(inputs.caller_environment, "root" if as_root else user)
    if inputs.interactive and "TERM" in inputs.caller_environment:
        environment["TERM"] = inputs.caller_environment["TERM"]
    sandbox = compose(
        Request(
            identity=identity,
            workspace=workspace,
            view=_root_view(inputs),
            environment=environment,
            command=inputs.command or _buildpackage(inputs.options, identity, as_root=as_root),
            as_root=as_root,
            interactive=inputs.interactive,
        )
    )
    return Plan(
        source=source,
        options=inputs.options,
        settings=settings,
        host=inputs.host,
        sandbox=sandbox,
        etc_files=etc.files(*_accounts(inputs), (user, identity.uid, identity.gid)),
        architecture=inputs.options.architecture(inputs.host.architecture),
        output=settings.output or inputs.output or source.tree.parent,
        origs=inputs.origs,
        notes=(*inputs.notes, *_identity_notes(inputs, identity), *layering_note, *_view_notes(inputs)),
        view=inputs.view,
        ground=inputs.ground,
    )


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
    return declared_view(inputs.host, inputs.view) if inputs.view else host_view(inputs.host)


def _accounts(inputs: Inputs) -> tuple[str, str]:
    """The texts of passwd and group that the system inside begins with."""
    found = inputs.ground or inputs.host
    return found.passwd, found.group


def _buildpackage(options: BuildOptions, identity: Identity, *, as_root: bool) -> tuple[str, ...]:
    words = ["dpkg-buildpackage", "-us", "-uc"]
    if identity.kind is IdentityKind.RANGE and not as_root and options.root_command is None:
        words.append(f"-r{HELPERS}/as-root")
    return (*words, *options.passed)


def _workspace(inputs: Inputs, identity: Identity) -> tuple[Workspace, tuple[Notice, ...]]:
    source = inputs.source
    if inputs.settings.workspace is WorkspaceChoice.IN_PLACE:
        return _in_place(inputs, identity)
    layering, why = choose_layering(inputs, identity)
    workspace = Workspace(
        tree=source.tree,
        layering=layering,
        inside=PARENT / source.directory,
        hidden=inputs.version_control,
        beside=tuple(inputs.origs[name] for name in sorted(inputs.origs)),
        saved=_saved(inputs),
    )
    return workspace, (Notice(Level.INFO, why),) if why else ()


def _saved(inputs: Inputs) -> Saved:
    """A build with -nc goes on in a kept workspace, which stays kept."""
    if inputs.options.no_clean or not inputs.options.makes_changes:
        return Saved.ALWAYS
    if inputs.settings.shell_on_failure and inputs.settings.keep is Keep.NEVER:
        return Saved.FAILURE
    return Saved(inputs.settings.keep.value)


def choose_layering(inputs: Inputs, identity: Identity) -> tuple[Layering, str]:
    """How the private workspace is laid over the tree, and why if not by the usual overlay."""
    if identity.outer_first is not None:
        return Layering.COPY, "workspace: a copy of the tree, since the caller is root and root is not inside"
    if inputs.foreign is not None:
        return (
            Layering.COPY,
            f"workspace: a copy of the tree, since {inputs.foreign} belongs to somebody else",
        )
    if inputs.host.has_mounts_below(inputs.source.tree):
        return Layering.COPY, "workspace: a copy of the tree, since something is mounted below it"
    if inputs.scratch_type not in NO_UPPER:
        return Layering.OVERLAY, ""
    where = (
        f"the scratch directory's file system ({inputs.scratch_type}) can't carry an overlay's upper layer"
    )
    if inputs.host.kernel >= TMPFS_UPPER:
        return Layering.MEMORY, f"workspace: in memory, since {where}; --scratch DIR names another one"
    return Layering.COPY, f"workspace: a copy of the tree, since {where}; --scratch DIR names another one"


def _in_place(inputs: Inputs, identity: Identity) -> tuple[Workspace, tuple[Notice, ...]]:
    tree = inputs.source.tree
    if identity.outer_first is not None:
        raise HostError(
            "--in-place as root needs root inside to be root outside, who alone may write this tree",
            hint="leave out --in-place, run bwbuild as the tree's owner, or accept it: --identity single",
        )
    if str(tree.parent) in SHARED or inputs.home.is_relative_to(tree.parent):
        raise ConfigurationError(
            f"--in-place would give the build all of {tree.parent}",
            hint="move the tree into a directory of its own, or leave out --in-place",
        )
    warning = (
        f"in-place: the build can change all of {tree.parent}, with hooks in .git and other packages' trees"
    )
    return Workspace(tree, Layering.NONE, Guest(tree)), (Notice(Level.WARNING, warning),)


def _view_notes(inputs: Inputs) -> tuple[Notice, ...]:
    if inputs.ground is not None:
        base, layer = inputs.ground.base, inputs.ground.layer
        day = datetime.fromtimestamp(base.made, UTC).date().isoformat()
        text = f"base: {base.suite.name} as of {day}, and {len(layer.packages)} packages over it"
        return (Notice(Level.INFO, text),)
    view = inputs.view
    if view is None:
        return ()
    number = len(view.packages)
    return (
        *(Notice(Level.WARNING, f"not checked: {missing}") for missing in view.missing),
        Notice(Level.INFO, f"view: the {number} packages that the source declares; --view host shows all"),
        *(Notice(Level.INFO, f"as the host has it, not made again: {why}") for why in view.failed),
    )


def _identity_notes(inputs: Inputs, identity: Identity) -> tuple[Notice, ...]:
    notes = []
    if identity.kind is IdentityKind.SINGLE:
        if inputs.host.caller.is_root:
            text = "identity single: root inside is root of this machine, held back by namespaces alone"
            notes.append(Notice(Level.WARNING, text))
        else:
            why = (
                "was asked for"
                if inputs.settings.identity is IdentityChoice.SINGLE
                else f"{inputs.host.caller.name} has no subordinate ids; bwbuild doctor says how to get some"
            )
            text = f"identity single ({why}): only root exists inside, chown to other users fails"
            notes.append(Notice(Level.WARNING, text))
    elif identity.outer_first is not None and identity.count < identities.FULL:
        text = f"identity range has {identity.count} ids only; nobody and other high ids are missing"
        notes.append(Notice(Level.WARNING, text))
    return tuple(notes)
