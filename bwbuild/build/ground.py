"""What a build stands on where it is not this machine: the base of a suite, and its dependencies over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bwbuild.build import besides, places
from bwbuild.build.plan import Inputs, choose_identity
from bwbuild.build.record.reading import FETCH, INSTALL, UPDATE, Recorder, with_versions
from bwbuild.build.record.report import utc
from bwbuild.build.start import Fetch
from bwbuild.build.study import dependencies
from bwbuild.build.watch.bounds import of_installing
from bwbuild.config.settings import Settings
from bwbuild.deb.database import installed
from bwbuild.errors import HostError, SourceError
from bwbuild.events import Event, Field, Observer, Section, Text
from bwbuild.host.facts import Host, root_names
from bwbuild.root import bases, extra, layers, sources
from bwbuild.root.ground import Base, Ground, Layer
from bwbuild.root.mirrors import mirrors
from bwbuild.root.suite import Suite, of_changelog, parse_name
from bwbuild.sandbox.spec import Identity, IdentityKind
from bwbuild.units import human_duration


@contextmanager
def opened(inputs: Inputs, name: str, tell: Recorder) -> Iterator[Ground]:
    """The base of the suite ``name`` with the source's build dependencies, made where the cache lacks them.

    :param name: ``auto``: the suite of the changelog.
    :raises UsageError: what is to be added to the suite is not what it should be.
    :raises SourceError: the changelog names no suite.
    :raises HostError: no base or layer can be made here.
    :raises DependencyError: the suite does not have what the source needs.
    :raises OutputError: the cache can't be written.
    """
    settings = inputs.settings
    suite = of_changelog(inputs.source.distribution) if name == "auto" else parse_name(name)
    identity = choose_identity(inputs.host, settings)
    native, cache = inputs.host.architecture, places.cache(settings)
    asked = dependencies.wanted(inputs.source, inputs.options, native, inputs.caller_environment)
    tell(Section(UPDATE))
    with (
        extra.gathered(besides.given(asked, inputs.options), cache) as added,
        bases.opened(wish(settings, suite, native, identity, tell)) as base,
    ):
        for event in _about_base(base, made_now=base.made >= tell.began):
            tell(event)
        tell(Section(INSTALL))
        wanted = layers.Wish(
            base=base,
            control=dependencies.control_for_apt(asked),
            options=besides.options_for_apt(asked),
            cache=cache,
            tell=tell,
            bounds=of_installing(
                settings, inputs.host, identity, foreign=bool(added and added.architectures)
            ),
            fetch=settings.fetch,
            extra=added,
            remedy=besides.remedy(inputs.options),
        )
        for line in wanted.control.splitlines():
            if line.startswith("Build-"):
                tell(Field(*line.split(": ", 1)))
        with layers.opened(wanted) as layer:
            for event in _about_layer(layer):
                tell(event)
            yield Ground(
                base=base,
                layer=layer,
                passwd=(base.root / "etc" / "passwd").read_text(encoding="utf-8"),
                group=(base.root / "etc" / "group").read_text(encoding="utf-8"),
                root_names=root_names(base.root),
                packages=_installed(base, layer),
            )


def fetcher(settings: Settings, host: Host) -> Fetch:
    """What fetches source packages from the suite of the settings, which is there."""

    def fetch(name: str, version: str | None, directory: Path, tell: Observer) -> Path:
        if settings.dist in (None, "auto"):
            raise SourceError(
                f"{name} has no changelog yet that could name a suite", hint="name the suite: -d SUITE"
            )
        if not settings.fetch:
            raise SourceError(
                f"{name} would have to be fetched, which --no-fetch forbids",
                hint="leave out --no-fetch, or give the path of a .dsc",
            )
        suite, identity = parse_name(settings.dist or ""), choose_identity(host, settings)
        tell(Section(UPDATE))
        with bases.opened(wish(settings, suite, host.architecture, identity, tell)) as base:
            tell(Section(FETCH))
            wanted = f"{name}={version}" if version else name
            return sources.fetch(_archive(settings, host, base), wanted, directory, tell)

    return fetch


def index(settings: Settings, host: Host, directory: Path, tell: Observer) -> Path:
    """The index of all sources of the suite of the settings, as a file in the empty ``directory``.

    :raises SourceError: it can't be fetched.
    """
    if not settings.fetch:
        raise SourceError(
            "the index of the sources would have to be fetched, which --no-fetch forbids",
            hint="leave out --no-fetch, or give a list of sources",
        )
    suite, identity = parse_name(settings.dist or ""), choose_identity(host, settings)
    with bases.opened(wish(settings, suite, host.architecture, identity, tell)) as base:
        return sources.index(_archive(settings, host, base), directory, tell)


def _archive(settings: Settings, host: Host, base: Base) -> sources.Archive:
    return sources.Archive(base, places.cache(settings), of_installing(settings, host, base.identity))


def wish(settings: Settings, suite: str, architecture: str, identity: Identity, tell: Observer) -> bases.Wish:
    """Which base is wanted.

    :raises HostError: the identity has one id only, to which no system can be unpacked.
    """
    if identity.kind is IdentityKind.SINGLE:
        raise HostError(
            "a base of a suite needs subordinate ids, for its files belong to many users",
            hint="bwbuild doctor says how to get some; without, builds see this machine: leave out -d",
        )
    return bases.Wish(
        suite=Suite(
            name=suite,
            architecture=architecture,
            mirror=settings.base_mirror or "",
            components=settings.base_components or "",
            keyring=settings.base_keyring,
        ),
        identity=identity,
        cache=places.cache(settings) / "bases",
        refresh=settings.base_refresh or 0.0,
        tell=tell,
        fetch=settings.fetch,
    )


def _about_base(base: Base, *, made_now: bool) -> Iterator[Event]:
    when = utc(datetime.fromtimestamp(base.made, UTC))
    yield Field("Base", base.id)
    yield Field("Suite", base.suite.name)
    yield Field("Architecture", base.suite.architecture)
    yield Field("Made", f"{when} ({'for this build' if made_now else 'from the cache'})")
    for mirror in mirrors(base.root):
        yield Field("Mirror", mirror)


def _about_layer(layer: Layer) -> Iterator[Event]:
    number = len(layer.packages)
    if not number:
        yield Text("The base has all that is declared; nothing is installed over it.")
        return
    how = f"installed in {human_duration(layer.seconds)}" if layer.seconds else "taken from the cache"
    yield Text(f"Over the base: {number} packages, {how}.")
    if not layer.seconds:
        yield Field("Packages", with_versions(layer.packages))


def _installed(base: Base, layer: Layer) -> dict[str, str]:
    """What dpkg's database says that the build sees."""
    status = Path("var", "lib", "dpkg", "status")
    own = layer.upper / status
    path = own if own.exists() else base.root / status
    return installed(path.read_text(encoding="utf-8", errors="surrogateescape"))
