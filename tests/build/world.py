"""A network of a test's own: this machine with its loopback, a server beyond it, and a name server there.

An ordinary user may make all of it in a user namespace, in which he is root.
"""

from __future__ import annotations

import os
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import Desk, Done, give_up, need

#: Names and addresses: of the server, which the name server knows by SERVER_NAME, and of this machine.
SERVER, NEAR, SERVER_NAME, PORT = "10.77.0.2", "10.77.0.1", "server.example.org", 8080
#: What listens on this machine's loopback, and in the abstract namespace.
LOOPBACK_PORT, ABSTRACT = 8081, "bwbuild-test-abstract"

_SERVERS = textwrap.dedent(f"""\
    import socket, struct, sys, threading
    def serve(family, address, answer):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            connection.sendall(answer)
            connection.close()
    def names():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("{SERVER}", 53))
        while True:
            query, who = server.recvfrom(512)
            question = query[12:]
            end = question.index(0) + 5
            is_a = question[end - 4:end - 2] == b"\\0\\1" and b"server" in question
            answer = b"\\xc0\\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton("{SERVER}")
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(is_a), 0, 0)
            server.sendto(head + question[:end] + (answer if is_a else b""), who)
    def start(*words):
        threading.Thread(target=words[0], args=words[1:], daemon=True).start()
    if sys.argv[1] == "far":
        start(names)
        start(serve, socket.AF_INET, ("{SERVER}", {PORT}), b"from the server\\n")
    else:
        start(serve, socket.AF_INET, ("127.0.0.1", {LOOPBACK_PORT}), b"from the loopback\\n")
        start(serve, socket.AF_UNIX, "\\0{ABSTRACT}", b"from the abstract socket\\n")
    open(sys.argv[2], "w").close()
    threading.Event().wait()
    """)
#: Writes what the one at HOST PORT says, or why it says nothing; in Perl, which every base has.
FETCH = (
    "perl -MIO::Socket::INET -e 'my $c = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1],"
    ' Timeout => 20) or die "$!\\n"; print <$c>\' "$1" "$2"'
)
#: The same for the abstract socket.
ABSTRACT_FETCH = (
    "perl -MSocket -e 'socket(my $c, PF_UNIX, SOCK_STREAM, 0);"
    f' connect($c, pack("S a*", AF_UNIX, "\\0{ABSTRACT}")) or die "$!\\n"; print <$c>\''
)
#: Makes it all, sees to it that what must stay out of reach is there, and runs a command.
_SCRIPT = f"""\
set -eu
top=$1; without=$2; shift 2
[ -z "$without" ] || mount --bind /dev/null "/usr/bin/$without"
mount --bind "$top/resolv.conf" /etc/resolv.conf
ip link set lo up
unshare --net --kill-child --fork sleep infinity & far=$!
while [ "$(readlink /proc/$far/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add near0 type veth peer name far0 netns $far
ip addr add {NEAR}/24 dev near0
ip link set near0 up
ip route add default via {SERVER}
beyond() {{ nsenter --target $far --net -- "$@"; }}
beyond ip link set lo up
beyond ip addr add {SERVER}/24 dev far0
beyond ip link set far0 up
beyond /usr/bin/python3 "$top/servers.py" far "$top/far.ready" &
/usr/bin/python3 "$top/servers.py" near "$top/near.ready" &
while ! [ -e "$top/far.ready" ] || ! [ -e "$top/near.ready" ]; do sleep 0.05; done
fetch() {{ {FETCH}; }}
[ "$(fetch 127.0.0.1 {LOOPBACK_PORT})" = 'from the loopback' ]
[ "$({ABSTRACT_FETCH})" = 'from the abstract socket' ]
"$@"
"""


@dataclass(frozen=True, slots=True)
class World:
    """The network, which is made anew for each command."""

    top: Path

    def run(self, desk: Desk, *words: str | Path, without: str = "", seconds: float = 300) -> Done:
        """Run bwbuild there, as the root of a user namespace that has all of the caller's ids.

        :param without: a program that is not there.
        """
        for name in ("far.ready", "near.ready"):
            (self.top / name).unlink(missing_ok=True)
        script = ("sh", "-c", _SCRIPT, "sh", str(self.top), without, *desk.argv(*words))
        done = subprocess.run(
            [*ROOT_OF_ALL, "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", *script],
            cwd=desk.tree,
            env=desk.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


#: Makes a user namespace in which the caller is root and has his subordinate ids.
ROOT_OF_ALL = ("unshare", "--user", "--map-root-user", "--map-auto")


def make_world(top: Path) -> World:
    """The network, in a directory of its own."""
    need("pasta", "ip", "nsenter")
    tun = Path("/dev/net/tun")
    if not tun.exists():
        pytest.skip("this container has no /dev/net/tun")
    if not os.access(tun, os.R_OK | os.W_OK):
        give_up("/dev/net/tun can't be opened here")
    top.mkdir()
    (top / "servers.py").write_text(_SERVERS, encoding="utf-8")
    (top / "resolv.conf").write_text(f"nameserver {SERVER}\n", encoding="utf-8")
    return World(top)
