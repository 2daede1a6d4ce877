"""The command as a user meets it: statuses, reports, how much it says, variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from support import COMMAND, Desk, Rules, make_desk, snapshot

from bwbuild.errors import ExitStatus

KEYS = {
    *("version", "status", "exit_status", "job", "started", "finished", "source", "source_version"),
    *("built_version", "source_changes", "packages"),
    *(
        "distribution",
        "suite",
        "base",
        "architecture",
        "build_architecture",
        "build_type",
        "options",
        "phases",
        "resources",
    ),
    *(
        "artifacts",
        "changes",
        "signature",
        "checks",
        "identity",
        "view",
        "workspace",
        "weakenings",
        "limit",
        "log",
        "failure",
        "kept",
        "permissions",
        "network",
        "network_of_tests",
    ),
}


# The report


def test_report_of_a_success(desk: Desk) -> None:
    done = desk.ok("-b", "--report", desk.top / "report")
    found = desk.report(desk.top / "report")
    assert found.keys() == KEYS
    assert (found["status"], found["exit_status"], found["failure"]) == ("success", 0, None)
    assert (found["source"], found["source_version"], found["build_type"]) == ("tiny", "1", "binary")
    assert found["job"] == str(desk.tree)
    assert found["options"] == ["-b"]
    assert found["view"] == "declared"
    assert found["identity"] == ("range" if os.getuid() == 0 else found["identity"])
    assert {item["name"] for item in found["artifacts"]} == set(desk.published())
    for item in found["artifacts"]:
        path = Path(item["path"])
        assert path.parent == desk.parent
        assert path.stat().st_size == item["size"]
    assert found["changes"] in done.out
    assert [phase["name"] for phase in found["phases"]] == ["prepare", "build", "verify", "publish"]
    assert found["signature"]["key"] == ""
    assert found["signature"]["reason"]
    assert Path(found["log"]).is_file()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["started"])


FAILURES = {
    "build-failed": (Rules(during="false"), ("-b",)),
    "limit": (Rules(during="sleep 60"), ("-b", "--timeout", "1")),
    "signing": (Rules(), ("-b", "--sign")),
    "output": (Rules(), ("-b", "--output", "/nonexistent")),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_report_of_a_failure(tmp_path: Path, kind: str) -> None:
    rules, options = FAILURES[kind]
    desk = make_desk(tmp_path, rules)
    before = snapshot(desk.tree)
    done = desk.run(*options, "--keep", "never", "--report", desk.top / "report")
    found = desk.report(desk.top / "report")
    status = {item.label: item for item in ExitStatus}[kind]
    assert (found["status"], found["exit_status"], done.status) == (kind, status, status), done.both
    assert found["failure"]["message"]
    assert found["failure"]["message"] in done.err
    assert found["artifacts"] == []
    assert found["changes"] is None
    assert desk.published() == []
    assert snapshot(desk.tree) == before
    assert "Traceback" not in done.both


def test_report_of_a_source_that_is_none(desk: Desk) -> None:
    (desk.tree / "debian/control").unlink()
    done = desk.run("-b", "--report", desk.top / "report")
    found = desk.report(desk.top / "report")
    assert (done.status, found["status"], found["exit_status"]) == (5, "source", 5)
    assert "debian/control" in found["failure"]["message"]
    assert found["failure"]["excerpt"] is None


def test_report_of_missing_dependencies(desk: Desk) -> None:
    control = desk.tree / "debian/control"
    missing = "Build-Depends: no-such-package-1, no-such-two"
    control.write_text(control.read_text().replace("Build-Depends: python3", missing, 1))
    done = desk.run("-b", "--report", desk.top / "report")
    found = desk.report(desk.top / "report")
    assert (done.status, found["status"]) == (6, "dependencies"), done.both
    assert "2 build dependencies" in found["failure"]["message"]
    assert found["failure"]["details"] == [
        "no-such-package-1 (Build-Depends): not installed",
        "no-such-two (Build-Depends): not installed",
    ]
    assert "apt-get build-dep" in found["failure"]["hint"]


def test_report_is_ascii_and_parses_with_an_odd_path(desk: Desk) -> None:
    place = desk.top / os.fsdecode(b"\xff report")
    desk.ok("-b", "--report", place)
    assert json.loads(place.read_bytes().decode("ascii"))["status"] == "success"


def test_failure_has_all_that_one_needs(tmp_path: Path) -> None:
    """The step, the reason, the end of the log, where it is, how to go on, what was kept."""
    desk = make_desk(tmp_path, Rules(during="echo the reason >&2; exit 3"))
    done = desk.run("-b", "--report", desk.top / "report")
    kept = desk.report(desk.top / "report")["kept"]
    for text in (
        "the reason",
        "debian/rules binary",
        "exit status 2",
        str(desk.parent / "tiny_1_amd64")[:-6],
    ):
        assert text in done.err
    assert kept["scratch"] in done.err
    assert kept["shell"] == "bwbuild shell -nc"
    assert Path(kept["script"]).is_file()


# How much is said


def test_quiet(desk: Desk) -> None:
    done = desk.ok("-b", "--quiet")
    assert done.err == ""
    assert done.out.count("\n") == 1
    assert "built in" in done.out


def test_quiet_failure(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, Rules(during="echo the reason; false"))
    done = desk.run("-b", "--quiet", "--keep", "never")
    assert (done.status, done.out) == (10, "")
    assert "the reason" in done.err


def test_verbose_streams_the_log(desk: Desk) -> None:
    done = desk.ok("-b", "--verbose")
    assert "MADE out" in done.out
    assert "dpkg-genchanges" in done.out


def test_normal_says_the_steps(desk: Desk) -> None:
    done = desk.ok("-b")
    assert "MADE out" not in done.both
    assert "debian/rules binary" in done.err
    assert "Changes:" in done.out


def test_streams_that_are_closed(desk: Desk) -> None:
    for words in (("-b",), ("-b", "--verbose")):
        done = subprocess.run(
            ["sh", "-c", '"$@" | head -c 1 > /dev/null', "sh", *desk.argv(*words)],
            cwd=desk.tree,
            env=desk.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        assert "tiny_1_all.deb" in desk.published()


def test_colours_are_for_terminals(desk: Desk) -> None:
    done = desk.ok("-b", env={"TERM": "xterm-256color"})
    assert "\x1b" not in done.both


# Variables


@pytest.mark.parametrize(
    ("variables", "words", "status"),
    [
        ({"BWBUILD_IDENTITY": "single"}, ("-b",), 0),
        ({"BWBUILD_VERBOSITY": "quiet"}, ("-b",), 0),
        ({"BWBUILD_IDENTITI": "single"}, ("-b",), 3),
        ({"BWBUILD_IDENTITY": "double"}, ("-b",), 3),
        ({"BWBUILD_TIMEOUT": "soon"}, ("-b",), 3),
        ({"BWBUILD_CONFIG": "/nonexistent"}, ("-b",), 3),
        ({"DEB_BUILD_OPTIONS": "$(x)"}, ("-b",), 3),
        ({"DEB_BUILD_OPTIONS": "nocheck parallel=1"}, ("-b",), 0),
        ({"BWBUILD_WORKSPACE": "nowhere"}, ("-b", "--workspace", "private"), 3),
    ],
    ids=str,
)
def test_variables(desk: Desk, variables: dict[str, str], words: tuple[str, ...], status: int) -> None:
    done = desk.run("--dry-run", *words, env=variables)
    assert done.status == status, done.both
    if status:
        assert next(iter(variables)) in done.err or "/nonexistent" in done.err
        assert "hint:" in done.err or "/nonexistent" in done.err
    assert "Traceback" not in done.both


def test_output_and_command_line_wins(desk: Desk) -> None:
    for name in ("one", "two"):
        (desk.top / name).mkdir()
    desk.ok("-b", "--output", desk.top / "two", env={"BWBUILD_OUTPUT": str(desk.top / "one")})
    assert list((desk.top / "one").iterdir()) == []
    assert (desk.top / "two" / "tiny_1_all.deb").is_file()


# Statuses of run


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -9 $$", 137)],
)
def test_status_of_run_is_that_of_the_command(desk: Desk, script: str, status: int) -> None:
    assert desk.run("run", "--", "sh", "-c", script).status == status


def test_run_of_a_command_that_does_not_exist(desk: Desk) -> None:
    done = desk.run("run", "--", "no-such-command")
    assert done.status in (4, 127), done.both
    assert "Traceback" not in done.both


def test_run_keeps_streams_apart(desk: Desk) -> None:
    done = desk.ok("run", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.out, done.err) == ("out\n", "err\n")


def test_run_passes_bytes_through(desk: Desk) -> None:
    done = subprocess.run(
        [*COMMAND, "run", "--", "head", "-c", "300000", "/dev/zero"],
        cwd=desk.tree,
        env=desk.environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == b"\0" * 300000


def test_run_has_options_of_its_command(desk: Desk) -> None:
    assert desk.ok("run", "--", "echo", "--quiet", "-b", "--", "x").out == "--quiet -b -- x\n"


# Help and version


@pytest.mark.parametrize(
    "words", [("--help",), ("-?",), ("build", "--help"), ("run", "--help"), ("shell", "-?")]
)
def test_help(desk: Desk, words: tuple[str, ...]) -> None:
    done = desk.ok(*words, cwd=Path("/"))
    assert "Usage: bwbuild" in done.out
    assert "--identity" in done.out or words[0] in ("config", "clean")


def test_version(desk: Desk) -> None:
    assert re.fullmatch(r"bwbuild, version \S+\n", desk.ok("--version", cwd=Path("/")).out)


def test_help_in_the_c_locale(desk: Desk) -> None:
    desk.ok("--help", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})


def test_a_build_in_the_c_locale(desk: Desk) -> None:
    changelog = desk.tree / "debian/changelog"
    changelog.write_text(
        changelog.read_text().replace("The bwbuild", "Th\u00e9 bwb\u00fcild"), encoding="utf-8"
    )
    done = desk.run("-b", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert (done.status, "Traceback" in done.both) == (0, False), done.both
