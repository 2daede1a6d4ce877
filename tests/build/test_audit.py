"""``bwbuild audit`` with the real command: what it says of builds and of other sandboxes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import COMMAND, ROOT, Desk, Done, as_user, discard, make_desk, need, snapshot

EXPOSED = 16
#: Around bwrap, as people write it: /tmp and the tree's parent writable, environment and terminal inherited.
CLASSIC = """\
#!/bin/sh
parent=$(dirname "$(pwd -P)")
set -- --proc /proc --dev /dev --bind /tmp /tmp --bind "$parent" "$parent" \\
  --unshare-user --uid 0 --gid 0 --unshare-net --unshare-pid --unshare-ipc \\
  --new-session --die-with-parent "$@"
for link in bin sbin lib lib64; do set -- --symlink "usr/$link" "/$link" "$@"; done
for dir in /usr /etc /var/lib/dpkg; do set -- --ro-bind "$dir" "$dir" "$@"; done
"""
TIGHT = (
    *("bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
    *("--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc"),
    *("--dev", "/dev", "--tmpfs", "/tmp"),
)


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk with a home directory that has keys, where other ids can reach it."""
    need("bwrap", "perl")
    with tempfile.TemporaryDirectory(prefix="bwbuild-test.", dir="/var/tmp") as directory:
        top = Path(directory)
        top.chmod(0o755)
        made = make_desk(top / "desk")
        (made.home / ".ssh").mkdir()
        yield made
        discard(made.scratch)


def found(done: Done) -> dict[str, Any]:
    document = json.loads(done.out)
    assert isinstance(document, dict)
    return document


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in document["findings"]}


def bad(document: dict[str, Any]) -> dict[str, int]:
    return {row["name"]: row["badness"] for row in document["findings"] if row["badness"]}


def test_the_default_build_is_safe(desk: Desk) -> None:
    tree = desk.parent / "no-debhelper"
    shutil.copytree(ROOT / "testpkgs" / "no-debhelper" / "tree", tree)
    before = snapshot(tree)
    document = found(desk.ok("audit", "--json", tree))
    assert document["label"] == "SAFE", bad(document)
    assert document["subject"].startswith("a build of no-debhelper ")
    assert document["probed"]
    looked = {name for name, row in rows(document).items() if row["probe"] == "confirmed"}
    for name in ("home", "keys", "/tmp", "sockets", "net namespace", "nested namespaces", "session keyring"):
        assert name in looked
    for name in ("descriptors", "capabilities", "setuid programs", "environment", "writable system"):
        assert name in looked
    assert not [row for row in rows(document).values() if row["probe"] == "seen"]
    assert snapshot(tree) == before
    assert desk.left() == []


RELAXED = [
    ("--no-seccomp", {"attacked calls", "families of sockets", "other ABIs"}),
    ("--allow=userns", {"nested namespaces", "calls to mount"}),
    ("--foreign-abi", {"other ABIs"}),
    ("--build-as=root", {"capabilities"}),
    ("--view=host", {"system", "/etc"}),
]


@pytest.mark.parametrize(("option", "names"), RELAXED)
def test_each_option_that_weakens_is_seen_inside(desk: Desk, option: str, names: set[str]) -> None:
    usual, weak = found(desk.ok("audit", "--json")), found(desk.ok("audit", "--json", option))
    more = {name for name, badness in bad(weak).items() if badness > bad(usual).get(name, 0)}
    assert names <= more
    assert weak["exposure"] > usual["exposure"]
    assert not [row for row in rows(weak).values() if row["probe"] == "seen"], "argv and probe agree"


@as_user
def test_in_place(desk: Desk) -> None:
    document = found(desk.ok("audit", "--json", "--in-place"))
    assert document["label"] == "EXPOSED"
    for name in ("parent directory", "source tree"):
        assert (rows(document)[name]["badness"], rows(document)[name]["probe"]) == (10, "confirmed")


@as_user
def test_root_alone(desk: Desk) -> None:
    document = found(desk.ok("audit", "--json", "--identity", "single"))
    assert bad(document)["users"] == 3


def test_without_a_tree(desk: Desk) -> None:
    done = desk.ok("audit", "--no-probe", cwd=desk.home)
    assert "a made-up source, since no tree is here" in done.out
    assert "Nobody looked inside" in done.out
    assert done.out.rstrip().endswith("SAFE")


def test_threshold(desk: Desk) -> None:
    exposure = found(desk.ok("audit", "--json", "--no-probe"))["exposure"]
    assert desk.run("audit", "--no-probe", "--threshold", str(exposure)).status == 0
    done = desk.run("audit", "--no-probe", "--threshold", str(exposure - 0.1))
    assert done.status == EXPOSED
    assert "capabilities" in done.out
    assert desk.run("audit", "--no-probe", "--threshold", "nan").status == 2


def script(desk: Desk, last: str) -> subprocess.CompletedProcess[str]:
    """The classic script with ``last`` in front of its bwrap."""
    path = desk.top / "classic"
    path.write_text(f'{CLASSIC}exec {last} bwrap "$@"\n', encoding="utf-8")
    return subprocess.run(
        ["sh", path, "dpkg-buildpackage", "-us", "-uc", "-b"],
        cwd=desk.tree,
        env=desk.environment | {"TOKEN": "secret"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@as_user
def test_the_classic_script_is_unsafe(desk: Desk) -> None:
    before = snapshot(desk.parent)
    done = script(desk, " ".join([*COMMAND, "audit", "--json", "--"]))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["exposure"], document["label"]) == (9.0, "UNSAFE")
    row = rows(document)
    for name in ("/tmp", "parent directory", "source tree", "sockets", "environment", "nested namespaces"):
        assert row[name]["badness"] == row[name]["range"], name
        assert row[name]["probe"] == "confirmed", name
    for name in ("net namespace", "pid namespace", "capabilities", "setuid programs"):
        assert (row[name]["badness"], row[name]["probe"]) == (0, "confirmed"), name
    assert snapshot(desk.parent) == before, "its command was not run"


def audited(desk: Desk, *words: str, **more: Any) -> dict[str, Any]:
    return found(desk.ok("audit", "--json", "--", *words, **more))


def test_a_socket_below_a_bind_is_found(desk: Desk, tmp_path: Path) -> None:
    place = tmp_path / "s"
    place.mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        tight = audited(desk, *TIGHT, "--ro-bind", str(place), "/mnt", "true")
        made.bind(str(place / "agent"))
        loose = audited(desk, *TIGHT, "--ro-bind", str(place), "/mnt", "true")
    assert "sockets" not in bad(tight)
    assert rows(loose)["sockets"]["probe"] == "seen"
    assert rows(loose)["sockets"]["evidence"] == "/mnt/agent"
    assert loose["label"] == "UNSAFE"


def by_another_name(desk: Desk, probing: str, source: str, target: str) -> dict[str, dict[str, Any]]:
    """The findings where ``source``, with a home directory in it, is bound at ``target``."""
    words = ("audit", "--json", probing, "--", *TIGHT, "--bind", source, target, "true")
    document = found(desk.ok(*words, cwd=desk.home))
    assert document["exposure"] == 9.0
    for name in ("home", "keys", "results", "signing"):
        row = rows(document)[name]
        assert row["badness"] == row["range"], name
    return rows(document)


@pytest.mark.parametrize(("source", "target"), [("LINK", "/h"), ("//HOME", "//h"), ("..", "src")])
def test_the_home_by_another_name(desk: Desk, tmp_path: Path, source: str, target: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(desk.home)
    path = source.replace("LINK", str(link)).replace("HOME", str(desk.home))
    row = by_another_name(desk, "--probe", path, target)
    assert (row["home"]["probe"], row["keys"]["probe"]) == ("confirmed", "confirmed")


def test_the_home_by_another_name_without_a_look(desk: Desk) -> None:
    for source in (desk.home / ".." / desk.home.name, ".", "/proc/self/cwd"):
        by_another_name(desk, "--no-probe", str(source), "/h")


def test_keys_elsewhere(desk: Desk, tmp_path: Path) -> None:
    (desk.home / ".ssh").rmdir()
    (desk.home / ".ssh").symlink_to(tmp_path)
    document = audited(desk, *TIGHT, "--ro-bind", str(tmp_path.parent), "/k", "true")
    assert (rows(document)["keys"]["badness"], rows(document)["keys"]["probe"]) == (1, "confirmed")


def test_what_the_proposed_changes_change(desk: Desk, tmp_path: Path) -> None:
    """--size before --tmpfs, streams that are no terminal, /run covered where /var/run is a link to it."""
    sized = (*TIGHT[:-2], "--size", "99999", "--tmpfs", "/tmp", "--size", "99999", "--tmpfs", "/dev/shm")
    document = audited(desk, *sized, "true")
    assert not {"limit of /tmp", "limit of /dev/shm", "streams"} & set(bad(document))
    assert {"limit of /tmp", "limit of /dev/shm"} <= set(bad(audited(desk, *TIGHT, "true")))
    if os.path.realpath("/var/run") == "/run":
        covered = ("--unshare-all", "--ro-bind", "/", "/", "--tmpfs", "/run", "--tmpfs", "/tmp", "true")
        document = found(desk.ok("audit", "--json", "--no-probe", "--", "bwrap", *covered))
        assert "sockets" not in bad(document)
    first, second = os.openpty()
    try:
        assert bad(audited(desk, *TIGHT, "true", stdin=second))["streams"] == 10
    finally:
        os.close(first)
        os.close(second)


def test_a_fifo_in_usr(desk: Desk, tmp_path: Path) -> None:
    """No package has one, but it is looked for there too."""
    place = tmp_path / "share"
    place.mkdir()
    os.mkfifo(place / "fifo")
    document = audited(desk, *TIGHT, "--ro-bind", str(place), "/usr/share", "true")
    assert rows(document)["sockets"]["evidence"] == "/usr/share/fifo"


def test_open_files_of_the_caller(desk: Desk) -> None:
    assert bad(audited(desk, *TIGHT, "true"))["descriptors"] == 3
    descriptor = os.open(desk.home, os.O_RDONLY)
    try:
        document = audited(desk, *TIGHT, "true", pass_fds=[descriptor])
    finally:
        os.close(descriptor)
    assert bad(document)["descriptors"] == 10
    assert rows(document)["descriptors"]["probe"] == "confirmed"


def test_a_filter_is_known_by_what_it_does(desk: Desk, tmp_path: Path) -> None:
    need_library = pytest.importorskip("seccomp")
    filters = tmp_path / "filter"
    made = need_library.SyscallFilter(need_library.ALLOW)
    made.add_rule(need_library.ERRNO(1), "mount")
    with filters.open("wb") as file:
        made.export_bpf(file)
    descriptor = os.open(filters, os.O_RDONLY)
    try:
        document = audited(desk, *TIGHT, "--seccomp", str(descriptor), "true", pass_fds=[descriptor])
    finally:
        os.close(descriptor)
    assert rows(document)["calls to mount"]["badness"] == 0
    assert rows(document)["attacked calls"]["badness"] == 1
    assert bad(document)["descriptors"] == 3, "that of the filter is not the caller's"
    without = found(desk.ok("audit", "--json", "--no-probe", "--", *TIGHT, "--seccomp", "9", "true"))
    assert rows(without)["calls to mount"]["badness"] == 1


def test_an_unknown_argument_is_the_worst_case(desk: Desk) -> None:
    document = audited(desk, *TIGHT, "--new-thing", "true")
    assert (document["exposure"], document["label"]) == (10.0, "DANGEROUS")
    assert rows(document)["arguments"]["evidence"] == "--new-thing"


def test_what_is_not_bwrap(desk: Desk) -> None:
    done = desk.run("audit", "--", "make", "all")
    assert done.status == 2
    assert "make is not bwrap" in done.err
    done = desk.run("audit", "--", "bwrap")
    assert done.status == 2
    assert "bwrap alone is no command line" in done.err
    done = desk.run("audit", "--", "/nonexistent/bwrap", *TIGHT[1:], "true")
    assert done.status == 4
    assert "/nonexistent/bwrap is no program" in done.err
    assert "apt install" not in done.err


def test_a_command_line_that_does_not_start(desk: Desk) -> None:
    done = desk.run("audit", "--", *TIGHT, "--ro-bind", "/nonexistent", "/x", "true")
    assert done.status == 4
    assert "--no-probe" in done.err
    assert found(desk.ok("audit", "--json", "--no-probe", "--", *TIGHT, "true"))["probed"] is False
