"""Machines of a cluster as network namespaces on one machine, made by an ordinary user."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import COMMAND, PYTHON, ROOT, wait_for

#: Dask waits for minutes before it gives somebody up; these tests can't.
DASK = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "11s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "4s",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "12s",
    "PYTHONWARNINGS": "ignore",
}
SCHEDULER = "import sys; sys.argv = sys.argv[1:]; from distributed.cli.dask_scheduler import main; main()"
PORT = 8786


@dataclass(frozen=True, slots=True)
class Machine:
    """A network namespace with one link to the switch; ``number`` is the end of its address."""

    name: str
    number: int
    pid: int

    @property
    def address(self) -> str:
        return f"10.99.0.{self.number}"


class Lab:
    """A switch, and machines at it; all processes end with the lab."""

    def __init__(self, top: Path, *, namespaces: bool = True) -> None:
        self.top = top
        self._namespaces = namespaces
        self._started: list[subprocess.Popen[bytes]] = []
        self._machines: list[Machine] = []
        self.home = top / "home"
        self.home.mkdir()
        self.hub = (
            self._unshared(["--user", "--map-root-user", "--map-auto", "--net"], []) if namespaces else 0
        )
        if namespaces:
            self._ip("link", "add", "switch", "type", "bridge")
            self._ip("addr", "add", "10.99.0.1/24", "dev", "switch")
            self._ip("link", "set", "switch", "up")
            self._ip("link", "set", "lo", "up")

    @property
    def environment(self) -> dict[str, str]:
        return DASK | {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.home),
            "BWBUILD_SCRATCH": str(self.top / "scratch"),
            "BWBUILD_CACHE": str(self.top / "cache"),
        }

    def machine(self, name: str) -> Machine:
        """A new machine at the switch."""
        number = len(self._machines) + 2
        if not self._namespaces:
            return Machine(name, number, 0)
        machine = Machine(name, number, self._unshared(["--net"], self._enter(self.hub)))
        self._machines.append(machine)
        inside = ("netns", str(machine.pid))
        self._ip("link", "add", name, "type", "veth", "peer", "name", "up0", *inside)
        self._ip("link", "set", name, "master", "switch")
        self.connect(machine)
        for words in (
            ("addr", "add", f"{machine.address}/24", "dev", "up0"),
            ("link", "set", "up0", "up"),
            ("link", "set", "lo", "up"),
        ):
            self._run([*self._enter(machine.pid), "ip", *words])
        return machine

    @property
    def pids(self) -> list[int]:
        """Of all that was started, the first first."""
        return [process.pid for process in self._started]

    def connect(self, machine: Machine) -> None:
        """Plug its cable in."""
        self._ip("link", "set", machine.name, "up")

    def cut_off(self, machine: Machine) -> None:
        """Pull its cable out."""
        self._ip("link", "set", machine.name, "down")

    def scheduler(self, machine: Machine | None = None, *words: str, scheme: str = "tcp") -> str:
        """Start a scheduler and return its address."""
        host = machine.address if machine else "127.0.0.1"
        said = self.top / f"scheduler-{machine.name if machine else 'here'}"
        port = f"--port={PORT if machine else 0}"
        command = [
            PYTHON,
            "-c",
            SCHEDULER,
            "scheduler",
            f"--host={scheme}://{host}",
            port,
            "--no-dashboard",
            *words,
        ]
        self.start(command, said, machine)
        wait_for(lambda: "Scheduler at:" in said.read_text(encoding="utf-8"), 60)
        line = next(text for text in said.read_text(encoding="utf-8").splitlines() if "Scheduler at:" in text)
        return line.split("Scheduler at:")[1].strip()

    def worker(self, address: str, name: str, machine: Machine | None = None, *words: str) -> Worker:
        """Start a worker and wait until it is connected."""
        said = self.top / f"worker-{name}"
        options = ("--name", name, "--processors", "1", "--cache", str(self.top / f"cache-{name}"))
        process = self.start([*COMMAND, "worker", address, *options, *words], said, machine)
        worker = Worker(name, process, said)
        wait_for(lambda: worker.connections == 1, 60)
        return worker

    def start(
        self,
        command: list[str],
        said: Path,
        machine: Machine | None = None,
        more: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program on a machine, or at the switch."""
        where = self._enter(machine.pid if machine else self.hub) if self._namespaces else []
        with said.open("wb") as stream:
            process = subprocess.Popen(
                [*where, *command],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self.environment | dict(more or {}),
                cwd=self.top,
            )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End all that was started, the last first."""
        for process in reversed(self._started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _unshared(self, flags: list[str], enter: list[str]) -> int:
        process = subprocess.Popen([*enter, "unshare", *flags, "sleep", "infinity"], stdin=subprocess.DEVNULL)
        self._started.append(process)

        def is_there() -> bool:
            return (Path("/proc") / str(process.pid) / "comm").read_text(encoding="utf-8").strip() == "sleep"

        wait_for(is_there)
        return process.pid

    def _enter(self, pid: int) -> list[str]:
        return ["nsenter", f"--target={pid}", "--user", "--net", "--preserve-credentials", "--"]

    def _ip(self, *words: str) -> None:
        self._run([*self._enter(self.hub), "ip", *words])

    def _run(self, words: list[str]) -> None:
        subprocess.run(words, check=True, timeout=120)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's process, and the file with what it says."""

    name: str
    process: subprocess.Popen[bytes]
    said: Path

    @property
    def connections(self) -> int:
        """How many times it has connected to the scheduler."""
        return self.said.read_text(encoding="utf-8").count("works for")

    def kill(self) -> None:
        """Let it die at once."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def lab(top: Path, *, namespaces: bool = True) -> Iterator[Lab]:
    """A lab; ``namespaces``: machines are apart, and not this one."""
    made = Lab(top, namespaces=namespaces)
    try:
        yield made
    finally:
        made.close()


def said_in(path: Path, text: str, seconds: float = 60) -> None:
    """Wait until a program has written ``text``."""
    end = time.monotonic() + seconds
    while text not in path.read_text(encoding="utf-8", errors="replace"):
        assert time.monotonic() < end, path.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.1)
