"""Who was contacted, read from a stream of packets."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from bwbuild.sandbox.pcap import MOST, Contact, Traffic

HEAD = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
HERE, HERE6, THERE, THERE6 = "10.0.0.1", "2001:db8::1", "192.0.2.7", "2001:db8::7"


def record(frame: bytes) -> bytes:
    return struct.pack("=IIII", 0, 0, len(frame), len(frame)) + frame


def packet(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    one, other = (ip_address(text).packed for text in (source, target))
    if len(one) == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
        return record(bytes(12) + b"\x08\x00" + head + one + other + payload)
    head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    return record(bytes(12) + b"\x86\xdd" + head + one + other + payload)


def tcp(source: str, target: str, ports: tuple[int, int], flags: int) -> bytes:
    return packet(source, target, 6, struct.pack("!HHIIBBHHH", *ports, 0, 0, 0x50, flags, 0, 0, 0))


def udp(source: str, target: str, ports: tuple[int, int], data: bytes = b"") -> bytes:
    return packet(source, target, 17, struct.pack("!HHHH", *ports, 8 + len(data), 0) + data)


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0" + struct.pack("!HH", 1, 1)


def query(name: str) -> bytes:
    return struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + question(name)


def answer(name: str, address: str) -> bytes:
    data = ip_address(address).packed
    kind = 1 if len(data) == 4 else 28
    head = struct.pack("!HHHHHH", 1, 0x8180, 1, 1, 0, 0)
    return head + question(name) + b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def seen(*records: bytes, step: int = 0) -> Traffic:
    traffic = Traffic()
    stream = HEAD + b"".join(records)
    for place in range(0, len(stream), step or len(stream)):
        traffic.feed(stream[place : place + (step or len(stream))])
    return traffic


CONVERSATION = (
    udp(HERE, "10.0.0.2", (4000, 53), query("Server.Example.org")),
    udp("10.0.0.2", HERE, (53, 4000), answer("server.example.org", THERE)),
    tcp(HERE, THERE, (5000, 443), 0x02),
    tcp(THERE, HERE, (443, 5000), 0x12),
    tcp(HERE, THERE, (5000, 443), 0x10),
    tcp(HERE6, THERE6, (5001, 80), 0x02),
    udp(HERE, THERE, (6000, 123)),
    udp(THERE, HERE, (123, 6000)),
)


@pytest.mark.parametrize("step", [0, 1, 7, 100])
def test_contacts(step: int) -> None:
    found = seen(*CONVERSATION, step=step).contacts
    assert found.names == ("server.example.org",)
    assert found.addresses == (
        Contact(THERE, 443, "tcp", "server.example.org", answered=True),
        Contact(THERE6, 80, "tcp"),
        Contact(THERE, 123, "udp", "server.example.org", answered=True),
    )
    assert found.complete
    assert [str(item) for item in found.addresses] == [
        f"{THERE}:443/tcp (server.example.org)",
        f"[{THERE6}]:80/tcp, no answer",
        f"{THERE}:123/udp (server.example.org)",
    ]


def test_nothing_was_sent() -> None:
    assert not seen().contacts
    assert not Traffic().contacts
    assert seen().contacts.complete


def test_two_sandboxes_one_after_the_other() -> None:
    traffic = seen(*CONVERSATION[:2])
    traffic.feed(record(b"")[:7])
    traffic.restart()
    traffic.feed(HEAD + CONVERSATION[2])
    assert traffic.contacts.addresses[0].name == "server.example.org"


def test_too_much_of_it() -> None:
    many = [tcp(HERE, THERE, (1, port), 0x02) for port in range(1, MOST + 50)]
    names = [udp(HERE, THERE, (1, 53), query(f"a{number}.example.org")) for number in range(MOST + 50)]
    found = seen(*many, *names).contacts
    assert (len(found.addresses), len(found.names), found.complete) == (MOST, MOST, False)


@pytest.mark.parametrize("name", ["a b", "evil\x1b[2J", "x" * 64, "<script>", "über"])
def test_names_that_are_none(name: str) -> None:
    labels = b"".join(bytes([len(label) & 0xFF]) + label.encode() for label in name.split("."))
    message = struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    assert seen(udp(HERE, THERE, (1, 53), message)).contacts.names == ()


def test_a_name_that_points_at_itself() -> None:
    message = struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + b"\xc0\x0c"
    assert seen(udp(HERE, THERE, (1, 53), message)).contacts.names == ()


def test_no_stream_of_packets() -> None:
    traffic = Traffic()
    traffic.feed(b"x" * 100)
    assert not traffic.contacts.complete
    lying = Traffic()
    lying.feed(HEAD + struct.pack("=IIII", 0, 0, 1 << 30, 1 << 30))
    assert not lying.contacts.complete
