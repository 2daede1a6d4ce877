from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bwbuild.corpus.expectations import (
    Entry,
    Expectation,
    Outcome,
    differences,
    parse,
    read,
    snapshot,
    source_name,
    upstream,
)

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted((ROOT / "testpkgs").glob("*/expect.toml"))
UID = 1000
SUM = "0" * 64

FAILS = Expectation(what="It fails.", status="build-failed")
BUILDS = Expectation(
    what="It builds.",
    status="success",
    artifacts=("x_1.changes", "x_1_all.deb"),
    files=(("x_1_all.deb", ("-rwxr-sr-x root/games ./usr/games/x",)),),
    log=("^all good$",),
    log_absent=("bad",),
    says=("done",),
    megabytes=100,
)


def plain(mode: int = 0o644, *, uid: int = UID, names: int = 1, content: str = SUM) -> Entry:
    return Entry(stat.S_IFREG | mode, uid, names, 7, content)


def report(status: str, number: int, *names: str) -> Mapping[str, object]:
    return {
        "status": status,
        "exit_status": number,
        "artifacts": [{"name": name, "size": 7, "sha256": SUM} for name in names],
    }


FAILED = Outcome(
    exit_status=10, before={"x-1/f": plain()}, after={"x-1/f": plain()}, report=report("build-failed", 10)
)
BUILT = Outcome(
    exit_status=0,
    before={"x-1/f": plain()},
    after={"x-1/f": plain(), "x_1.changes": plain(), "x_1_all.deb": plain()},
    report=report("success", 0, "x_1.changes", "x_1_all.deb"),
    terminal=b"done\n",
    log=b"so\nall good\n",
    changes={"x_1.changes": f"Checksums-Sha256:\n {SUM} 7 x_1_all.deb\n"},
    listings={"x_1_all.deb": ("-rwxr-sr-x root/games ./usr/games/x",)},
    peak=100_000_000,
)


def test_parse_fills_every_field_in() -> None:
    text = """
        what = "It builds."
        status = "success"
        options = ["--timeout", "5"]
        also = [["--identity", "single"]]
        needs = ["range"]
        setup = "mkdir .git"
        artifacts = ["x_1_all.deb"]
        log = ["a.c"]
        log_absent = ["b"]
        says = ["c"]
        host_absent = ["/tmp/x*"]
        seconds = 5
        megabytes = 6
        [environment]
        DISPLAY = ":0"
        [files]
        "x_1_all.deb" = ["-rw-r--r-- root/root ./x"]
    """
    assert parse(text) == Expectation(
        what="It builds.",
        status="success",
        options=("--timeout", "5"),
        also=(("--identity", "single"),),
        needs=("range",),
        setup="mkdir .git",
        environment=(("DISPLAY", ":0"),),
        artifacts=("x_1_all.deb",),
        files=(("x_1_all.deb", ("-rw-r--r-- root/root ./x",)),),
        log=("a.c",),
        log_absent=("b",),
        says=("c",),
        host_absent=("/tmp/x*",),
        seconds=5,
        megabytes=6,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status = 'success'", "'what' is missing"),
        ("what = 'x'", "'status' is missing"),
        ("what = 'x'\nstatus = 'fine'", "unknown status 'fine'"),
        ("what = 'x'\nstatus = 'success'\nlogs = []", "unknown key 'logs'"),
        ("what = 'x'\nstatus = 'success'\nlog = 'a'", "log must be list"),
        ("what = 'x'\nstatus = 'success'\nlog = [1]", "log must be str"),
        ("what = 'x'\nstatus = 'success'\nlog = ['(']", "no regular expression"),
        ("what = 'x'\nstatus = 'success'\nseconds = true", "seconds must be int"),
        ("what = 'x'\nstatus = 'success'\nalso = ['--x']", "also must be list"),
        ("what = 'x'\nstatus = 'success'\n[environment]\nA = 1", "environment.A must be str"),
        ("what = 'x'\nstatus = 'success'\n[files]\nx = []", "not among the artifacts"),
        ("what = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_parse_names_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_read_names_the_file_and_replaces_the_architecture(tmp_path: Path) -> None:
    path = tmp_path / "expect.toml"
    path.write_text("what = 'x'\nstatus = 'success'\nartifacts = ['x_1_ARCH.deb']\nlog = ['DEB_HOST_ARCH']\n")
    expected = read(path, "arm64")
    assert expected.artifacts == ("x_1_arm64.deb",)
    assert expected.log == ("DEB_HOST_ARCH",)
    path.write_text("what = [")
    with pytest.raises(ValueError, match=r"expect\.toml: "):
        read(path, "arm64")


def test_source_name(tmp_path: Path) -> None:
    changelog = tmp_path / "pkg/tree/debian/changelog"
    changelog.parent.mkdir(parents=True)
    changelog.write_text("foo (1:2.0-1) unstable; urgency=low\n")
    assert source_name(tmp_path / "pkg/tree") == ("foo", "1:2.0-1")
    changelog.write_text("no changelog\n")
    assert source_name(tmp_path / "pkg/tree") == ("pkg", "0")


@pytest.mark.parametrize(
    ("version", "wanted"), [("1", "1"), ("1-2", "1"), ("3:1.0", "1.0"), ("3:1-rc1-0.1", "1-rc1")]
)
def test_upstream(version: str, wanted: str) -> None:
    assert upstream(version) == wanted


def test_snapshot_sees_contents_links_and_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/.hidden").write_text("x")
    (tmp_path / "link").symlink_to("/nowhere")
    before = snapshot(tmp_path)
    assert set(before) == {"d", "d/.hidden", "link"}
    assert before["link"].content == "/nowhere"
    (tmp_path / "d/.hidden").write_text("y")
    assert snapshot(tmp_path)["d/.hidden"] != before["d/.hidden"]


def test_no_differences() -> None:
    assert differences(FAILS, FAILED, UID) == ()
    assert differences(BUILDS, BUILT, UID) == ()


def changed(**more: Any) -> Outcome:
    return replace(BUILT, **more)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (changed(exit_status=10), "exit status 10 instead of 0 (success)"),
        (changed(report=report("limit", 0, *BUILDS.artifacts)), "the report's status is 'limit'"),
        (changed(report=report("success", 1, *BUILDS.artifacts)), "the report's exit_status is 1"),
        (changed(report={}), "the report lacks x_1_all.deb"),
        (changed(report=report("success", 0, *BUILDS.artifacts, "y")), "the report has y"),
        (changed(before={"x-1/f": plain(content="")}), "x-1/f changed on the host"),
        (changed(before={"x-1/f": plain(0o755)}), "x-1/f changed on the host"),
        (changed(before={**BUILT.before, "s": plain()}), "s is gone from the host"),
        (changed(after={**BUILT.after, ".gbp.conf": plain()}), ".gbp.conf is new on the host"),
        (changed(after=BUILT.before), "x_1_all.deb was not published"),
        (changed(after={**BUILT.after, "x_1_all.deb": plain(content="1")}), "another sum or size of x_1_all"),
        (changed(after={**BUILT.after, "x_1_all.deb": plain(0o4755)}), "x_1_all.deb has the mode 4755"),
        (changed(after={**BUILT.after, "x_1_all.deb": plain(uid=0)}), "x_1_all.deb is not a plain file"),
        (changed(after={**BUILT.after, "x_1_all.deb": plain(names=2)}), "x_1_all.deb is not a plain file"),
        (changed(changes={"x_1.changes": ""}), "x_1.changes does not list x_1_all.deb"),
        (
            changed(changes={"x_1.changes": f" {SUM} 8 x_1_all.deb\n"}),
            "x_1.changes has another sum or size of x_1_all.deb",
        ),
        (
            changed(changes={"x_1.changes": f" {SUM} 7 x_1_all.deb\n {SUM} 7 y\n"}),
            "x_1.changes lists y, which is not there",
        ),
        (
            changed(listings={"x_1_all.deb": ("-rwxr-xr-x root/root ./usr/games/x",)}),
            "but '-rwxr-xr-x root/root ./usr/games/x'",
        ),
        (changed(log=b"not all good\n"), "the log does not match"),
        (changed(log=b"all good\nbad\n"), "the log has b'bad'"),
        (changed(log=b"all good\n\x1b[2J"), "the log has a control character"),
        (changed(terminal="done\x9b".encode()), "the terminal has a control character"),
        (changed(terminal=b""), "the terminal does not match 'done'"),
        (changed(present=("/tmp/x",)), "/tmp/x exists on the host"),
        (changed(left=("bwbuild-1",)), "bwbuild-1 was left"),
        (changed(peak=101_000_000), "101 MB of memory, more than 100"),
    ],
)
def test_a_difference_is_told(outcome: Outcome, message: str) -> None:
    assert any(message in line for line in differences(BUILDS, outcome, UID)), differences(
        BUILDS, outcome, UID
    )


def test_a_new_directory_beside_the_tree_is_told_once() -> None:
    directory = Entry(stat.S_IFDIR | 0o755, UID, 2, 0, "")
    outcome = replace(FAILED, after={**FAILED.after, "new": directory})
    assert differences(FAILS, outcome, UID) == ("new is new on the host",)


@pytest.mark.parametrize("path", PACKAGES, ids=[path.parent.name for path in PACKAGES])
def test_every_package_is_complete(path: Path) -> None:
    expected = read(path, "amd64")
    assert expected.what.endswith(".")
    tree = path.parent / "tree"
    names = {"control", "changelog", "copyright", "rules"}
    found = {file.name for file in (tree / "debian").iterdir()}
    assert names - found <= ({"rules"} if path.parent.name == "no-rules" else set())
    assert (tree / "debian/source/format").is_file()
    for file in tree.rglob("*"):
        assert file.is_dir() or file.read_text(encoding="utf-8"), f"{file} is empty or not text"


def test_there_are_packages() -> None:
    assert len(PACKAGES) > 70
