"""The proxy that keeps a mirror as it was: indexes from a directory, all else from the mirror."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import frozen
import pytest


class Quiet(SimpleHTTPRequestHandler):
    """A mirror that says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    for name in ("dists/a/InRelease", "dists/a/main/Packages.xz", "pool/a.deb"):
        file = tmp_path / "mirror/debian" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("of today")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "mirror")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/debian"
    server.shutdown()
    server.server_close()
    thread.join()


def test_indexes_are_those_of_the_directory_and_files_those_of_the_mirror(
    tmp_path: Path, mirror: str
) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    frozen.kept(lists, f"{mirror}/dists/a/InRelease").write_text("of the day")
    with frozen.proxy(lists) as address:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": address}))
        assert opener.open(f"{mirror}/dists/a/InRelease").read() == b"of the day"
        assert opener.open(f"{mirror}/pool/a.deb").read() == b"of today"
        for path in ("dists/a/main/Packages.xz", "pool/b.deb"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                opener.open(f"{mirror}/{path}")


def test_names_are_those_that_apt_gives(tmp_path: Path) -> None:
    found = frozen.kept(tmp_path, "http://deb.example.org/debian/dists/a_b/InRelease")
    assert found == tmp_path / "deb.example.org_debian_dists_a%5fb_InRelease"
