"""Answers that were kept: in one file of the user's configuration home, for nobody else to read or write.

Each is bound to the source's name and to the exact request, so that one which asks otherwise asks again. A
request that was denied since nobody was asked is there too, with the answer no, which decides nothing: so
that it can be granted by the source's name. Whatever a source asks for ends up there, so these are few, and
never in the way of what was answered.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bwbuild.errors import ConfigurationError
from bwbuild.permissions.answers import Answer
from bwbuild.permissions.asked import Purpose, Request
from bwbuild.permissions.words import Permission, parse

NAME = "grants.json"
_VERSION = 1
#: Bytes of the file, and of all requests in it that wait for an answer.
_LARGEST, _LARGEST_WAITING = 8 << 20, 1 << 20


@dataclass(frozen=True, slots=True)
class Grant:
    """An answer to a request of the source called ``source``: always or never; no: it waits for one.

    :ivar since: the day, as ``2026-01-31``; ``used``: that of the last build that is known to have used it;
        ``unused``: that of the last one since then that is known not to have.
    """

    source: str
    request: Request
    answer: Answer
    since: str
    used: str = ""
    unused: str = ""

    @property
    def use(self) -> str:
        """What is known of its use; empty: nothing."""
        if not self.used:
            return f"never used, as the build of {self.unused} shows" if self.unused else ""
        return f"used on {self.used}" + (f", but not on {self.unused}" if self.unused else "")

    def plain(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "source": self.source,
            "permission": str(self.request.permission),
            "reason": self.request.reason,
            "for": self.request.purpose.value,
            "required": self.request.required,
            "answer": self.answer.value,
            "since": self.since,
            "used": self.used,
            "unused": self.unused,
        }


def load(path: Path) -> tuple[Grant, ...]:
    """All that were kept, by source and permission; none where there is no file.

    :raises ConfigurationError: it can't be read, is not whole, or others could have written it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from None
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise ConfigurationError(
            f"{path} could be written by others, so it grants nothing",
            hint=f"look into it, then: chmod 600 {path}",
        )
    try:
        return tuple(map(_grant, _entries(content)))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not as bwbuild wrote it: {ascii(str(error))[:200]}",
            hint="remove it, and all that was granted asks again",
        ) from None


def kept(grants: Iterable[Grant], source: str) -> Mapping[Request, Answer]:
    """What was answered to requests of ``source``."""
    return {
        grant.request: grant.answer
        for grant in grants
        if grant.source == source and grant.answer is not Answer.NO
    }


def add(path: Path, new: Iterable[Grant]) -> None:
    """Keep ``new`` besides what is there, in place of other answers to the same requests.

    :raises ConfigurationError: it can't be read or written.
    """
    added = tuple(new)
    requests = {(grant.source, grant.request) for grant in added}
    places = {_place(grant) for grant in added}

    def changed(old: tuple[Grant, ...]) -> tuple[Grant, ...]:
        kept_ones = (
            grant
            for grant in old
            if (grant.source, grant.request) not in requests
            and not (grant.answer is Answer.NO and _place(grant) in places)
        )
        return (*kept_ones, *added)

    _change(path, changed)


def wait(path: Path, source: str, waiting: Iterable[Request], asked: Collection[Request]) -> None:
    """Remember that those requests of ``source`` wait for an answer.

    :param asked: all that it asks for now: what else waited is forgotten.
    :raises ConfigurationError: it can't be read or written.
    """
    today = datetime.now(UTC).date().isoformat()
    mine = [grant for grant in load(path) if grant.source == source]
    new = [Grant(source, r, Answer.NO, today) for r in waiting if r not in {grant.request for grant in mine}]

    def is_stale(grant: Grant) -> bool:
        return grant.source == source and grant.answer is Answer.NO and grant.request not in asked

    if new or any(map(is_stale, mine)):
        _change(path, lambda old: (*(grant for grant in old if not is_stale(grant)), *new))


def mark(path: Path, source: str, used: Mapping[Request, bool]) -> None:
    """Remember of those kept answers whether what they granted was used today.

    :raises ConfigurationError: it can't be read or written.
    """
    today = datetime.now(UTC).date().isoformat()

    def marked(grant: Grant) -> Grant:
        if grant.source != source or grant.request not in used:
            return grant
        return replace(grant, used=today, unused="") if used[grant.request] else replace(grant, unused=today)

    if any(marked(grant) != grant for grant in load(path)):
        _change(path, lambda old: tuple(map(marked, old)))


def remove(path: Path, wanted: Callable[[Grant], bool]) -> tuple[Grant, ...]:
    """Forget those that are ``wanted``, which are returned.

    :raises ConfigurationError: it can't be read or written.
    """
    gone: list[Grant] = []

    def without(old: tuple[Grant, ...]) -> tuple[Grant, ...]:
        gone.extend(filter(wanted, old))
        return tuple(grant for grant in old if not wanted(grant))

    _change(path, without)
    return tuple(gone)


def _place(grant: Grant) -> tuple[str, Permission, Purpose]:
    return grant.source, grant.request.permission, grant.request.purpose


def _change(path: Path, change: Callable[[tuple[Grant, ...]], tuple[Grant, ...]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(path):
            _write(path, change(load(path)))
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from None


def _text(grants: Iterable[Grant]) -> str:
    rows = [grant.plain() for grant in sorted(grants, key=lambda item: (item.source, str(item.request)))]
    return json.dumps({"version": _VERSION, "grants": rows}, indent=1, ensure_ascii=False) + "\n"


def _fitting(grants: Iterable[Grant]) -> Iterator[Grant]:
    """All answers, and of what waits for one the latest that is not too much."""
    left = _LARGEST_WAITING
    # What was added just now is the last.
    by_age = sorted(grants, key=lambda item: item.since)
    for grant in reversed(by_age):
        if grant.answer is Answer.NO:
            left -= len(_text([grant]).encode())
            if left < 0:
                continue
        yield grant


def _write(path: Path, grants: Iterable[Grant]) -> None:
    text = _text(_fitting(grants))
    if len(text.encode()) > _LARGEST:
        raise ConfigurationError(
            f"{path} would be larger than {_LARGEST >> 20} MiB, and nobody could read it",
            hint="bwbuild grants lists what is there, bwbuild revoke SOURCE forgets answers",
        )
    descriptor, new = tempfile.mkstemp(prefix=f".{NAME}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(new).replace(path)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for another process that changes the file; the lock is another one, which is never replaced."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path.with_name(f".{NAME}.lock"), flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _entries(content: bytes) -> list[Mapping[str, object]]:
    if len(content) > _LARGEST:
        raise ValueError("it is too large")
    document = json.loads(content)
    if document["version"] != _VERSION:
        raise ValueError(f"version {document['version']!r}")
    entries = document["grants"]
    if not isinstance(entries, list):
        raise TypeError("grants is no list")
    return entries


def _grant(entry: Mapping[str, object]) -> Grant:
    source, reason, since = (_line(entry[key]) for key in ("source", "reason", "since"))
    answer, required = Answer(entry["answer"]), entry["required"]
    if not isinstance(required, bool) or answer is Answer.ONCE:
        raise ValueError("an answer that is not kept")
    request = Request(parse(_line(entry["permission"])), reason, Purpose(entry["for"]), required)
    used, unused = (_line(entry.get(key, "")) for key in ("used", "unused"))
    return Grant(source, request, answer, since, used, unused)


def _line(value: object) -> str:
    # JSON can name half a character, which nothing can print.
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError("a field is no line of text")
    return value
