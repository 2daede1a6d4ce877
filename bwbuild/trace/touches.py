"""Calls that say what a path or an address is used for where nothing is opened or connected: pure.

They are traced for those who ask for them (``touches`` in :class:`bwbuild.sandbox.traced.Wanted`), and read
by a parser with ``more=READERS``: changes of modes, times and attributes, of the current directory, and what
is sent to an address without a connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bwbuild.trace.escapes import as_path, as_text
from bwbuild.trace.parse import Kind, Reader, message

_Found = Iterator[tuple[Kind, str, str, str]]

_STRING = rb'"((?:[^"\\]|\\.)*)"'
_ENDS = rb" += (?:\?.*|-1 (E\w+) .*|\d+.*)$"
#: A call about a path, which may begin at a directory, and one about what is open.
_NAMED = re.compile(rb"(?:(?:AT_FDCWD|-?\d+)(?:<([^>]*)>)?, )?%s.*\)%s" % (_STRING, _ENDS))
_HELD = re.compile(rb"\d+<(/[^>]*)>.*\)%s" % _ENDS)
_ENDED = re.compile(rb".*\)%s" % _ENDS)
#: An address in the midst of a call: in a string a backslash would be before each of its quotes.
_TO = re.compile(
    rb"\{sa_family=AF_(?:INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\(\"([^\"\\]*)\"\)"
    rb"|INET6, sin6_port=htons\((\d+)\), [^\"}]*inet_pton\(AF_INET6, \"([^\"\\]*)\""
    rb"|UNIX, sun_path=(@?)%s)" % _STRING
)


def _touched(said: bytes) -> _Found:
    yield from _about(said, Kind.CHANGE)


def _entered(said: bytes) -> _Found:
    yield from _about(said, Kind.ENTER)


def _about(said: bytes, kind: Kind) -> _Found:
    if found := _NAMED.match(said):
        directory, name, error = found.groups()
        yield kind, as_path(directory, name), "", (error or b"").decode()
    elif found := _HELD.match(said):
        yield kind, as_text(found[1]), "", (found[2] or b"").decode()


def _sent(said: bytes) -> _Found:
    yield from message(said)
    if b"{sa_family=AF_" in said and (ended := _ENDED.match(said)):
        for port, address, port6, address6, abstract, path in _TO.findall(said):
            where = abstract.decode() + as_text(path)
            if port:
                where = f"{as_text(address)}:{port.decode()}"
            elif port6:
                where = f"[{as_text(address6)}]:{port6.decode()}"
            yield Kind.SEND, where, "", (ended[1] or b"").decode()


READERS: Mapping[bytes, Reader] = {
    **dict.fromkeys((b"chmod", b"fchmod", b"fchmodat", b"fchmodat2"), _touched),
    **dict.fromkeys((b"utime", b"utimes", b"futimesat", b"utimensat"), _touched),
    **dict.fromkeys((b"setxattr", b"lsetxattr", b"fsetxattr"), _touched),
    **dict.fromkeys((b"removexattr", b"lremovexattr", b"fremovexattr"), _touched),
    **dict.fromkeys((b"chdir", b"fchdir"), _entered),
    **dict.fromkeys((b"sendto", b"sendmsg", b"sendmmsg"), _sent),
}
