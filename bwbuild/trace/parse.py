r"""strace's lines as events: pure; it needs nothing but the bytes, as they come.

A sandbox with ``traced`` (see :mod:`bwbuild.sandbox.traced`) writes one line for each open, access, exec,
connect, query of the DNS and change of a directory of all its processes, on both sides of the broker.
Whoever runs it gives :class:`Parser` what comes, and keeps of the events what he wants::

    plan, parser = session.with_trace(plan), Parser()
    listeners = Listeners(output, trace=lambda data: look_at(parser.feed(data)))
    session.launch(plan, scratch, listeners)

    for event in events([b'7<sh> execve("/bin/true", ["true"], 0x1 /* 3 vars */) = 0\n'], inside=True):
        event.kind, event.process, event.subject  # Kind.EXEC, "sh", "/bin/true"

``process`` is the name of the one who asked, in the kernel's 15 bytes: for an exec that of who started the
program, since a new process has its parent's name until then. What is traced before bwrap starts the first
command of the sandbox is bwrap's own and left out.

The lines are hostile: names are the package's. strace escapes quotes, angle brackets and all that is not
printable, so that a name ends where it seems to; a line of another form is passed over. A line that says
what an earlier one said, whoever it was, is no event again, as far as memory is allowed to grow for that;
but a program that was started by a relative path is, since that may lead elsewhere this time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from bwbuild.trace.escapes import as_bytes, as_path, as_text
from bwbuild.trace.started import Started

#: How many different lines are remembered, in bytes too; then all are forgotten at once.
_REMEMBERED, _REMEMBERED_BYTES = 1 << 17, 32 << 20
#: A longer line is passed over.
_LONGEST = 1 << 17
#: How many calls may wait for their results.
_WAITING = 4096


class Kind(Enum):
    """What a process did or tried."""

    OPEN = "open"
    #: asked whether a file may be read, written or run
    LOOK = "look"
    #: asked whether a file is there and what it is
    STAT = "stat"
    #: opened for writing, or to make it
    WRITE = "write"
    #: a name was made, moved or removed
    CHANGE = "change"
    EXEC = "exec"
    #: where a program lies that was started by a relative path
    PROGRAM = "program"
    CONNECT = "connect"
    #: something was sent to an address without a connection; only ``touches`` tells, as of the next
    SEND = "send"
    #: a process went to another directory
    ENTER = "enter"
    #: a name was asked of the DNS
    ASK = "ask"
    #: a user namespace was made or entered
    NAMESPACE = "namespace"
    #: what was written was to be on disk
    SYNC = "sync"
    #: a process runs in another mode than before, with the calls of another ABI
    MODE = "mode"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a process did or tried for the first time.

    :ivar process: the name of the process; empty where it has none.
    :ivar subject: a path as it was asked for, made absolute as far as the call says from where: that of an
        exec, and of a change by a call without a directory, may be relative; for connect ``10.0.0.1:80``,
        ``[::1]:80``, the path of a socket, or ``@name`` of an abstract one; a host's name for the DNS; a mode
        as strace calls it, ``32 bit`` say. Bytes that are no UTF-8 are surrogates.
    :ivar real: where the kernel found what was opened, behind all links; empty where it was not opened.
    :ivar error: such as ``ENOENT``; empty if it succeeded.
    :ivar leads: the text of a symbolic link that was made.
    :ivar moved: the new name of what was moved.
    """

    kind: Kind
    process: str
    subject: str
    real: str = ""
    error: str = ""
    pid: int = 0
    leads: str = ""
    moved: str = ""


def events(chunks: Iterable[bytes], *, inside: bool = False) -> Iterator[Event]:
    """All events of a trace that comes in pieces; ``inside``: it begins with those of the sandbox."""
    parser = Parser(inside=inside)
    for chunk in chunks:
        yield from parser.feed(chunk)


class Parser:
    """Takes bytes as they come.

    :param inside: the trace begins inside of the sandbox, with nothing of bwrap before.
    :param every: a line that says what an earlier one said is an event again.
    :param more: who reads other calls than the usual ones, or reads more of those.
    """

    def __init__(
        self, *, inside: bool = False, every: bool = False, more: Mapping[bytes, Reader] | None = None
    ) -> None:
        self._readers = {**_READERS, **(more or {})}
        self._inside = inside
        self._every = every
        self._rest = b""
        self._seen: set[bytes] = set()
        self._bytes = 0
        #: the beginning of what a process has not finished
        self._waiting: dict[bytes, bytes] = {}
        self._started = Started()

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events of the lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            self._rest = b"-"  # what follows of it does not look like a line either
        for line in lines:
            pid, said = self._split(line)
            if self._started and (told := self._started.told(int(pid or 0), said)):
                process, place = told
                yield Event(Kind.PROGRAM, process, place, pid=int(pid or 0))
            if said not in self._seen and len(line) <= _LONGEST:
                yield from self._events(int(pid or 0), said)

    def _split(self, line: bytes) -> tuple[bytes, bytes]:
        """A process, and what it did, with its name; nothing as long as that is not finished."""
        end = 0
        while line[end : end + 1].isdigit() and end < 10:
            end += 1
        pid, said = line[:end], line[end:]
        if said.endswith(_UNFINISHED):
            if len(self._waiting) < _WAITING:
                self._waiting[pid] = said.removesuffix(_UNFINISHED)
            return pid, b""
        if b"<... " in said[:64] and (resumed := _RESUMED.match(said)):
            return pid, self._waiting.pop(pid, b"") + said[resumed.end() :]
        return pid, said

    def _remember(self, said: bytes) -> None:
        if self._every:
            return
        self._bytes += len(said)
        if len(self._seen) > _REMEMBERED or self._bytes > _REMEMBERED_BYTES:
            self._seen.clear()
            self._bytes = len(said)
        self._seen.add(said)

    def _events(self, pid: int, said: bytes) -> Iterator[Event]:
        head = _HEAD.match(said)
        if head is None:
            if self._inside and (mode := _MODE.match(said)):
                self._remember(said)
                yield Event(Kind.MODE, as_text(mode[1] or b""), mode[2].decode(), pid=pid)
            return
        read = self._readers.get(head[2])
        # What is traced for another reason may stand in a line of its own for each process.
        if read is None:
            return
        process, is_told = as_text(head[1] or b""), False
        for kind, subject, real, error in read(said[head.end() :]):
            if not self._inside:
                # bwrap's name is that of the one who starts the first command.
                if kind is not Kind.EXEC or process != "bwrap":
                    continue
                self._inside = True
            if kind is Kind.EXEC and not error:
                self._started.note(pid, process, subject)
                is_told = not subject.startswith("/")  # once more, which may be from another directory
            if kind is Kind.CHANGE:
                leads, moved = (real, "") if head[2].startswith(b"symlink") else ("", real)
                yield Event(kind, process, subject, "", error, pid, leads, moved)
            else:
                yield Event(kind, process, subject, real, error, pid)
        if not is_told:
            self._remember(said)


#: Kind, subject, where it was found, leads or was moved, error.
_Found = Iterator[tuple[Kind, str, str, str]]
Reader = Callable[[bytes], _Found]

_UNFINISHED = b" <unfinished ...>"
_RESUMED = re.compile(rb"(?:<[^>]*>)? <\.\.\. \w+ resumed>")
_HEAD = re.compile(rb"(?:<([^>]*)>)? (\w+)\(")
_MODE = re.compile(rb"(?:<([^>]*)>)? \[ Process PID=\d+ runs in (\w+(?: bit)?) mode\. \]$")
_STRING = rb'"((?:[^"\\]|\\.)*)"'
_FROM = rb"(?:AT_FDCWD|-?\d+)(?:<([^>]*)>)?, "
_ENDS = rb" += (?:\?.*|-1 (E\w+) .*|\d+.*)$"
_OPEN = re.compile(rb"(?:%s)?%s, ([^\"<)]*)\) += (?:\d+(?:<([^>]*)>.*)?|-1 (E\w+) .*)$" % (_FROM, _STRING))
_EXEC = re.compile(rb"(?:%s)?%s, .*\)%s" % (_FROM, _STRING, _ENDS))
_CHANGE = re.compile(rb"(?:%s)?%s(?:, (?:%s)?%s)?[^\"<)]*\)%s" % (_FROM, _STRING, _FROM, _STRING, _ENDS))
_SOCKET = rb"-?\d+(?:<[^>]*>)?, \{sa_family=AF_"
_INET = re.compile(rb"%sINET, sin_port=htons\((\d+)\), sin_addr=inet_addr\(\"([^\"]*)\"\)" % _SOCKET)
_INET6 = re.compile(rb"%sINET6, sin6_port=htons\((\d+)\), .*inet_pton\(AF_INET6, \"([^\"]*)\"" % _SOCKET)
_UNIX = re.compile(rb"%sUNIX, sun_path=(@?)%s" % (_SOCKET, _STRING))
_CONNECTED = re.compile(rb".*\)%s" % _ENDS)
#: As a flag, or the file of one, which enters it.
_USERS = re.compile(rb"\bCLONE_NEWUSER\b|^\d+<user:\[")
_ANY_STRING = re.compile(_STRING)
_WRITING = re.compile(rb"\bO_(?:WRONLY|RDWR|CREAT|TRUNC|TMPFILE)\b")


def _opened(said: bytes) -> _Found:
    found = _OPEN.match(said)
    if found is None:
        return
    directory, path, flags, real, error = found.groups()
    kind = Kind.WRITE if _WRITING.search(flags) else Kind.OPEN
    yield kind, as_path(directory, path), as_text(real or b""), (error or b"").decode()


def _looked(said: bytes, kind: Kind = Kind.LOOK) -> _Found:
    if found := _EXEC.match(said):
        directory, path, error = found.groups()
        if path:  # else it is about what is open already
            yield kind, as_path(directory, path), "", (error or b"").decode()


def _stated(said: bytes) -> _Found:
    return _looked(said, Kind.STAT)


def _separated(said: bytes) -> _Found:
    if _USERS.search(said) and (found := _CONNECTED.match(said)):
        yield Kind.NAMESPACE, "", "", (found[1] or b"").decode()


def _synced(said: bytes) -> _Found:
    if found := _CONNECTED.match(said):
        yield Kind.SYNC, "", "", (found[1] or b"").decode()


def _made(said: bytes) -> _Found:
    # creat and truncate have no flags: they always write.
    for _, subject, real, error in _opened(said):
        yield Kind.WRITE, subject, real, error


def _executed(said: bytes) -> _Found:
    if found := _EXEC.match(said):
        directory, path, error = found.groups()
        yield Kind.EXEC, as_path(directory, path), "", (error or b"").decode()


def _changed(said: bytes) -> _Found:
    if found := _CHANGE.match(said):
        *pairs, error = found.groups()
        names = [as_path(directory, path) for directory, path in (pairs[:2], pairs[2:]) if path is not None]
        for name, moved in zip(names, (*names[1:], ""), strict=True):
            yield Kind.CHANGE, name, moved, (error or b"").decode()


def _linked(said: bytes) -> _Found:
    # The other name of a hard link is none that is changed.
    yield from list(_changed(said))[1:]


def _led(said: bytes) -> _Found:
    # Nor is the text of a symbolic link.
    if found := _CHANGE.match(said):
        _, text, directory, path, error = found.groups()
        if path is not None:
            yield Kind.CHANGE, as_path(directory, path), as_text(text), (error or b"").decode()


def _connected(said: bytes) -> _Found:
    ended = _CONNECTED.match(said)
    if ended is None:
        return
    error = (ended[1] or b"").decode()
    if found := _INET.match(said):
        yield Kind.CONNECT, f"{as_text(found[2])}:{found[1].decode()}", "", error
    elif found := _INET6.match(said):
        yield Kind.CONNECT, f"[{as_text(found[2])}]:{found[1].decode()}", "", error
    elif found := _UNIX.match(said):
        yield Kind.CONNECT, found[1].decode() + as_text(found[2]), "", error


def message(said: bytes) -> _Found:
    """What a call that sends something asks of the DNS."""
    for text in _ANY_STRING.findall(said):
        if name := question(as_bytes(text)):
            yield Kind.ASK, name, "", ""


_READERS: dict[bytes, Reader] = {
    **dict.fromkeys((b"open", b"openat", b"openat2"), _opened),
    **dict.fromkeys((b"creat", b"truncate"), _made),
    **dict.fromkeys((b"mknod", b"mknodat"), _changed),
    **dict.fromkeys((b"execve", b"execveat"), _executed),
    **dict.fromkeys((b"mkdir", b"mkdirat", b"unlink", b"unlinkat", b"rename"), _changed),
    **dict.fromkeys((b"renameat", b"renameat2"), _changed),
    **dict.fromkeys((b"link", b"linkat"), _linked),
    **dict.fromkeys((b"symlink", b"symlinkat"), _led),
    **dict.fromkeys((b"access", b"faccessat", b"faccessat2"), _looked),
    **dict.fromkeys((b"stat", b"lstat", b"stat64", b"lstat64", b"newfstatat", b"fstatat64"), _stated),
    **dict.fromkeys((b"statx", b"readlink", b"readlinkat"), _stated),
    **dict.fromkeys((b"unshare", b"clone", b"clone3", b"setns"), _separated),
    **dict.fromkeys((b"fsync", b"fdatasync", b"sync", b"syncfs", b"msync", b"sync_file_range"), _synced),
    b"connect": _connected,
    **dict.fromkeys((b"sendto", b"sendmsg", b"sendmmsg"), message),
}


def question(data: bytes) -> str:
    """The name that a message to the DNS, or its beginning, asks for; empty if it is none.

    >>> question(b"..\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x03www\\x07example\\0")
    'www.example'
    """
    # A query of one question without an answer; the bits say whether recursion and checks are wanted.
    if len(data) < 14 or data[2] & 0xFE or data[3] & 0xCF or data[4:10] != b"\0\1\0\0\0\0":
        return ""
    labels, place = [], 12
    while place < len(data) and 0 < data[place] < 64:
        labels.append(data[place + 1 : place + 1 + data[place]])
        place += 1 + data[place]
    return os.fsdecode(b".".join(labels))
