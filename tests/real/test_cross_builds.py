"""A cross build of a real package on a base, and the same with sbuild in a chroot."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import builds
import chroots
import pytest
from support import give_up, need

from bwbuild.process import run

_OPTIONS = (
    *("--chroot-mode=unshare", "--arch-all", "--no-source", "--no-run-lintian", "--no-run-piuparts"),
    *("--no-run-autopkgtest", "--build-path=/build/reproducible-path", "--nolog"),
)
#: The number of an architecture in ELF headers.
_MACHINE = {"arm64": 183}


def environment(home: Path) -> dict[str, str]:
    """Without DEB_BUILD_OPTIONS, to which both add nocheck then."""
    found = {**builds.ENVIRONMENT, "HOME": str(home), "PYTHONPATH": str(builds.ROOT)}
    del found["DEB_BUILD_OPTIONS"]
    return found


def with_sbuild(dsc: Path, architecture: str) -> Path:
    """Where sbuild left its results."""
    place = builds.emptied(builds.directory() / "hello" / f"sbuild-{architecture}")
    (place / ".sbuildrc").write_text("$log_filter = 0;\n1;\n", encoding="utf-8")
    suite = chroots.codename()
    where = [f"--chroot={chroots.chroot(suite)}", f"--dist={suite}", f"--build-dir={place}"]
    words = ["sbuild", *_OPTIONS, f"--host={architecture}", *where, dsc]
    run(words, cwd=place, env=environment(place), timeout=3600)
    return place


def with_bwbuild(dsc: Path, architecture: str) -> Path:
    """Where bwbuild left its results; the base stays for the next run."""
    place = builds.emptied(builds.directory() / "hello" / f"cross-{architecture}")
    own = ["--cache", builds.directory() / "cache", "--scratch", builds.directory() / "scratch"]
    words = [
        *builds.command(),
        "-b",
        "--no-sign",
        "-d",
        chroots.codename(),
        "--host",
        architecture,
        *own,
        dsc,
    ]
    run(words, cwd=place, env=environment(Path.home()), timeout=3600)
    return place


def control(deb: Path) -> str:
    return run(["dpkg-deb", "--field", deb]).text


@pytest.mark.real
@pytest.mark.parametrize("architecture", ["arm64"])
def test_cross_build_comes_out_as_with_sbuild(architecture: str) -> None:
    need("sbuild", "mmdebstrap")
    dsc = builds.dsc("hello")
    if os.getuid() == 0 or dsc is None:
        give_up("hello is built by an ordinary user, when tests/real/prepare has fetched it")
    chroot, base = with_sbuild(dsc, architecture), with_bwbuild(dsc, architecture)
    names = sorted(path.name for path in base.glob("*.deb"))
    assert names == sorted(path.name for path in chroot.glob("*.deb"))
    assert [name for name in names if name.startswith("hello_")]
    for name in names:
        assert control(base / name) == control(chroot / name)
    (deb,) = base.glob("hello_*.deb")
    words = ["sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/bin/hello', "sh", deb]
    header = run(words).stdout[:20]
    assert header[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", header, 18) == (_MACHINE[architecture],)
