"""Masks: the layer that lies over a directory of the host and decides what of it is seen.

A whiteout, a character device of number 0, hides the name it has; anybody may make one, but not every file
system takes it. Where many names of a directory are hidden and few small files stay, the directory is opaque
and holds copies of those: a desktop's manual pages are ten thousands of files.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from bwbuild.root.files import copy

#: The attribute that ends a layer's merging with what lies below, in a mount with ``userxattr``.
_OPAQUE = "user.overlay.opaque"
#: What a file system answers that does not know device numbers, or keeps them from those who are not root.
_REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})
#: What stays in a directory is copied if so many names are hidden, so many times those that stay, and these
#: have no more bytes than that.
_MANY, _TIMES, _BYTES = 48, 4, 4 << 20


class Mask:
    """A mask that is being made in the empty directory ``place``, for the host's directory ``top``.

    :param whiteouts: whether the file system takes them; without, the hidden names are only listed.
    """

    def __init__(self, place: Path, top: str, *, whiteouts: bool) -> None:
        self._place = os.fspath(place)
        self.top = top
        self._whiteout = os.fspath(place.with_name(f"{place.name}.whiteout"))
        self._whiteouts = whiteouts
        self._made = {top}
        self._touched = False
        #: hidden paths relative to ``top`` that have no whiteout
        self.listed: list[str] = []
        os.mkdir(self._place)
        _same_mode(top, self._place)
        self._attributes = whiteouts and _takes_attributes(self._place)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is hidden or put anywhere."""
        return not self._touched and not self.listed

    def hide(self, directory: str, names: Sequence[str]) -> None:
        """Hide these names of a directory."""
        if not names:
            return
        if not self._whiteouts:
            self.listed += [os.path.relpath(f"{directory}/{name}", self.top) for name in names]
            return
        place = self._directory(directory)
        for name in names:
            self._link(f"{place}/{name}")

    def replace(self, directory: str, names: Iterable[str]) -> None:
        """Hide all of a directory but these names, of which copies are made."""
        place = self._directory(directory)
        os.setxattr(place, _OPAQUE, b"y")
        for name in names:
            with suppress(PermissionError):  # what the caller can't read, his build can't
                copy(f"{directory}/{name}", f"{place}/{name}")

    def link(self, path: str, text: str) -> None:
        """Put a symbolic link at ``path``."""
        os.symlink(text, f"{self._directory(os.path.dirname(path))}/{os.path.basename(path)}")

    def copy(self, path: str, source: str) -> None:
        """Put a copy of ``source`` at ``path``."""
        place = f"{self._directory(os.path.dirname(path))}/{os.path.basename(path)}"
        with suppress(FileNotFoundError):
            os.unlink(place)
        copy(source, place)

    def write_list(self) -> None:
        """Write what has no whiteout to a file beside the mask."""
        if self.listed:
            text = b"".join(os.fsencode(path) + b"\0" for path in self.listed)
            Path(f"{self._place}.hidden").write_bytes(text)

    def worth_replacing(self, directory: str, residents: Iterable[str], hidden: int) -> bool:
        """Whether copies of the residents are less work than to hide so many names."""
        staying = list(residents)
        if not self._attributes or hidden < _MANY or len(staying) * _TIMES > hidden:
            return False
        return sum(os.lstat(f"{directory}/{name}").st_size for name in staying) <= _BYTES

    def _directory(self, path: str) -> str:
        """Where ``path`` is in the mask; it and those above it are made, with the modes they have."""
        place = self._place + path.removeprefix(self.top)
        self._touched = True
        if path not in self._made:
            self._directory(os.path.dirname(path))
            os.mkdir(place)
            _same_mode(path, place)
            self._made.add(path)
        return place

    def _link(self, place: str) -> None:
        # One inode for all, as far as the file system lets it have names.
        try:
            os.link(self._whiteout, place)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EMLINK):
                raise
            make_whiteout(place)
            with suppress(FileNotFoundError):
                os.unlink(self._whiteout)
            os.link(place, self._whiteout)


def make_whiteout(place: str) -> None:
    """Make a whiteout.

    :raises OSError: the file system refuses.
    """
    os.mknod(place, stat.S_IFCHR | 0o600, 0)


def takes_whiteouts(directory: Path) -> bool:
    """Whether whiteouts can be made in ``directory``: not where it lies on an overlay or a network."""
    trial = os.fspath(directory / "trial.whiteout")
    try:
        make_whiteout(trial)
    except OSError as error:
        if error.errno in _REFUSALS:
            return False
        raise
    os.unlink(trial)
    return True


def _takes_attributes(place: str) -> bool:
    try:
        os.setxattr(place, _OPAQUE, b"n")
    except OSError as error:
        if error.errno in _REFUSALS:
            return False
        raise
    os.removexattr(place, _OPAQUE)
    return True


def _same_mode(original: str, place: str) -> None:
    os.chmod(place, stat.S_IMODE(os.lstat(original).st_mode))
