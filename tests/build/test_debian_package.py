"""What debian/ has besides the content: the watch file, the AppArmor profile, the upstream tarball."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from support import ROOT, need

from bwbuild import __version__

PROFILE = ROOT / "debian/apparmor/bwbuild"


def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is text."""
    return subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, check=False)


def tarball_of(version: str) -> str:
    """What tools/orig calls the upstream tarball, which is published under that name."""
    return f"bwbuild_{version}.orig.tar.xz"


def apparmor() -> int:
    """The major version of AppArmor's parser."""
    need("apparmor_parser")
    found = re.search(r"version (\d+)", run("/usr/sbin/apparmor_parser", "--version").stdout)
    assert found is not None
    return int(found[1])


def test_profile_is_parsed(tmp_path: Path) -> None:
    profile = tmp_path / "bwbuild"
    text = PROFILE.read_text()
    assert "  userns,\n" in text
    if apparmor() < 4:
        # Which is why packages built there are without it; all but the new rule must hold there too.
        assert run("/usr/sbin/apparmor_parser", "-QTK", PROFILE).returncode != 0
        text = text.replace("abi/4.0", "abi/3.0").replace("  userns,\n", "")
    profile.write_text(text)
    done = run("/usr/sbin/apparmor_parser", "-QTK", profile)
    assert done.returncode == 0, done.stderr


def test_profile_is_of_the_installed_command() -> None:
    head = r"^profile bwbuild /usr/bin/\{,gbp-\}bwbuild flags=\(unconfined\) \{$"
    assert re.search(head, PROFILE.read_text(), re.MULTILINE)
    installed = (ROOT / "debian/bwbuild.install").read_text()
    assert "hooks/gbp-bwbuild usr/bin\n" in installed


def test_a_package_with_the_profile_is_not_for_an_older_parser(tmp_path: Path) -> None:
    preinst = ROOT / "debian/preinst.apparmor"
    for version, status in (("3.0.8-3", 1), ("4.1.0-1", 0), ("", 0)):
        query = tmp_path / "dpkg-query"
        query.write_text(f"#!/bin/sh\necho '{version}'\n")
        query.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", preinst, "install"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done
        assert ("build it on this release" in done.stderr) == (status == 1)


def test_links_of_the_installed_guide_lead_somewhere() -> None:
    top = PurePosixPath("usr/share/doc/bwbuild")
    pages = {top / name: name for name in (ROOT / "debian/bwbuild.docs").read_text().split()}
    for line in (ROOT / "debian/bwbuild.install").read_text().splitlines():
        pattern, place = line.split()
        pages |= {
            PurePosixPath(place) / path.name: path for path in ROOT.glob(pattern) if path.suffix == ".md"
        }
    broken = [
        (str(page), link)
        for page, source in pages.items()
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / source).read_text())
        if PurePosixPath(os.path.normpath(page.parent / link)) not in pages
    ]
    assert len(pages) > 15
    assert broken == []
    assert "dh_compress -X.md" in (ROOT / "debian/rules").read_text(), "compressed pages have other names"


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[str]:
    """A web server with the page of releases; its address."""
    place = tmp_path / "web/releases"
    place.mkdir(parents=True)
    names = (*map(tarball_of, ("0.0.9", __version__, "99.1")), "other_100.orig.tar.xz")
    (place / "index.html").write_text("".join(f'<a href="{name}">{name}</a>\n' for name in names))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/releases/"
        server.shutdown()


def test_watch_finds_the_newest_release(tmp_path: Path, releases: str) -> None:
    need("uscan")
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "debian", tree / "debian")
    watch = tree / "debian/watch"
    text = watch.read_text()
    assert "https://bwbuild.example.org/releases/" in text
    watch.write_text(text.replace("https://bwbuild.example.org/releases/", releases))
    done = run("uscan", "--no-download", "--dehs", cwd=tree)
    assert f"<debian-uversion>{__version__}</debian-uversion>" in done.stdout, done.stdout + done.stderr
    assert "<upstream-version>99.1</upstream-version>" in done.stdout


def test_upstream_tarball_is_reproducible_and_without_debian(tmp_path: Path) -> None:
    need("git", "xz")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("bwbuild/__init__.py", "tools/orig", "debian/control"):
        (checkout / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=checkout, check=True)
    (checkout / "new").write_text("not committed")
    made = []
    for place in (tmp_path / "one", tmp_path / "two"):
        place.mkdir()
        done = run("tools/orig", place, cwd=checkout)
        assert done.returncode == 0, done.stderr
        (tarball,) = place.iterdir()
        assert tarball.name == tarball_of(__version__)
        made.append(tarball.read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "one" / tarball_of(__version__)) as archive:
        files = {member.name for member in archive if member.isfile()}
    assert files == {f"bwbuild-{__version__}/{name}" for name in ("bwbuild/__init__.py", "tools/orig")}
