"""The root that a program is tried in: a base, and a layer with what is tried and all that it depends on."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from bwbuild.build import ground as grounds
from bwbuild.build import places
from bwbuild.build.plan import choose_identity
from bwbuild.build.signing import UNRELEASED
from bwbuild.build.watch.bounds import of_installing
from bwbuild.checks.testcontrol import paragraphs
from bwbuild.config.settings import Settings
from bwbuild.deb.database import installed
from bwbuild.deb.names import BINARY_NAME, VERSION, printable
from bwbuild.errors import DependencyError, HostError, UsageError
from bwbuild.events import Level, Notice, Observer
from bwbuild.host.facts import Host, root_names
from bwbuild.root import bases, extra, layers
from bwbuild.root.apt import OFFERED
from bwbuild.root.bounds import Bounds
from bwbuild.root.chamber import Chamber
from bwbuild.root.extra import Extra, Given
from bwbuild.root.ground import Base, Ground
from bwbuild.root.suite import of_changelog, of_this_machine, parse_name
from bwbuild.root.workplace import workplace
from bwbuild.sandbox.tail import Tail
from bwbuild.tryout import below
from bwbuild.tryout.subject import Subject

_CONTROL = """\
Format: 1.0
Source: what-is-tried
Binary: what-is-tried
Architecture: any
Version: 1
Maintainer: bwbuild <root@localhost>
"""
_FIELDS = """\
cd /mnt
for file in *.deb; do
  echo "File: $file"
  dpkg-deb --field "$file" Package Version
  dpkg-deb --contents "$file" > /dev/null && echo 'Read: yes'
  printf 'Said:\n'
  tail -n 5 /tmp/said | sed 's/^/ /'
  echo
done 2> /tmp/said
"""
#: Bytes of the answer about one file: more than names, versions and five complaints take.
_ANSWER = 1 << 16
_NAMES = ("apt-cache", *("-o", "Dir::Cache::pkgcache="), *("-o", "Dir::Cache::srcpkgcache="), "pkgnames")
_DROPPED = ("--clear-groups", "--inh-caps=-all", "--no-new-privs", "--")
_SHELL = "; --shell-on-failure opens a shell in the half-installed root"
_DATABASE = PurePosixPath("var/lib/dpkg")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed, and who hears of it.

    :ivar besides: names of further packages.
    :ivar shell: a shell is opened in the unfinished root where a package can't be installed.
    :ivar known: gets what is tried, and the suite, before anything is installed.
    """

    subject: Subject
    settings: Settings
    host: Host
    tell: Observer
    besides: tuple[str, ...] = ()
    shell: bool = False
    known: Callable[[Sequence[Package], str], None] = lambda _tried, _suite: None

    @property
    def suite(self) -> str:
        """The suite to stand on: as asked, else of the .changes, else this machine's own release."""
        asked = self.settings.dist
        if asked not in (None, "auto"):
            return parse_name(asked or "")
        distribution = self.subject.distribution
        # What is not released yet is for no suite, and is tried on what is here.
        return of_changelog(distribution) if distribution not in ("", UNRELEASED) else of_this_machine()


@dataclass(frozen=True, slots=True)
class Package:
    """A package that is tried; ``version`` is empty for one of the archive."""

    name: str
    version: str = ""

    @property
    def relation(self) -> str:
        """What apt is asked for."""
        return f"{self.name} (= {self.version})" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Root:
    """What a program is tried in.

    :ivar tried: the packages, in the order in which they were named; none where only a base is wanted.
    :ivar wish: what was asked of apt.
    """

    ground: Ground
    tried: tuple[Package, ...]
    wish: layers.Wish

    @property
    def base(self) -> Base:
        """What the layer lies over."""
        return self.ground.base

    def text(self, path: str | PurePosixPath) -> str | None:
        """The text of a file of the root that everybody may read; None where there is none."""
        tops = (self.ground.layer.upper, self.base.root)
        return next((text for top in tops if (text := below.text(top, path)) is not None), None)

    def names(self, directory: str) -> set[str]:
        """The names in a directory of the root."""
        return below.names(self.base.root, directory) | below.names(self.ground.layer.upper, directory)

    def files(self) -> list[str]:
        """The paths of all files of what is tried, without the slash before them."""
        paths: list[str] = []
        for package in self.tried:
            names = (package.name, f"{package.name}:{self.base.suite.architecture}")
            texts = (self.text(_DATABASE / "info" / f"{name}.list") for name in names)
            text = next((text for text in texts if text is not None), "")
            paths += [line.lstrip("/") for line in text.splitlines()]
        return paths


@contextmanager
def opened(wanted: Wanted) -> Iterator[Root]:
    """The root, from the cache or made now.

    :raises DependencyError: something can't be installed for what it depends on.
    :raises HostError: a package can't be installed, or there can be no base here.
    :raises UsageError: a .deb is none.
    """
    settings, host = wanted.settings, wanted.host
    identity = choose_identity(host, settings)
    cache = places.cache(settings)
    given = Given(packages=tuple(map(str, wanted.subject.debs)), flag="")
    base_wish = grounds.wish(settings, wanted.suite, host.architecture, identity, wanted.tell)
    with extra.gathered(given, cache) as added, bases.opened(base_wish) as base:
        bounds = of_installing(settings, host, identity)
        tried = (*_of_debs(base, cache, bounds, added), *(Package(name) for name in wanted.subject.names))
        _check_new(base, tried)
        wanted.known(tried, base.suite.name)
        relations = [package.relation for package in tried] + list(wanted.besides)
        control = f"{_CONTROL}Build-Depends: {', '.join(relations)}\n" if relations else _CONTROL
        wish = layers.Wish(
            base=base,
            control=control,
            options=_pinned(added, tried),
            cache=cache,
            tell=wanted.tell,
            bounds=bounds,
            fetch=settings.fetch,
            extra=added,
            what=f"what {described(tried)} depends on" if tried else "what is wanted",
            remedy="another suite may have it (-d SUITE), or name the .deb that has it besides",
            broken=partial(_shell, wanted, base, bounds) if wanted.shell else None,
            cure=f"mend it and build it again{_SHELL if not wanted.shell else ''}",
        )
        with ExitStack() as stack:
            try:
                layer = stack.enter_context(layers.opened(wish))
            except DependencyError as error:
                _check_known(wish, (*wanted.subject.names, *wanted.besides), error)
                raise
            ground = Ground(base, layer, "", "", root_names(base.root))
            root = Root(ground, tried, wish)
            passwd, group = (root.text(f"etc/{name}") or "" for name in ("passwd", "group"))
            status = root.text(_DATABASE / "status") or ""
            yield Root(Ground(base, layer, passwd, group, ground.root_names, installed(status)), tried, wish)


def _check_known(wish: layers.Wish, names: Sequence[str], error: DependencyError) -> None:
    """Raise where the suite does not have one of ``names``, with those that are near."""
    base = wish.base
    with workplace(wish.cache, "names") as place:
        known = set(Chamber(base.identity, place, base.root, wish.bounds).run(_NAMES).text.split())
    unknown = [name for name in names if name not in known]
    if known and unknown:
        near = difflib.get_close_matches(unknown[0], sorted(known), n=3, cutoff=0.7)
        asked = f"did you mean {' or '.join(near)}? " if near else ""
        raise DependencyError(
            f"{base.suite.name} has no package {unknown[0]}",
            hint=f"{asked}another suite may have it (-d SUITE); of a file the name ends in .deb",
        ) from error


def _pinned(added: Extra | None, tried: Sequence[Package]) -> tuple[str, ...]:
    """Options by which apt takes these very versions, though the suite may have newer ones."""
    pins = [
        f"Package: {one.name}\nPin: version {one.version}\nPin-Priority: 1001\n"
        for one in tried
        if one.version
    ]
    if added is None or not pins:
        return ()
    file = added.place / "preferences"
    file.write_text("\n".join(pins), encoding="utf-8")
    file.chmod(0o644)
    return ("-o", f"Dir::Etc::Preferences={OFFERED}/preferences", "--allow-downgrades")


def _check_new(base: Base, tried: Sequence[Package]) -> None:
    """Refuse a package that apt would not install, since the base has it in that very version."""
    there = installed(below.text(base.root, _DATABASE / "status") or "")
    for package in tried:
        keys = (f"{package.name}:{base.suite.architecture}", f"{package.name}:all")
        if package.version and package.version in [there.get(key) for key in keys]:
            raise UsageError(
                f"every root of {base.suite.name} has {package.name} {package.version} already,"
                " so what was built would not be tried",
                hint="build it under another version: bwbuild --append-to-version=+try1",
            )


def _shell(wanted: Wanted, base: Base, bounds: Bounds, layer: Path, said: Sequence[str]) -> None:
    """A shell of root in what a failed installation has left."""
    for line in said:
        wanted.tell(Notice(Level.ERROR, line))
    wanted.tell(Notice(Level.ERROR, "this is the root as the failure has left it; exit removes it"))
    with workplace(places.cache(wanted.settings), "shell") as place:
        environment = {"HOME": "/root", "TERM": os.environ.get("TERM", "dumb")}
        chamber = Chamber(
            base.identity, place, base.root, layer=layer, environment=environment, bounds=bounds
        )
        chamber.attend(("/bin/bash",), terminal=True)


def described(tried: Sequence[Package]) -> str:
    """The packages in words."""
    names = [package.name for package in tried]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _of_debs(base: Base, cache: Path, bounds: Bounds, added: Extra | None) -> tuple[Package, ...]:
    """What the packages say of themselves; dpkg-deb reads them as an ordinary user without the network."""
    if added is None or not added.packages:
        return ()
    extra.open_to_root_inside(added.place)
    added.place.chmod(0o711)
    written = Tail(_ANSWER * len(added.packages))
    with workplace(cache, "try") as place:
        shown = {"/mnt": added.place / "packages"}
        chamber = Chamber(base.identity, place, base.root, shown=shown, bounds=bounds)
        user = ("setpriv", f"--reuid={base.identity.uid}", f"--regid={base.identity.gid}", *_DROPPED)
        chamber.watch((*user, "sh", "-c", _FIELDS), written.add)
    said = {fields.get("file", ""): fields for fields in paragraphs(written.text)}
    found = []
    for number, path in enumerate(added.packages, 1):
        fields = said.get(f"{number}.deb", {})
        name, version = fields.get("package", ""), fields.get("version", "")
        if "read" not in fields or not BINARY_NAME.fullmatch(name) or not VERSION.fullmatch(version):
            details = fields.get("said", "").splitlines()
            raise UsageError(f"{path} is no Debian package", hint="build it again", details=details)
        found.append(Package(name, version))
    twice = {package.name for package in found if sum(other.name == package.name for other in found) > 1}
    if twice:
        raise UsageError(f"two of the files are the package {printable(min(twice))}", hint="name one of them")
    if not found:
        raise HostError("the packages can't be read", details=written.lines(5))
    return tuple(found)
