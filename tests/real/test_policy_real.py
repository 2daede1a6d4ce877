"""``bwbuild policy`` on sources of the archive: what it finds there is so with plain tools, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import builds
import debs
import pytest

from bwbuild.process import run

pytestmark = pytest.mark.real

#: Small sources of many kinds, and the rules that they break in the versions of Debian 12.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "attr": (),
    "catatonit": (),
    "cron": (),
    "dash": (),
    "hello": ("clean",),
    "hostname": (),
    "libhttp-daemon-perl": (),
    "libtry-tiny-perl": (),
    "libutempter": (),
    "procmail": (),
    "python-h11": (),
    "sl": (),
    "tree": ("clean",),
    "ucf": (),
}


def unpacked(name: str) -> Path:
    """A fresh tree of a source, which git knows in full."""
    parent = builds.emptied(builds.directory() / name / "policy")
    found = builds.dsc(name)
    assert found is not None
    run(["dpkg-source", "--no-check", "-x", found], cwd=parent, env=builds.ENVIRONMENT)
    (tree,) = (path for path in parent.iterdir() if path.is_dir())
    return tree


def plain(tree: Path, *words: str, umask: str = "0022", jobs: int = 2) -> dict[str, debs.Deb]:
    """A build on the machine itself."""
    script = f'umask {umask}; exec dpkg-buildpackage -us -uc -b -J{jobs} "$@" > ../build.log 2>&1'
    run(["sh", "-ec", script, "sh", *words], cwd=tree, env={**builds.environment(), "HOME": "/nonexistent"})
    return {path.name: debs.read(path) for path in sorted(tree.parent.glob("*.deb"))}


def clean_does_not_undo(name: str) -> bool:
    """Whether git sees something after a build and its clean that was not there after the first clean."""
    tree = unpacked(name)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.excludesFile=/dev/null")
    run(["dpkg-buildpackage", "-Tclean"], cwd=tree, env=builds.environment())
    run([*git, "init", "-q"], cwd=tree)
    run([*git, "add", "--all", "--force"], cwd=tree)
    run([*git, "commit", "-q", "-m", "first"], cwd=tree)
    plain(tree, "-tc")
    lines = run([*git, "status", "--short", "--ignored"], cwd=tree).text.splitlines()
    return any(not line.startswith(" D") for line in lines)


def umask_matters(name: str) -> bool:
    """Whether packages differ by the umask."""
    return plain(unpacked(name)) != plain(unpacked(name), umask="0002")


CONFIRMED: Mapping[str, Callable[[str], bool]] = {"clean": clean_does_not_undo, "umask": umask_matters}


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_found_is_so(name: str) -> None:
    found = builds.dsc(name)
    if found is None:
        pytest.skip(f"{name} was not fetched: tests/real/prepare")
    words = ["--json", "--scratch", str(builds.directory() / "scratch"), *builds.OPTIONS.get(name, ())]
    done = run([*builds.command(), "policy", *words, found], check=False, env=builds.environment())
    document = json.loads(done.stdout)
    rules = {finding["name"] for finding in document["findings"]}
    assert rules == set(SOURCES[name]), document["findings"]
    assert done.returncode == (15 if rules else 0)
    assert {state["state"] for state in document["experiments"]} <= {"passed", "found", "no-question"}
    for rule in rules:
        assert CONFIRMED[rule](name), rule
