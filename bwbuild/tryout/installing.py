"""Looking at an installation: the packages alone, over a root with all that they depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bwbuild.errors import HostError, UsageError
from bwbuild.root import layers
from bwbuild.root.apt import APT
from bwbuild.root.chamber import Chamber
from bwbuild.root.workplace import workplace
from bwbuild.sandbox.tail import Tail
from bwbuild.tryout import below, difference
from bwbuild.tryout.difference import Installation, Texts
from bwbuild.tryout.root import Root

_ARCHIVES = "/var/cache/apt/archives"
_LAYER = "/mnt"
#: Bytes of what an installation writes that are looked at.
_SAID = 4 << 20
_INSTALL = (*APT, "-o", "Debug::NoLocking=1", "-o", "Dpkg::Options::=--force-unsafe-io", "--allow-downgrades")
#: Prints what lies in the layer, and how it differs from what was there: see :func:`difference.parse`.
_LOOK = r"""
use strict; use warnings;
require 'sys/syscall.ph';
my %kind = (0100000 => 'f', 0040000 => 'd', 0120000 => 'l', 0010000 => 'p', 0140000 => 's', 0020000 => 'c');
sub same {
  my ($new, $old) = @_;
  return 0 if -s $new != -s $old;
  open(my $n, '<:raw', $new) or return 0;
  open(my $o, '<:raw', $old) or return 0;
  while (1) {
    my ($x, $y) = ('', '');
    my $read = read($n, $x, 65536);
    read($o, $y, 65536);
    return 0 if $x ne $y;
    return 1 if !$read;
  }
}
sub capabilities {
  my ($path) = @_;
  my ($name, $data) = ('security.capability', "\0" x 64);
  my $size = syscall(&SYS_lgetxattr, $path, $name, $data, 64);
  return $size > 0 ? unpack('H*', substr($data, 0, $size)) : '';
}
sub walk {
  my ($place) = @_;
  opendir(my $handle, "/mnt/$place") or return;
  for my $name (sort grep { $_ ne '.' && $_ ne '..' } readdir($handle)) {
    my $path = $place eq '' ? $name : "$place/$name";
    my @new = lstat("/mnt/$path") or next;
    my @old = lstat("/$path");
    my $kind = $kind{$new[2] & 0170000} // '?';
    my $gone = $kind eq 'c' && $new[6] == 0;
    my $link = $kind eq 'l' ? readlink("/mnt/$path") : '';
    my $sign = $gone ? '-' : !@old ? '+' : '~';
    my $rights = $kind eq 'f' ? capabilities("/mnt/$path") : '';
    my @changed;
    if ($sign eq '~') {
      push @changed, 'contents' if ($new[2] ^ $old[2]) & 0170000
        || !($kind eq 'f' ? same("/mnt/$path", "/$path") : $kind eq 'l' ? $link eq readlink("/$path") : 1);
      push @changed, 'mode' if ($new[2] ^ $old[2]) & 07777;
      push @changed, 'owner' if $new[4] != $old[4] || $new[5] != $old[5];
      push @changed, 'capabilities' if $kind eq 'f' && $rights ne capabilities("/$path");
    }
    my @numbers = ($new[2] & 07777, $new[4], $new[5]);
    printf("%s\t%s\t%o\t%d\t%d\t%s\t%s\t%s\0%s\0", $sign, $kind, @numbers, "@changed", $rights, $path, $link)
      unless ($sign eq '~' && !@changed) || ($gone && !@old);
    walk($path) if $kind eq 'd';
  }
}
walk('');
"""


def seen(there: Root) -> Installation:
    """Install what is tried over a root with its dependencies, and tell what it changes there.

    :raises BwbuildError: it can't be installed.
    """
    base, cache = there.base, there.wish.cache
    new = {_package(key) for key in there.ground.layer.packages}
    if not any(package.name in new for package in there.tried):
        raise UsageError(
            f"every root of {base.suite.name} has {there.tried[0].name} already, so nothing changes",
            hint="of a package that was built in another version it can be told",
        )
    below_wish = replace(there.wish, control=_dependencies(there), extra=None, what="the dependencies")
    with layers.opened(below_wish) as lower, workplace(cache, "diff") as place:
        tried = {package.name for package in there.tried}
        if tried & {_package(key) for key in lower.packages}:
            return _with_dependencies(there, place)
        files = _files(there, place)
        upper = place / "layer" / "upper"
        for path in (place / "layer", upper, place / "install", place / "look"):
            path.mkdir()
            path.chmod(0o755)
        installing = Chamber(
            base.identity,
            place / "install",
            base.root,
            layer=place / "layer",
            over=(lower.upper,),
            shown={_LAYER: files},
            bounds=there.wish.bounds,
        )
        names = sorted(f"{_LAYER}/{path.name}" for path in files.iterdir())
        written = Tail(_SAID)
        outcome = installing.watch((*_INSTALL, "install", *names), written.add)
        if outcome.exit_code != 0:
            raise HostError(
                f"the packages can't be installed alone ({outcome.how})",
                hint="without --diff apt installs them with all the rest",
                details=written.lines(20),
            )
        return _compared(there, _named(there), place, (lower.upper,), upper, written.text)


def _with_dependencies(there: Root, place: Path) -> Installation:
    """What all of the layer changes: packages that need each other can't be there one after the other."""
    layer = there.ground.layer
    tried = {package.name for package in there.tried}
    others = sorted(key for key in layer.packages if _package(key) not in tried)
    names = (*_named(there), *(f"{key} {layer.packages[key]}, which needs it or is needed" for key in others))
    (place / "look").mkdir(mode=0o755)
    return _compared(there, names, place, (), layer.upper, "")


def _compared(  # noqa: PLR0917 - all that an installation is told from
    there: Root, names: Sequence[str], place: Path, over: tuple[Path, ...], upper: Path, said: str
) -> Installation:
    """How a layer differs from what it lies over."""
    base = there.base
    looking = Chamber(
        base.identity, place / "look", base.root, there.wish.bounds, over=over, shown={_LAYER: upper}
    )
    done = looking.run(("perl", "-e", _LOOK))
    if done.returncode != 0:
        details = done.stderr.decode("utf-8", "replace").splitlines()[-5:]
        raise HostError("what was installed can't be looked at", details=details)
    tops = (*over, base.root)
    return Installation(
        packages=tuple(names),
        items=difference.parse(done.stdout),
        owned=_owned(there, names, tops),
        before=_texts(tops),
        after=_texts((upper, *tops)),
        said=said,
    )


def _package(key: str) -> str:
    """The name of a package of a layer, without its architecture."""
    return key.partition(":")[0]


def _owned(there: Root, names: Sequence[str], tops: Sequence[Path]) -> frozenset[str]:
    """The paths of the packages' files, old ones too, where links of a merged root lead them."""
    links = there.ground.root_names
    found = set()
    everything = (there.ground.layer.upper, *tops)
    for name in {_package(words.split()[0]) for words in names}:
        for file in (f"{name}.list", f"{name}:{there.base.suite.architecture}.list"):
            for text in (below.text(top, f"var/lib/dpkg/info/{file}") for top in everything):
                for path in (text or "").splitlines():
                    first, slash, rest = path.lstrip("/").partition("/")
                    found.add(f"{links.get(first) or first}{slash}{rest}")
    return frozenset(found)


def _dependencies(there: Root) -> str:
    """What apt is asked for: all that is in the layer but what is tried."""
    tried = {package.name for package in there.tried}
    head, _, _ = there.wish.control.partition("Build-Depends:")
    relations = []
    for key, version in sorted(there.ground.layer.packages.items()):
        name, _, architecture = key.partition(":")
        if name not in tried:
            qualifier = "" if architecture in ("all", there.base.suite.architecture) else f":{architecture}"
            relations.append(f"{name}{qualifier} (= {version})")
    return head + (f"Build-Depends: {', '.join(relations)}\n" if relations else "")


def _named(there: Root) -> tuple[str, ...]:
    packages = there.ground.packages
    found = []
    for package in there.tried:
        keys = (f"{package.name}:{there.base.suite.architecture}", f"{package.name}:all")
        version = next((packages[key] for key in keys if key in packages), package.version)
        found.append(f"{package.name} {version}".strip())
    return tuple(found)


def _files(there: Root, place: Path) -> Path:
    """A directory with the .debs of what is tried."""
    files = place / "files"
    files.mkdir()
    files.chmod(0o755)
    extra = there.wish.extra
    if extra is not None:
        for path in (extra.place / "packages").glob("*.deb"):
            (files / path.name).hardlink_to(path)
    names = [package.name for package in there.tried if not package.version]
    if names:
        wish = replace(there.wish, extra=None)
        fetched, work = place / "fetched", place / "fetch"
        for path in (fetched, work):
            path.mkdir()
            path.chmod(0o755)
        _download(wish, names, work, fetched)
        for path in fetched.glob("*.deb"):
            (files / path.name).write_bytes(path.read_bytes())
    return files


def _download(wish: layers.Wish, names: Sequence[str], work: Path, place: Path) -> None:
    base, binds = wish.base, {_LAYER: place}
    chamber = Chamber(base.identity, work, base.root, wish.bounds, network=wish.fetch, binds=binds)
    words = ("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names)
    done = chamber.run(("sh", "-c", f'cd {_LAYER}; exec "$@"', "sh", *words))
    if done.returncode != 0:
        details = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()[-10:]
        raise HostError("the packages can't be fetched", hint="check the network", details=details)


def _texts(tops: Sequence[Path]) -> Texts:
    def text(name: str) -> str:
        return next((found for top in tops if (found := below.text(top, name)) is not None), "")

    dpkg = "var/lib/dpkg"
    return Texts(
        passwd=text("etc/passwd"),
        group=text("etc/group"),
        diversions=text(f"{dpkg}/diversions"),
        overrides=text(f"{dpkg}/statoverride"),
        triggers=text(f"{dpkg}/triggers/File"),
    )
