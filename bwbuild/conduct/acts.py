"""What the processes of a build tried, of all that strace tells: pure; it needs nothing but the bytes.

What counts is what was done for a target of debian/rules: dpkg-buildpackage runs one at a time, so it is the
last one that was started. A process is named by its command line, which its exec tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePosixPath

from bwbuild.conduct.values import Act, Actor, Kind, Traced
from bwbuild.trace import parse
from bwbuild.trace.escapes import as_text
from bwbuild.trace.parse import Event

#: Targets that Policy requires; others are called by these.
_TARGETS = frozenset({"clean", "build", "build-arch", "build-indep", "binary", "binary-arch", "binary-indep"})
#: Programs of dpkg-buildpackage between its targets.
_BETWEEN = frozenset({"dpkg-source", "dpkg-genbuildinfo", "dpkg-genchanges", "dpkg-checkbuilddeps"})
#: Where targets may write, and devices and processes, which are no files that stay.
_FREE = ("/tmp", "/var/tmp", "/dev", "/proc")
#: What has one of these names counts by what is left beside the tree.
_ARTIFACTS = (".deb", ".udeb", ".ddeb", ".changes", ".buildinfo")
#: What was opened is nothing that can be written, or it is tried again.
_NO_FILE = frozenset({"EISDIR", "ENXIO", "EINTR"})
_DNS = 53
_OWN_NAMES = re.compile(r"(?:.*\.)?(?:localhost|localdomain|bwbuild)|.*\.in-addr\.arpa|.*\.ip6\.arpa")
#: How many acts and writers are kept, and characters of a command line.
_MOST_ACTS, _MOST_WRITERS, _LONGEST = 1000, 200_000, 1000
#: A longer line is passed over.
_LONGEST_LINE = 1 << 17

_EXEC = re.compile(rb'(\d+)(?:<[^>]*>)? execve(?:at)?\([^"]*"((?:[^"\\]|\\.)*)", \[(.*?)\](?:, |\.\.\.)')
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"(\.\.\.)?')
_SENT = re.compile(
    rb"\{sa_family=AF_INET6?, sin6?_port=htons\((\d+)\), .*?inet_(?:addr\(|pton\(AF_INET6, )\"([^\"]*)\""
)
_SENDING = re.compile(rb"(\d+)(?:<[^>]*>)? send(?:to|msg|mmsg)\(")
_GIVING = re.compile(rb"(\d+)(?:<[^>]*>)? (\w*chown\w*)\((.*)\) += -1 (EPERM|EINVAL)")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"|\d+<([^>]*)>')


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are inside: the tree, and HOME."""

    tree: PurePosixPath
    home: PurePosixPath


class Watcher:
    """Takes strace's bytes as they come, and keeps what counts.

    :param inside: the trace begins inside of the sandbox, with nothing of bwrap before.
    """

    def __init__(self, places: Places, *, inside: bool = False) -> None:
        self._places = places
        self._parser = parse.Parser(inside=inside)
        self._rest = b""
        self._commands: dict[int, str] = {}
        self._target = ""
        self._acts: dict[tuple[Kind, str, Actor], Act] = {}
        self._writers: dict[str, Actor] = {}

    def feed(self, data: bytes) -> None:
        """Take in what strace has written."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b"-"
        for line in lines:
            self._note_exec(line)
            self._note_sent(line)
            self._note_given(line)
            for event in self._parser.feed(line + b"\n"):
                self._note(event, line[:64])

    def traced(self) -> Traced:
        """What was seen so far."""
        return Traced(tuple(self._acts.values()), dict(self._writers))

    def _note_exec(self, line: bytes) -> None:
        if b" execve" not in line[:64] or not (found := _EXEC.match(line)):
            return
        words = [as_text(word) + ("…" if cut else "") for word, cut in _WORD.findall(found[3])]
        if not words:
            return
        self._commands[int(found[1])] = " ".join(words)[:_LONGEST]
        program = as_text(found[2]).rpartition("/")[2]
        if program == "rules" and len(words) > 1 and words[1] in _TARGETS:
            self._target = words[1]
        elif program in _BETWEEN:
            self._target = ""

    def _note_sent(self, line: bytes) -> None:
        if b" send" not in line[:64] or not (head := _SENDING.match(line)):
            return
        for port, address in _SENT.findall(line):
            self._note_address(address.decode("ascii", "replace"), int(port), int(head[1]), "send to", "")

    def _note_given(self, line: bytes) -> None:
        if b"chown" not in line[:64] or not (found := _GIVING.match(line)):
            return
        for name, descriptor in _STRING.findall(found[3])[-1:]:
            path = as_text(name or descriptor)
            actor = self._actor(int(found[1]), "")
            self._keep(Act(Kind.ROOT, found[2].decode(), path, actor, found[4].decode()))

    def _note(self, event: Event, head: bytes) -> None:
        match event.kind:
            case parse.Kind.CONNECT:
                host, _, port = event.subject.rpartition(":")
                if port.isdigit() and host:
                    self._note_address(host.strip("[]"), int(port), event.pid, "connect to", event.error)
            case parse.Kind.ASK:
                if not _OWN_NAMES.fullmatch(event.subject.lower().rstrip(".")):
                    actor = self._actor(event.pid, event.process)
                    self._keep(Act(Kind.NETWORK, "ask for the address of", event.subject, actor))
            case parse.Kind.WRITE | parse.Kind.CHANGE:
                self._note_path(event, head)

    def _note_address(self, address: str, port: int, pid: int, what: str, error: str) -> None:
        if _is_here(address) or port == 0:
            return
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._keep(Act(Kind.NETWORK, what, target, self._actor(pid, ""), error))

    def _note_path(self, event: Event, head: bytes) -> None:
        path = event.real or event.subject
        is_change = event.kind is parse.Kind.CHANGE
        if not path.startswith("/") or event.error in (_nothing(head) if is_change else _NO_FILE):
            return
        place = PurePosixPath(path)
        actor = self._actor(event.pid, event.process)
        if place.is_relative_to(self._places.tree):
            if not event.error and b" unlink" not in head and len(self._writers) < _MOST_WRITERS:
                self._writers[str(place.relative_to(self._places.tree))] = actor
            return
        what = "change" if is_change else "open to write"
        if place.is_relative_to(self._places.home):
            self._keep(Act(Kind.HOME, what, path, actor, event.error))
        elif not self._is_free(place) and not (event.error and "__pycache__" in place.parts):
            self._keep(Act(Kind.OUTSIDE, what, path, actor, event.error))

    def _is_free(self, place: PurePosixPath) -> bool:
        if place.parent == self._places.tree.parent and place.suffix in _ARTIFACTS:
            return True
        return any(place.is_relative_to(free) for free in _FREE)

    def _actor(self, pid: int, name: str) -> Actor:
        return Actor(self._commands.get(pid) or name or "a process", self._target)

    def _keep(self, act: Act) -> None:
        if not act.actor.target or len(self._acts) >= _MOST_ACTS:
            return
        self._acts.setdefault((act.kind, act.target, act.actor), act)


def _nothing(head: bytes) -> frozenset[str]:
    """Errors of a call that made what was there already, or removed what was not."""
    makes = any(name in head for name in (b" mk", b" link", b" symlink"))
    return frozenset({"EEXIST"} if makes else {"EEXIST", "ENOENT"})


def _is_here(address: str) -> bool:
    """Whether an address is of the machine itself; the name servers there are none."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    # A socket of IPv6 reaches IPv4 by such addresses.
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_unspecified
