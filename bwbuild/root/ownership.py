"""Whose files are whose: the lists of paths that dpkg keeps for each package.

A list names /bin/ls where the file is /usr/bin/ls since the top-level directories became links. All paths
here are absolute, as they are on this system, and hold bytes that are not UTF-8 as surrogates.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from bwbuild.errors import HostError


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
        try:
            descriptor = os.open(f"{self._directory}/{stem}.list", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(
                f"dpkg's list of the files of {stem} can't be read: {error.strerror}",
                hint=f"sudo apt-get install --reinstall {stem}",
            ) from None
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            text = os.fsdecode(stream.read())
        return self._replaced(f"\n{text}").split("\n")[1:-1]

    def stems(self) -> frozenset[str]:
        """Of all packages that have a list."""
        names = os.listdir(self._directory)
        return frozenset(name.removesuffix(".list") for name in names if name.endswith(".list"))

    def owned(self, stems: Iterable[str], among: Collection[str]) -> set[str]:
        """Those paths of ``among`` that one of the packages has; a package without a list has none."""
        # Thousands of lists with hundreds of lines each: only what runs in C is fast enough here.
        wanted = frozenset(among)
        found: set[str] = set()
        for stem in stems:
            try:
                found |= wanted.intersection(self.paths(stem))
            except HostError:
                continue  # what nobody owns is hidden or shown by other rules
        return found

    def _replaced(self, text: str) -> str:
        for old, new in self._links:
            if old in text:
                text = text.replace(old, new)
        return text
