from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bwbuild.build.record.log import LogFormat
from bwbuild.build.record.report import (
    Artifact,
    Failure,
    Kept,
    Phase,
    Report,
    Resources,
    Signature,
    Workspace,
    to_json,
    write_json,
)
from bwbuild.build.record.summary import after_build, outcome, summary, summary_values, why
from bwbuild.build.scan import Excerpt
from bwbuild.build.watch.limits import Reached
from bwbuild.build.watch.resources import ChildTimes, Peak
from bwbuild.errors import BuildError, ExitStatus, OutputError
from bwbuild.events import Text
from bwbuild.lookup.search import Found

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)

SUCCESS = Report(
    status=ExitStatus.SUCCESS,
    job="../hello",
    started=NOON,
    finished=NOON + timedelta(seconds=20.5),
    source="hello",
    source_version="1:2.10-3",
    distribution="unstable",
    architecture="amd64",
    build_architecture="amd64",
    build_type="binary",
    options=("-b",),
    phases=(Phase("view", 0.5), Phase("build", 17.7)),
    resources=Resources(20.5, 31.0, 212 << 20, "cc1", peak_approximate=False, disk=4097),
    artifacts=(
        Artifact("hello_2.10-3_amd64.deb", 53000, "a" * 64, Path("/out/hello_2.10-3_amd64.deb")),
        Artifact("hello-dbgsym_2.10-3_amd64.deb", 300, "b" * 64),
    ),
    changes=Path("/out/hello_2.10-3_amd64.changes"),
    signature=Signature(key="0123456789ABCDEF" * 2),
    identity="range",
    view="declared",
    workspace=Workspace("private", "overlay"),
    weakenings=("the network is allowed",),
    limit=Reached("log", 4096, 5000.5),
    log=Path("/out/hello.build"),
)

EXCERPT = Excerpt(
    step="dh_auto_test",
    command="dh_auto_test: error: make check returned exit code 2",
    errors=("FAIL: check.sh",),
    tail=("one", "two"),
    unmet=("libfoo-dev (>= 3)",),
)

FAILED = replace(
    SUCCESS,
    status=ExitStatus.BUILD_FAILED,
    artifacts=(),
    changes=None,
    signature=Signature(reason="the build failed"),
    failure=Failure.of(
        BuildError("the build failed", hint="look", details=["detail"]),
        EXCERPT,
        (Found("usr/bin/help2man", "help2man", "1.49.3"),),
    ),
    kept=Kept(Path("/s/x"), "bwbuild shell /s/x", Path("/s/x/run")),
)


def texts(report: Report, width: int | None = None) -> list[str]:
    return [line.text for line in outcome(report, width)]


def test_json_has_every_field_with_its_name() -> None:
    assert json.loads(to_json(FAILED)) == {
        "version": 1,
        "status": "build-failed",
        "exit_status": 10,
        "job": "../hello",
        "started": "2026-01-31T12:00:00Z",
        "finished": "2026-01-31T12:00:20Z",
        "source": "hello",
        "source_version": "1:2.10-3",
        "built_version": "",
        "distribution": "unstable",
        "suite": "",
        "base": "",
        "architecture": "amd64",
        "build_architecture": "amd64",
        "build_type": "binary",
        "options": ["-b"],
        "phases": [{"name": "view", "seconds": 0.5}, {"name": "build", "seconds": 17.7}],
        "resources": {
            "wall": 20.5,
            "cpu": 31.0,
            "peak_memory": 212 << 20,
            "peak_process": "cc1",
            "peak_approximate": False,
            "disk": 4097,
        },
        "artifacts": [],
        "packages": [],
        "changes": None,
        "source_changes": None,
        "signature": {"key": "", "reason": "the build failed"},
        "checks": [],
        "identity": "range",
        "view": "declared",
        "workspace": {"kind": "private", "layering": "overlay"},
        "weakenings": ["the network is allowed"],
        "permissions": [],
        "network": None,
        "network_of_tests": None,
        "limit": {"name": "log", "value": 4096, "peak": 5000.5},
        "log": "/out/hello.build",
        "failure": {
            "message": "the build failed",
            "hint": "look",
            "details": ["detail"],
            "excerpt": {
                "step": "dh_auto_test",
                "command": "dh_auto_test: error: make check returned exit code 2",
                "errors": ["FAIL: check.sh"],
                "tail": ["one", "two"],
                "unmet": ["libfoo-dev (>= 3)"],
            },
            "undeclared": [
                {
                    "path": "usr/bin/help2man",
                    "package": "help2man",
                    "version": "1.49.3",
                    "declared": False,
                }
            ],
        },
        "kept": {"scratch": "/s/x", "shell": "bwbuild shell /s/x", "script": "/s/x/run"},
    }


def test_json_begins_with_what_a_reader_needs_first() -> None:
    keys = list(json.loads(to_json(SUCCESS)))
    assert keys[:3] == ["version", "status", "exit_status"]
    assert to_json(SUCCESS) == to_json(replace(SUCCESS))
    artifact = json.loads(to_json(SUCCESS))["artifacts"][0]
    assert artifact == {
        "name": "hello_2.10-3_amd64.deb",
        "size": 53000,
        "sha256": "a" * 64,
        "path": "/out/hello_2.10-3_amd64.deb",
    }


def test_json_is_ascii_whatever_a_path_has() -> None:
    path = Path(os.fsdecode(b"/tmp/\xff\x1b\xc3\xa4"))
    text = to_json(replace(SUCCESS, log=path))
    assert text.isascii()
    assert Path(json.loads(text)["log"]) == path


def test_times_are_utc() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5)))
    assert json.loads(to_json(replace(SUCCESS, started=there)))["started"] == "2026-01-31T12:00:00Z"


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    old = path.open()
    mask = os.umask(0o027)
    try:
        write_json(SUCCESS, path)
    finally:
        os.umask(mask)
    with old:
        assert old.read() == "old"
    assert path.read_text() == to_json(SUCCESS)
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    for path in (tmp_path / "missing" / "report.json", tmp_path / "dir"):
        with pytest.raises(OutputError, match=path.name):
            write_json(SUCCESS, path)
    assert list(tmp_path.iterdir()) == [tmp_path / "dir"]


def test_the_peak_is_no_less_than_the_largest_process() -> None:
    burst = Resources.measured(1.0, ChildTimes(2.0, 900), Peak(700, "cc1", 500, approximate=True), 5)
    assert burst == Resources(1.0, 2.0, 900, "", peak_approximate=True, disk=5)
    sampled = Resources.measured(1.0, ChildTimes(2.0, 0), Peak(700, "cc1", 500))
    assert (sampled.peak_memory, sampled.peak_process) == (700, "cc1")


def test_the_summary_has_sbuilds_keys() -> None:
    assert summary_values(SUCCESS) == {
        "Build Architecture": "amd64",
        "Build Type": "binary",
        "Build-Space": "5",
        "Build-Time": "18",
        "Distribution": "unstable",
        "Host Architecture": "amd64",
        "Install-Time": "0",
        "Job": "../hello",
        "Machine Architecture": "amd64",
        "Package": "hello",
        "Package-Time": "20",
        "Source-Version": "1:2.10-3",
        "Space": "5",
        "Status": "successful",
        "Version": "1:2.10-3",
    }


def test_a_build_on_a_base_is_for_its_suite() -> None:
    phases = (Phase("install", 12.4), *SUCCESS.phases)
    report = replace(SUCCESS, suite="bookworm", base="bookworm-amd64-x", phases=phases)
    values = summary_values(report)
    assert (values["Distribution"], values["Install-Time"]) == ("bookworm", "12")
    assert (values["Build-Time"], values["Package-Time"]) == ("18", "33"), "sbuild's time is all of it"
    assert summary(report)[-1] == Text(
        f"{'-' * 80}\nFinished at 2026-01-31T12:00:20Z\nBuild needed 00:00:32, 5k disk space"
    )
    plain = json.loads(to_json(report))
    assert (plain["distribution"], plain["suite"], plain["base"]) == (
        "unstable",
        "bookworm",
        "bookworm-amd64-x",
    )


@pytest.mark.parametrize("status", ExitStatus)
def test_every_status_has_one_of_sbuilds_words(status: ExitStatus) -> None:
    values = summary_values(replace(SUCCESS, status=status))
    assert values["Status"] in {"successful", "attempted", "failed", "given-back"}
    assert (values["Status"] == "successful") == (status is ExitStatus.SUCCESS)
    assert ("Fail-Stage" in values) == (status is not ExitStatus.SUCCESS)


def test_a_failure_of_the_package_is_attempted() -> None:
    values = summary_values(FAILED)
    assert (values["Status"], values["Fail-Stage"]) == ("attempted", "build")


def test_the_log_says_why() -> None:
    failure = Failure("one\nI: two", "do that", ("a.deb: size", "\x1b[2J"))
    form = LogFormat(lambda: NOON)
    assert b"".join(map(form.render, why(replace(FAILED, failure=failure)))) == (
        b"E: one\nE: I: two\nE:   a.deb: size\nE:   \\x1b[2J\nI: hint: do that\n"
    )
    assert why(SUCCESS) == ()


def test_the_end_of_the_log() -> None:
    form = LogFormat(lambda: NOON)
    unmeasured = replace(SUCCESS, resources=Resources(wall=3661.0))
    text = b"".join(
        form.render(event) for event in (*after_build(NOON, successful=True), *summary(unmeasured))
    )
    lines = text.decode().splitlines()
    assert lines[:8] == [
        "-" * 80,
        "Build finished at 2026-01-31T12:00:00Z",
        "",
        "Finished",
        "--------",
        "",
        "I: Built successfully",
        "",
    ]
    assert "| Summary " in text.decode()
    assert lines[-3:] == [
        "-" * 80,
        "Finished at 2026-01-31T12:00:20Z",
        "Build needed 01:01:01, no disk space",
    ]
    keys = [line.partition(":")[0] for line in lines[12:-3]]
    assert keys == sorted(keys)
    assert "Space: n/a" in lines


def test_the_outcome_of_a_success() -> None:
    assert texts(SUCCESS) == [
        "File                             Size  SHA-256",
        f"hello_2.10-3_amd64.deb         52 KiB  {'a' * 64}",
        f"hello-dbgsym_2.10-3_amd64.deb   300 B  {'b' * 64}",
        "",
        "Time:      20 s, CPU 31 s",
        "Memory:    212 MiB at its peak, largest process cc1",
        "Changes:   /out/hello_2.10-3_amd64.changes",
        "Signature: 0123456789ABCDEF0123456789ABCDEF",
        "Weakened:  the network is allowed",
        "Log:       /out/hello.build",
        "bwbuild: hello 1:2.10-3 (amd64): built in 20 s",
    ]


def test_checksums_are_cut_where_they_do_not_fit() -> None:
    assert max(map(len, texts(SUCCESS, 80))) <= 80
    assert f"52 KiB  {'a' * 12}…" in texts(SUCCESS, 80)[1]
    assert "a" * 64 in texts(SUCCESS, 200)[1]


def test_the_outcome_of_a_failure() -> None:
    assert texts(FAILED) == [
        "Last lines of the output:",
        "  one",
        "  two",
        "",
        "First errors:",
        "  FAIL: check.sh",
        "",
        "bwbuild: error: hello 1:2.10-3 (amd64): the build failed",
        "  detail",
        "  usr/bin/help2man is in help2man 1.49.3, installed here but not in Build-Depends",
        "  in step dh_auto_test",
        "  dh_auto_test: error: make check returned exit code 2",
        "  missing: libfoo-dev (>= 3)",
        "Time:      20 s, CPU 31 s",
        "Memory:    212 MiB at its peak, largest process cc1",
        "Signature: none: the build failed",
        "Weakened:  the network is allowed",
        "Log:       /out/hello.build",
        "Kept:      /s/x",
        "Shell:     bwbuild shell /s/x",
        "Script:    /s/x/run",
        "hint: look",
    ]


def test_a_failure_before_the_build_is_short() -> None:
    report = Report(ExitStatus.SOURCE, "../x", NOON, NOON, failure=Failure("there is no debian/changelog"))
    assert texts(report) == [
        "bwbuild: error: ../x: there is no debian/changelog",
        "Time:      0.0 s, CPU 0.0 s",
    ]


def test_no_control_character_reaches_the_terminal() -> None:
    bad = "\x1b[2J\r\x9b\n"
    excerpt = Excerpt(step="s", command="c", errors=(bad,), tail=(bad,), unmet=())
    nasty = replace(
        FAILED,
        source=bad,
        log=Path(bad),
        resources=replace(FAILED.resources, peak_process=bad),
        failure=Failure(bad, bad, (bad,), excerpt),
        weakenings=(bad,),
        kept=Kept(Path(bad), bad, Path(bad)),
    )
    shown = texts(nasty) + texts(
        replace(SUCCESS, artifacts=(Artifact(bad, 1, "a" * 64),), source_version=bad)
    )
    assert all(line.isprintable() for line in shown)
