"""Put verified artifacts where the user looks for them: all of them, or none.

Everything is copied to a hidden directory in the output directory first, so that what follows is renames in
one file system. Then, under a lock, each old .changes of the same name goes away, each artifact replaces its
old form in one step, and each new .changes comes last. A reader who follows a .changes thus never gets a mix:
while the files change there is none. When anything fails, the old files come back in the same order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bwbuild.deb.changes import ChangesFile
from bwbuild.errors import OutputError, VerificationError
from bwbuild.handover import files
from bwbuild.handover.artifacts import Artifact, Verified
from bwbuild.handover.staging import Staging, locked, staging

_UPSTREAM = re.compile(r"[^_]+_[^_]+\.orig(?:-[A-Za-z0-9-]+)?\.tar\..+")


def check_output(output: Path) -> None:
    """Refuse before the build what would fail after it.

    :raises OutputError: ``output`` is not there or can't be written.
    """
    if not output.is_dir():
        raise OutputError(f"the output directory {output} does not exist", hint=f"mkdir -p {output}")
    if not os.access(output, os.W_OK | os.X_OK):
        raise OutputError(
            f"results can't be written to {output}", hint="name another directory: --output DIR"
        )


def publish(verified: Verified, output: Path) -> tuple[Path, ...]:
    """Copy the artifacts to the directory ``output`` and return their paths there, .changes last.

    Old artifacts of the same names are replaced, as dpkg-buildpackage does, but upstream tarballs are not: an
    equal one stays as it is, and another one is an error. Files get mode 0644 less the umask; root hands them
    to the owner of ``output``.

    :raises OutputError: they can't be written there, or something else has one of their names; ``output`` is
        then as it was.
    :raises VerificationError: an artifact in the quarantine is not what was verified.
    """
    try:
        with staging(output) as stage:
            _check_places(verified.artifacts, stage)
            fresh = [artifact for artifact in verified.artifacts if not _stays(artifact, stage)]
            for artifact in fresh:
                _copy(artifact, stage)
            with locked(stage.place, output):
                _check_places(fresh, stage)
                _exchange([artifact.name for artifact in fresh], stage)
    except OSError as error:
        name = f"{error.filename} " if isinstance(error.filename, str) else "the artifacts "
        raise files.output_error(f"{name}can't be published to {output}", error) from error
    return tuple(output / artifact.name for artifact in verified.artifacts)


def _check_places(artifacts: Sequence[Artifact], stage: Staging) -> None:
    """Nothing but plain files is replaced; a link is all right for an upstream tarball, which stays."""
    for artifact in artifacts:
        kind = files.kind_of(artifact.name, stage.place)
        if kind in (None, "a file") or (kind == "a symbolic link" and _UPSTREAM.fullmatch(artifact.name)):
            continue
        raise OutputError(
            f"{stage.output / artifact.name} is in the way: it is {kind}",
            hint="move it away, or choose another directory",
        )


def _stays(artifact: Artifact, stage: Staging) -> bool:
    """Whether ``artifact`` is an upstream tarball that is there already.

    It is the input of builds, perhaps the only copy, so another one of the same name is never replaced.
    """
    path = stage.output / artifact.name
    if _UPSTREAM.fullmatch(artifact.name) is None or not os.path.lexists(path):
        return False
    if path.is_file() and files.describe(path, artifact.name, OutputError).sha256 == artifact.sha256:
        return True
    raise OutputError(
        f"{path} is another upstream tarball than the one of this build",
        hint="move it away, or choose another directory",
    )


def _copy(artifact: Artifact, stage: Staging) -> None:
    source = os.open(artifact.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        target = os.open(artifact.name, flags, 0o644, dir_fd=stage.new)
        try:
            found = _write(source, target, artifact)
            _give(target, stage.place)
            os.fsync(target)
        finally:
            os.close(target)
    finally:
        os.close(source)
    if (found.size, found.sha256) != (artifact.size, artifact.sha256):
        raise VerificationError(f"{artifact.path} is not what was verified any more")


def _write(source: int, target: int, artifact: Artifact) -> ChangesFile:
    try:
        return files.copy(source, target, artifact.name, artifact.size)
    except OSError as error:
        # A failed write does not know the name of what it wrote.
        error.filename = artifact.name
        raise


def _give(target: int, place: int) -> None:
    """Under sudo the artifacts belong to whom the directory belongs to, not to root."""
    owner = os.fstat(place)
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(target, owner.st_uid, owner.st_gid)


def _exchange(names: Sequence[str], stage: Staging) -> None:
    """Bring ``names``, .changes last, from the hidden directory to the output, or change nothing."""
    try:
        for name in filter(_is_changes, names):
            _withdraw(name, stage)
        for name in names:
            _keep(name, stage)
            os.replace(name, name, src_dir_fd=stage.new, dst_dir_fd=stage.place)
        os.fsync(stage.place)
    except BaseException:
        _undo(names, stage)
        raise


def _is_changes(name: str) -> bool:
    return name.endswith(".changes")


def _withdraw(name: str, stage: Staging) -> None:
    if files.kind_of(name, stage.place) is not None:
        os.rename(name, name, src_dir_fd=stage.place, dst_dir_fd=stage.old)


def _keep(name: str, stage: Staging) -> None:
    """Keep the old file of that name reachable, so that it can come back."""
    if files.kind_of(name, stage.place) is None:
        return
    try:
        os.link(name, name, src_dir_fd=stage.place, dst_dir_fd=stage.old, follow_symlinks=False)
    except OSError:
        # No hard links here, or none to somebody else's file: the name is missing for a moment.
        _withdraw(name, stage)


def _undo(names: Sequence[str], stage: Staging) -> None:
    """Put the old files back; what is still in the hidden directory was not exchanged yet."""
    stuck = []
    retracted = ((_retract, name) for name in names if _is_changes(name))
    for undo, name in (*retracted, *((_restore, name) for name in names)):
        try:
            undo(name, stage)
        except OSError as error:
            stuck.append(f"{name}: {error.strerror}")
    if stuck:
        raise OutputError(
            f"publishing to {stage.output} failed, and so did putting back the old files",
            hint="remove these files: they may be of two builds",
            details=stuck,
        )


def _retract(name: str, stage: Staging) -> None:
    """Take a published name back: a .changes, before what it describes changes again."""
    if not stage.has_new(name):
        os.replace(name, name, src_dir_fd=stage.place, dst_dir_fd=stage.new)


def _restore(name: str, stage: Staging) -> None:
    if stage.has_old(name):
        os.replace(name, name, src_dir_fd=stage.old, dst_dir_fd=stage.place)
    elif not stage.has_new(name):
        os.unlink(name, dir_fd=stage.place)
