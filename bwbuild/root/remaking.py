"""Generated files made again in a view: as the host has them, they name what hidden packages hold."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bwbuild import process
from bwbuild.errors import HostError
from bwbuild.root.contents import Cover
from bwbuild.root.regenerated import REGENERATED
from bwbuild.sandbox.guard import TIED
from bwbuild.sandbox.overlays import HIDE, OVERLAY_OPTIONS

#: Seconds; all programs together take less than one.
_LONGEST = 60

_RUN = """\
remake() { # NUMBER COMMAND...: say so if it fails
  number=$1; shift
  said=$("$@" 2>&1 < /dev/null) || echo "$number $(printf %s "$said" | tail -n 1)"
}"""


class NoViewError(HostError):
    """The view can't be mounted on this machine, or nothing can be run in it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A file that is to be made again, and the command that makes it in the view."""

    path: str
    command: tuple[str, ...]


def targets(seen: Collection[str], names: frozenset[str]) -> list[Target]:
    """What is to be made again of the generated files that are seen, with the packages called ``names``."""
    return [
        Target(path, entry.command(path))
        for entry in REGENERATED
        if entry.applies(names)
        for path in sorted(seen)
        if entry.fits(path)
    ]


@dataclass(frozen=True, slots=True)
class Remaking:
    """The work on one view, whose masks and copies lie in ``place``.

    :ivar links: top-level name -> what it is a link to; "" for a directory of its own.
    """

    place: Path
    covers: Sequence[Cover]
    links: Mapping[str, str]
    targets: Sequence[Target]

    def run(self) -> tuple[dict[str, Path], tuple[str, ...]]:
        """Make the targets: path -> the new file, and what failed, each with the program's last words.

        Those in /etc are made in place. The others lie in the directory ``remade``, unless there is nothing
        visible that they would be made of.

        :raises NoViewError: the view can't be mounted; the details are what was said.
        """
        for name in ("ns", "remade"):
            (self.place / name).mkdir()
        words = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "sh")
        script = "\n".join(self.script()).encode()
        done = process.run(words, cwd=self.place, stdin=script, timeout=_LONGEST, check=False, tie=True)
        if done.returncode:
            said = tuple((done.stderr + done.stdout).decode("utf-8", "replace").splitlines())
            raise NoViewError("the view of the declared packages can't be mounted", details=said)
        failed = dict(line.split(" ", 1) for line in done.text.splitlines())
        made = {
            target.path: self.place / "remade" / str(number)
            for number, target in enumerate(self.targets)
            if str(number) not in failed and not target.path.startswith("/etc/")
        }
        return made, tuple(f"{self.targets[int(number)].path}: {why}" for number, why in failed.items())

    def script(self) -> Iterator[str]:
        """What runs as root of a namespace, in the view's directory."""
        yield "set -eu"
        if any(cover.listed for cover in self.covers):
            # A file system that takes no whiteouts takes no upper layer either.
            yield "mount -t tmpfs -o mode=755 bwbuild ns"
        yield HIDE
        for cover in self.covers:
            yield from self._mount(cover)
        inside = "\n".join([_RUN, *self._commands()])
        clean = "env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8"
        yield f"{clean} bwrap {TIED} {shlex.join([*self._bwrap(), 'sh', '-c', inside])}"
        for cover in self.covers:
            for number, path in self._below(cover):
                inner = path.removeprefix(f"{cover.top}/")
                made = shlex.quote(f"ns/{cover.name}.upper/{inner}")
                # A program that finds nothing visible to put into it may remove the file.
                yield f"if [ -f {made} ]; then cp -p {made} remade/{number}; fi"
        for cover in self.covers:
            yield f"umount ns/{cover.name}"
        if any(cover.listed for cover in self.covers):
            yield "umount ns"
        # The kernel leaves directories in there that only root of the namespace may look into.
        yield "rm -rf ns"

    def _mount(self, cover: Cover) -> Iterator[str]:
        name, top = cover.name, cover.top
        layers = f"{name}:{top}"
        yield f"mkdir ns/{name} ns/{name}.upper ns/{name}.work ns/{name}.over"
        if cover.listed:
            yield f"hide {top} ns/{name}.over < {name}.hidden"
            layers = f"ns/{name}.over:{layers}"
        for _, path in self._below(cover):
            # Directories of the host's root can't be copied up, so they are there before.
            inner = PurePosixPath(path).relative_to(top)
            place = shlex.quote(f"ns/{name}.upper/{inner.parent}")
            yield f"mkdir -p {place}; cp {shlex.quote(path)} {place}"
            # Of files too, and of a lock beside the file.
            yield f"[ ! -e {shlex.quote(path)}.lock ] || cp {shlex.quote(path)}.lock {place}"
        options = f"{OVERLAY_OPTIONS},lowerdir={layers},upperdir=ns/{name}.upper,workdir=ns/{name}.work"
        yield f"mount -t overlay -o {options} bwbuild ns/{name}"

    def _below(self, cover: Cover) -> Iterator[tuple[int, str]]:
        for number, target in enumerate(self.targets):
            if target.path.startswith(f"{cover.top}/"):
                yield number, target.path

    def _bwrap(self) -> Iterator[str]:
        yield from ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--die-with-parent")
        yield from (
            "--new-session",
            "--cap-drop",
            "ALL",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
        )
        for name, text in sorted(self.links.items()):
            if text:
                yield from ("--symlink", text, f"/{name}")
        yield from ("--bind", "etc", "/etc", "--ro-bind", "dpkg", "/var/lib/dpkg")
        for cover in self.covers:
            yield from ("--bind", f"ns/{cover.name}", cover.top)

    def _commands(self) -> Iterator[str]:
        for number, target in enumerate(self.targets):
            yield shlex.join(["remake", str(number), *target.command])
