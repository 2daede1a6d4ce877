"""Attacks through sockets, FIFOs, shared memory and the environment."""

from __future__ import annotations

import multiprocessing.shared_memory
import os
import pwd
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from field import Attack, Field, Scene, Stage
from stages import came, environment, fifo, listens, plants

#: Tells a listener of the host what to do, as clients of tmux, ssh-agent, a session bus or an editor do.
CONNECT = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('{}'); s.sendall(b'run something')"
OWN_NAMES = "it has network and ipc namespaces of its own"
#: As they are found in the environment of developers and of build machines.
SECRETS = """
    GITHUB_TOKEN GITLAB_TOKEN GH_TOKEN CI_JOB_TOKEN NPM_TOKEN PYPI_TOKEN TWINE_PASSWORD
    CARGO_REGISTRY_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AZURE_CLIENT_SECRET
    SSH_AUTH_SOCK GPG_AGENT_INFO DBUS_SESSION_BUS_ADDRESS DISPLAY WAYLAND_DISPLAY XAUTHORITY http_proxy
    VAULT_TOKEN DATABASE_URL PGPASSWORD MYSQL_PWD GIT_ASKPASS GIT_SSH_COMMAND DEB_SIGN_KEYID
    OPENAI_API_KEY SENTRY_AUTH_TOKEN RESTIC_PASSWORD KRB5CCNAME
""".split()  # noqa: SIM905 - thirty words are read better so


@contextmanager
def abstract(where: Field) -> Iterator[Scene]:
    """A socket without a path, as X11 has one."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + where.names["KEY"])
        listener.listen()
        listener.setblocking(False)
        yield Scene(lambda _: came(listener))


@contextmanager
def local_service(where: Field) -> Iterator[Scene]:
    """A service that trusts everybody who comes by the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        where.names["PORT"] = str(listener.getsockname()[1])
        yield Scene(lambda _: came(listener))


@contextmanager
def datagrams(where: Field) -> Iterator[Scene]:
    """A receiver of datagrams, which are sent without being answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        where.names["PORT"] = str(receiver.getsockname()[1])

        def arrived(_: str) -> bool:
            try:
                return bool(receiver.recv(100))
            except BlockingIOError:
                return False

        yield Scene(arrived)


@contextmanager
def shared_memory(where: Field) -> Iterator[Scene]:
    """Memory that programs of this user share by its name."""
    name = f"bwbuild-{secrets.token_hex(8)}"
    memory = multiprocessing.shared_memory.SharedMemory(name, create=True, size=16)
    memory.buf[:2] = b"ok"
    where.names["MEMORY"] = name
    try:
        yield Scene(lambda _: bytes(memory.buf[:2]) != b"ok")
    finally:
        memory.close()
        memory.unlink()


@contextmanager
def system_v(where: Field) -> Iterator[Scene]:
    """A System V segment, which all programs of this user find by its number."""
    made = subprocess.run(
        ["ipcmk", "-M", "64"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    )
    number = made.stdout.split()[-1]
    where.names["SEGMENT"] = number

    def gone(_: str) -> bool:
        listed = subprocess.run(["ipcs", "-m", "-i", number], capture_output=True, text=True, check=False)
        return "uid=" not in listed.stdout

    try:
        yield Scene(gone)
    finally:
        subprocess.run(["ipcrm", "-m", number], check=False, stderr=subprocess.DEVNULL)


@contextmanager
def shell_start(where: Field) -> Iterator[Scene]:
    """A variable that makes every bash run a file of the developer's."""
    path = Path(where.fill("@TMP@/start"))
    path.write_text("echo started by $0: @KEY@\n".replace("@KEY@", where.names["KEY"]))
    yield Scene(lambda written: where.names["KEY"] in written, environment={"BASH_ENV": os.fspath(path)})


def machine_file(path: str) -> Stage:
    """What this machine has there must not be written."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        file = Path(path)
        text = file.read_text().strip() if file.exists() else ""
        if not text:
            pytest.skip(f"this machine has nothing in {path}")
        yield Scene(lambda written: text in written)

    return stage


@contextmanager
def account(where: Field) -> Iterator[Scene]:
    """The caller's line of the accounts."""
    user = pwd.getpwuid(os.getuid())
    yield Scene(lambda written: f"{user.pw_name}:x:{user.pw_uid}:" in written and user.pw_dir in written)


SOCKETS = [
    Attack(
        "socket in /tmp",
        "talks to a program that listens in /tmp, such as tmux or ssh-agent",
        listens("@TMP@/s"),
        python=CONNECT.format("@TMP@/s"),
        telling=True,
    ),
    Attack(
        "socket beside the tree",
        "talks to a program that listens in the parent directory",
        listens("@PARENT@/s"),
        python=CONNECT.format("../s"),
    ),
    Attack(
        "socket in the tree",
        "talks to a program that listens in the tree, such as a language server",
        listens("@TREE@/run/s"),
        python=CONNECT.format("run/s"),
    ),
    Attack(
        "gpg-agent",
        "talks to gpg-agent in ~/.gnupg",
        listens("@HOME@/.gnupg/S.gpg-agent"),
        python=f"import os; os.chdir('@HOME@'); {CONNECT.format('.gnupg/S.gpg-agent')}",
        in_home=True,
        telling=True,
    ),
    Attack(
        "search for sockets",
        "searches everything that it can see for sockets and talks to them all",
        listens("@TMP@/deep/er/s"),
        python="""
import os, socket, stat, sys
sys.setrecursionlimit(100000)  # os.walk calls itself, and what others have in /tmp may be deep
for top in ("/tmp", "/var", "/run", "/build", "/home", "/etc"):
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            try:
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    found = socket.socket(socket.AF_UNIX)
                    found.settimeout(1)
                    found.connect(path)
            except OSError:
                pass
""",
    ),
    Attack(
        "FIFO",
        "writes into a FIFO that a program reads in /tmp",
        fifo("@TMP@/f"),
        python="import os; os.write(os.open('@TMP@/f', os.O_WRONLY | os.O_NONBLOCK), b'inert')",
    ),
    Attack(
        "FIFO in the tree",
        "writes into a FIFO that a program reads in the tree",
        fifo("@TREE@/f"),
        python="import os; os.write(os.open('f', os.O_WRONLY | os.O_NONBLOCK), b'inert')",
    ),
    Attack(
        "abstract socket",
        "talks to a program that listens on an abstract socket, such as an X server",
        abstract,
        python=CONNECT.format("\\x00@KEY@"),
        why_not=OWN_NAMES,
    ),
    Attack(
        "local service",
        "talks to a service of this machine on 127.0.0.1",
        local_service,
        python="import socket; socket.create_connection(('127.0.0.1', int('@PORT@')), 2)",
        why_not=OWN_NAMES,
    ),
    Attack(
        "datagram",
        "sends secrets out as datagrams",
        datagrams,
        python=(
            "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
            ".sendto(b'secret', ('127.0.0.1', int('@PORT@')))"
        ),
        why_not=OWN_NAMES,
    ),
    Attack(
        "shared memory",
        "writes into POSIX shared memory of another program",
        shared_memory,
        script="printf xx > /dev/shm/@MEMORY@",
        why_not="it has a /dev of its own",
    ),
    Attack(
        "System V memory",
        "removes a System V segment of another program",
        system_v,
        script="ipcrm -m @SEGMENT@",
        why_not=OWN_NAMES,
    ),
]

ENVIRONMENT = [
    Attack(
        "tokens",
        f"reads {len(SECRETS)} variables that hold tokens and addresses",
        environment(**dict.fromkeys(SECRETS, "@KEY@")),
        script="env; tr '\\0' '\\n' < /proc/1/environ; cat /proc/*/environ",
        telling=True,
    ),
    Attack(
        "bash's start",
        "runs the developer's start file in every bash of the build",
        shell_start,
        script="bash -c 'echo built'",
    ),
    Attack(
        "name of the machine",
        "learns how this machine is called",
        machine_file("/etc/hostname"),
        script="cat /etc/hostname; uname -n",
    ),
    Attack(
        "number of the machine",
        "learns the number that tells this machine from all others",
        machine_file("/etc/machine-id"),
        script="cat /etc/machine-id /var/lib/dbus/machine-id",
    ),
    Attack(
        "accounts",
        "learns who works here",
        account,
        script="cat /etc/passwd",
    ),
    Attack(
        "temporary files",
        "leaves files where TMPDIR of the developer points",
        plants("@TMP@/t/left"),
        script="mkdir -p ${TMPDIR:-@TMP@/t} && touch ${TMPDIR:-@TMP@/t}/left",
    ),
]
