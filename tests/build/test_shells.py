"""Completions in the real shells, and manual pages as man renders them."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ROOT, need

#: What is typed, and what must and must not be offered.
LINES = [
    ("bwbuild sh", {"shell"}, {"doctor"}),
    ("bwbuild --lintian-o", {"--lintian-opt"}, {"--log"}),
    ("bwbuild -S -Pnocheck -j4 -us --lintian-o", {"--lintian-opt"}, set()),
    ("bwbuild --source-only", {"--source-only-changes"}, set()),
    ("bwbuild --keep ", {"never", "failure", "always"}, set()),
    ("bwbuild -b --keep al", {"always"}, {"never"}),
    ("bwbuild root ", {"create", "list", "remove", "shell", "update"}, set()),
    ("bwbuild root create --arch", {"--architecture"}, set()),
    ("bwbuild doctor --js", {"--json"}, set()),
    ("bwbuild -S tr", {"tree/"}, {"root"}),
    ("bwbuild --output tr", {"tree/"}, set()),
    ("bwbuild --no-such-option --js", set(), {"--json"}),
    ("bwbuild --allow sock", {"socket=wayland"}, {"socket=x11", "socket=session-bus"}),
    ("bwbuild try --allow sock", {"socket=x11", "socket=session-bus"}, {"share=network"}),
    ("bwbuild try --deny ", {"talk=", "share=network"}, {"persist=", "limit=memory:"}),
    ("bwbuild try --x11 ", {"auto", "xephyr", "xpra", "xvfb"}, set()),
    ("bwbuild policy --only ", {"network", "umask"}, {"must", "all"}),
    ("bwbuild policy --only network --count m", {"must"}, {"network"}),
    ("bwbuild corpus run --lin", {"--lintian", "--lintian-opt"}, set()),
    ("bwbuild corpus run -S --jobs 2 --source-only", {"--source-only-changes"}, set()),
    ("bwbuild corpus run -b --keep ", {"never", "failure", "always"}, set()),
    ("bwbuild corpus run --re", {"--repeat", "--resume", "--reverse-depends"}, {"--report"}),
    ("bwbuild corpus run --keep never tr", {"tree/"}, set()),
]

Complete = Callable[[str], set[str]]

_ZSH = """\
zmodload zsh/zpty
zpty shell 'zsh -f -i'
zpty -w shell "PS1= ; stty cols 200; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w shell "LISTMAX=1000; setopt no_always_last_prompt; echo re''ady"
zpty -r shell seen '*ready*'
zpty -w -n shell "$2"$'\\C-d\\t\\C-e\\t'
sleep 4
zpty -r -t shell seen '*'
while zpty -r -t shell more; do seen+=$more; done
print -r -- "$seen"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated files, a command on the way, and a directory with something to name."""
    top = tmp_path_factory.mktemp("shells")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["/usr/bin/python3", ROOT / "docs/generate.py", top / "usr"]
    subprocess.run(words, env=environment, check=True)
    (top / "bin").mkdir()
    command = top / "bin" / "bwbuild"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec /usr/bin/python3 -m bwbuild "$@"\n')
    command.chmod(0o755)
    (top / "work" / "tree").mkdir(parents=True)
    return top


def run(place: Path, *words: str | Path) -> str:
    """What a shell writes, started where ``tree`` is."""
    environment = {
        "PATH": f"{place}/bin:/usr/bin:/bin",
        "HOME": str(place),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        list(map(str, words)),
        cwd=place / "work",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def offered_by_bash(place: Path, line: str) -> set[str]:
    """What bash would insert: what the function offers, and where it offers files these."""
    script = """\
    . "$1"
    COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=($2)
    case $2 in *" ") COMP_WORDS+=("") ;; esac
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    compopt() { [ "$2" = default ] && files=-f; [ "$2" = dirnames ] && files=-d; true; }
    _bwbuild_completion bwbuild
    printf '%s\\n' "${COMPREPLY[@]}"
    [ -z "${files-}" ] || compgen $files -S / -- "${COMP_WORDS[COMP_CWORD]}" || true"""
    source = place / "usr/share/bash-completion/completions/bwbuild"
    return set(run(place, "bash", "-c", script, "bash", source, line).split())


def offered_by_fish(place: Path, line: str) -> set[str]:
    """What fish lists for the line."""
    source = place / "usr/share/fish/vendor_completions.d/bwbuild.fish"
    script = f"source {source}; complete -C '{line}'"
    found = run(place, "fish", "--no-config", "-c", script)
    return {item.split("\t")[0] for item in found.splitlines()}


def offered_by_zsh(place: Path, line: str) -> set[str]:
    """What zsh shows or inserts on a terminal of its own, the function autoloaded for the first time."""
    directory = place / "usr/share/zsh/vendor-completions"
    return set(run(place, "zsh", "-f", "-c", _ZSH, "zsh", directory, line).split())


@pytest.mark.parametrize(("line", "wanted", "other"), LINES, ids=[line for line, _, _ in LINES])
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_words_are_completed(place: Path, shell: str, line: str, wanted: set[str], other: set[str]) -> None:
    need(shell)
    found = {"bash": offered_by_bash, "fish": offered_by_fish}[shell](place, line)
    assert wanted <= found
    assert not other & found


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("bwbuild --keep ", {"never", "failure", "always"}),
        ("bwbuild -S -Pnocheck --lintian-o", {"--lintian-opt"}),
    ],
)
def test_zsh_completes_at_once(place: Path, line: str, wanted: set[str]) -> None:
    need("zsh")
    found = offered_by_zsh(place, line)
    assert all(any(word in item for item in found) for word in wanted), found


@pytest.mark.parametrize("page", ["man1/bwbuild.1", "man1/gbp-bwbuild.1", "man5/bwbuild.toml.5"])
def test_pages_are_rendered_without_warnings(place: Path, page: str) -> None:
    need("man", "groff")
    words = ["man", "--warnings", "-E", "UTF-8", "-l", str(place / "usr/share/man" / page)]
    environment = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "NAME" in done.stdout
    assert not re.search(r"@[A-Z]+@", done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_generator_says_how_it_is_used() -> None:
    with pytest.raises(SystemExit, match="usage"):
        runpy.run_path(str(ROOT / "docs/generate.py"), run_name="__main__")
