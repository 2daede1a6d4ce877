"""What the launchers' scripts do to mount the overlays of a sandbox."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from bwbuild.sandbox.spec import Overlay, Scratch

#: How every overlay is mounted. Layers lie on file systems of their own: without xino a directory's entries
#: have other inode numbers than stat(2) shows, and its files another device; configure scripts notice the
#: one, find -xdev the other.
OVERLAY_OPTIONS = "userxattr,xino=on"

# Starting a program for each of dozens of names would take longer than all that is mounted.
HIDE = """\
hide() { # LOWER OVER: the names on standard input, each ended by a null byte, do not exist in OVER over LOWER
  [ -e ns/whiteout ] || mknod ns/whiteout c 0 0
  perl -n0e '
    BEGIN { our ($lower, $over) = splice @ARGV, 0, 2 }
    chomp;
    next if !lstat("$lower/$_");
    while (m{/}g) { mkdir("$over/" . substr($_, 0, pos() - 1)) }
    link("ns/whiteout", "$over/$_") or die "$over/$_: $!\n";' "$@"
}"""


def directories(overlay: Overlay) -> tuple[str, ...]:
    """The directories that must be there before :func:`lines`; it makes those of an optional one itself."""
    return () if overlay.optional else _directories(overlay)


def lines(overlay: Overlay) -> Iterator[str]:
    """The lines that mount it as ``ns/NAME``; they need :data:`HIDE` before them."""
    if not overlay.optional:
        yield from _overlay(overlay)
        return
    yield f"if [ -d {shlex.quote(str(overlay.lower))} ]; then"
    yield f"  mkdir {' '.join(_directories(overlay))}"
    yield from (f"  {line}" for line in _overlay(overlay))
    yield "fi"


def _directories(overlay: Overlay) -> tuple[str, ...]:
    name = f"ns/{overlay.name}"
    return (name, f"{name}.over", *([f"{name}.lower"] if overlay.copied else []))


def _overlay(overlay: Overlay) -> Iterator[str]:
    over = f"ns/{overlay.name}.over"
    if overlay.files is not None:
        yield f"cp {overlay.files.name}/* {over}/"
    lower = overlay.lower.name if isinstance(overlay.lower, Scratch) else shlex.quote(str(overlay.lower))
    if overlay.hidden:
        yield hide(lower, over, overlay.hidden)
    if overlay.listed is not None:
        yield f"hide {lower} {over} < {overlay.listed.name}"
    if overlay.copied:
        # As root of the namespace everything becomes root's; what the caller can't read stays away.
        lowest = f"ns/{overlay.name}.lower"
        quiet = "--ignore-failed-read --warning=no-failed-read --warning=no-file-ignored"
        yield f"tar -C {lower} {quiet} -cf - . | tar -C {lowest} --no-same-owner -xpf -"
        lower = lowest
    layers = ":".join([over, *([overlay.mask.name] if overlay.mask else []), lower])
    yield f"mount -t overlay -o ro,{OVERLAY_OPTIONS},lowerdir={layers} bwbuild ns/{overlay.name}"


def hide(lower: str, over: str, names: Sequence[str]) -> str:
    """The line that hides ``names`` of the directory ``lower`` in ``over``."""
    return f"printf '%s\\0' {shlex.join(names)} | hide {lower} {over}"
