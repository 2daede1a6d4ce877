"""bwbuild try with manifests of Flatpak that sources of the archive have, of programs that it has too."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from made_suites import MIRROR, OWN
from support import need
from test_try_desktop import Session, pixels, session, stage

__all__ = ["session", "stage"]
pytestmark = pytest.mark.long


def manifest_of(source: str, name: str, place: Path) -> Path:
    """The manifest called ``name`` of a source of the archive."""
    for directory in ("lists/partial", "archives/partial", "source"):
        (place / directory).mkdir(parents=True)
    (place / "sources.list").write_text(
        f"deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {MIRROR} {OWN} main\n"
    )
    options = ["Dir::Etc::SourceParts=-", "Dir::Etc::Parts=-", f"Dir::Etc::SourceList={place}/sources.list"]
    options += [f"Dir::State::Lists={place}/lists", f"Dir::Cache={place}", "Acquire::Languages=none"]
    words = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    for command in (("update",), ("source", "--download-only", "--tar-only", source)):
        subprocess.run([*words, *command], cwd=place / "source", check=True, capture_output=True, timeout=300)
    (tarball,) = (place / "source").glob("*.orig.tar.*")
    with tarfile.open(tarball) as archive:
        member = next(member for member in archive if member.name.endswith(f"/{name}"))
        content = archive.extractfile(member)
        assert content is not None
        found = place / name
        found.write_bytes(content.read())
    return found


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("gnome-calculator", "org.gnome.Calculator.Devel.json"),
        ("gnome-taquin", "org.gnome.Taquin.json"),
    ],
)
def test_program_by_its_own_manifest(session: Session, tmp_path: Path, program: str, name: str) -> None:
    need("Xvfb")
    manifest = manifest_of(program, name, tmp_path / "fetched")
    asked = manifest.read_text()
    assert '"--socket=fallback-x11"' in asked or '"--socket=x11"' in asked
    assert '"--socket=wayland"' in asked
    told = session.run("--explain", "--finish-args", str(manifest))
    assert "socket=x11" in told.stdout, told.stderr
    assert "socket=wayland: " in told.stdout
    picture = tmp_path / "window.png"
    words = ("--finish-args", str(manifest), "--screenshot", str(picture), "--timeout", "3m")
    done = session.run(program, *words, "--", program)
    assert done.returncode == 0, done.stderr
    title = program.removeprefix("gnome-").capitalize()
    assert re.search(rf"window '{title}', \d+x\d+", done.stderr), done.stderr
    assert len(set(pixels(picture))) > 3
    assert "--share=ipc has no counterpart" in done.stderr
    assert "socket=wayland has no counterpart: socket=wayland is granted, but there is no such" in done.stderr
