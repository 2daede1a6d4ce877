"""The parts of a declared view that are copies: /etc, and dpkg's database."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bwbuild.deb.database import DIRECTORY, Package
from bwbuild.root.alternatives import LINKS
from bwbuild.root.etc import HIDDEN
from bwbuild.root.files import copy
from bwbuild.root.visible import Visible

#: Files of dpkg's database that do not speak of single packages.
_WHOLE = ("arch", "statoverride")


def dpkg(place: Path, packages: Sequence[Package], visible: Visible) -> None:
    """Lay out dpkg's database as it would be if only ``packages`` were installed."""
    for name in ("alternatives", "info", "triggers", "updates"):
        (place / name).mkdir(parents=True)
    status = "".join(f"{package.paragraph}\n\n" for package in packages)
    (place / "status").write_text(status, encoding="utf-8", errors="surrogateescape")
    (place / "available").touch()
    (place / "diversions").write_text(visible.diversions, encoding="utf-8")
    for name, text in visible.chosen.files.items():
        (place / "alternatives" / name).write_text(text, encoding="utf-8")
    for name in _WHOLE:
        with suppress(FileNotFoundError):
            copy(f"{DIRECTORY}/{name}", f"{place}/{name}")
    stems = {package.file_stem for package in packages}
    with os.scandir(DIRECTORY / "info") as entries:
        for entry in entries:
            if entry.name.rpartition(".")[0] in stems or entry.name == "format":
                copy(entry.path, f"{place}/info/{entry.name}")


def etc(place: Path, visible: Visible, seen: Collection[str]) -> list[str]:
    """Lay out /etc: what visible packages own, what was generated for them, and the alternatives.

    :param seen: paths that no package owns and that are seen, with all below them.
    :returns: the files that were read.
    """
    read: list[str] = []
    for source in _seen("/etc", visible, seen):
        target = os.fspath(place) + source.removeprefix("/etc")
        if os.path.isdir(source) and not os.path.islink(source):
            os.mkdir(target)
            os.chmod(target, stat.S_IMODE(os.lstat(source).st_mode))
            continue
        original = visible.moved.get(source, source)
        with suppress(PermissionError, FileNotFoundError):  # what the caller can't read, his build can't
            copy(original, target)
            read.append(original)
    links = place / "alternatives"
    links.mkdir(exist_ok=True)
    for path, text in visible.chosen.links.items():
        if path.startswith(f"{LINKS}/"):
            os.symlink(text, links / os.path.basename(path))
    return read


def _seen(top: str, visible: Visible, seen: Collection[str]) -> Iterator[str]:
    """What is seen of /etc, each directory before what is in it."""
    yield top
    todo = [(top, False)]
    while todo:
        directory, whole = todo.pop()
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except PermissionError:
            continue
        for entry in entries:
            name = entry.path.removeprefix("/etc/")
            kept = whole or entry.path in seen
            if name in HIDDEN or not (kept or entry.path in visible.paths):
                continue
            if entry.path in visible.chosen.links:
                continue  # it is made anew
            if entry.is_dir(follow_symlinks=False):
                yield entry.path
                todo.append((entry.path, kept))
            elif entry.is_symlink() or entry.is_file():
                yield entry.path
