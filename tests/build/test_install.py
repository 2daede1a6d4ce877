"""``pip install .`` brings a command that builds, helpers of the sandbox included."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bwbuild.process import run

ROOT = Path(__file__).resolve().parents[2]


def test_pip_install(tmp_path: Path) -> None:
    # From a copy, because setuptools leaves its build directory in the source.
    source, target, tree = tmp_path / "source", tmp_path / "installed", tmp_path / "work" / "tree"
    source.mkdir()
    shutil.copytree(ROOT / "bwbuild", source / "bwbuild", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [
        "/usr/bin/python3",
        "-m",
        "pip",
        "install",
        "--no-index",
        "--no-build-isolation",
        "--no-deps",
        "--quiet",
    ]
    run([*pip, "--target", target, source], timeout=300)

    page = Path("bwbuild", "corpus", "reports", "page")
    assert {path.name for path in (target / page).iterdir()} >= {"page.html", "page.css", "page.js"}
    shutil.copytree(ROOT / "testpkgs" / "python-all" / "tree", tree)
    environment = {**os.environ, "PYTHONPATH": str(target), "HOME": str(tmp_path)}
    command = [target / "bin" / "bwbuild", "-b", "--no-sign", "--quiet"]
    done = run(command, cwd=tree, env=environment, check=False, timeout=300)

    assert done.returncode == 0, done.stderr.decode()
    assert [path.suffix for path in sorted(tree.parent.glob("*.deb"))] == [".deb"]
