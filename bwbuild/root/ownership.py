"""Whose files are whose: the lists of paths that dpkg keeps for each package.

A list names /bin/ls where the file is /usr/bin/ls since the top-level directories became links. All paths
here are absolute, as they are on this system, and hold bytes that are not UTF-8 as surrogates.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from bwbuild.errors import HostError

#: Bytes that are read at once; most lists are smaller.
_PIECE = 1 << 18


class Lists:
    """The lists below ``directory``, such as /var/lib/dpkg/info, on a system with the top-level ``links``.

    :param links: top-level name -> what it is a link to; "" for a directory of its own.
    """

    def __init__(self, directory: Path, links: Mapping[str, str]) -> None:
        self._directory = os.fspath(directory)
        # A name that begins another, such as lib and lib64, comes after it, or it would be replaced twice.
        names = sorted((name for name, text in links.items() if text), reverse=True)
        self._links = [(f"\n/{name}{end}", f"\n/{links[name]}{end}") for name in names for end in "/\n"]

    def normalised(self, path: str) -> str:
        """Where ``path`` is on this system."""
        return self._replaced(f"\n{path}\n")[1:-1]

    def paths(self, stem: str) -> list[str]:
        """The paths of the package whose files in ``directory`` begin with ``stem``.

        :raises HostError: it has no list.
        """
        text = os.fsdecode(self._read(stem))
        return self._replaced(f"\n{text}").split("\n")[1:-1]

    def stems(self) -> frozenset[str]:
        """Of all packages that have a list."""
        names = os.listdir(self._directory)
        return frozenset(name.removesuffix(".list") for name in names if name.endswith(".list"))

    def owned(self, stems: Iterable[str], among: Collection[str]) -> set[str]:
        """Those paths of ``among`` that one of the packages has; a package without a list has none."""
        # Thousands of lists of hundreds of lines each: only what runs in C is fast enough here, and to spell
        # a few paths as the lists do is less work than to normalise all of these.
        spelt = {os.fsencode(spelling): path for path in among for spelling in self._spellings(path)}
        wanted = frozenset(spelt)
        found: set[bytes] = set()
        for stem in stems:
            try:
                found |= wanted.intersection(self._read(stem).split(b"\n"))
            except HostError:
                continue  # what nobody owns is hidden or shown by other rules
        return {spelt[spelling] for spelling in found}

    def _read(self, stem: str) -> bytes:
        try:
            descriptor = os.open(f"{self._directory}/{stem}.list", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(
                f"dpkg's list of the files of {stem} can't be read: {error.strerror}",
                hint=f"sudo apt-get install --reinstall {stem}",
            ) from None
        try:
            # A stream would ask for the file's size and position first.
            return b"".join(iter(lambda: os.read(descriptor, _PIECE), b""))
        finally:
            os.close(descriptor)

    def _spellings(self, path: str) -> Iterator[str]:
        """All that a list may call ``path``."""
        yield path
        line = f"\n{path}\n"
        for old, new in self._links:
            if line.startswith(new):
                yield line.replace(new, old, 1)[1:-1]

    def _replaced(self, text: str) -> str:
        for old, new in self._links:
            if old in text:
                text = text.replace(old, new)
        return text
