"""The parts of a view that are copies: dpkg's database of a made-up system, and the /etc of this one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bwbuild.deb.database import Package
from bwbuild.root import copies
from bwbuild.root.alternatives import Chosen
from bwbuild.root.visible import Visible

PARAGRAPH = """\
Package: {name}
Status: install ok installed
Architecture: {architecture}
Multi-Arch: {multi}
Version: 1
Maintainer: nobody <n@example.org>
Description: {name}
Conffiles:
 /etc/{name}.conf 0123456789abcdef0123456789abcdef"""


def package(name: str, architecture: str = "all", multi: str = "no") -> Package:
    paragraph = PARAGRAPH.format(name=name, architecture=architecture, multi=multi)
    empty = dict.fromkeys(("error", "priority", "depends", "pre_depends", "provides"), "")
    kind = multi if multi != "no" else ""
    return Package(
        name=name, architecture=architecture, version="1", status="installed", multi_arch=kind,
        essential=False, paragraph=paragraph, **empty,
    )  # fmt: skip


def visible(*paths: str, links: dict[str, str] | None = None, **more: Any) -> Visible:
    fields: dict[str, Any] = {
        "names": frozenset(),
        "paths": frozenset(paths),
        "chosen": Chosen(links or {}, frozenset(), {"editor": "auto\n/usr/bin/editor\n\n"}),
        "links": {},
        "moved": {},
        "moved_aside": frozenset(),
        "diversions": "/usr/bin/a\n/usr/bin/b\nown\n",
        "settings": {},
    }
    return Visible(**fields | more)


def below(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}


# dpkg


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "host"
    (made / "info").mkdir(parents=True)
    for stem in ("own", "other", "libown:amd64", "libown:i386", "owner"):
        for kind in ("list", "md5sums", "postinst"):
            (made / "info" / f"{stem}.{kind}").write_text(f"{stem}\n")
    (made / "info" / "own.postinst").chmod(0o755)
    (made / "info" / "own.list").write_text("/.\n")
    (made / "info" / "format").write_text("1\n")
    (made / "arch").write_text("amd64\ni386\n")
    (made / "lock").write_text("")
    monkeypatch.setattr(copies, "DIRECTORY", made)
    return made


PACKAGES = (package("own"), package("libown", "amd64", "same"))


def test_dpkg_has_the_visible_packages_alone(host: Path, tmp_path: Path) -> None:
    place = tmp_path / "dpkg"
    copies.dpkg(place, PACKAGES, visible())
    kinds = ("list", "md5sums", "postinst")
    info = {f"info/{stem}.{kind}" for stem in ("own", "libown:amd64") for kind in kinds} | {"info/format"}
    rest = {"alternatives", "alternatives/editor", "info", "triggers", "updates", "status", "available"}
    assert below(place) == info | rest | {"diversions", "arch"}
    assert (place / "info/own.postinst").stat().st_mode & 0o777 == 0o755
    assert (place / "arch").read_text() == "amd64\ni386\n"
    assert (place / "diversions").read_text() == "/usr/bin/a\n/usr/bin/b\nown\n"
    assert (place / "alternatives/editor").read_text() == "auto\n/usr/bin/editor\n\n"


def test_dpkg_can_read_it(host: Path, tmp_path: Path) -> None:
    copies.dpkg(tmp_path / "dpkg", PACKAGES, visible())
    form = "${binary:Package} ${db:Status-Status} ${Conffiles}\\n"
    words = ["dpkg-query", "--admindir", tmp_path / "dpkg", "-W", f"-f={form}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = [line.split()[:2] for line in done.stdout.splitlines() if "installed" in line]
    assert sorted(found) == [["libown:amd64", "installed"], ["own", "installed"]]
    assert done.stderr == ""


def test_a_database_without_foreign_architectures(host: Path, tmp_path: Path) -> None:
    (host / "arch").unlink()
    copies.dpkg(tmp_path / "dpkg", PACKAGES, visible())
    assert not (tmp_path / "dpkg" / "arch").exists()


# /etc


def etc(tmp_path: Path, found: Visible, *seen: str) -> tuple[Path, list[str]]:
    place = tmp_path / "etc"
    read = copies.etc(place, found, frozenset(seen))
    return place, read


def test_etc_has_what_is_visible_alone(tmp_path: Path) -> None:
    place, read = etc(tmp_path, visible("/etc/debian_version", "/etc/default", "/etc/os-release"))
    assert below(place) == {"alternatives", "debian_version", "default", "os-release"}
    assert (place / "debian_version").read_bytes() == Path("/etc/debian_version").read_bytes()
    assert os.readlink(place / "os-release") == os.readlink("/etc/os-release")  # noqa: PTH115
    assert sorted(read) == ["/etc/debian_version", "/etc/os-release"]
    assert place.stat().st_mode == Path("/etc").stat().st_mode


def test_a_directory_that_is_seen_is_seen_with_all_below(tmp_path: Path) -> None:
    place, _ = etc(tmp_path, visible("/etc/dpkg"), "/etc/dpkg/origins")
    there = {f"dpkg/{path.relative_to('/etc/dpkg')}" for path in Path("/etc/dpkg/origins").rglob("*")}
    assert below(place) == {"alternatives", "dpkg", "dpkg/origins"} | there
    assert there


def test_secrets_are_not_copied(tmp_path: Path) -> None:
    place, _ = etc(tmp_path, visible("/etc/shadow", "/etc/ssl"), "/etc/ssl/private", "/etc/localtime")
    assert below(place) <= {"alternatives", "ssl"}


@pytest.mark.skipif(os.getuid() == 0, reason="root can read everything")
def test_what_can_not_be_read_stays_away(tmp_path: Path) -> None:
    closed = [path for path in Path("/etc").iterdir() if path.is_file() and not os.access(path, os.R_OK)]
    if not closed:
        pytest.skip("nothing in /etc is closed, as in the sandbox of a build")
    place, read = etc(tmp_path, visible(*map(str, closed)))
    assert below(place) == {"alternatives"}
    assert read == []


def test_what_was_moved_aside_is_put_back(tmp_path: Path) -> None:
    moved = {"/etc/debian_version": "/etc/os-release"}
    place, read = etc(tmp_path, visible("/etc/debian_version", moved=moved))
    assert (place / "debian_version").is_symlink()
    assert read == ["/etc/os-release"]


def test_alternatives_are_made_anew(tmp_path: Path) -> None:
    links = {"/etc/alternatives/awk": "/usr/bin/mawk", "/usr/bin/awk": "/etc/alternatives/awk"}
    found = visible("/etc/alternatives", "/etc/alternatives/README", "/etc/alternatives/awk", links=links)
    place, _ = etc(tmp_path, found)
    assert below(place) == {"alternatives", "alternatives/README", "alternatives/awk"}
    assert os.readlink(place / "alternatives/awk") == "/usr/bin/mawk"  # noqa: PTH115
