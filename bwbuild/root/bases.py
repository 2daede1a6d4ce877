"""Bases: what mmdebstrap makes of a suite, unpacked once with the ids that builds have.

A base is a directory ``root`` of subordinate ids beside its record, which is written last. Whoever uses one
holds a shared lock on it. Nobody changes one: a fresher one takes its place, and the old one goes when nobody
uses it any more.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwbuild import process
from bwbuild.errors import BwbuildError, HostError, OutputError
from bwbuild.events import Level, Notice
from bwbuild.root.locks import AT_ONCE, EXCLUSIVE, SHARED, locked, turn
from bwbuild.root.suite import Suite
from bwbuild.sandbox.script import entry, in_namespace
from bwbuild.sandbox.spec import Identity

RECORD = "base.json"
_LAYOUT = 1
#: Directories that builds and bwbuild itself mount something at.
_POINTS = "build/reproducible-path"

Tell = Callable[[Notice], None]


@dataclass(frozen=True, slots=True)
class Base:
    """A complete base.

    :ivar id: another for each base that was ever made.
    :ivar made: seconds since the epoch.
    """

    path: Path
    suite: Suite
    identity: Identity
    id: str
    made: float

    @property
    def root(self) -> Path:
        """The root file system; its files belong to ids of the identity."""
        return self.path / "root"


@dataclass(frozen=True, slots=True)
class Wish:
    """Which base is wanted, below which directory, how fresh (seconds), and who hears of the work."""

    suite: Suite
    identity: Identity
    cache: Path
    refresh: float
    tell: Tell


@contextmanager
def opened(wish: Wish) -> Iterator[Base]:
    """The newest base of a suite, made if there is none or if it is too old, and kept while it is in use.

    One that is too old is used all the same where no fresher one can be made, and that is said.

    :raises HostError: none can be made.
    :raises OutputError: the cache can't be written.
    """
    with ExitStack() as stack:
        try:
            wish.cache.mkdir(parents=True, exist_ok=True, mode=0o755)
            base = _found(wish, stack)
            if base is None or time.time() - base.made > wish.refresh:
                base = _fresher(wish, stack) or base
        except OSError as error:
            hint = "free some space (bwbuild clean shows what is there), or name another place: --cache DIR"
            raise OutputError(f"no base can be made in {wish.cache}: {error.strerror}", hint=hint) from error
        assert base is not None  # noqa: S101 - for the type checker: _fresher raises where there is none
        yield base


def update(wish: Wish) -> None:
    """Make a fresh base, whatever is there."""
    with ExitStack() as stack, turn(_lock(wish), lambda: wish.tell(_waiting(wish))):
        _made(wish, stack)


def stored(cache: Path) -> list[Base]:
    """All complete bases below ``cache``, the newest first."""
    found = [base for path in _directories(cache, "") if (base := _read(path)) is not None]
    return sorted(found, key=lambda base: base.made, reverse=True)


def remove(path: Path, identity: Identity) -> bool:
    """Remove a base or what is left of one, unless it is in use; whether it is gone."""
    with locked(path, EXCLUSIVE | AT_ONCE) as free:
        if free:
            (path / RECORD).unlink(missing_ok=True)
            remove_tree(path, identity)
    return free


def remove_tree(path: Path, identity: Identity) -> None:
    """Remove a directory with files of the identity's ids."""
    words = ["rm", "-rf", "--one-file-system", "--", os.fspath(path)]
    if process.run(words, check=False).returncode != 0:
        process.run([*(() if os.getuid() == 0 else entry(identity)), *words])


def _fresher(wish: Wish, stack: ExitStack) -> Base | None:
    old = _newest(wish)
    with turn(_lock(wish), lambda: wish.tell(_waiting(wish))):
        newest = _newest(wish)
        if newest is not None and (old is None or newest.id != old.id):
            return _found(wish, stack)  # somebody has made it meanwhile
        try:
            return _made(wish, stack)
        except BwbuildError as error:
            if old is None:
                raise
            days = (time.time() - old.made) / 86400
            text = f"{error.message}; going on with the base of {wish.suite.name} made {days:.0f} days ago"
            wish.tell(Notice(Level.WARNING, text))
            return None


def _made(wish: Wish, stack: ExitStack) -> Base:
    suite = wish.suite
    wish.tell(Notice(Level.INFO, f"making a base of {suite.name} with mmdebstrap, once; it takes a minute"))
    path = Path(tempfile.mkdtemp(prefix=f"{_key(wish)}-", dir=wish.cache))
    with ExitStack() as attempt:
        attempt.callback(_remove_incomplete, path, wish.identity)
        if not attempt.enter_context(locked(path, SHARED)):
            raise HostError(f"{path} was removed while it was made", hint="start again")
        path.chmod(0o755)
        _bootstrap(wish, path)
        _unpack(wish, path)
        identity = wish.identity
        record = {
            "layout": _LAYOUT,
            "suite": [
                suite.name,
                suite.architecture,
                suite.mirror,
                suite.components,
                str(suite.keyring or ""),
            ],
            "identity": [
                identity.kind.value,
                identity.uid,
                identity.gid,
                identity.outer_first,
                identity.count,
            ],
            "made": time.time(),
        }
        new = path / f"{RECORD}.new"
        new.write_text(json.dumps(record), encoding="utf-8")
        new.rename(path / RECORD)
        stack.push(attempt.pop_all())
    for other in _directories(wish.cache, _key(wish)):
        if other != path:
            remove(other, wish.identity)
    base = _read(path)
    assert base is not None  # noqa: S101 - written above
    return base


def _bootstrap(wish: Wish, path: Path) -> None:
    suite = wish.suite
    words = ["mmdebstrap", "--quiet", "--variant=buildd", f"--architectures={suite.architecture}"]
    words += ["--mode=root" if os.getuid() == 0 else "--mode=unshare", "--skip=cleanup/apt/lists"]
    if suite.components:
        words.append(f"--components={suite.components}")
    if suite.keyring is not None:
        words.append(f"--keyring={suite.keyring}")
    words += [suite.name, os.fspath(path / "base.tar"), *([suite.mirror] if suite.mirror else [])]
    done = process.run(words, check=False, env=_environment())
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").splitlines()[-20:]
        raise HostError(
            f"mmdebstrap can't make a base of {suite.name} (exit status {done.returncode})",
            hint="check the suite's name, the network and the mirror (--base-mirror)",
            details=lines,
        )


def _environment() -> dict[str, str]:
    kept = ("http_proxy", "https_proxy", "no_proxy", "TMPDIR", "HOME")
    fixed = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    return fixed | {name: os.environ[name] for name in kept if name in os.environ}


def _unpack(wish: Wish, path: Path) -> None:
    lines = [
        "umask 022",
        "mkdir root",
        # The tarball's device nodes can't be made here, and nobody needs them.
        "tar -C root --exclude='./dev/*' --xattrs --xattrs-include='*' --numeric-owner -xpf base.tar",
        f"mkdir -p root/{_POINTS}",
        "rm base.tar",
    ]
    process.run(["sh", "-c", in_namespace(wish.identity, lines)], cwd=path)


def _found(wish: Wish, stack: ExitStack) -> Base | None:
    newest = _newest(wish)
    if newest is None:
        return None
    with ExitStack() as attempt:
        if attempt.enter_context(locked(newest.path, SHARED)) and _read(newest.path) is not None:
            stack.push(attempt.pop_all())
            return newest
    return None


def _newest(wish: Wish) -> Base | None:
    found = [base for path in _directories(wish.cache, _key(wish)) if (base := _read(path)) is not None]
    return max(found, key=lambda base: base.made) if found else None


def _read(path: Path) -> Base | None:
    try:
        record: Any = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if record.get("layout") != _LAYOUT:
        return None
    name, architecture, mirror, components, keyring = record["suite"]
    suite = Suite(name, architecture, mirror, components, Path(keyring) if keyring else None)
    return Base(path, suite, _identity(record["identity"]), path.name, record["made"])


def _identity(fields: list[Any]) -> Identity:
    from bwbuild.sandbox.spec import IdentityKind  # noqa: PLC0415

    return Identity(IdentityKind(fields[0]), *fields[1:])


def _key(wish: Wish) -> str:
    import hashlib  # noqa: PLC0415 - only suites need it

    text = repr((_LAYOUT, wish.suite, wish.identity))
    return f"{wish.suite.name}-{wish.suite.architecture}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _lock(wish: Wish) -> Path:
    return wish.cache / f"{_key(wish)}.lock"


def _waiting(wish: Wish) -> Notice:
    return Notice(Level.INFO, f"another bwbuild makes the base of {wish.suite.name}; waiting for it")


def _directories(cache: Path, key: str) -> list[Path]:
    try:
        return sorted(path for path in cache.iterdir() if path.name.startswith(key) and path.is_dir())
    except FileNotFoundError:
        return []


def _remove_incomplete(path: Path, identity: Identity) -> None:
    if not (path / RECORD).exists():
        remove_tree(path, identity)
