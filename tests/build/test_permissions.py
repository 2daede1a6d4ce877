"""What a source asks for and what comes of it, with the real command."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Desk, Rules, as_user, make_desk, need

from bwbuild.permissions.asked import FILE

pytestmark = as_user

PERSIST = """\
[[request]]
permission = "persist=cache"
reason = "{reason}"
required = {required}
"""
HOSTILE = """\
[[request]]
permission = "{permission}"
reason = "it is needed"
required = true
"""
#: Leaves a mark in the directory that stays, and shows those of earlier builds.
MARK = 'place=$BWBUILD_PERSIST_CACHE; [ -z "$place" ] || { date >> $place/mark; wc -l < $place/mark; }'


def own_cache(desk: Desk) -> Desk:
    """With directories that stay of its own; views are those of all tests."""
    cache = desk.top / "cache"
    cache.mkdir()
    (desk.cache / "views").mkdir(parents=True, exist_ok=True)
    (cache / "views").symlink_to(desk.cache / "views")
    return Desk(desk.top, more={"BWBUILD_CACHE": str(cache)})


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return own_cache(make_desk(tmp_path / "desk", Rules(during=MARK)))


def ask(desk: Desk, text: str) -> None:
    (desk.tree / FILE).write_text(text, encoding="utf-8")


def persisting(*, required: bool = False, reason: str = "it compiles for hours") -> str:
    return PERSIST.format(reason=reason, required=str(required).lower())


def test_an_unanswered_request_changes_nothing(desk: Desk) -> None:
    before = desk.ok("--dry-run", "-b").out
    texts = ("share=network", "device=kvm", "env=HOME", "userns", "limit=memory:1T", "filesystem=~:rw")
    tables = (HOSTILE.format(permission=text).replace("true", "false") for text in texts)
    ask(desk, "".join(tables))
    done = desk.ok("--dry-run", "-b")
    assert done.out == before
    assert done.err.count("denied, nobody was asked") == len(texts)


def test_required_and_denied(desk: Desk) -> None:
    ask(desk, persisting(required=True))
    report = desk.top / "report"
    done = desk.run("-b", "--no-sign", "--report", report)
    assert done.status == 7
    assert "tiny can't be built without persist=cache" in done.err
    assert "hint: bwbuild grant tiny persist=cache grants it for good" in done.err
    assert (desk.published(), desk.left()) == ([], [])
    assert desk.report(report)["status"] == "permission"
    # What that command says is what is needed.
    assert desk.ok("grant", "tiny", "persist=cache").out == "tiny: persist=cache: always\n"
    desk.ok("-b", "--no-sign")
    desk.ok("-b", "--no-sign", "--report", report)
    assert "\n2\n" in desk.log()
    (use,) = desk.report(report)["permissions"]
    assert use == {
        "permission": "persist=cache",
        "purpose": "build",
        "asked": True,
        "granted": True,
        "why": "always",
        "reason": "it compiles for hours",
        "required": True,
        "used": "yes",
        "unknown": "",
    }
    assert ", used on 20" in desk.ok("grants").out
    # --deny wins.
    assert desk.run("-b", "--no-sign", "--deny", "persist=cache").status == 7
    # Another reason is another request.
    ask(desk, persisting(required=True, reason="it says something else"))
    assert desk.run("-b", "--no-sign").status == 7
    assert "persist=cache of tiny" in desk.ok("clean").out
    desk.ok("clean", "--remove")
    assert not list((desk.top / "cache" / "persist").iterdir())


def test_grants_and_revoke(desk: Desk) -> None:
    ask(desk, persisting())
    assert desk.ok("grants").out == "nothing was granted to any source\n"
    assert desk.run("grant", "tiny", "persist=cache").status == 2  # nobody has asked yet, as far as is known
    desk.ok("grant", ".", "persist=cache", "--never")
    desk.ok("-b", "--no-sign")
    assert "denied, never to be granted" in desk.log()
    assert json.loads(desk.ok("grants", "--json").out)["grants"][0]["answer"] == "never"
    desk.ok("revoke", "tiny", "persist=cache")
    assert desk.run("revoke", "tiny").status == 2
    assert "denied, nobody was asked" in desk.ok("-b", "--no-sign").err


def test_no_two_sources_share(desk: Desk) -> None:
    other = make_desk(desk.top / "other", Rules(during=MARK))
    other = Desk(other.top, more=dict(desk.more))
    for path in ("debian/control", "debian/changelog"):
        file = other.tree / path
        file.write_text(file.read_text().replace("tiny", "other"))
    for _ in range(2):
        desk.ok("-b", "--no-sign", "--allow", "persist=cache")
    other.ok("-b", "--no-sign", "--allow", "persist=cache")
    marks = sorted((desk.top / "cache" / "persist").glob("*/cache/data/mark"))
    assert [(mark.parts[-4], len(mark.read_text().splitlines())) for mark in marks] == [
        ("other", 1),
        ("tiny", 2),
    ]


def test_a_compilers_cache_has_hits(tmp_path: Path) -> None:
    need("ccache")
    lines = "echo 'int main;' > x.c; gcc -c x.c; ccache --print-stats | grep direct_cache_hit; rm x.*"
    desk = own_cache(make_desk(tmp_path / "desk", Rules(during=lines)))
    for hits in (0, 1):
        desk.ok("-b", "--no-sign", "--compiler-cache", "ccache")
        assert f"direct_cache_hit\t{hits}\n" in desk.log()
    assert "ccache" not in desk.ok("run", "--", "sh", "-c", "echo $PATH").out


def test_sccache_has_hits(tmp_path: Path) -> None:
    need("sccache")
    lines = "echo 'int main;' > x.c; sccache gcc -c x.c -o x.o; sccache --show-stats; rm x.*"
    desk = own_cache(make_desk(tmp_path / "desk", Rules(during=lines)))
    for hits in (0, 1):
        desk.ok("-b", "--no-sign", "--compiler-cache", "sccache")
        assert re.search(rf"^Cache hits +{hits}$", desk.log(), re.MULTILINE)


def test_what_is_given_unasked(desk: Desk) -> None:
    data = desk.home / "data"
    data.mkdir()
    (data / "file").write_text("DATA\n")
    look = f"cat {data}/file; ! touch {data}/new; echo $TOKEN; env | grep -c NOT_GIVEN || true"
    text = desk.inside(
        look,
        "--allow=filesystem=~/data:ro",
        "--allow=env=TOKEN",
        env={"TOKEN": "secret", "NOT_GIVEN": "x"},
    )
    assert text.endswith("DATA\nsecret\n0\n")
    assert not (data / "new").exists()
    desk.inside(f"touch {data}/new", "--allow", "filesystem=~/data:rw")
    assert (data / "new").exists()


#: Says what becomes of a connection to each of the two sockets.
CONNECTS = """\
use Socket;
for my $place ($ENV{WAYLAND_DISPLAY}, $ENV{PULSE_SERVER} =~ s/^unix://r) {
    socket(my $socket, PF_UNIX, SOCK_STREAM, 0);
    print connect($socket, sockaddr_un($place)) ? "connected\\n" : "$!\\n";
}
"""


def test_sockets_of_the_session(desk: Desk) -> None:
    runtime = Path(tempfile.mkdtemp(prefix="bwbuild-runtime-"))  # the path of a socket is short
    try:
        (runtime / "pulse").mkdir()
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
            for listener, name in ((one, "wayland-0"), (other, "pulse/native")):
                listener.bind(str(runtime / name))
                listener.listen()
            options = ("--allow", "socket=wayland", "--allow", "socket=pulseaudio")
            words = ("run", *options, "--", "perl", "-e", CONNECTS)
            done = desk.ok(*words, env={"XDG_RUNTIME_DIR": str(runtime)})
            assert done.out == "connected\nconnected\n"
            assert desk.run(*words).status == 4  # no session, no socket
    finally:
        shutil.rmtree(runtime)


def test_no_log_has_a_variable_that_may_be_secret(desk: Desk) -> None:
    desk.ok("-b", "--no-sign", "--allow", "env=TOKEN", env={"TOKEN": "s3cr3t-value"})
    assert "TOKEN=(granted; no log has its value)" in desk.log()
    assert "s3cr3t-value" not in desk.log()


NEVER = (
    *("socket=x11", "socket=session-bus", "env=PATH", "env=BWBUILD_CACHE"),
    *(f"filesystem={path}" for path in ("/", "/etc", "/run/user/0", "/tmp")),
)


@pytest.mark.parametrize("permission", NEVER)
def test_what_no_build_gets(permission: str, desk: Desk) -> None:
    ask(desk, HOSTILE.format(permission=permission))
    done = desk.run("-b", "--no-sign")
    assert (done.status, "bwbuild grant" in done.err) == (7, False), done.both
    for source in (".", "tiny"):
        done = desk.run("grant", source, permission)
        assert (done.status, "can't be granted to a build" in done.err) == (2, True), done.both
    done = desk.run("-b", "--no-sign", "--allow", permission)
    assert (done.status, "can't be granted to a build" in done.err) == (3, True), done.both
    assert desk.published() == []


def test_nobody_is_told_to_grant_what_can_not_be(desk: Desk) -> None:
    tables = (HOSTILE.format(permission=permission).replace("true", "false") for permission in NEVER)
    ask(desk, "".join(tables))
    done = desk.ok("--dry-run", "-b")
    assert done.err.count("denied, nobody was asked") == len(NEVER)
    assert "bwbuild grant" not in done.err


@pytest.mark.parametrize("permission", ["filesystem=/", "env=PATH"])
def test_what_was_granted_and_can_not_be_is_taken_back(permission: str, desk: Desk) -> None:
    """An earlier version let it be granted."""
    ask(desk, HOSTILE.format(permission=permission).replace("true", "false"))
    desk.ok("grant", ".", permission, "--never")
    path = desk.home / ".config/bwbuild/grants.json"
    path.write_text(path.read_text(encoding="ascii").replace('"never"', '"always"'), encoding="ascii")
    shown = permission + ":ro" * permission.startswith("filesystem")
    for words in (("-b", "--no-sign"), ("audit", "--no-probe")):
        done = desk.run(*words)
        assert done.status == 3
        assert f"bwbuild revoke tiny {shown} takes it back" in done.err
    desk.ok("revoke", "tiny", shown)
    desk.ok("--dry-run", "-b")


@pytest.mark.parametrize(
    "permission",
    [f"filesystem=~{path}" for path in ("/agents", "/agents/agent", "/keys", "/keys/id:rw", ":rw")],
)
def test_paths_that_no_build_gets(permission: str, desk: Desk) -> None:
    """They are a directory with a socket, a socket, what a symbolic link leads to, and what bwbuild obeys."""
    for name in ("agents", ".ssh", ".config/bwbuild"):
        (desk.home / name).mkdir(parents=True)
    (desk.home / ".ssh/id").touch()
    (desk.home / "keys").symlink_to(".ssh")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(desk.home / "agents/agent"))
    listener.close()
    ask(desk, HOSTILE.format(permission=permission))
    # What depends on the machine is said when it is looked for.
    desk.ok("grant", ".", permission)
    done = desk.run("-b", "--no-sign")
    assert (done.status, "can't be granted: " in done.err) == (3, True), done.both
    assert "bwbuild revoke tiny " in done.err
    desk.ok("revoke", "tiny")
    assert desk.run("-b", "--no-sign").status == 7
    done = desk.run("-b", "--no-sign", "--allow", permission)
    assert (done.status, "can't be granted: " in done.err) == (3, True), done.both
    assert "bwbuild revoke" not in done.err
    assert desk.published() == []


def test_deny_wins_however_it_is_written(desk: Desk) -> None:
    keys = desk.home / ".ssh"
    keys.mkdir()
    (desk.top / "link").symlink_to(desk.home)
    ask(desk, HOSTILE.format(permission=f"filesystem={keys}"))
    desk.ok("grant", ".", f"filesystem={keys}")
    desk.ok("--dry-run", "-b")
    for path in ("~", "~/.ssh", str(desk.home), f"{desk.top}/link"):
        done = desk.run("--dry-run", "-b", "--deny", f"filesystem={path}")
        assert (done.status, "forbids it" in done.err) == (7, True), done.both


@pytest.mark.parametrize(
    "content",
    [
        b"#" * (10 << 20),
        b"# a comment\n" * (1 << 20),
        b'[[request]]\npermission = "env=A"\nreason = "\x1b[2J"\n',
        b'[[request]]\npermission = "env=A"\nreason = "it\\u001b[2Jhides"\n',
        HOSTILE.format(permission="filesystem=/srv/../root").encode(),
        HOSTILE.format(permission="filesystem=~/../../root").encode(),
        b"a=[" * 9000,
        b"\xff",
    ],
    ids=["10 MB", "many lines", "escapes", "escaped", "..", "~/..", "nested", "no text"],
)
def test_hostile_files(content: bytes, desk: Desk) -> None:
    (desk.tree / FILE).write_bytes(content)
    done = desk.run("-b", "--no-sign")
    assert done.status == 5
    assert f"error: {FILE}: " in done.err
    assert "\x1b" not in done.both


def on_terminal(desk: Desk, talk: Callable[[int, list[str]], None], *words: str) -> tuple[int, str]:
    """Run the command on a terminal of its own; ``talk`` types there when it is asked something."""
    main, side = pty.openpty()
    # It gets the terminal as its own, so that what is typed may be a signal.
    child = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *desk.argv(*words)],
        cwd=desk.tree,
        env=desk.environment | {"TERM": "dumb"},
        stdin=side,
        stdout=side,
        stderr=side,
    )
    os.close(side)
    seen = [""]
    asked = 0
    end = time.monotonic() + 100
    while time.monotonic() < end:
        if select.select([main], [], [], 1)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:
                break
            seen[0] += data.decode("utf-8", "replace")
        if seen[0].count("ne(v)er [n]: ") > asked:
            asked += 1
            talk(main, seen)
    child.wait(30)
    os.close(main)
    return child.returncode, seen[0]


def typing(text: str) -> Callable[[int, list[str]], None]:
    return lambda terminal, _: (os.write(terminal, text.encode()), None)[1]


@pytest.mark.parametrize(
    ("typed", "status", "kept"),
    [
        ("a\n", 0, ["always"]),
        ("once\n", 0, []),
        ("\n", 7, ["no"]),
        ("yes please\n", 7, ["no"]),
        ("v\n", 7, ["never"]),
    ],
)
def test_the_user_is_asked(typed: str, status: int, kept: list[str], desk: Desk) -> None:
    ask(desk, persisting(required=True))
    ended, seen = on_terminal(desk, typing(typed), "-b", "--no-sign")
    assert ended == status, seen
    assert "1 of 1: persist=cache, and can't be built without it" in seen
    assert "its reason:  it compiles for hours" in seen
    assert "it exposes:  a directory of its own stays" in seen
    answers = [item["answer"] for item in json.loads(desk.ok("grants", "--json").out)["grants"]]
    assert [answer for answer in answers if answer != "no"] == [answer for answer in kept if answer != "no"]


def test_control_c_at_the_question(desk: Desk) -> None:
    ask(desk, persisting(required=True))
    ended, seen = on_terminal(desk, typing("\x03"), "-b", "--no-sign")
    assert ended == 130, seen
    assert "Traceback" not in seen
    assert json.loads(desk.ok("grants", "--json").out)["grants"] == []
    assert desk.left() == []


def test_the_naked_truth_about_keys(desk: Desk) -> None:
    (desk.home / ".ssh").mkdir()
    ask(desk, HOSTILE.format(permission="filesystem=~/.ssh"))
    ended, seen = on_terminal(desk, typing("n\n"), "-b", "--no-sign")
    assert ended == 7
    assert "DANGER: it reads ~/.ssh: who has your keys can be you" in seen


def test_git_buildpackage_is_never_asked(desk: Desk) -> None:
    ask(desk, persisting(required=True))
    (desk.tree / ".git").mkdir()
    asked_by_gbp = Desk(desk.top, more={**desk.more, "GBP_BUILD_DIR": str(desk.tree)})
    ended, seen = on_terminal(asked_by_gbp, typing("a\n"), "-b", "--no-sign")
    assert ended == 7
    assert "Grant it?" not in seen


def test_a_second_build_waits_for_the_directory(desk: Desk) -> None:
    rules = desk.tree / "debian" / "rules"
    first = desk.start("run", "--allow", "persist=cache", "--", "sh", "-c", "echo in; sleep 60")
    assert first.stdout is not None
    while first.stdout.readline().strip() != b"in":
        pass
    second = desk.start("run", "--allow", "persist=cache", "--", "true")
    assert second.stdout is not None
    time.sleep(2)
    assert second.poll() is None, rules
    assert "in use" in desk.ok("clean").out
    first.send_signal(signal.SIGTERM)
    first.wait(60)
    assert second.wait(60) == 0
    for child in (first, second):
        child.stdout.close()


def test_the_audit_says_how_they_stand(desk: Desk) -> None:
    ask(desk, persisting() + HOSTILE.format(permission="userns"))
    desk.ok("grant", ".", "persist=cache")
    found = json.loads(desk.ok("audit", "--no-probe", "--json").out)["permissions"]
    assert [(item["permission"], item["granted"], item["why"]) for item in found] == [
        ("persist=cache", True, "always"),
        ("allow=userns", False, "nobody was asked"),
    ]
    text = desk.ok("audit", "--no-probe").out
    assert "asked for; persist=cache: granted, always, no use was seen" in text
    assert "asked for; allow=userns: denied, nobody was asked" in text


def test_a_display_is_never_granted(desk: Desk) -> None:
    ask(desk, HOSTILE.format(permission="socket=x11").replace("true", "false"))
    done = desk.ok("-b", "--no-sign")
    assert "denied, nobody was asked: socket=x11 (it is needed); who draws on your display" in done.err
    done = desk.run("grant", ".", "socket=x11")
    assert (done.status, "xvfb-run" in done.err) == (2, True)
