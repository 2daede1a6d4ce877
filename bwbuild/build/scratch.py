"""Scratch directories: one per build, private, locked while in use, removed or kept afterwards.

A scratch directory holds files of subordinate ids, which only a namespace of the same identity can remove.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bwbuild import process
from bwbuild.build.plan import Plan
from bwbuild.errors import OutputError
from bwbuild.events import Level, Notice, Tell
from bwbuild.interrupt import undisturbed
from bwbuild.sandbox import script
from bwbuild.sandbox.spec import Identity, IdentityKind, Layering

_RECORD = "bwbuild.json"
_RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Record:
    """What a scratch directory is for; it lies in the directory as JSON."""

    tree: str
    source: str
    version: str
    layering: str
    identity: str
    uid: int
    gid: int
    outer_first: int | None
    #: "running", or why it was kept
    state: str
    #: seconds since the epoch
    since: float

    @property
    def kept(self) -> bool:
        """Whether it stays until somebody removes it."""
        return self.state != _RUNNING

    def as_identity(self) -> Identity:
        """The identity whose namespace may remove the files."""
        return Identity(IdentityKind(self.identity), self.uid, self.gid, self.outer_first)


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch directory that this process has locked."""

    path: Path
    record: Record


@contextmanager
def open_for(plan: Plan, base: Path, tell: Tell) -> Iterator[Scratch]:
    """The scratch directory of a plan: with -nc the kept one of the last build of its tree, else a new one.

    At the end a new one is removed unless :func:`keep` was called; a kept one stays.
    """
    sweep(base, tell)
    workspace = plan.sandbox.workspace
    names = (plan.source.name, plan.source.version)
    record = new_record(workspace.tree, names, workspace.layering, plan.sandbox.identity)
    old = kept_for(base, record) if plan.options.no_clean else None
    if old is not None and workspace.layering is Layering.COPY and _edited_since(old, workspace.tree):
        # Nothing may be copied into what a build has written: its links could lead anywhere.
        tell(Notice(Level.INFO, "the tree was edited since it was copied, so -nc starts from the tree"))
        old = None
    if old is not None:
        tell(Notice(Level.INFO, f"going on in the kept workspace {old}"))
        with reused(old, replace(record, state="kept for -nc")) as scratch:
            yield scratch
        return
    if plan.options.no_clean and workspace.layering is not Layering.NONE:
        tell(Notice(Level.INFO, "no earlier workspace is kept, so -nc starts from the tree"))
    with fresh(base, record) as scratch:
        yield scratch


def keep(base: Path, scratch: Scratch, why: str) -> None:
    """Let ``scratch`` stay, in place of older ones of the same tree; ``why`` is for ``bwbuild clean``."""
    _write_record(scratch.path, replace(scratch.record, state=why, since=time.time()))
    for path, record in kept(base):
        if record.tree == scratch.record.tree and path != scratch.path:
            discard(path, record)


def discard(path: Path, record: Record) -> None:
    """Remove a scratch directory unless a process uses it."""
    with _locked(path) as free:
        if free:
            remove(path, record)


def _edited_since(scratch: Path, tree: Path) -> bool:
    """Whether a file of the tree is newer than the last start of a build in ``scratch``."""
    newer: list[str | Path] = ["find", tree, "-cnewer", scratch / "started", "-print", "-quit"]
    return bool(process.run(newer).stdout)


def new_record(tree: Path, source: tuple[str, str], layering: Layering, identity: Identity) -> Record:
    """The record of a build that starts now; ``source`` is name and version."""
    return Record(
        tree=os.fsdecode(os.path.realpath(tree)),
        source=source[0],
        version=source[1],
        layering=layering.value,
        identity=identity.kind.value,
        uid=identity.uid,
        gid=identity.gid,
        outer_first=identity.outer_first,
        state=_RUNNING,
        since=time.time(),
    )


@contextmanager
def fresh(base: Path, record: Record) -> Iterator[Scratch]:
    """A new scratch directory below ``base``; removed at the end unless it was kept.

    :raises OutputError: it can't be made.
    """
    with ExitStack() as stack:
        try:
            # Where the caller is root, ids that are nobody's must come through to what is theirs.
            base.mkdir(parents=True, exist_ok=True, mode=0o755 if os.getuid() == 0 else 0o700)
            # A signal before it has a remover would leave one without a record, which nobody sweeps.
            with undisturbed(), ExitStack() as unlocked:
                path = Path(tempfile.mkdtemp(prefix=f"{record.source}-", dir=base))
                unlocked.callback(path.rmdir)
                stack.enter_context(_locked(path))
                stack.callback(_end, path, record)
                unlocked.pop_all()
            _write_record(path, record)
        except OSError as error:
            raise _no_scratch(base, error) from error
        yield Scratch(path, record)


def _end(path: Path, record: Record) -> None:
    with undisturbed():
        state = _read_record(path)
        if state is None or not state.kept:
            remove(path, record)


@contextmanager
def reused(path: Path, record: Record) -> Iterator[Scratch]:
    """The kept scratch directory ``path`` once more, with all but its layer of the tree removed.

    :raises OutputError: another build uses it.
    """
    with _locked(path) as free:
        if not free:
            hint = "wait for it, or leave out -nc"
            raise OutputError(f"another build uses the kept workspace {path}", hint=hint)
        clear(Scratch(path, record))
        _write_record(path, record)
        yield Scratch(path, record)


def clear(scratch: Scratch) -> None:
    """Remove what a build left there beside its layer of the tree, which the next one in it goes on with."""
    names = ("parent", "quarantine", "inspected", "files", "unpacked")
    _remove([scratch.path / name for name in names], scratch.record)


def idle(base: Path) -> list[tuple[Path, Record]]:
    """All directories below ``base`` that no process uses, sorted by name."""
    found = []
    for path, record in _records(base):
        with _locked(path) as free:
            if free:
                found.append((path, record))
    return found


def kept(base: Path) -> list[tuple[Path, Record]]:
    """The kept directories below ``base``, the newest first."""
    found = [(path, record) for path, record in _records(base) if record.kept]
    return sorted(found, key=lambda item: item[1].since, reverse=True)


def kept_for(base: Path, like: Record) -> Path | None:
    """The newest kept directory of a build of the same tree that was laid out the same way."""
    alike = [
        path
        for path, record in kept(base)
        if (record.tree, record.layering, record.as_identity())
        == (like.tree, like.layering, like.as_identity())
    ]
    return alike[0] if alike else None


def sweep(base: Path, tell: Tell) -> None:
    """Remove what killed builds left behind, and tell of each directory that is gone."""
    for path, record in _records(base):
        if record.kept:
            continue
        with _locked(path) as free:
            if free:
                remove(path, record)
        if free:
            tell(Notice(Level.INFO, f"removed {path}, left behind by a build that was killed"))


def remove(path: Path, record: Record) -> None:
    """Remove a scratch directory with the rights of the namespace that wrote it.

    :raises BwbuildError: it can't be removed.
    """
    _remove([path], record)


def size(path: Path, record: Record) -> int:
    """The bytes that a scratch directory takes on disk."""
    return taken(path, record.as_identity())


def taken(path: Path, identity: Identity) -> int:
    """The bytes on disk of a directory in which a namespace of ``identity`` has written."""
    words: list[str | Path] = ["du", "-sk", "--one-file-system", "--", path]
    # As in _remove: where the caller himself sees all of it, no namespace is needed.
    done = process.run(words, check=False)
    if done.returncode != 0:
        done = process.run([*_entry(identity), *words])
    return int(done.text.split()[0]) * 1024


def _remove(paths: list[Path], record: Record) -> None:
    words: list[str | Path] = ["rm", "-rf", "--one-file-system", "--", *paths]
    # A sandbox that never started left no file of other ids, and its namespace can't be had for this either.
    if process.run(words, check=False).returncode != 0:
        process.run([*_entry(record.as_identity()), *words])


def _entry(identity: Identity) -> tuple[str, ...]:
    # A caller who is root outside needs no namespace to reach ids of his own choice.
    return () if os.getuid() == 0 else script.entry(identity)


def _records(base: Path) -> Iterator[tuple[Path, Record]]:
    try:
        paths = sorted(base.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise _no_scratch(base, error) from error
    for path in paths:
        record = _read_record(path)
        if record is not None:
            yield path, record


def _read_record(path: Path) -> Record | None:
    """The record of a directory; None where there is no directory of ours."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return None
        return Record(**json.loads((path / _RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write_record(path: Path, record: Record) -> None:
    new = path / f"{_RECORD}.new"
    new.write_text(json.dumps(asdict(record)), encoding="utf-8")
    new.replace(path / _RECORD)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a directory; False if another process has it. The kernel frees it with the process."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _no_scratch(base: Path, error: OSError) -> OutputError:
    hint = "free some space, or name another directory: --scratch DIR"
    return OutputError(f"no scratch directory can be made in {base}: {error.strerror}", hint=hint)


def give_back(tree: Path, record: Record) -> None:
    """After a build in the real tree: what root of the sandbox made there becomes the caller's."""
    if record.identity == IdentityKind.SINGLE.value:
        return
    own = ("-exec", "chown", "-h", f"{record.uid}:{record.gid}", "{}", "+")
    entry = _entry(record.as_identity())
    process.run([*entry, "find", tree, "-xdev", "!", "-user", str(record.uid), *own])
    beside = ("-xdev", "-maxdepth", "1", "-type", "f", "-user", "0")
    process.run([*entry, "find", tree.parent, *beside, *own])
