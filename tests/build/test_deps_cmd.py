"""``bwbuild deps``, and what ``bwbuild clean`` says of views, as a user meets them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support import Desk, need


def declare(desk: Desk, **fields: str) -> None:
    """Add fields to the source's stanza, or replace them."""
    control = desk.tree / "debian/control"
    text = control.read_text()
    for name, value in fields.items():
        field = name.replace("_", "-")
        text = re.sub(rf"^{field}: .*\n", "", text, flags=re.MULTILINE)
        text = text.replace("Section:", f"{field}: {value}\nSection:", 1)
    control.write_text(text)


def installed() -> dict[str, str]:
    """name:architecture -> version of what dpkg says is installed."""
    form = "${db:Status-Abbrev} ${Package}:${Architecture} ${Version}\n"
    done = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[1]: row[2] for row in rows if row[0][1] not in "nc"}


@pytest.fixture
def helped(desk: Desk) -> Desk:
    """A desk whose source declares debhelper."""
    need("dh", "autoconf")
    declare(desk, Build_Depends="debhelper (>= 10), perl <!nodoc>")
    return desk


def test_overview(helped: Desk) -> None:
    lines = helped.ok("deps").out.splitlines()
    packages = installed()
    headings = [line.split(",")[0] for line in lines if line and not line.startswith(" ")]
    assert headings[1:4] == ["Essential", "build-essential", "Build-Depends: debhelper (>= 10)"]
    assert headings[4].startswith("Build-Depends: perl <!nodoc>: perl ")
    assert headings[5] == "Hidden"
    rows = [line.split() for line in lines if line.startswith("  ")]
    assert f"a build sees {len(rows)} of {len(packages)} installed packages" in lines[0]
    assert all(version in packages.values() for _, version in rows)
    assert {"dpkg", "gcc", "debhelper"} <= {name for name, _ in rows}


def test_hidden_and_visible_are_all_that_is_installed(helped: Desk) -> None:
    rows = [line for line in helped.ok("deps", "--hidden").out.splitlines() if line.startswith("  ")]
    assert len(rows) == len(installed())


def test_it_agrees_with_the_sandbox(helped: Desk) -> None:
    document = json.loads(helped.ok("deps", "--json").out)
    shown = {f"{item['name']}:{item['architecture']} {item['version']}" for item in document["packages"]}
    form = "${Package}:${Architecture} ${Version}\\n"
    inside = helped.ok("run", "--view", "declared", "--", "dpkg-query", "-W", "-f", form).out
    assert set(inside.splitlines()) == shown


def test_json(helped: Desk) -> None:
    document = json.loads(helped.ok("deps", "--json", helped.tree, cwd=Path("/")).out)
    assert document["version"] == 1
    assert document["source"] == {"name": "tiny", "version": "1", "tree": str(helped.tree)}
    both = [*document["packages"], *document["hidden"]]
    assert {f"{item['name']}:{item['architecture']}": item["version"] for item in both} == installed()
    (autoconf,) = (item for item in document["packages"] if item["name"] == "autoconf")
    assert autoconf["chain"][0].startswith("debhelper:")
    assert autoconf["chain"][-1].startswith("autoconf:")
    assert document["missing"] == document["conflicts"] == []


def test_what_is_missing(helped: Desk) -> None:
    declare(helped, Build_Depends_Indep="no-such-one, debhelper (>= 999), no-such-two | no-such-three")
    done = helped.run("deps")
    assert done.status == 6
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[2] == "Not met"
    assert lines[3] == "  no-such-one (Build-Depends-Indep): not installed"
    assert lines[4].startswith("  debhelper (>= 999) (Build-Depends-Indep): ")
    assert lines[5] == "  no-such-two | no-such-three (Build-Depends-Indep): not installed"
    assert lines[6] == f"  mend: sudo apt-get build-dep {helped.tree}"
    assert "Essential, " in done.out
    assert "  debhelper " in done.out
    as_json = helped.run("deps", "--json")
    assert as_json.status == 6
    document = json.loads(as_json.out)
    assert document["missing"][0]["relation"] == "no-such-one"
    assert document["remedy"] == lines[6].removeprefix("  mend: ")
    # The same words as those of a build.
    refused = helped.run("-b", "--view", "declared")
    assert refused.status == 6
    assert all(line.strip() in refused.err for line in lines[3:6])


@pytest.mark.parametrize(
    ("words", "variables", "status"),
    [
        ((), {}, 6),
        (("-A",), {}, 6),
        (("-B",), {}, 0),
        (("-S",), {}, 0),
        (("--build=any",), {}, 0),
        (("-Pnodoc",), {}, 0),
        ((), {"DEB_BUILD_PROFILES": "nodoc"}, 0),
        (("-P",), {"DEB_BUILD_PROFILES": "nodoc"}, 6),
        (("-ai386", "-B"), {}, 6),
    ],
    ids=str,
)
def test_options_of_a_build_count(
    desk: Desk, words: tuple[str, ...], variables: dict[str, str], status: int
) -> None:
    declare(desk, Build_Depends_Indep="no-such-one <!nodoc>")
    done = desk.run("deps", *words, env=variables)
    assert (done.status, "Traceback" in done.both) == (status, False), done.both


def test_why(helped: Desk) -> None:
    lines = helped.ok("deps", "--why", "autoconf").out.splitlines()
    assert lines[0].endswith(" is visible")
    assert lines[1] == "  Build-Depends: debhelper (>= 10) → dh-autoreconf → autoconf"
    assert helped.ok("deps", "--why=autoconf:all").out.splitlines() == lines
    assert "is provided by" in helped.ok("deps", "--why", "awk").out


def test_why_of_what_a_build_does_not_see(desk: Desk) -> None:
    need("autoconf")
    done = desk.run("deps", "--why", "autoconf")
    assert (done.status, done.err) == (6, "")
    assert "is installed here but not declared: hidden" in done.out
    done = desk.run("deps", "--why", "autocnof")
    assert (done.status, done.out) == (6, "autocnof is not installed; did you mean autoconf?\n")


def test_why_in_the_c_locale(helped: Desk) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "(>= 10) -> dh-autoreconf -> autoconf" in helped.ok("deps", "--why", "autoconf", env=plain).out


@pytest.mark.parametrize(
    "words", [("--why", "a", "--json"), ("--hidden", "--json"), ("--why", "a", "--hidden")]
)
def test_ways_to_show_it_exclude_each_other(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk.run("deps", *words).status == 2


def test_no_tree(desk: Desk) -> None:
    for words, cwd in (((), Path("/")), (("/nonexistent",), Path("/")), (("x y",), desk.tree)):
        done = desk.run("deps", *words, cwd=cwd)
        assert (done.status, done.out, "Traceback" in done.err) == (5, "", False)


@pytest.mark.parametrize("text", ["debhelper (>= )", "a b", "Debhelper", "a (~ 1)", "a,, b |", "${x}"])
def test_field_that_does_not_parse(desk: Desk, text: str) -> None:
    declare(desk, Build_Depends=text)
    done = desk.run("deps")
    assert (done.status, done.out) == (5, "")
    assert "Build-Depends" in done.err


def test_a_reader_that_has_enough(desk: Desk) -> None:
    for words in (("deps", "--hidden"), ("deps", "--json")):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", '"$@" | head -n 1', "bash", *desk.argv(*words)],
            cwd=desk.tree,
            env=desk.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def test_on_a_terminal_it_has_columns(helped: Desk) -> None:
    need("script")
    command = f"stty cols 200; exec {' '.join(helped.argv('deps'))}"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        cwd=helped.tree,
        env=helped.environment | {"TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert len(lines) < helped.ok("deps").out.count("\n") / 2
    assert max(map(len, lines)) <= 200


def test_it_writes_nothing(desk: Desk) -> None:
    desk.ok("deps")
    assert list(desk.home.iterdir()) == []
    assert desk.left() == []


# bwbuild clean, of views


@pytest.fixture
def viewed(desk: Desk) -> Desk:
    """A desk that has made a view in a cache of its own."""
    desk = replace(desk, more={"BWBUILD_CACHE": str(desk.top / "cache")})
    desk.ok("run", "--view", "declared", "--", "true")
    return desk


def views(desk: Desk) -> list[Path]:
    return sorted((desk.top / "cache/views").iterdir())


@contextmanager
def used(view: Path) -> Iterator[None]:
    descriptor = os.open(view, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def test_clean_lists_views_and_removes_them(viewed: Desk) -> None:
    (view,) = views(viewed)
    count = len(json.loads(viewed.ok("deps", "--json").out)["packages"])
    listed = viewed.ok("clean").out
    assert f"view of {count} packages, made " in listed
    assert str(view) in listed
    assert "outdated" not in listed
    assert "in use" not in listed
    assert "MiB in all" in listed
    assert views(viewed) == [view]
    assert "removed " in viewed.ok("clean", "--remove").out
    assert views(viewed) == []
    assert "view" not in viewed.ok("clean").out.replace(str(viewed.top), "")


def test_clean_of_old_views(viewed: Desk) -> None:
    (view,) = views(viewed)
    assert "view of" not in viewed.ok("clean", "--remove", "--older-than", "1").out
    assert views(viewed) == [view]
    os.utime(view, (0, 0))
    assert "view of" in viewed.ok("clean", "--older-than", "1").out
    viewed.ok("clean", "--remove", "--older-than", "1")
    assert views(viewed) == []


def test_clean_leaves_a_view_that_is_in_use(viewed: Desk) -> None:
    (view,) = views(viewed)
    script = "echo ready; sleep 60"
    with viewed.start("run", "--view", "declared", "--", "sh", "-c", script) as running:
        assert running.stdout
        while b"ready" not in running.stdout.readline():
            pass
        done = viewed.ok("clean", "--remove")
        assert "in use" in done.out
        assert "removed" not in done.out
        assert views(viewed) == [view]
        running.terminate()
    viewed.ok("clean", "--remove")
    assert views(viewed) == []


def test_clean_of_what_a_killed_maker_left(viewed: Desk) -> None:
    (view,) = views(viewed)
    (view / "view.json").unlink()
    with used(view):
        assert "never finished" not in viewed.ok("clean").out
    assert "view that was never finished" in viewed.ok("clean").out
    viewed.ok("clean", "--remove")
    assert views(viewed) == []


def test_outdated_view_is_called_so(viewed: Desk) -> None:
    (view,) = views(viewed)
    record = json.loads((view / "view.json").read_text())
    (view / "view.json").write_text(json.dumps(record | {"read": "x"}))
    assert "outdated" in viewed.ok("clean").out


def test_view_is_made_again_after_clean(viewed: Desk) -> None:
    viewed.ok("clean", "--remove")
    for _ in range(2):
        assert viewed.inside("echo works", "--view", "declared") == "works\n"
        assert len(views(viewed)) == 1
