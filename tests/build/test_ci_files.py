"""The files for CI say nothing that GitLab or GitHub would refuse."""

from __future__ import annotations

import re
import subprocess

import pytest
from ci_files import FILES, HOOKS, jobs, parsed
from support import ROOT, need

from bwbuild.config.settings import OPTIONS

pytest.importorskip("yaml")

GITLAB: dict[str, set[str]] = {
    "job": {"extends", "image", "variables", "before_script", "script", "rules", "cache", "artifacts"},
    "cache": {"key", "paths", "when"},
    "artifacts": {"when", "paths", "reports"},
    "rules": {"exists"},
}
GITHUB = {
    "top": {"name", True, "permissions", "jobs"},  # YAML takes the word on for a truth value
    "job": {"runs-on", "container", "defaults", "env", "steps"},
    "step": {"name", "run", "uses", "with", "if", "working-directory"},
}
#: Set by the systems themselves.
GIVEN = {
    "CI_BUILDS_DIR",
    "CI_JOB_ID",
    "CI_PROJECT_DIR",
    "GITHUB_WORKSPACE",
    "GITHUB_ENV",
    "GITHUB_STEP_SUMMARY",
}


def test_all_files_are_known() -> None:
    assert {path.name for path in HOOKS.glob("*.yml")} == set(FILES)


def test_gitlab_knows_all_keys() -> None:
    found = parsed("gitlab-ci.yml")
    assert set(found) == {"variables", ".bwbuild", "package", "corpus"}
    for name in (".bwbuild", "package", "corpus"):
        job = found[name]
        assert set(job) <= GITLAB["job"]
        assert set(job.get("cache", {})) <= GITLAB["cache"]
        assert set(job.get("artifacts", {})) <= GITLAB["artifacts"]
        assert all(set(rule) <= GITLAB["rules"] for rule in job.get("rules", []))
        for line in [*job.get("before_script", []), *job.get("script", [])]:
            assert isinstance(line, str), f"YAML takes {line!r} for something else than a command"
    assert found["corpus"]["artifacts"]["reports"]["junit"] == "result/junit.xml"


@pytest.mark.parametrize("name", FILES[1:])
def test_github_knows_all_keys(name: str) -> None:
    found = parsed(name)
    assert set(found) == GITHUB["top"]
    for job in found["jobs"].values():
        assert set(job) <= GITHUB["job"]
        for step in job["steps"]:
            assert set(step) <= GITHUB["step"]
            assert ("run" in step) is not ("uses" in step)


@pytest.mark.parametrize("name", FILES)
def test_commands_are_sound(name: str) -> None:
    need("shellcheck")
    for job in jobs(name):
        for part in job.parts:
            given = "".join(
                f"export {variable}=x\n" for variable in sorted({*job.variables, *GIVEN, "RESULT"})
            )
            done = subprocess.run(
                ["shellcheck", "--shell=bash", "-"],
                input=(given + part.script).encode(),
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize("name", FILES)
def test_all_that_bwbuild_needs_is_installed(name: str) -> None:
    setup = (ROOT / "tools" / "setup").read_text(encoding="ascii")
    needed = re.search(r'^RUN="([^"]+)"', setup, re.MULTILINE)
    assert needed is not None
    for job in jobs(name):
        text = "\n".join(part.script for part in job.parts).replace("\\\n", " ")
        line = next(line for line in text.split("\n") if "apt-get install" in line)
        assert {*needed[1].split(), "mmdebstrap", "zstd"} <= set(line.split())


@pytest.mark.parametrize("name", FILES)
def test_variables_are_those_of_settings(name: str) -> None:
    """Others that begin like them are refused by the command."""
    known = {f"BWBUILD_{key.upper().replace('.', '_').replace('-', '_')}" for key in OPTIONS}
    text = (HOOKS / name).read_text(encoding="ascii")
    found = set(re.findall(r"\bBWBUILD_[A-Z_]+", text))
    assert found
    assert found <= known
