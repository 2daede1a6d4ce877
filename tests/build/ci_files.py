"""The files for CI in hooks/, read as their systems would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from support import ROOT

HOOKS = ROOT / "hooks"
FILES = ("gitlab-ci.yml", "github-actions.yml", "github-actions-corpus.yml")


@dataclass(frozen=True, slots=True)
class Part:
    """A bash script that ends at its first failure.

    :ivar directory: below the workspace; ``always``: it is run even if one before it failed.
    """

    script: str
    directory: str = ""
    always: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One job: what is set, and its commands."""

    name: str
    variables: Mapping[str, str]
    parts: tuple[Part, ...]


def parsed(name: str) -> dict[Any, Any]:
    """The file as it is."""
    import yaml  # noqa: PLC0415 - without it the tests that need it are skipped

    found: dict[Any, Any] = yaml.safe_load((HOOKS / name).read_text(encoding="ascii"))
    return found


def jobs(name: str) -> Iterator[Job]:
    """All jobs of a file."""
    found = parsed(name)
    if name.startswith("gitlab"):
        for job in ("package", "corpus"):
            # As `extends` does it: tables are merged, lists replaced.
            whole = {**found[found[job]["extends"]], **found[job]}
            script = "\n".join([*whole["before_script"], *whole["script"]])
            yield Job(job, {**found["variables"], **whole["variables"]}, (Part(script),))
    else:
        for job, whole in found["jobs"].items():
            steps = [step for step in whole["steps"] if "run" in step]
            parts = (
                Part(step["run"], step.get("working-directory", ""), step.get("if") == "always()")
                for step in steps
            )
            yield Job(job, whole["env"], tuple(parts))
