"""Attacks that aim at bwbuild itself: at its own start in a hostile tree, its settings and its mounts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import PYTHON, Desk, as_user

pytestmark = as_user

#: A module of the tree that says who has imported it.
MODULE = "import pathlib; pathlib.Path({!r}).touch()\n"


def lay(desk: Desk, name: str) -> Path:
    """A module in the tree, and the file that it makes when something imports it."""
    marker = desk.top / "imported"
    path = desk.tree / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(MODULE.format(str(marker)))
    return marker


AS_PYTHON_FINDS_IT = pytest.mark.xfail(
    reason="python3 -m takes the package itself from the current directory first; python3 -P -m does not",
    strict=True,
)


@pytest.mark.parametrize(
    "name",
    [
        *("click.py", "seccomp.py", "json.py", "genericpath.py", "debian/__init__.py"),
        pytest.param("bwbuild/__init__.py", marks=AS_PYTHON_FINDS_IT),
    ],
)
def test_modules_of_the_tree_are_not_imported(desk: Desk, name: str) -> None:
    marker = lay(desk, name)
    desk.run("-b", "--no-sign", "--keep", "never")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["click.py", "seccomp.py", "debian/__init__.py", "bwbuild/__init__.py"])
def test_modules_of_the_tree_are_not_imported_by_the_installed_command(desk: Desk, name: str) -> None:
    """Python puts a script's own directory into its path, not the current one."""
    marker = lay(desk, name)
    script = desk.top / "bin" / "bwbuild"
    script.parent.mkdir()
    script.write_text("from bwbuild.cli.main import main\nmain()\n")
    words = [PYTHON, str(script), "-b", "--no-sign", "--keep", "never"]
    done = subprocess.run(
        words, cwd=desk.tree, env=desk.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not marker.exists()


def test_settings_of_the_tree_are_not_read(desk: Desk) -> None:
    """A package could switch off its own sandbox."""
    text = 'in_place = true\nworkspace = "in-place"\nseccomp = false\nallow = ["userns"]\nview = "host"\n'
    places = (
        "bwbuild.toml",
        ".bwbuild.toml",
        "debian/.bwbuild.toml",
        "config.toml",
        ".config/bwbuild/config.toml",
    )
    for place in places:
        path = desk.tree / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    report = desk.top / "report"
    desk.ok("-b", "--no-sign", "--report", report)
    assert desk.report(report)["weakenings"] == []
    assert "Seccomp:\t2" in desk.inside("cat /proc/self/status")
    # Where a package may ask for permissions, what looks like a setting is refused.
    (desk.tree / "debian" / "bwbuild.toml").write_text(text)
    refused = desk.run("-b", "--no-sign")
    assert refused.status == 5, refused.both
    assert "debian/bwbuild.toml: unknown key" in refused.err


@pytest.mark.parametrize(
    "target", ["/oldroot{}", "{}", "/newroot{}", "/proc/1/root{}", "/proc/self/cwd/../../../..{}"]
)
def test_links_where_something_is_mounted(desk: Desk, target: str) -> None:
    """Who makes the sandbox must not follow the tree's links, in which the whole host can still be seen."""
    victim = desk.top / "victim"
    victim.mkdir()
    for name in (".git", ".pc", "build", "tmp", "debian/tmp", "debian/bwbuild", "dev", "proc", ".hg"):
        (desk.tree / name).symlink_to(target.format(victim))
    desk.run("run", "--", "sh", "-c", "for name in * .git .pc debian/*; do touch $name/created; done; true")
    desk.run("-b", "--no-sign", "--keep", "never")
    assert list(victim.iterdir()) == []
