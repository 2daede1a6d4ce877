"""Making a declared view: what of this system belongs to a set of packages, laid out in a directory.

/usr and generated state stay where they are, below a mask that hides all else; /etc and dpkg's database are
small and copied, so that nothing else can be in them. What no package owns exists only if the tables of
:mod:`bwbuild.root.generated` say whose it is.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bwbuild.deb.database import DIRECTORY, Package
from bwbuild.root import copies, generated, remaking
from bwbuild.root.contents import Contents, Cover
from bwbuild.root.mask import Mask, takes_whiteouts
from bwbuild.root.ownership import Lists
from bwbuild.root.strangers import Strangers, find
from bwbuild.root.visible import Visible, survey


def make(place: Path, packages: Sequence[Package], links: Mapping[str, str]) -> Contents:
    """Lay out the view of ``packages`` in the empty directory ``place``.

    :param links: top-level name -> what it is a link to; "" for a directory of its own.
    :raises HostError: dpkg's database does not fit together.
    :raises OSError: the directory can't be written.
    """
    lists = Lists(DIRECTORY / "info", links)
    visible = survey(packages, lists)
    tops = _tops(visible.names, links)
    hidden = lists.stems() - {package.file_stem for package in packages}
    strangers = find(["/etc", *tops], visible, sorted(hidden), lists)
    with _readable_for_all():
        copies.dpkg(place / "dpkg", packages, visible)
        read = copies.etc(place / "etc", visible, strangers.seen)
        whiteouts = takes_whiteouts(place)
        masks = [Mask(place / _name(top), top, whiteouts=whiteouts) for top in tops]
        for mask in masks:
            _hide(mask, strangers, visible)
            _restore(mask, visible)
            mask.write_list()
        covers = [Cover(_name(mask.top), mask.top, bool(mask.listed)) for mask in masks]
        targets = remaking.targets(strangers.seen, visible.names)
        made, failed = remaking.Remaking(place, covers, links, targets).run()
        for mask in masks:
            _put(mask, made)
            mask.write_list()
    return Contents(
        covers=tuple(cover for cover, mask in zip(covers, masks, strict=True) if not mask.is_empty),
        bound=tuple(mask.top for mask in masks if mask.is_empty),
        read=tuple(sorted({*read, *strangers.read})),
        failed=failed,
    )


def _name(top: str) -> str:
    """The name of a directory's mask."""
    return top.strip("/").replace("/", "-")


def _tops(names: frozenset[str], links: Mapping[str, str]) -> list[str]:
    """The directories that are seen: /usr, top-level ones that are no links into it, and generated state."""
    real = sorted(f"/{name}" for name, text in links.items() if not text)
    return ["/usr", *real, *(path for path in generated.state(names) if os.path.isdir(path))]


def _hide(mask: Mask, strangers: Strangers, visible: Visible) -> None:
    """Hide the strangers below the mask's directory."""
    seen, links = _by_directory(strangers.seen), _by_directory(visible.links)
    for directory in strangers.shared[mask.top]:
        kept = seen[directory.path] | links[directory.path]
        hidden = [name for name in directory.strangers if name not in kept]
        flat = not directory.nested and seen[directory.path].isdisjoint(directory.strangers)
        if flat and mask.worth_replacing(directory.path, directory.residents, len(hidden)):
            mask.replace(directory.path, directory.residents)
        else:
            mask.hide(directory.path, hidden)


def _by_directory(paths: Iterable[str]) -> Mapping[str, set[str]]:
    """Directory -> the names in it; empty for those without any."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        directory, _, name = path.rpartition("/")
        found[directory].add(name)
    return found


def _restore(mask: Mask, visible: Visible) -> None:
    """Put back what a hidden package has moved aside, and the public links of alternatives."""
    for path, source in visible.moved.items():
        if path.startswith(f"{mask.top}/"):
            mask.copy(path, source)
    for path, text in visible.links.items():
        if path.startswith(f"{mask.top}/"):
            mask.link(path, text)


def _put(mask: Mask, made: Mapping[str, Path]) -> None:
    """Put the new files below the mask's directory, or hide those that are none any more."""
    for path, file in made.items():
        if not path.startswith(f"{mask.top}/"):
            continue
        if file.exists():
            mask.copy(path, os.fspath(file))
        else:
            mask.hide(os.path.dirname(path), [os.path.basename(path)])


@contextmanager
def _readable_for_all() -> Iterator[None]:
    """Root of the sandbox may be nobody outside, and reads a view like anybody."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)
