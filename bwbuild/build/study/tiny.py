"""A source package with next to nothing in it, for commands that try the sandbox of a build without one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILES = {
    "control": "Source: {name}\nMaintainer: bwbuild <root@localhost>\n\n"
    "Package: {name}\nArchitecture: all\nDescription: nothing\n",
    "changelog": "{name} (1) unstable; urgency=low\n\n  * Nothing.\n\n"
    " -- bwbuild <root@localhost>  Thu, 01 Jan 1970 00:00:00 +0000\n",
    "source/format": "3.0 (native)\n",
}


@contextmanager
def tiny_tree(name: str) -> Iterator[Path]:
    """The tree of a source package ``name`` in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix=f"{name}.") as directory:
        tree = Path(directory, f"{name}-1")
        for file, text in _FILES.items():
            path = tree / "debian" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(name=name), encoding="utf-8")
        yield tree
