"""A network namespace does not cover every family: virtual machines talk to their host over VSOCK."""

import socket
import sys

for name, family, kind in (
    ("VSOCK", 40, socket.SOCK_STREAM),
    ("PACKET", 17, socket.SOCK_RAW),
    ("ALG", 38, 5),
    ("CAN", 29, socket.SOCK_RAW),
    ("TIPC", 30, 5),
    ("XDP", 44, socket.SOCK_RAW),
):
    try:
        socket.socket(family, kind)
        print("PROBLEM", name, "is open")
    except OSError as error:
        print("ok", name, error)
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_NETLINK):
    socket.socket(family, socket.SOCK_DGRAM).close()
