"""The launcher: names of all kinds come through the shell as they are."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_plans import ALONE, SUPERUSER, plan
from made_scripts import files

from bwbuild.config.settings import IdentityChoice, Workspace
from bwbuild.process import run
from bwbuild.sandbox import guard, script
from bwbuild.sandbox.identity import CONTAINER_IDS
from bwbuild.sandbox.spec import Identity, IdentityKind

HOSTILE = [
    b"with space",
    b"new\nline",
    b"quote's",
    b'double"quote',
    b"$(touch pwned)",
    b"`touch pwned`",
    b"${HOME}",
    b"back\\slash",
    b"colon:comma,",
    b"percent%s",
    b"brace{}s",
    b"-rf",
    b"not \xff\xfe utf-8",
    b"END_OF_FILE",
    "umlaut \u00e4".encode(),
    b"glob*?[a]",
    b"!bang #hash ~tilde &;|<>",
]
KINDS = [{}, {"workspace": Workspace.IN_PLACE}, {"identity": IdentityChoice.SINGLE}, {"caller": SUPERUSER}]


def parts(text: str) -> Iterator[str]:
    """The script and the files that it writes."""
    yield text
    yield from files(text).values()


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("kind", KINDS, ids=["overlay", "in place", "single", "copy"])
def test_script_is_of_good_syntax(tmp_path: Path, name: bytes, kind: dict[str, object]) -> None:
    made = plan(tree=b"/home/joe/" + name + b"/" + name, **kind).script
    file = tmp_path / "script"
    file.write_bytes(os.fsencode(made))
    run(["sh", "-n", file])
    for part in parts(made):
        if "bwrap" in part:
            file.write_bytes(os.fsencode(part))
            run(["sh", "-n", file])


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_name_of_the_tree_is_one_word(tmp_path: Path, name: bytes) -> None:
    tree = b"/home/joe/" + name
    made = plan(tree=tree).script
    (line,) = (line for line in re.split(r"\n(?=mount|mkdir|hide)", made) if line.startswith("mount --rbind"))
    echo = "set -f; printf '%s\\0' " + line.removeprefix("mount --rbind").partition(" ns/tree.lower")[0]
    assert (
        run(["sh", "-c", os.fsencode(echo).decode("utf-8", "surrogateescape")]).stdout
        == b"--\0" + tree + b"\0"
    )


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_words_of_the_command_come_through(tmp_path: Path, name: bytes) -> None:
    """The line of bwrap, run with a bwrap that prints its words."""
    word = os.fsdecode(name)
    made = plan(command=("echo", word), caller_environment={"CFLAGS": word})
    (inner,) = (part for part in list(parts(made.script))[1:] if 'bwrap "$@"' in part)
    lines = inner[inner.index("printf '%s\\0' \\\n") :]
    lines = lines.replace(
        f"exec {guard.start(made.sandbox.restraints, made.sandbox.ceilings)}", "printf '%s\\0'", 1
    )
    for wanted in made.sandbox.restraints.filters:
        (tmp_path / f"filter.{wanted.name}").touch()
    file = tmp_path / "line"
    file.write_bytes(b"BWBUILD_SCRATCH='/s c'\nset --\n" + os.fsencode(lines))
    command = run(["sh", file], cwd=tmp_path).stdout.split(b"\0")[:-1]
    words = (tmp_path / "options").read_bytes().split(b"\0")[:-1]
    assert command[:3] == [b"--args", b"3", b"--"]
    assert command[-2:] == [b"echo", name]
    assert words[words.index(b"CFLAGS") + 1] == name
    assert b"/s c/ns/inside" in words


def test_title_can_not_leave_its_comment() -> None:
    made = script.launcher(plan().sandbox, {}, "x\nrm -rf /\r\x1b[2J")
    assert made.splitlines()[1] == "# x?rm -rf /??[2J"


def test_etc_files_are_written_as_they_are() -> None:
    made = plan()
    found = files(made.script)
    for name, text in made.etc_files.items():
        assert found[f"etc/{name}"] == text


def test_name_that_ends_the_files_is_only_a_name(tmp_path: Path) -> None:
    """Of a tree's path with such a line, what comes after it would be run outside of the sandbox."""
    made = plan(tree=b"/home/joe/x\nEND_OF_FILES\ntouch outside\n/y").script
    directory = tmp_path / "scratch"
    directory.mkdir()
    stopped = made.replace("\nunshare --user --mount true\n", "\nexit 3\n")
    environment = {"PATH": "/usr/bin:/bin", "BWBUILD_SCRATCH": str(directory)}
    done = run(["sh", "-c", stopped], cwd=tmp_path, env=environment, check=False)
    assert done.returncode in {1, 3}, done.stderr
    assert "touch outside" in (directory / "namespace").read_text()
    assert not (directory / "outside").exists()


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (
            Identity(IdentityKind.SINGLE, 0, 0),
            "unshare --user --keep-caps --mount --propagation private --map-root-user"
            " setpriv --pdeathsig KILL --",
        ),
        (
            Identity(IdentityKind.RANGE, 1500, 1501),
            "unshare --user --keep-caps --mount --propagation private"
            " --map-user=1500 --map-group=1501 --map-auto"
            " setpriv --reuid=0 --regid=0 --keep-groups --pdeathsig KILL --",
        ),
        (
            Identity(IdentityKind.RANGE, 1000, 1000, 524288),
            "unshare --user --keep-caps --mount --propagation private"
            " setpriv --reuid=0 --regid=0 --clear-groups --pdeathsig KILL --",
        ),
    ],
    ids=["single", "range", "root"],
)
def test_entry(identity: Identity, words: str) -> None:
    assert shlex.join(script.entry(identity)) == words


def test_map_of_root_never_has_id_0_outside() -> None:
    made = plan(caller=SUPERUSER).script
    for name in ("uid_map", "gid_map"):
        assert f'echo "0 {CONTAINER_IDS[0].start} 65536" > "/proc/$pid/{name}"' in made
    assert "--map-root-user" not in made


def test_single_id_needs_no_helper() -> None:
    made = plan(caller=ALONE).script
    assert "--map-auto" not in made
    assert "--map-root-user" in made


def test_launcher_starts_nothing_for_a_parent_that_is_gone() -> None:
    assert '[ -z "${BWBUILD_PARENT-}" ] || [ "$PPID" = "$BWBUILD_PARENT" ] || exit 125' in plan().script


@pytest.mark.parametrize("kind", ["script", "inside"])
def test_helpers_are_of_good_syntax(tmp_path: Path, kind: str) -> None:
    for name, text in script.inside_files().items():
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        run(["sh", "-n", file] if text.startswith("#!/bin/sh") else ["perl", "-c", file])
