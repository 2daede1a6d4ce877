"""Packages for tests of bwbuild try: made by dpkg-deb in a moment, without a source."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def make_deb(
    directory: Path,
    name: str,
    files: Mapping[str, str],
    scripts: Mapping[str, str] | None = None,
    *,
    depends: str = "",
    version: str = "1",
    fields: str = "",
) -> Path:
    """A package with these files (path -> text, programs below usr/bin) and maintainer scripts.

    :param fields: further lines of its control file.
    """
    top = directory / f"{name}.tree"
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.org>\n"
    control += f"Depends: {depends}\n" if depends else ""
    control += fields
    (top / "DEBIAN").mkdir(parents=True)
    (top / "DEBIAN" / "control").write_text(f"{control}Description: tried\n", encoding="utf-8")
    for script, text in (scripts or {}).items():
        path = top / "DEBIAN" / script
        path.write_text(f"#!/bin/sh\nset -e\n{text}\n" if "#!" not in text else text, encoding="utf-8")
        path.chmod(0o755 if script != "triggers" else 0o644)
    for path_name, text in files.items():
        path = top / path_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if "/bin/" in path_name or "/games/" in path_name else 0o644)
    for path in (top, *top.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    deb = directory / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", top, deb], check=True, capture_output=True)
    return deb
