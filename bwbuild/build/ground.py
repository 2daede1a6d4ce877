"""What a build stands on where it is not this machine: the base of a suite, and its dependencies over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bwbuild.build import dependencies, places
from bwbuild.build.plan import Inputs, choose_identity
from bwbuild.build.start import Fetch
from bwbuild.config.settings import Settings
from bwbuild.errors import HostError, SourceError
from bwbuild.events import Tell
from bwbuild.host.facts import read_host, root_names
from bwbuild.root import bases, layers, sources
from bwbuild.root.ground import Ground
from bwbuild.root.suite import Suite, of_changelog, parse_name
from bwbuild.sandbox.spec import Identity, IdentityKind


@contextmanager
def opened(inputs: Inputs, name: str, tell: Tell) -> Iterator[Ground]:
    """The base of the suite ``name`` with the source's build dependencies, made where the cache lacks them.

    :param name: ``auto``: the suite of the changelog.
    :raises SourceError: the changelog names no suite.
    :raises HostError: no base or layer can be made here.
    :raises DependencyError: the suite does not have what the source needs.
    :raises OutputError: the cache can't be written.
    """
    settings = inputs.settings
    if inputs.options.host_arch not in (None, inputs.host.architecture):
        raise HostError(
            f"a base can't be built on for {inputs.options.host_arch}: it has one architecture only",
            hint="leave out -d, with the cross compiler on this machine",
        )
    suite = of_changelog(inputs.source.distribution) if name == "auto" else parse_name(name)
    identity = choose_identity(inputs.host, settings)
    with bases.opened(wish(settings, suite, inputs.host.architecture, identity, tell)) as base:
        asked = dependencies.wanted(
            inputs.source, inputs.options, inputs.host.architecture, inputs.caller_environment
        )
        wanted = layers.Wish(
            base=base,
            control=dependencies.control_for_apt(asked),
            options=(),
            cache=places.cache(settings),
            tell=tell,
            fetch=settings.fetch,
        )
        with layers.opened(wanted) as layer:
            yield Ground(
                base=base,
                layer=layer,
                passwd=(base.root / "etc" / "passwd").read_text(encoding="utf-8"),
                group=(base.root / "etc" / "group").read_text(encoding="utf-8"),
                root_names=root_names(base.root),
            )


def fetcher(settings: Settings) -> Fetch:
    """What fetches source packages from the suite of the settings, which is there."""

    def fetch(name: str, version: str | None, directory: Path, tell: Tell) -> Path:
        if settings.dist in (None, "auto"):
            raise SourceError(
                f"{name} has no changelog yet that could name a suite", hint="name the suite: -d SUITE"
            )
        if not settings.fetch:
            raise SourceError(
                f"{name} would have to be fetched, which --no-fetch forbids",
                hint="leave out --no-fetch, or give the path of a .dsc",
            )
        host = read_host()
        suite, identity = parse_name(settings.dist or ""), choose_identity(host, settings)
        with bases.opened(wish(settings, suite, host.architecture, identity, tell)) as base:
            wanted = f"{name}={version}" if version else name
            return sources.fetch(base, places.cache(settings), wanted, directory, tell)

    return fetch


def wish(settings: Settings, suite: str, architecture: str, identity: Identity, tell: Tell) -> bases.Wish:
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
