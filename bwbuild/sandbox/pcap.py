"""Who was contacted, from what went over an interface: a reader of pcap that keeps no packet. Pure.

Only what the sandbox began is told: the names that it asked for, the addresses and ports that it sent to. All
of it is hostile, so everything is bounded, and names are those of the Internet's grammar or not told.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import ip_address

#: The most names and contacts that are told, and packets' flows and answers of name servers that are known.
MOST = 200
_KNOWN = 4096
_LARGEST = 1 << 18
_HEAD, _RECORD, _ETHERNET = 24, 16, 14
_TCP, _UDP, _SYN, _ACK, _DNS = 6, 17, 0x02, 0x10, 53
_NAME = re.compile(r"[a-z0-9_*-]{1,63}(\.[a-z0-9_*-]{1,63})*")
_ADDRESSES = {1: 4, 28: 16}


@dataclass(frozen=True, slots=True)
class Contact:
    """An address that the sandbox sent to.

    :ivar name: what it had asked for to get it; empty where that is not known.
    :ivar answered: something came back.
    """

    address: str
    port: int
    protocol: str
    name: str = ""
    answered: bool = False

    def __str__(self) -> str:
        where = f"[{self.address}]" if ":" in self.address else self.address
        name = f" ({self.name})" if self.name else ""
        return f"{where}:{self.port}/{self.protocol}{name}{'' if self.answered else ', no answer'}"


@dataclass(frozen=True, slots=True)
class Contacts:
    """What a sandbox looked for outside.

    :ivar names: those that it asked name servers for; ``addresses``: those that it sent to.
    :ivar complete: nothing was left out since there was too much of it.
    """

    names: tuple[str, ...] = ()
    addresses: tuple[Contact, ...] = ()
    complete: bool = True

    def __bool__(self) -> bool:
        return bool(self.names or self.addresses)


Flow = tuple[str, int, str]


class Traffic:
    """Reads a stream in the form of pcap as it comes; :attr:`contacts` is what it has shown so far."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._headed = False
        self._broken = False
        self._names: dict[str, None] = {}
        self._of: dict[str, str] = {}
        self._begun: dict[Flow, bool] = {}
        self._complete = True

    @property
    def contacts(self) -> Contacts:
        """What was seen."""
        found = (
            Contact(address, port, protocol, self._of.get(address, ""), answered)
            for (address, port, protocol), answered in self._begun.items()
        )
        return Contacts(tuple(self._names), tuple(found), self._complete and not self._broken)

    def restart(self) -> None:
        """Another stream begins, of another sandbox."""
        self._data.clear()
        self._headed = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes, which may end anywhere."""
        if self._broken:
            return
        self._data += data
        if not self._headed:
            if len(self._data) < _HEAD:
                return
            if self._data[:4] != struct.pack("=I", 0xA1B2C3D4):
                self._broken = True
                return
            del self._data[:_HEAD]
            self._headed = True
        self._records()

    def _records(self) -> None:
        place = 0
        while len(self._data) - place >= _RECORD:
            length = struct.unpack_from("=I", self._data, place + 8)[0]
            if length > _LARGEST:
                self._broken = True
                break
            if len(self._data) - place < _RECORD + length:
                break
            start = place + _RECORD
            self._frame(bytes(self._data[start : start + min(length, 2048)]))
            place = start + length
        del self._data[:place]

    def _frame(self, frame: bytes) -> None:
        kind = frame[12:14]
        packet = frame[_ETHERNET:]
        if kind == b"\x08\x00" and len(packet) >= 20:
            if int.from_bytes(packet[6:8], "big") & 0x1FFF:
                return  # a later fragment, which has no ports
            protocol, rest = packet[9], packet[(packet[0] & 15) * 4 :]
            self._packet(protocol, packet[12:16], packet[16:20], rest)
        elif kind == b"\x86\xdd" and len(packet) >= 40:
            self._packet(packet[6], packet[8:24], packet[24:40], packet[40:])

    def _packet(self, protocol: int, source: bytes, target: bytes, rest: bytes) -> None:
        if protocol == _TCP and len(rest) >= 14:
            self._tcp(source, target, rest)
        elif protocol == _UDP and len(rest) >= 8:
            self._udp(source, target, rest)

    def _tcp(self, source: bytes, target: bytes, rest: bytes) -> None:
        from_port, to_port = struct.unpack_from("!HH", rest)
        flags = rest[13] & (_SYN | _ACK)
        if flags == _SYN:
            self._begin(target, to_port, "tcp")
        elif flags == _SYN | _ACK:
            self._answer(source, from_port, "tcp")

    def _udp(self, source: bytes, target: bytes, rest: bytes) -> None:
        from_port, to_port = struct.unpack_from("!HH", rest)
        if _DNS in (from_port, to_port):
            self._message(rest[8:], is_answer=from_port == _DNS)
        elif not self._answer(source, from_port, "udp"):
            self._begin(target, to_port, "udp")

    def _begin(self, target: bytes, port: int, protocol: str) -> None:
        flow = (str(ip_address(target)), port, protocol)
        if flow not in self._begun and self._room(self._begun, MOST):
            self._begun[flow] = False

    def _answer(self, source: bytes, port: int, protocol: str) -> bool:
        flow = (str(ip_address(source)), port, protocol)
        if flow not in self._begun:
            return False
        self._begun[flow] = True
        return True

    def _room(self, of: dict[Flow, bool] | dict[str, None] | dict[str, str], most: int) -> bool:
        if len(of) < most:
            return True
        self._complete = False
        return False

    def _message(self, message: bytes, *, is_answer: bool) -> None:
        try:
            name, place = _name(message, 12)
        except (IndexError, ValueError):
            return
        if not _NAME.fullmatch(name):
            return
        if name not in self._names and self._room(self._names, MOST):
            self._names[name] = None
        if is_answer:
            self._addresses(name, message, place + 4)

    def _addresses(self, name: str, message: bytes, place: int) -> None:
        try:
            for _ in range(min(int.from_bytes(message[6:8], "big"), 64)):
                _, place = _name(message, place)
                kind, _, _, size = struct.unpack_from("!HHIH", message, place)
                data = message[place + 10 : place + 10 + size]
                place += 10 + size
                if _ADDRESSES.get(kind) == len(data) and self._room(self._of, _KNOWN):
                    self._of[str(ip_address(data))] = name
        except (IndexError, ValueError, struct.error):
            return


def _name(message: bytes, place: int) -> tuple[str, int]:
    """The name at ``place`` of a message of DNS, in lower case, and where what follows it begins."""
    labels: list[str] = []
    end, jumps = -1, 0
    while message[place]:
        length = message[place]
        if length >= 0xC0:  # it goes on elsewhere
            end = place + 2 if end < 0 else end
            place, jumps = (length & 0x3F) << 8 | message[place + 1], jumps + 1
            if jumps > 20:
                raise ValueError("a name that never ends")
            continue
        labels.append(message[place + 1 : place + 1 + length].decode("ascii", "replace").lower())
        place += 1 + length
        if len(labels) > 127:
            raise ValueError("a name of too many parts")
    return ".".join(labels), place + 1 if end < 0 else end
