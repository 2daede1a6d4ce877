"""``bwbuild policy``: each misconduct that is planted in a package is found, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, Desk, give_up, need, processes, snapshot, wait_for

from bwbuild.conduct.experiments import NAMES

RULES = """\
#!/usr/bin/make -f
build build-arch build-indep: out

out: input
	{build}
	cp input out

binary binary-indep: out
	install -d -m 755 debian/tmp debian/tmp/DEBIAN
	install -d -m 755 debian/tmp/usr debian/tmp/usr/share debian/tmp/usr/share/tiny
	install -m 644 out debian/tmp/usr/share/tiny/out
	{binary}
	dpkg-gencontrol -Pdebian/tmp
	chmod 644 debian/tmp/DEBIAN/control
	dpkg-deb {pack} --build debian/tmp ..

binary-arch:

clean:
	{clean}
	rm -rf out debian/tmp debian/files
"""


@dataclass(frozen=True, slots=True)
class Planted:
    """A package, and what is to be found in it.

    :ivar build, binary, clean: a shell line in that target.
    :ivar found: experiment -> words that the finding has.
    :ivar by: words of the command line of who did it.
    """

    build: str = "true"
    binary: str = "true"
    clean: str = "true"
    pack: str = "--root-owner-group"
    needs_root: str = "no"
    found: dict[str, str] = field(default_factory=dict)
    by: str = ""
    status: int = 15

    def plant(self, tree: Path) -> None:
        """Write it over the tiny package in ``tree``."""
        lines = {name: getattr(self, name).replace("$", "$$") for name in ("build", "binary", "clean")}
        rules = tree / "debian" / "rules"
        rules.write_text(RULES.format(pack=self.pack, **lines), encoding="utf-8")
        control = tree / "debian" / "control"
        text = control.read_text(encoding="utf-8")
        control.write_text(text.replace("Root: no", f"Root: {self.needs_root}"), encoding="utf-8")
        (tree / "seed").write_text("once\n", encoding="utf-8")


GOOD = Planted(status=0)
SHARE = "debian/tmp/usr/share/tiny"
PLANTED = {
    "good": GOOD,
    "good-as-root": Planted(pack="", needs_root="binary-targets", status=0),
    "network": Planted(
        build="bash -c ': > /dev/tcp/192.0.2.1/80' || true", found={"network": "192.0.2.1:80"}, by="bash -c"
    ),
    "network-name": Planted(
        build="getent hosts www.example.org || true",
        found={"network": "www.example.org"},
        by="getent hosts www.example.org",
    ),
    "network-needed": Planted(
        build="bash -c ': > /dev/tcp/192.0.2.1/80'", found={"network": "192.0.2.1:80"}, status=10
    ),
    "home": Planted(
        build='mkdir -p "$HOME/.cache/tiny" || true', found={"home": "/nonexistent"}, by="mkdir -p"
    ),
    "home-there": Planted(
        build='test ! -d "$HOME" || touch "$HOME/made"', found={"home": "/nonexistent/made"}, by="touch"
    ),
    "home-used": Planted(
        binary=f"test ! -d $HOME || install -m 644 seed {SHARE}/more", found={"home": "usr/share/tiny/more"}
    ),
    "outside-beside": Planted(build="touch ../left", found={"outside": "left"}, by="touch ../left"),
    "outside-system": Planted(
        binary="touch /usr/share/left || true", found={"outside": "/usr/share/left"}, by="touch /usr"
    ),
    "clean-leaves": Planted(
        build="touch build.log", found={"clean": "build.log is left"}, by="touch build.log"
    ),
    "clean-changes": Planted(build="echo more >> seed", found={"clean": "seed is changed"}),
    "clean-fails": Planted(clean="test ! -e debian/tmp", found={"clean": "fails after a build"}),
    "twice-fails": Planted(build="rm seed", found={"twice": "fails"}),
    "twice-differs": Planted(
        build="if test -e seed; then rm seed; else echo more >> input; fi",
        clean="echo hello > input",
        found={"twice": "usr/share/tiny/out"},
    ),
    "root-fails": Planted(
        binary="chown games out", found={"root": "is built only where"}, by="chown games", status=10
    ),
    "root-differs": Planted(
        binary=f"if test $(id -u) = 0; then chown games {SHARE}/out; fi",
        pack="$(if $(filter 0,$(shell id -u)),,--root-owner-group)",
        found={"root": "usr/share/tiny/out"},
    ),
    "root-owner": Planted(pack="", found={"root": "belong to the build user"}),
    "processors-counted": Planted(
        binary=f"getconf _NPROCESSORS_ONLN > {SHARE}/number; chmod 644 {SHARE}/number",
        found={"processors": "usr/share/tiny/number"},
    ),
    "processors-result": Planted(
        binary=f'echo "$DEB_BUILD_OPTIONS" > {SHARE}/jobs; chmod 644 {SHARE}/jobs',
        found={"processors": "usr/share/tiny/jobs"},
    ),
    "processors-fails": Planted(
        build='test "$DEB_BUILD_OPTIONS" = parallel=1', found={"processors": "fails with"}, status=10
    ),
    "umask-mode": Planted(binary=f"mkdir {SHARE}/made", found={"umask": "mode 0755, now 0775"}),
    "umask-fails": Planted(build="test $(umask) = 0022", found={"umask": "the build fails"}),
    "reproducible": Planted(
        binary=f"install -m 644 /proc/sys/kernel/random/uuid {SHARE}/id", found={"reproducible": "tiny/id"}
    ),
}


def examined(desk: Desk, planted: Planted, *words: str) -> dict[str, Any]:
    """What the command says as JSON of a planted package; its exit status must be the expected one."""
    planted.plant(desk.tree)
    before = snapshot(desk.parent)
    done = desk.run("policy", "--json", *words)
    assert done.status == planted.status, done.both
    assert snapshot(desk.parent) == before
    assert desk.left() == []
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


def check(found: dict[str, Any], planted: Planted) -> None:
    """Exactly what was planted is found."""
    texts = {finding["name"]: finding["text"] for finding in found["findings"]}
    assert texts.keys() == planted.found.keys(), found
    assert len(found["findings"]) == len(texts)
    for name, words in planted.found.items():
        assert words in texts[name]
    if planted.by:
        (finding,) = found["findings"]
        assert planted.by in finding["process"]["command"]


@pytest.mark.long
@pytest.mark.parametrize("name", PLANTED)
def test_each_misconduct_alone(name: str, desk: Desk) -> None:
    need("strace")
    if name == "processors-counted" and os.cpu_count() == 1:
        give_up("this machine has one processor")
    check(examined(desk, PLANTED[name]), PLANTED[name])


def test_a_package_that_behaves(desk: Desk) -> None:
    need("strace")
    found = examined(desk, GOOD)
    assert found["findings"] == []
    assert {state["name"]: state["state"] for state in found["experiments"]} == dict.fromkeys(NAMES, "passed")
    assert [built["name"] for built in found["builds"]] == ["first", "second", "together"]


def test_much_of_it_at_once_and_in_words(desk: Desk) -> None:
    need("strace")
    planted = Planted(
        build='mkdir -p "$HOME/x" || true; touch "$(printf "../odd\\033[2J")"; getent hosts x.example || :',
        clean="rm -f build.log.*",
        binary="date > build.log",
    )
    planted.plant(desk.tree)
    done = desk.run("policy", "--count", "none")
    assert done.status == 0, done.both
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines] == ["network", "home", "outside", "clean", "tiny"]
    assert "tried to reach x.example; by getent hosts x.example (debian/rules binary)" in lines[0]
    assert "../odd\\x1b[2J" in lines[2]
    assert "build.log is left; by " in lines[3]
    assert lines[-1].startswith("tiny 1: 4 findings (3 builds, ")
    assert all(line.isprintable() for line in lines)
    assert desk.left() == []


def test_a_dsc_and_one_rule(desk: Desk) -> None:
    need("strace", "dpkg-source")
    Planted(build='mkdir "$HOME" || true').plant(desk.tree)
    subprocess.run(["dpkg-source", "--build", desk.tree], cwd=desk.parent, check=True, capture_output=True)
    # Nothing is published, so it does not matter where.
    done = desk.run("policy", "--only", "home", "--json", desk.parent / "tiny_1.dsc", cwd=Path("/"))
    assert done.status == 15, done.both
    found = json.loads(done.out)
    assert [finding["process"]["command"] for finding in found["findings"]] == ["mkdir /nonexistent"]
    assert [state["name"] for state in found["experiments"]] == ["home"]
    assert [built["name"] for built in found["builds"]] == ["first"]
    assert desk.left() == []


def test_what_is_handed_over_by_hand_is_a_result(desk: Desk) -> None:
    need("strace")
    tree = desk.parent / "byhand-1"
    shutil.copytree(ROOT / "testpkgs" / "byhand" / "tree", tree)
    done = desk.ok("policy", "--only", "outside", cwd=tree)
    assert done.out.startswith("byhand 1: nothing found (1 build, ")


def test_nothing_of_an_interrupted_one_stays(desk: Desk) -> None:
    need("strace")
    Planted(build="sleep 1000.0173").plant(desk.tree)
    before = snapshot(desk.parent)
    process = desk.start("policy", "--only", "twice", "--only", "network")
    wait_for(lambda: processes("1000.0173"), 60)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert desk.left() == []
    assert snapshot(desk.parent) == before


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("-S",), "builds no source package"),
        (("-nc",), "-nc"),
        (("-T", "clean"), "-T"),
        (("-j4",), "-j4"),
        (("--only", "politeness"), "politeness"),
        (("--count", "nothing"), "nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_contradicts_it_is_refused(words: tuple[str, ...], named: str, shared: Desk) -> None:
    done = shared.run("policy", *words)
    assert done.status == 2
    assert named in done.err.splitlines()[0]
    assert not done.out


@pytest.mark.long
def test_patches_that_are_not_applied_stay_so(desk: Desk) -> None:
    """dpkg-buildpackage applies them for the build, which is nothing that clean would have to undo."""
    tree = desk.parent / "quilt-patches-1.0"
    shutil.copytree(ROOT / "testpkgs" / "quilt-patches" / "tree", tree)
    done = desk.ok("policy", "--only", "clean", "--only", "twice", cwd=tree)
    assert done.out.startswith("quilt-patches 1.0-1: nothing found (2 builds, ")
