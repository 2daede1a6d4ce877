"""A mirror as it was when a chroot was made.

Mirrors move on; a chroot's indexes don't. A proxy answers with those indexes, and passes on what is asked for
besides, so that mmdebstrap makes of today's mirror a base of the chroot's day.
"""

from __future__ import annotations

import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def proxy(lists: Path) -> Iterator[str]:
    """Run the proxy; its address.

    :param lists: a directory with the indexes, as apt names and keeps them: uncompressed.
    """

    class Handler(_Handler):
        place = lists

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kept(lists: Path, url: str) -> Path:
    """Where apt keeps an index with this address in the form of ``lists``."""
    return lists / url.removeprefix("http://").replace("_", "%5f").replace("/", "_")


class _Handler(BaseHTTPRequestHandler):
    place: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "/dists/" not in self.path:
            self._pass_on()
            return
        index = kept(self.place, self.path)
        # apt asks for compressed ones first, and for the plain one in the end.
        if index.is_file():
            self._answer(index)
        else:
            self.send_error(404)

    def _answer(self, index: Path) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(index.stat().st_size))
        self.end_headers()
        with index.open("rb") as file:
            shutil.copyfileobj(file, self.wfile)

    def _pass_on(self) -> None:
        try:
            with _DIRECT.open(self.path, timeout=60) as answer:
                self.send_response(200)
                self.send_header("Content-Length", answer.headers["Content-Length"])
                self.end_headers()
                shutil.copyfileobj(answer, self.wfile)
        except urllib.error.URLError as error:
            self.send_error(error.code if isinstance(error, urllib.error.HTTPError) else 502)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing: the output is the test's."""
