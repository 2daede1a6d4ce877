"""Making generated files again: which, by what command, in what namespace."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from bwbuild.errors import HostError
from bwbuild.process import Completed
from bwbuild.root.contents import Cover
from bwbuild.root.remaking import NoViewError, Remaking, Target, targets

SCHEMAS = "/usr/share/glib-2.0/schemas/gschemas.compiled"
CACHE = "/etc/ld.so.cache"
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "opt": ""}
MADE = (Target(CACHE, ("ldconfig", "-C", CACHE)), Target(SCHEMAS, ("compile", "/a b")))


def test_targets_are_what_is_seen_and_can_be_made() -> None:
    seen = {CACHE, SCHEMAS, "/usr/share/own/file"}
    assert [target.path for target in targets(seen, frozenset({"libc-bin"}))] == [CACHE]
    both = frozenset({"libc-bin", "libglib2.0-0"})
    assert {target.path for target in targets(seen, both)} == {CACHE, SCHEMAS}
    assert targets({"/usr/share/own/file"}, both) == []
    (loader,) = targets({CACHE}, both)
    assert loader.command[-1] == CACHE


def remake(tmp_path: Path, *covers: Cover, made: tuple[Target, ...] = MADE) -> Remaking:
    return Remaking(tmp_path, covers or (Cover("usr", "/usr"),), LINKS, made)


def test_the_script_parses(tmp_path: Path) -> None:
    for listed in (False, True):
        cover = Cover("usr", "/usr", listed=listed)
        text = "\n".join(remake(tmp_path, cover, Cover("var-lib-ghc", "/var/lib/ghc")).script())
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_layers(tmp_path: Path) -> None:
    text = "\n".join(remake(tmp_path).script())
    assert "lowerdir=usr:/usr,upperdir=ns/usr.upper,workdir=ns/usr.work bwbuild ns/usr" in text
    assert "tmpfs -o" not in text
    assert "cp /usr/share/glib-2.0/schemas/gschemas.compiled ns/usr.upper/share/glib-2.0/schemas\n" in text


def test_what_is_listed_is_hidden_in_memory(tmp_path: Path) -> None:
    lines = list(remake(tmp_path, Cover("usr", "/usr", listed=True)).script())
    memory = lines.index("mount -t tmpfs -o mode=755 bwbuild ns")
    hide = lines.index("hide /usr ns/usr.over < usr.hidden")
    (mount,) = (number for number, line in enumerate(lines) if "lowerdir=ns/usr.over:usr:/usr" in line)
    assert memory < hide < mount


def test_programs_run_without_network_capability_and_environment(tmp_path: Path) -> None:
    (line,) = (line for line in remake(tmp_path).script() if "bwrap" in line.split(" ", 5))
    words = shlex.split(line)
    assert words[:2] == ["env", "-i"]
    assert {"--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent"} <= set(words)
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert ("--symlink", "usr/bin", "/bin") in zip(words, words[1:], words[2:], strict=False)
    assert "/opt" not in words
    assert "remake 1 compile '/a b'" in words[-1]


def answer(monkeypatch: pytest.MonkeyPatch, returncode: int, out: str, err: str = "") -> None:
    def run(argv: tuple[str, ...], **_: object) -> Completed:
        return Completed(argv, returncode, out.encode(), err.encode())

    monkeypatch.setattr("bwbuild.process.run", run)


def test_what_was_made_and_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 0, "1 no such schema\n")
    made, failed = remake(tmp_path).run()
    assert made == {}, "what is in /etc is made in place"
    assert failed == (f"{SCHEMAS}: no such schema",)


def test_what_was_made_lies_in_the_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 0, "")
    assert remake(tmp_path).run() == ({SCHEMAS: tmp_path / "remade" / "1"}, ())


def test_a_program_may_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 0, "0 \n")
    assert remake(tmp_path).run()[1] == (f"{CACHE}: ",)


def test_a_refusal_of_the_kernel_keeps_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "mount: ns/usr: wrong fs type\n  dmesg(1) may have more"
    answer(monkeypatch, 32, "", said)
    with pytest.raises(NoViewError) as error:
        remake(tmp_path).run()
    assert isinstance(error.value, HostError)
    assert error.value.details == tuple(said.splitlines())
