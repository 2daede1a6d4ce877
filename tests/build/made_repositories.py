"""Signed repositories of the tests' own packages, and a server for them."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support import gnupg_home


@dataclass(frozen=True)
class Repository:
    """A repository that a server has, with the suite ``good``."""

    top: Path
    address: str
    gpg: Path

    @property
    def line(self) -> str:
        """As in sources.list."""
        return f"deb {self.address} good main"

    @property
    def packages(self) -> Path:
        """Where packages are put before :meth:`publish`."""
        return self.top / "pool"

    def keyring(self, suffix: str) -> Path:
        """The key that signs, as ``gpg`` or ``asc``."""
        return self.top / f"keyring.{suffix}"

    def publish(self) -> None:
        """Index what is there, and sign it."""
        index = subprocess.run(
            ["dpkg-scanpackages", "--multiversion", "pool"], cwd=self.top, capture_output=True, check=True
        ).stdout
        place = self.top / "dists" / "good"
        (place / "main" / "binary-amd64").mkdir(parents=True, exist_ok=True)
        (place / "main" / "binary-amd64" / "Packages").write_bytes(index)
        digest = hashlib.sha256(index).hexdigest()
        (place / "Release").write_text(
            "Origin: bwt\nSuite: good\nCodename: good\nArchitectures: amd64\nComponents: main\n"
            "Date: Mon, 01 Jan 2024 00:00:00 UTC\nValid-Until: Mon, 01 Jan 2035 00:00:00 UTC\n"
            f"Acquire-By-Hash: no\nSHA256:\n {digest} {len(index)} main/binary-amd64/Packages\n"
        )
        (place / "InRelease").unlink(missing_ok=True)
        words = [*_gpg(self.gpg), "--clearsign", "--output", place / "InRelease", place / "Release"]
        subprocess.run(words, check=True)


@contextmanager
def repository(top: Path) -> Iterator[Repository]:
    """An empty repository below ``top``, there until the end of the context."""
    (top / "pool").mkdir(parents=True)
    handler = partial(_Silent, directory=str(top))
    with gnupg_home() as home, ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        words = ["--quick-generate-key", "bwt@example.org", "default", "sign", "never"]
        subprocess.run([*_gpg(home), *words], check=True)
        for suffix, armor in (("gpg", ()), ("asc", ("--armor",))):
            subprocess.run(
                [*_gpg(home), *armor, "--output", top / f"keyring.{suffix}", "--export"], check=True
            )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            made = Repository(top, f"http://127.0.0.1:{server.server_port}", home)
            made.publish()
            yield made
        finally:
            server.shutdown()
            thread.join()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def _gpg(home: Path) -> list[str | Path]:
    return ["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", ""]
