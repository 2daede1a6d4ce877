"""What is said of a source that apt can't fetch."""

from __future__ import annotations

from bwbuild.root.sources import unfetched


def test_name_that_the_suite_does_not_have() -> None:
    error = unfetched(
        "helo", "trixie", ["Reading package lists...", "E: Unable to find a source package for helo"]
    )
    assert error.message == "helo can't be fetched from trixie"
    assert "check its name" in error.hint
    assert error.details == ("E: Unable to find a source package for helo",)


def test_file_that_the_mirror_does_not_have() -> None:
    lines = [
        "E: Failed to fetch http://m/pool/h/hello_2.10-5.debian.tar.xz  404  Not Found",
        "E: Failed to fetch some.",
    ]
    error = unfetched("hello", "trixie", lines)
    assert "--base-mirror" in error.hint
    assert error.details == tuple(lines)
