"""What tests of the real command share: a tiny source package, the command, and looks at the host."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bwbuild.host.facts import read_caller
from bwbuild.sandbox import script
from bwbuild.sandbox.spec import Identity, IdentityKind

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "/usr/bin/python3"
COMMAND = (PYTHON, "-m", "bwbuild")
#: Seconds after which a command of the tests hangs.
PATIENCE = 120

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may make accounts, mounts and id maps")
as_user = pytest.mark.skipif(os.getuid() == 0, reason="it is about an ordinary user")

CONTROL = """\
Source: {name}
Section: misc
Priority: optional
Maintainer: The bwbuild developers <bwbuild@example.org>
Standards-Version: 4.6.2
Rules-Requires-Root: {gain_root}
Build-Depends: python3

Package: {name}
Architecture: all
Description: tiny
 A package for tests.
"""

CHANGELOG = """\
{name} ({version}) unstable; urgency=medium

  * Made for a test.

 -- The bwbuild developers <bwbuild@example.org>  Mon, 01 Jan 2024 00:00:00 +0000
"""

#: ``make`` writes MADE each time that it makes ``out``, so that a test can see what was made anew.
RULES = """\
#!/usr/bin/make -f
build build-arch build-indep: out

out: input
	@echo MADE out
	cp input out
	{during}

binary binary-indep: out
	mkdir -p debian/tmp/DEBIAN debian/tmp/usr/share/{name}
	cp out debian/tmp/usr/share/{name}/
	{binary}
	dpkg-gencontrol -Pdebian/tmp
	dpkg-deb {owner} --build debian/tmp ..

binary-arch:

clean:
	rm -rf out debian/tmp debian/files
"""


def give_up(reason: str) -> NoReturn:
    """Skip on a laptop, fail where the machine was prepared for the tests."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def subordinate_options(*, beyond: int = 0) -> tuple[str, ...]:
    """Options of usermod for subordinate ids that nobody else has, nor any of ``beyond`` more users."""
    taken = [
        line.split(":") for name in ("subuid", "subgid") for line in Path("/etc", name).read_text().split()
    ]
    start = max((int(first) + int(count) for _, first, count in taken), default=100000) + beyond * 65536
    ids = f"{start}-{start + 65535}"
    return "--add-subuids", ids, "--add-subgids", ids


def need(*tools: str) -> None:
    """Give up unless all ``tools`` are installed."""
    for tool in tools:
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            give_up(f"{tool} is not installed")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the tiny package does besides: a shell line while it is made and one before it is packed."""

    during: str = "true"
    binary: str = "true"
    gain_root: str = "no"

    def text(self, name: str) -> str:
        """debian/rules."""
        # A dollar of the line is the shell's, not make's.
        lines = {"during": self.during.replace("$", "$$"), "binary": self.binary.replace("$", "$$")}
        owner = "" if self.gain_root == "binary-targets" else "--root-owner-group"
        return RULES.format(name=name, owner=owner, **lines)


def make_tree(directory: Path, rules: Rules | None = None, *, name: str = "tiny", version: str = "1") -> Path:
    """Write a source package that builds in half a second, as ``directory``."""
    rules = rules or Rules()
    (directory / "debian" / "source").mkdir(parents=True)
    files = {
        "input": "hello\n",
        "debian/control": CONTROL.format(name=name, gain_root=rules.gain_root),
        "debian/changelog": CHANGELOG.format(name=name, version=version),
        "debian/rules": rules.text(name),
        "debian/source/format": "3.0 (native)\n",
    }
    for path, text in files.items():
        (directory / path).write_text(text, encoding="utf-8")
    (directory / "debian" / "rules").chmod(0o755)
    return directory


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    status: int
    out: str
    err: str

    @property
    def both(self) -> str:
        """All that it wrote."""
        return self.out + self.err


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one test works: a parent directory with a tree in it, a home, and the command's environment."""

    top: Path
    more: Mapping[str, str] = field(default_factory=dict)
    #: the directory that has the package bwbuild
    program: Path = ROOT

    @property
    def parent(self) -> Path:
        """The directory of the tree."""
        return self.top / "parent"

    @property
    def tree(self) -> Path:
        """The tiny source tree."""
        return self.parent / "tiny-1"

    @property
    def home(self) -> Path:
        """The caller's home directory."""
        return self.top / "home"

    @property
    def scratch(self) -> Path:
        """Where scratch directories are."""
        return self.top / "scratch"

    @property
    def cache(self) -> Path:
        """Where views are: one place for all tests of a process, since most have the same packages.

        A desk right in a directory of everybody's may be another user's, and has its own.
        """
        parent = self.top.parent
        return (self.top if parent in (Path("/tmp"), Path("/var/tmp")) else parent) / "cache"

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment: the user's own configuration must not decide about the tests."""
        variables = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(self.program),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.home),
            "BWBUILD_SCRATCH": str(self.scratch),
            "BWBUILD_CACHE": str(self.cache),
        }
        return variables | dict(self.more)

    def argv(self, *words: str | Path) -> list[str]:
        """The command with ``words``."""
        return [*COMMAND, *map(str, words)]

    def run(
        self, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, **more: Any
    ) -> Done:
        """Run the command to its end; ``env`` is added to the environment."""
        done = subprocess.run(
            self.argv(*words),
            cwd=cwd or self.tree,
            env=self.environment | dict(env or {}),
            stdin=more.pop("stdin", subprocess.DEVNULL),
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=PATIENCE,
            check=False,
            **more,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str | Path, **more: Any) -> Done:
        """Run the command and insist on its success."""
        done = self.run(*words, **more)
        assert done.status == 0, done.both
        return done

    def start(self, *words: str | Path, **more: Any) -> subprocess.Popen[bytes]:
        """Start the command beside the test."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(self.argv(*words), cwd=self.tree, env=self.environment, **{**pipes, **more})

    def inside(self, script: str, *words: str | Path, **more: Any) -> str:
        """What a shell script writes inside of the sandbox of the tree."""
        return self.ok("run", *words, "--", "sh", "-euc", script, **more).out

    def log(self) -> str:
        """The newest log beside the tree."""
        (link,) = (path for path in self.parent.glob("tiny_1_*.build") if path.is_symlink())
        return link.read_text(encoding="utf-8")

    def report(self, path: Path) -> dict[str, Any]:
        """A JSON report."""
        found = json.loads(path.read_text(encoding="ascii"))
        assert isinstance(found, dict)
        return found

    def left(self) -> list[str]:
        """The names of all scratch directories that are there."""
        return sorted(path.name for path in self.scratch.iterdir()) if self.scratch.is_dir() else []

    def published(self) -> list[str]:
        """The names beside the tree other than logs."""
        names = (path.name for path in self.parent.iterdir() if path != self.tree)
        return sorted(name for name in names if not name.endswith(".build"))


def make_desk(top: Path, rules: Rules | None = None, program: Path = ROOT) -> Desk:
    """A desk at ``top`` with a tiny tree on it."""
    desk = Desk(top, program=program)
    desk.home.mkdir(parents=True)
    make_tree(desk.tree, rules)
    return desk


def make_root(root: Path, *programs: str) -> None:
    """A root file system of no suite, with a few ``programs`` of this machine and what they load."""
    for name in ("etc", "usr/bin", "usr/sbin", "var/tmp", "tmp", "run", "proc", "dev", "home", "mnt"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in programs:
        shutil.copy(f"/usr/bin/{name}", root / "usr/bin" / name)
        listed = subprocess.run(["ldd", f"/usr/bin/{name}"], capture_output=True, text=True, check=True)
        for library in re.findall(r"(/lib\S*)", listed.stdout):
            place = root / "usr" / library.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)
    files = {"passwd": "root:x:0:0:root:/root:/bin/sh\n", "group": "root:x:0:\n", "shadow": ""}
    for name, text in files.items():
        (root / "etc" / name).write_text(text, encoding="ascii")


def discard(scratch: Path) -> None:
    """Remove a directory of scratch directories, whatever a failed test left there."""
    if not scratch.is_dir():
        return
    caller = read_caller()
    ranged = bool(caller.subuids and caller.subgids) and not caller.is_root
    identity = Identity(IdentityKind.RANGE, caller.uid, caller.gid)
    subprocess.run([*(script.entry(identity) if ranged else ()), "rm", "-rf", scratch], check=True)


@contextmanager
def gnupg_home(variable: str = "GNUPGHOME") -> Iterator[Path]:
    """A directory to which ``variable`` leads gpg, whose agent ends with the context.

    Its path is short, since the name of the agent's socket has less than 108 bytes.
    """
    home = Path(tempfile.mkdtemp(prefix="bwb-", dir="/tmp"))
    try:
        yield home
    finally:
        environment = {"PATH": "/usr/bin:/bin", variable: str(home)}
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=True)
        shutil.rmtree(home, onerror=_unless_gone)


def make_signing_key(home: Path, user: str, variable: str = "GNUPGHOME") -> str:
    """Make a key without passphrase where ``variable`` leads gpg to ``home``; its fingerprint."""
    options = ("--batch", "--status-fd", "1", "--passphrase", "")
    words = (*options, "--quick-generate-key", user, "ed25519", "sign", "never")
    # The name is in UTF-8.
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", variable: str(home)}
    made = subprocess.run(["gpg", *words], env=environment, capture_output=True, text=True, check=False)
    created = re.search(r"KEY_CREATED . (\w+)", made.stdout)
    assert created, made.stderr
    return created[1]


def _unless_gone(_function: object, _path: str, error: Any) -> None:
    """The agent has answered before it removes its sockets, which it does meanwhile."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def snapshot(top: Path) -> dict[str, tuple[object, ...]]:
    """Every name below ``top`` with its mode, owner, time and content."""
    found = {}
    for path in sorted([top, *top.rglob("*")]):
        status = path.lstat()
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)  # noqa: PTH115 - need not be a good path
        time_of = 0 if stat.S_ISDIR(status.st_mode) and path == top else status.st_mtime_ns
        found[os.fspath(path)] = (status.st_mode, status.st_uid, status.st_gid, time_of, content)
    return found


def wait_for(what: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until ``what`` returns something true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def processes(mark: str) -> list[tuple[int, str]]:
    """Pid and arguments of the processes that have ``mark`` in arguments, environment or directory."""
    return [(pid, words) for pid, words in _processes(mark) if pid != os.getpid()]


def _processes(mark: str) -> Iterator[tuple[int, str]]:
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        texts: list[str] = []
        for name in ("cmdline", "environ"):
            try:
                texts.append((path / name).read_bytes().decode("utf-8", "replace"))
            except OSError:
                texts.append("")  # it is gone, or not this user's
        with suppress(OSError):
            texts.append(os.readlink(path / "cwd"))  # noqa: PTH115
        if any(mark in text for text in texts):
            yield int(path.name), texts[0].replace("\0", " ")


def mounts(mark: Path) -> list[str]:
    """The lines of this mount namespace's table that name ``mark``; others may mount meanwhile."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if str(mark) in line]
