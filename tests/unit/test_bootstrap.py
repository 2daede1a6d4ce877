"""mmdebstrap: what its failures mean, and which architectures can be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from bwbuild.errors import ExitStatus, HostError
from bwbuild.root.bootstrap import check_architecture, explained
from bwbuild.root.suite import Suite

SUITE = Suite("trixie", "amd64")


@pytest.mark.parametrize(
    ("line", "cause", "remedy"),
    [
        (
            "E: The repository 'http://m trixie Release' does not have a Release file.",
            "no such suite",
            "name",
        ),
        ("  404  Not Found [IP: 192.0.2.1 80]", "no such suite", "--base-mirror"),
        (
            "W: GPG error: http://m trixie InRelease: NO_PUBKEY 0E98404D386FA1D9",
            "signature",
            "--base-keyring",
        ),
        ("E: The repository 'http://m trixie InRelease' is not signed.", "signature", "--base-keyring"),
        (
            "  The following signatures were invalid: EXPKEYSIG 648ACFD622F3D138",
            "signature",
            "archive-keyring",
        ),
        (
            "E: Release file for http://m/InRelease is expired (invalid since 3d 2h). Updates",
            "has expired",
            "check-valid-until=no",
        ),
        ("  Could not resolve 'mirror.example.org'", "can't be reached", "network"),
        (
            "  Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)",
            "reached",
            "net",
        ),
    ],
)
def test_causes_that_are_known(line: str, cause: str, remedy: str) -> None:
    error = explained(SUITE, ["I: running apt-get update...", line, "E: mmdebstrap failed to run"], 25)
    assert error.message.startswith("no base of trixie (amd64) can be made: ")
    assert cause in error.message
    assert remedy in error.hint
    assert error.details == (line, "E: mmdebstrap failed to run")
    assert error.status is ExitStatus.HOST


def test_missing_suite_of_a_mirror_that_answers_is_not_about_signatures() -> None:
    lines = [
        "Ign:1 http://mirror.example.org/debian nosuch InRelease",
        "Err:2 http://mirror.example.org/debian nosuch Release",
        "  404  Not Found [IP: 192.0.2.1 80]",
        "E: The repository 'http://mirror.example.org/debian nosuch Release' does not have a Release file.",
    ]
    assert "no such suite" in explained(SUITE, lines, 25).message


def test_full_disk_is_one_whatever_else_is_said() -> None:
    lines = ["E: Failed to fetch x  Error writing to file - write (28: No space left on device)"]
    error = explained(SUITE, lines, 25)
    assert error.status is ExitStatus.OUTPUT
    assert "No space left on device" in error.message
    assert "bwbuild clean" in error.hint


def test_other_failures_show_what_was_said_last() -> None:
    error = explained(SUITE, [str(number) for number in range(100)], 7)
    assert "mmdebstrap failed (exit status 7)" in error.message
    assert error.details == tuple(str(number) for number in range(80, 100))


@pytest.mark.parametrize(
    ("wanted", "native"), [("amd64", "amd64"), ("i386", "amd64"), ("armhf", "arm64"), ("riscv64", "riscv64")]
)
def test_what_the_processor_runs(wanted: str, native: str, tmp_path: Path) -> None:
    check_architecture(wanted, native, tmp_path)


@pytest.mark.parametrize(
    ("wanted", "emulator"),
    [("arm64", "aarch64"), ("ppc64el", "ppc64le"), ("s390x", "s390x"), ("armhf", "arm")],
)
def test_what_is_emulated(wanted: str, emulator: str, tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        check_architecture(wanted, "amd64", tmp_path)
    assert f"programs of {wanted} can't run on this machine, which is amd64" == caught.value.message
    assert "qemu-user-static" in caught.value.hint
    file = tmp_path / f"qemu-{emulator}"
    file.write_text("disabled\ninterpreter /usr/bin/qemu\n")
    with pytest.raises(HostError):
        check_architecture(wanted, "amd64", tmp_path)
    file.write_text("enabled\ninterpreter /usr/bin/qemu\n")
    check_architecture(wanted, "amd64", tmp_path)
