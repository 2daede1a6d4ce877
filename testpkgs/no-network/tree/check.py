"""No address but the loopback's can be reached, no name but the loopback's is known, and both fail at once."""

import socket
import sys
import time

start = time.monotonic()
for address in (("192.0.2.1", 80), ("169.254.169.254", 80), ("8.8.8.8", 53)):
    try:
        socket.create_connection(address, timeout=10).close()
        sys.exit(f"{address} answered")
    except OSError as error:
        print("ok", address[0], error)
try:
    sys.exit(f"example.org is {socket.gethostbyname('example.org')}")
except OSError as error:
    print("ok example.org", error)
with open("/proc/net/route") as routes:
    assert len(routes.readlines()) <= 1, "there is a route"
assert time.monotonic() - start < 5, "the failures are slow"
