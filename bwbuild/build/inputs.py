"""Reading: everything that a plan depends on, from the tree, the machine and the caller's environment.

Two things are written: the view of the declared packages, where the cache has none yet, and the tree of a
source package that has to be unpacked first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bwbuild.build import declared, places
from bwbuild.build.granted import handshake
from bwbuild.build.plan import Inputs
from bwbuild.build.record.history import History, Past
from bwbuild.build.record.reading import FETCH, INSTALL, Recorder
from bwbuild.build.start import DscFile, Fetch, Start, Tree
from bwbuild.build.workspaces import SHARED
from bwbuild.config.settings import IdentityChoice, Missing, Settings, View, Workspace
from bwbuild.deb import source as sources
from bwbuild.deb.buildoptions import BuildOptions
from bwbuild.deb.database import DIRECTORY, installed
from bwbuild.errors import ConfigurationError, DependencyError, UsageError
from bwbuild.events import Field, Level, Notice, Section, Tell, Text
from bwbuild.host.facts import Caller, Host, read_host
from bwbuild.host.mounts import type_of
from bwbuild.host.sockets import first_below
from bwbuild.root import suite
from bwbuild.sandbox import seccomp

#: What this machine's own packages can't do.
_EXTRA = "extra packages and repositories need a base of a suite"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for: a source, options for dpkg-buildpackage, or another command."""

    start: Start
    options: BuildOptions
    command: tuple[str, ...] = ()
    interactive: bool = False
    #: what is unpacked stays, since a script was asked for that needs it
    lasting: bool = False
    #: asks the user about requests of the source; None: nobody is there
    ask: handshake.Ask | None = None
    #: results go to the output directory
    publishing: bool = True
    #: directories that stay which are the caller's already: name -> where it is
    held: Mapping[str, Path] = field(default_factory=dict)


@contextmanager
def read(wanted: Wanted, settings: Settings, environment: Mapping[str, str], tell: Tell) -> Iterator[Inputs]:
    """Read all inputs of a plan; view and unpacked tree stay as they are until the end of the context.

    :raises UsageError: something is to be added to the packages of this machine.
    :raises SourceError: there is no usable source.
    :raises HostError: the machine lacks something.
    :raises PermissionsError: what the source can't do without is not granted.
    :raises DependencyError: the view is to show what the machine does not have.
    """
    if settings.seccomp:
        seccomp.library()  # before what may take minutes
    with ExitStack() as stack:
        _check_extra(wanted.options, settings)
        told = Recorder(tell)
        inputs = stack.enter_context(_collected(wanted, settings, environment, told))
        # Before what may take minutes.
        inputs = stack.enter_context(handshake.opened(inputs, wanted.ask, told, wanted.held))
        if not wanted.command:
            inputs = _with_past(inputs, History(told))
        settings = inputs.settings
        if settings.view is View.LEARNED and (settings.dist is not None or wanted.options.extra):
            raise ConfigurationError(
                "--view learned is about the packages of this machine, and a base shows all it has",
                hint="leave out --view learned, or -d",
            )
        if settings.dist is not None:
            inputs = _on_base(inputs, settings.dist, stack, told)
        elif wanted.options.extra:
            name = suite.of_this_machine()
            told(Notice(Level.INFO, f"{_EXTRA}; building on a base of {name}"))
            inputs = _on_base(inputs, name, stack, told)
        elif settings.view is View.HOST:
            told(Section(INSTALL))
            told(Text("Nothing is installed: the build sees all packages of this machine."))
        else:
            inputs = _declared(inputs, stack, told)
        # Only a build has a log.
        yield inputs if wanted.command else replace(inputs, told=told.told(_packages(inputs)))


def _with_past(inputs: Inputs, history: History) -> Inputs:
    name = inputs.source.name
    past = history.past([name], inputs.options.type_name).get(name, Past())
    return replace(inputs, past=past.estimate, demand=past.demand)


def _check_extra(options: BuildOptions, settings: Settings) -> None:
    """Refuse what would have to be installed on this machine."""
    if options.extra and settings.dist is None and settings.missing is not Missing.BASE:
        raise UsageError(
            f"--extra-{options.extra[0][0]}: {_EXTRA}, and nothing is installed on this machine",
            hint="name the suite: -d SUITE; or take a base of this machine's release: --missing base",
        )


def _packages(inputs: Inputs) -> Mapping[str, str]:
    """What the build sees: id -> version."""
    if found := inputs.ground or inputs.view:
        return found.packages
    status = DIRECTORY / "status"
    return installed(status.read_text(encoding="utf-8", errors="surrogateescape"))


def _declared(inputs: Inputs, stack: ExitStack, tell: Recorder) -> Inputs:
    tell(Section(INSTALL))
    try:
        view = stack.enter_context(declared.opened(inputs, tell))
        number = len(view.packages)
        tell(Text(f"Nothing is installed: the build sees {number} packages of this machine."))
        if inputs.settings.view is View.LEARNED:
            return _narrowed(replace(inputs, view=view))
        return replace(inputs, view=view)
    except DependencyError as error:
        # A base would show all it has, which is not what was learned.
        if inputs.settings.missing is not Missing.BASE or inputs.settings.view is View.LEARNED:
            raise
        name = suite.of_this_machine()
        tell(Notice(Level.WARNING, f"{error.message}; building on a base of {name}"))
        return _on_base(inputs, name, stack, tell)


def _narrowed(inputs: Inputs) -> Inputs:
    from bwbuild.build.learn import narrow  # noqa: PLC0415 - few want it

    return replace(inputs, narrowing=narrow.narrowing(inputs))


def _on_base(inputs: Inputs, name: str, stack: ExitStack, tell: Recorder) -> Inputs:
    from bwbuild.build import cross, ground  # noqa: PLC0415 - a build on this machine needs none of it

    inputs = cross.prepared(inputs)
    return replace(inputs, ground=stack.enter_context(ground.opened(inputs, name, tell)))


@contextmanager
def _collected(
    wanted: Wanted, settings: Settings, environment: Mapping[str, str], tell: Recorder
) -> Iterator[Inputs]:
    """All inputs but view and ground; what is no tree yet is unpacked."""
    start, host = wanted.start, read_host()
    tell(Section(FETCH))
    if isinstance(start, Tree):
        inputs = collect(start.path, wanted, settings, environment, host)
        tell(Field("Source tree", str(inputs.source.tree)))
        yield inputs
        return
    from bwbuild.build.inspect.helper import Reader  # noqa: PLC0415 - a tree needs none of it
    from bwbuild.build.inspect.unpack import unpacked  # noqa: PLC0415

    if wanted.publishing and not wanted.command and not wanted.lasting:
        from bwbuild.handover.publish import check_output  # noqa: PLC0415

        check_output(settings.output or Path.cwd())  # before what may take minutes
    base, fetch = places.scratch(settings), _fetcher(settings, host)
    reader = Reader.of(settings, host)
    with unpacked(start, base, tell, reader, fetch=fetch, lasting=wanted.lasting) as made:
        inputs = collect(made.tree, wanted, settings, environment, host)
        made.check(inputs.source)
        given = str(made.dsc.path if isinstance(start, DscFile) else start)
        source = replace(inputs.source, given=given)
        yield replace(inputs, source=source, output=Path.cwd(), notes=(made.note,))


def _fetcher(settings: Settings, host: Host) -> Fetch | None:
    if settings.dist is None:
        return None
    from bwbuild.build import ground  # noqa: PLC0415 - as above

    return ground.fetcher(settings, host)


def collect(
    start: Path, wanted: Wanted, settings: Settings, environment: Mapping[str, str], host: Host
) -> Inputs:
    """All inputs but view and ground for the tree at or above ``start``; nothing is changed.

    :raises SourceError: there is no usable source.
    :raises HostError: the machine lacks something.
    """
    private = settings.workspace is Workspace.PRIVATE
    tree = sources.find_tree(start)
    # What is bound in place must be what it seems to be, so no link may be on the way.
    source = sources.read_source(tree if private else tree.resolve())
    if not wanted.command and not any(
        word.startswith(("-R", "--rules-file")) for word in wanted.options.passed
    ):
        sources.check_rules(source)
    looked = (
        sources.survey(source.tree, *mapped(host.caller, settings)) if private else sources.Survey(None, 0)
    )
    return Inputs(
        settings=settings,
        source=source,
        host=host,
        caller_environment=dict(environment),
        options=wanted.options,
        origs=sources.orig_tarballs(source),
        home=Path(os.path.realpath(environment.get("HOME", "/"))),
        version_control=sources.version_control(source.tree),
        foreign=looked.foreign,
        opening=None if private else _opening(source.tree.parent),
        tree_size=looked.size,
        scratch_type=type_of(places.scratch(settings)),
        command=wanted.command,
        interactive=wanted.interactive,
        now=int(time.time()),
    )


def _opening(parent: Path) -> tuple[Path, str] | None:
    # All of a directory of everybody's is refused anyway, and takes long to look through.
    return None if str(parent) in SHARED else first_below(parent)


def mapped(caller: Caller, settings: Settings) -> tuple[frozenset[range], frozenset[range]]:
    """The user and group ids outside that the sandbox of this caller has numbers for."""
    own = (range(caller.uid, caller.uid + 1), range(caller.gid, caller.gid + 1))
    if settings.identity is IdentityChoice.SINGLE or caller.is_root:
        return frozenset(own[:1]), frozenset(own[1:])
    return frozenset((own[0], *caller.subuids)), frozenset((own[1], *caller.subgids))
