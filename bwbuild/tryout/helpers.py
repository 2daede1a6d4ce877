"""Programs of this machine that serve the one that is tried, each in a small sandbox of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bwbuild.build.inspect.helper import passable
from bwbuild.build.restraints import for_unpacking
from bwbuild.build.watch.limits import ceilings, resolve
from bwbuild.config.settings import Settings
from bwbuild.errors import HostError
from bwbuild.host.facts import Host
from bwbuild.process import missing_program
from bwbuild.sandbox import runner, small
from bwbuild.sandbox.runner import Beside
from bwbuild.sandbox.spec import Guest, Mount

#: Seconds until a helper must be ready, on a machine with much else to do.
_PATIENCE = 60.0
_LAST = 10
#: Bytes of a file that a helper may write.
_LARGEST = 1 << 30


def check(program: str) -> None:
    """Return if the program is installed where a small sandbox sees it.

    :raises HostError: it is not.
    """
    if not is_there(program):
        raise missing_program(program)


def is_there(program: str) -> bool:
    """Whether the program is installed where a small sandbox sees it."""
    return any((Path(top) / program).exists() for top in ("/usr/bin", "/bin"))


@dataclass(frozen=True, slots=True)
class Station:
    """Where helpers run: the directory in which each gets one of its own."""

    host: Host
    settings: Settings
    place: Path

    @contextmanager
    def started(self, name: str, command: Sequence[str], mounts: Sequence[Mount]) -> Iterator[Helper]:
        """A program that runs until the end of the context.

        :param name: of its directory, which exists.
        :param mounts: what it sees of this machine besides /usr.
        :raises HostError: it is not installed.
        """
        place = self.place / name
        program = next(word for word in command if "=" not in word and word != "env")
        check(program)
        restraints = for_unpacking(self.settings, self.host.architecture)
        limits = ceilings(resolve(self.settings, self.host), self.host)
        # What the program makes a server log is on the disk.
        bounded = ("prlimit", f"--fsize={_LARGEST}", "--", *command)
        own = small.Small(bounded, tuple(mounts), Guest("/tmp"), ceilings=limits)
        script = place / "launch"
        script.write_bytes(os.fsencode(small.launcher(self.host, restraints, own)))
        log = place / "log"
        with (
            passable(self.place),
            log.open("wb") as file,
            runner.beside(runner.Launch(script, place), file.fileno()) as beside,
        ):
            yield Helper(program, log, beside)


@dataclass(frozen=True, slots=True)
class Helper:
    """A program that runs beside the one that is tried, and where it writes."""

    program: str
    log: Path
    beside: Beside

    def wait(self, ready: Callable[[], bool]) -> None:
        """Return when it is ready.

        :raises HostError: it ended, or takes too long.
        """
        end = time.monotonic() + _PATIENCE
        while not ready():
            ended = self.beside.ended
            if ended or time.monotonic() > end:
                text = self.log.read_text(encoding="utf-8", errors="replace")
                raise HostError(
                    f"{self.program} {'ended at once' if ended else 'is not ready in time'}",
                    hint="what it said is above; bwbuild doctor looks at the sandbox",
                    details=text.splitlines()[-_LAST:],
                )
            time.sleep(0.02)
