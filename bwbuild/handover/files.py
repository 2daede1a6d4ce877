"""Open what a stranger left without being led elsewhere, and copy it without believing its size."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bwbuild.deb.changes import ChangesFile
from bwbuild.errors import BwbuildError, OutputError, VerificationError

_CHUNK = 1 << 20
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
#: errno to what the user can do about it.
_REMEDIES = {
    errno.ENOSPC: "free some space on that file system, or choose another directory",
    errno.EDQUOT: "your disk quota is used up: remove something, or choose another directory",
    errno.EFBIG: "a file size limit is set (see ulimit -f), or the file system can't hold files that large",
    errno.EROFS: "the file system is mounted read-only: choose another directory",
    errno.EACCES: "you may not write there: choose another directory, or have its owner change its mode",
    errno.EPERM: "the file belongs to somebody else or is immutable: remove it, or choose another directory",
    errno.ENOENT: "the directory does not exist: create it, or choose another one",
    errno.ENOTDIR: "that is not a directory: choose another one",
}


def output_error(action: str, error: OSError) -> OutputError:
    """The error for a failed write; ``action`` says what could not be done."""
    hint = _REMEDIES.get(error.errno or 0, "choose another directory")
    return OutputError(f"{action}: {error.strerror or error}", hint=hint)


@contextmanager
def directory(path: Path, refuse: type[BwbuildError] = VerificationError) -> Iterator[int]:
    """A descriptor of the directory ``path``, which must not be a symbolic link.

    :raises BwbuildError: of the kind ``refuse``: it is not there, or something else.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise refuse(f"the directory {path} can't be opened: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def kind_of(name: str, parent: int) -> str | None:
    """What ``name`` is in the directory ``parent``: None when absent, ``"a file"``, ``"a named pipe"``, …"""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    return "a file" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something strange")


@contextmanager
def untrusted(name: str, parent: int) -> Iterator[int]:
    """A descriptor to read the plain file ``name`` in the directory ``parent`` that a stranger wrote.

    Nothing is followed and nothing blocks: a link is refused by the open, a pipe or device by what it turns
    out to be. The owner is not looked at, because the sandbox's root is another id than the caller.

    :raises VerificationError: it is no plain file, has other names, or may not be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(name, flags, dir_fd=parent)
    except OSError as error:
        raise _refusal(name, parent, error) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _not_plain(name, _KINDS.get(stat.S_IFMT(status.st_mode), "something strange"))
        if status.st_nlink != 1:
            raise VerificationError(
                f"{name} has {status.st_nlink} hard links: it could still be written through another name",
                hint="the build must leave its artifacts as files of their own: cp, not ln",
            )
        yield descriptor
    finally:
        os.close(descriptor)


def copy(source: int, target: int, name: str, limit: int) -> ChangesFile:
    """Copy all of the descriptor ``source`` to ``target`` (-1: nowhere) and say what it was.

    :raises VerificationError: there are more bytes than ``limit``, or reading fails.
    :raises OSError: writing fails.
    """
    sums = [hashlib.new(kind, usedforsecurity=False) for kind in ("md5", "sha1", "sha256")]
    size = 0
    while chunk := _read(source, min(_CHUNK, limit + 1 - size), name):
        size += len(chunk)
        if size > limit:
            raise VerificationError(f"{name} is larger than the {limit} bytes that it should have")
        for each in sums:
            each.update(chunk)
        view = memoryview(chunk)
        while view and target >= 0:
            view = view[os.write(target, view) :]
    md5, sha1, sha256 = (each.hexdigest() for each in sums)
    return ChangesFile(name, size, md5, sha1, sha256)


def describe(path: Path, name: str, refuse: type[BwbuildError] = VerificationError) -> ChangesFile:
    """Size and sums of a trusted file; symbolic links are followed.

    :raises BwbuildError: of the kind ``refuse``: it can't be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise refuse(f"{path} can't be read: {error.strerror}") from error
    try:
        return copy(descriptor, -1, name, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _read(source: int, size: int, name: str) -> bytes:
    try:
        return os.read(source, size)
    except OSError as error:
        raise VerificationError(f"{name} can't be read: {error.strerror}") from error


def _refusal(name: str, parent: int, error: OSError) -> VerificationError:
    if error.errno == errno.ENOENT:
        return VerificationError(f"the build did not leave {name}", hint="see the end of its log")
    if error.errno in (errno.ELOOP, errno.ENXIO):
        return _not_plain(name, kind_of(name, parent) or "gone by now")
    if error.errno in (errno.EACCES, errno.EPERM):
        return VerificationError(
            f"{name} can't be read: {error.strerror}",
            hint="the build took its read permission away: look for chmod and umask in debian/rules",
        )
    return VerificationError(f"{name} can't be opened: {error.strerror}")


def _not_plain(name: str, kind: str) -> VerificationError:
    return VerificationError(
        f"{name} is {kind}, not a plain file",
        hint="the build must leave its artifacts as plain files beside the source tree",
    )
