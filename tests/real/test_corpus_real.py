"""60 sources of the archive, built as one corpus on two processors, to the end."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import builds
import chroots
import pytest

from bwbuild.process import run

pytestmark = pytest.mark.real

#: What the run is filled up with: small sources that build without much, and whose suites take no minutes.
SMALL = (
    *("bc", "bridge-utils", "bsdmainutils", "bzip2", "cowsay", "diffstat", "discount", "dos2unix"),
    *("dosfstools", "ed", "ethtool", "figlet", "gperf", "gzip", "indent", "less", "libev", "liblockfile"),
    *("libonig", "lsof", "lzip", "mawk", "moreutils", "mtools", "patchelf", "popt", "psmisc", "pv"),
    *("screen", "sharutils", "tini", "libconst-fast-perl", "libjson-perl", "libpath-tiny-perl"),
    *("libsub-exporter-perl", "libtest-deep-perl", "libtest-warn-perl", "libtext-csv-perl", "liburi-perl"),
)
NUMBER = 60


def corpus(*words: str) -> tuple[int, str]:
    """The command with a state of its own, which stays for the next run of the test."""
    place = builds.directory() / "corpus"
    place.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_STATE_HOME": str(place), "PYTHONPATH": str(builds.ROOT)}
    done = run([sys.executable, "-m", "bwbuild", "corpus", *words], check=False, env=environment)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def sources() -> list[str]:
    """The .dsc files that are there, then names."""
    found = {path.parent.name: str(path) for path in sorted(builds.directory().glob("*/*.dsc"))}
    names = [name for name in SMALL if name not in found]
    return [*found.values(), *names][:NUMBER]


def test_sixty_sources_are_built_to_the_end() -> None:
    suite = chroots.codename()
    options = ("-d", suite, "-b", "--cache", str(builds.directory() / "cache"), "--timeout", "30m")
    known, _ = corpus("show", "sixty")
    words = sources()
    assert len(words) == NUMBER
    begin = ("--resume", "sixty") if known == 0 else ("--name", "sixty", "--jobs", "2", *options, *words)
    status, told = corpus("run", *begin)
    assert status in (0, 10), told
    shown = json.loads(corpus("show", "--json", "sixty")[1])
    verdicts = [build["verdict"] for build in shown["builds"]]
    assert len(verdicts) == NUMBER
    assert set(verdicts) <= {"passed", "failed"}
    assert verdicts.count("passed") >= NUMBER * 9 // 10, told
    for build in shown["builds"]:
        assert (Path(shown["directory"]) / build["key"] / "report.json").is_file()
    status, told = corpus("run", "--resume", "sixty")
    assert "begins" not in told
