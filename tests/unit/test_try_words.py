"""bwbuild try: what is only computed: commands, manifests, pictures, the bus's log, what was learned."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
import zlib
from collections import Counter
from pathlib import Path

import pytest

from bwbuild.build.watch.limits import Limits
from bwbuild.build.watch.limits import Seen as Watched
from bwbuild.errors import UsageError
from bwbuild.permissions.exposes import exposure
from bwbuild.permissions.finish_args import translate
from bwbuild.permissions.words import Permission, parse
from bwbuild.sandbox.spec import Guest
from bwbuild.trace.parse import Event, Kind
from bwbuild.tryout import (
    capabilities,
    desktop,
    difference,
    explaining,
    grants,
    helpers,
    homes,
    picture,
    programs,
    record,
    telling,
    written,
    x11,
)
from bwbuild.tryout.bus import calls, is_wanted, words
from bwbuild.tryout.difference import Installation, Item, Texts
from bwbuild.tryout.learned import Learned, Seen, learn
from bwbuild.tryout.shots import Shots
from bwbuild.tryout.values import Account, Asked, Refused

ENTRY = """\
[Desktop Entry]
Type=Application
Name=Editor
Exec=env A="b c" editor --new %U 100%%
[Desktop Action x]
Exec=other
"""


def test_programs_of_lists_of_files() -> None:
    files = [
        "/.",
        "/usr/bin/a",
        "usr/games/b",
        "/usr/sbin/c",
        "/usr/bin",
        "/bin/d",
        "/usr/share/bin/e",
        "usr/bin/a",
    ]
    assert programs.of_lists(files) == ("a", "b", "d")
    entries = ["/usr/share/applications/x.desktop", "usr/share/applications/y.txt"]
    assert programs.entries_of_lists(entries) == ("usr/share/applications/x.desktop",)


def test_command_of_a_desktop_file() -> None:
    assert programs.of_entry(ENTRY) == ("env", "A=b c", "editor", "--new", "100%")
    assert programs.of_entry(ENTRY.replace("Name=Editor", "NoDisplay=true")) == ()
    assert programs.of_entry('[Desktop Entry]\nExec="unclosed') == ()
    assert programs.of_entry("\x00\xff") == ()


def test_default_command() -> None:
    assert programs.default(["only"], {}, "x") == ("only",)
    assert programs.default(["a", "b"], {"x.desktop": ("a", "-g")}, "x") == ("a", "-g")
    with pytest.raises(UsageError, match="has no program"):
        programs.default([], {}, "x")
    with pytest.raises(UsageError, match="2 desktop files that start something") as told:
        programs.default([], {"a.desktop": ("a b",), "b.desktop": ("c", "-d")}, "x")
    assert told.value.details == ("'a b'", "c -d")
    with pytest.raises(UsageError, match="has 2 programs") as raised:
        programs.default(["a", "b"], {"x.desktop": ()}, "x")
    assert raised.value.details == ("a", "b")


def test_near_names() -> None:
    programs.check("/anywhere/x", set())
    programs.check("ls", {"ls"})
    with pytest.raises(UsageError) as raised:
        programs.check("xclok", {"xclock", "oclock", "true"})
    programs.check("/usr/bin/ls", {"ls"})
    with pytest.raises(UsageError, match="there is no command '/usr/bin/lss'"):
        programs.check("/usr/bin/lss", {"ls"})
    assert raised.value.hint.startswith("did you mean xclock")


def dump(width: int, height: int, pixels: bytes, line: int) -> bytes:
    words_ = [100, 7, 2, 24, width, height, 0, 0, 32, 0, 32, 32, line, 4, 0, 0, 0, 8, 256, 2, 0, 0, 0, 0, 0]
    return struct.pack(">25I", *words_) + bytes(2 * 12) + pixels


def test_picture_of_a_dump() -> None:
    row = bytes((1, 2, 3, 0, 4, 5, 6, 0))
    found = picture.of_dump(dump(2, 2, (row + bytes(4)) * 2, 12))
    assert found.pixels == bytes((3, 2, 1, 6, 5, 4)) * 2
    assert not found.is_blank
    assert picture.Picture(2, 1, bytes((7, 8, 9)) * 2).is_blank
    data = found.png
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at], "big")
    assert zlib.decompress(data[at + 4 : at + 4 + size]) == (b"\0" + bytes((3, 2, 1, 6, 5, 4))) * 2


@pytest.mark.parametrize("data", [b"", bytes(100), dump(2, 2, b"", 8), dump(1 << 20, 1, b"", 1 << 22)])
def test_what_is_no_dump(data: bytes) -> None:
    with pytest.raises(ValueError, match="window dump"):
        picture.of_dump(data)


def test_authority() -> None:
    cookie = bytes(range(16))
    assert x11.authority(cookie) == (b"\xff\xff\0\0\0\0\0\x12MIT-MAGIC-COOKIE-1\0\x10" + cookie)


def greet(server: socket.socket) -> None:
    """An X server without vendor or formats, whose root window is 7; both names have the number 9."""
    client, _ = server.accept()
    with client:
        client.recv(4096)
        body = bytes(32) + struct.pack("<I", 7)
        client.sendall(struct.pack("<BxHHH", 1, 11, 0, len(body) // 4) + body)
        for _ in range(2):
            client.recv(4096)
            client.sendall(struct.pack("<BxHIII", 1, 0, 0, 9, 0) + bytes(16))


def test_server_whose_path_is_longer_than_an_address(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 120)
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(10)
        held = os.open(directory, os.O_PATH)
        server.bind(f"/proc/self/fd/{held}/X0")
        os.close(held)
        server.listen()
        thread = threading.Thread(target=greet, args=(server,))
        thread.start()
        with x11.connected(directory / "X0", x11.new_cookie()) as connection:
            assert connection.root == 7
        thread.join()


LOG = """\
C1: -> org.freedesktop.DBus call org.freedesktop.DBus.Hello at /org/freedesktop/DBus
C2: -> org.freedesktop.DBus fake AddMatch for org.example.A
C9: -> org.example.Secret call org.example.Secret.Get at /
*HIDDEN* (ping)
C10: -> org.example.Secret call org.example.Secret.Get at /
*HIDDEN* (ping)
C11: -> org.example.A call org.example.A.Get at /a
B11: <- :1.5 return from C11
C12: -> org.freedesktop.DBus call org.freedesktop.DBus.RequestName at /
Filtering message due to arg0 org.example.Bad, policy: 0 (required 3)
*HIDDEN* (ping)
C13: -> org.freedesktop.DBus call org.freedesktop.DBus.RequestName at /
C14: -> org.freedesktop.DBus call org.freedesktop.DBus.StartServiceByName at /
Filtering message due to arg0 org.freedesktop.systemd1, policy: 0 (required 2)
*HIDDEN* (ping)
C15: -> :1.7 call org.example.X.Get at /
*HIDDEN* (ping)
C16: -> org.freedesktop.DBus call org.freedesktop.DBus.Monitoring.BecomeMonitor at /
*DENIED* (ping)
"""


def test_log_of_the_proxy() -> None:
    found = calls(LOG)
    assert found.reached == Counter({"org.example.A": 1})
    assert found.refused == Counter(
        {
            parse("talk=org.example.Secret"): 2,
            parse("own=org.example.Bad"): 1,
            parse("talk=org.freedesktop.systemd1"): 1,
        }
    )
    assert found.owns
    assert found.denied == Counter({"BecomeMonitor": 1})
    told = [refused.what for refused in telling.refused_by_bus(found)]
    assert "BecomeMonitor of the session bus itself" in told


def test_words_of_the_proxy() -> None:
    granted = [parse("talk=org.example.A"), parse("own=org.example.B"), parse("share=network")]
    assert is_wanted(granted)
    assert not is_wanted(granted[2:])
    assert words(granted) == (
        *("--filter", "--log", "--talk=org.freedesktop.portal.*"),
        *("--talk=org.example.A", "--own=org.example.B"),
    )


def test_learning() -> None:
    seen = Seen()
    data, ssh = Path("/srv/data"), "/home/doe/.ssh/id"
    seen.take(
        [
            Event(Kind.OPEN, "p", "/home/bwbuild/data/x", "/srv/data/x"),
            Event(Kind.OPEN, "p", "/usr/lib/y", "/usr/lib/y"),
            Event(Kind.WRITE, "p", "/usr/z", "", "EROFS"),
            Event(Kind.WRITE, "p", "/usr/z", "", "EROFS"),
            Event(Kind.OPEN, "p", ssh, "", "ENOENT"),
            Event(Kind.CONNECT, "p", "127.0.0.1:80", "", "ECONNREFUSED"),
            Event(Kind.CONNECT, "p", "192.0.2.1:80", "", "ENETUNREACH"),
            Event(Kind.CONNECT, "p", "@/tmp/.X11-unix/X0", "", "ECONNREFUSED"),
            Event(Kind.CONNECT, "p", "/run/bwbuild-permits/wayland"),
        ]
    )
    path = parse("filesystem=/srv/data:rw")
    granted = [path, parse("socket=wayland"), parse("device=dri"), parse("talk=org.example.A")]
    found = learn(seen, calls(LOG), granted, {path: data}, {ssh: "~/.ssh/id"})
    assert list(map(str, found.permissions)) == [
        "filesystem=/srv/data:ro",
        "socket=wayland",
        "talk=org.example.A",
    ]
    assert list(map(str, found.idle)) == ["device=dri"]
    wanted = {str(permission): times for permission, times in found.wanted.items()}
    assert wanted["share=network"] == 1
    assert wanted["socket=x11"] == 1
    assert wanted["filesystem=~/.ssh/id:ro"] == 1
    assert found.refused == {"write /usr/z": 2, "BecomeMonitor of the session bus itself": 1}
    assert found.opened == ("/srv/data/x", "/usr/lib/y")


WITHIN = "/home/bwbuild/data"
LINES_OF_USES = {
    "made": ([(Kind.CHANGE, f"{WITHIN}/sub", "")], "rw"),
    "made where it went": ([(Kind.ENTER, WITHIN, ""), (Kind.CHANGE, "sub", "")], "rw"),
    "made where it went from home": ([(Kind.ENTER, "data/", ""), (Kind.CHANGE, "sub", "")], "rw"),
    "made elsewhere": ([(Kind.STAT, f"{WITHIN}/f", ""), (Kind.CHANGE, "sub", "")], "ro"),
    "made at home": ([(Kind.CHANGE, "sub", "")], ""),
    "named from home": ([(Kind.CHANGE, "data/sub", "")], "rw"),
    "removed in vain": ([(Kind.CHANGE, f"{WITHIN}/sub", "ENOENT")], "rw"),
    "refused": ([(Kind.CHANGE, f"{WITHIN}/sub", "EROFS")], ""),
    "looked at": ([(Kind.STAT, f"{WITHIN}//f", "")], "ro"),
    "looked at in vain": ([(Kind.STAT, f"{WITHIN}/f", "ENOENT")], ""),
    "run": ([(Kind.EXEC, f"{WITHIN}/f", "")], "ro"),
    "run where it is": ([(Kind.LOOK, "/srv/data/f", "")], "ro"),
    "beside it": ([(Kind.WRITE, f"{WITHIN}2/f", "")], ""),
}


@pytest.mark.parametrize("use", LINES_OF_USES)
def test_what_a_path_was_used_for(use: str) -> None:
    done, mode = LINES_OF_USES[use]
    permission = parse("filesystem=~/data:rw")
    data = Path("/srv/data")
    seen = Seen({WITHIN: data}, [data])
    seen.take(Event(kind, "p", path, error=error) for kind, path, error in done)
    found = learn(seen, None, [permission], {permission: data}, {})
    assert list(map(str, found.permissions)) == ([f"filesystem=~/data:{mode}"] if mode else [])


def test_use_of_a_path_is_seen_among_much_else() -> None:
    permission = parse("filesystem=~/data:rw")
    data = Path("/srv/data")
    seen = Seen({WITHIN: data}, [data])
    seen.take(Event(Kind.STAT, "p", f"/usr/{number}") for number in range(60_000))
    seen.take(Event(Kind.OPEN, "p", f"/usr/{number}") for number in range(10_000))
    seen.take([Event(Kind.CONNECT, "p", "192.0.2.1:80")])
    seen.take(Event(Kind.OPEN, "p", f"/usr/lib/{number}") for number in range(60_000))
    seen.take([Event(Kind.CHANGE, "p", f"{WITHIN}/sub")])
    granted = (permission, parse("share=network"))
    assert learn(seen, None, granted, {permission: data}, {}).permissions == granted


def test_what_was_contacted() -> None:
    seen = Seen()
    seen.take(
        [
            Event(Kind.CONNECT, "p", "/var/run/nscd/socket", error="ENOENT"),
            Event(Kind.CONNECT, "p", "192.0.2.1:80", error="EINPROGRESS"),
            Event(Kind.SEND, "p", "192.0.2.2:9"),
            Event(Kind.SEND, "p", "127.0.0.1:9"),
        ]
    )
    network = parse("share=network")
    assert learn(seen, None, [network], {}, {}).permissions == (network,)
    assert learn(seen, None, [], {}, {}).contacted == ("127.0.0.1:9", "192.0.2.1:80", "192.0.2.2:9")
    unreachable = Seen()
    unreachable.take([Event(Kind.SEND, "p", "192.0.2.1:9", error="ENETUNREACH")])
    assert learn(unreachable, None, [], {}, {}).wanted == {network: 1}


def test_what_the_caller_has_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "Documents").mkdir()
    for name in ("Documents/d", ".bashrc"):
        (tmp_path / name).touch()
    names = ("Documents/d", "Documents/e", ".bashrc", "../x")
    found = record.hidden([f"/home/bwbuild/{name}" for name in names])
    assert found == {"/home/bwbuild/Documents/d": "~/Documents/d"}


def test_nothing_is_learned_that_was_not_granted() -> None:
    seen = Seen()
    seen.take(
        [Event(Kind.CONNECT, "p", "192.0.2.1:80"), Event(Kind.OPEN, "p", "/dev/dri/card0", "", "ENOENT")]
    )
    found = learn(seen, None, [], {}, {})
    assert found.permissions == ()
    assert set(map(str, found.wanted)) == {"share=network", "device=dri"}


def test_proposal_can_be_pasted() -> None:
    found = Learned((parse("filesystem=~/my data:ro"),), wanted={parse("share=network"): 2})
    lines = list(telling.proposal(found))
    assert "--allow 'filesystem=~/my data:ro'" in lines[1]
    assert lines[2] == "what it looked for besides: --allow share=network"


def test_account_in_words() -> None:
    files = tuple(("+", f"f{number}", 1) for number in range(20))
    account = Account(3, written=files, left=("d", "d", "e"), refused=(Refused("x", 2),), blind=("y",))
    lines = list(telling.lines(account))
    assert "ended with the sandbox: d (2), e" in lines[0]
    assert "written in the home: 20 files" in lines
    assert "  and 8 more" in lines
    assert "refused: x (2 times)" in lines
    assert "not known: y" in lines


def test_limits_that_ended_nothing_are_told() -> None:
    limits = Limits(processes=100, tmp=1 << 20, shm=1 << 20)
    assert telling.refused_by_limits(Watched(tasks=99), limits) == ()
    full = Watched(tasks=107, full=frozenset({Guest("/tmp")}))
    assert [refused.what for refused in telling.refused_by_limits(full, limits)] == [
        "more than 100 processes; --limit-processes NUMBER allows it more",
        "more than 1.0 MiB in /tmp; --limit-tmp SIZE makes it larger",
    ]
    assert telling.refused_by_limits(full, Limits()) == ()


def test_what_was_written(tmp_path: Path) -> None:
    for name in ("same", "changed", "gone"):
        (tmp_path / name).write_text(name)
    before = written.look(tmp_path)
    (tmp_path / "changed").write_text("another text")
    (tmp_path / "gone").unlink()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "new").symlink_to("/etc/passwd")
    after = written.look(tmp_path)
    assert written.compare(before, after) == (("~", "changed", 12), ("+", "d/new", 11), ("-", "gone", 4))


def test_what_a_program_has_closed_is_not_gone(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("d/f", "open"):
        (tmp_path / name).touch()
    before = written.look(tmp_path)
    # As the look finds them who may not enter them; root may.
    after = {path: how for path, how in before.items() if path != "d/f"} | {"d/": (0, 0, 0)}
    assert written.compare(before, after) == ()
    assert written.compare(after, before) == ()
    if os.getuid() != 0:
        (tmp_path / "d").chmod(0)
        assert written.look(tmp_path) == after
        (tmp_path / "d").chmod(0o700)


class Screen:
    """A display on which a test shows something, and a clock."""

    def __init__(self) -> None:
        self.pixels, self.count, self.time = bytes(12), 0, 0.0

    def shown(self) -> int:
        return self.count

    def windows(self) -> list[x11.Window]:
        return [x11.Window("w", 2, 2)] * self.count

    def picture(self) -> picture.Picture:
        return picture.Picture(2, 2, self.pixels)

    def ends(self, shots: Shots) -> float:
        while not shots.look():
            self.time += 0.5
            assert self.time < 1000
        return self.time


def test_when_a_picture_is_taken() -> None:
    screen = Screen()
    shots = Shots(screen, lambda: screen.time)  # type: ignore[arg-type]
    assert screen.ends(shots) == 120
    assert (shots.picture, shots.waited) == (None, 120)
    screen = Screen()
    screen.count = 1
    shots = Shots(screen, lambda: screen.time)  # type: ignore[arg-type]
    assert screen.ends(shots) == 20.5
    assert shots.picture is not None
    assert shots.picture.is_blank
    assert (shots.windows, shots.waited) == (screen.windows(), 0)
    screen = Screen()
    screen.count, screen.pixels = 1, bytes(range(12))
    shots = Shots(screen, lambda: screen.time)  # type: ignore[arg-type]
    assert screen.ends(shots) == 2


def test_server_where_only_xpra_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"xpra"}
    monkeypatch.setattr(helpers, "is_there", found.__contains__)
    assert desktop._server(Asked()) == "xpra"
    assert desktop._server(Asked(screenshot=Path("x.png"))) == "xvfb"
    found.add("Xephyr")
    assert desktop._server(Asked()) == "xephyr"


def test_place_in_the_home_that_an_earlier_grant_has_left(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    home = homes.Home(tmp_path, is_new=True)
    target = tmp_path / "data"
    with homes.linked(home, {"~/data/f": target / "f"}) as failed:
        assert failed == ()
        assert (home.path / "data" / "f").is_symlink()
    with homes.linked(home, {"~/data": target}) as failed:
        assert failed == ()
        assert (home.path / "data").readlink() == target
    assert not (home.path / "data").is_symlink()
    (home.path / "data").mkdir()
    (home.path / "data" / "own").touch()
    with homes.linked(home, {"~/data": target}) as failed:
        assert failed == ("~/data",)
    assert (home.path / "data" / "own").exists()


@pytest.mark.parametrize(
    ("word", "grave"),
    [
        *(("talk=ca.desrt.dconf", True), ("talk=org.gnome.Shell", True)),
        ("talk=org.freedesktop.impl.portal.PermissionStore", True),
        ("talk=org.freedesktop.impl.portal.*", True),
        ("talk=org.example.A", False),
    ],
)
def test_names_that_do_much(word: str, grave: bool) -> None:
    assert exposure(parse(word)).grave is grave


def test_a_graphics_card_is_no_disk() -> None:
    for name in ("dri", "kvm", "fuse"):
        assert "disks" not in "".join(explaining.lines(grants.read([f"device={name}"], [], None), {}))


def test_home_that_is_too_deep(tmp_path: Path) -> None:
    there = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=there)
        below = os.open("d", os.O_RDONLY, dir_fd=there)
        os.close(there)
        there = below
    os.close(there)
    (tmp_path / "near").touch()
    assert set(written.look(tmp_path)) == {"near"}
    # Whoever walks the temporary directory later has his trouble with it, pytest too.
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_difference() -> None:
    data = b"".join(
        (
            b"+\tf\t4755\t0\t0\t\t\tusr/bin/a\0\0",
            b"+\tf\t755\t0\t0\t\t0100000200200000000000000000000000000000\tusr/bin/ping\0\0",
            b"+\td\t755\t0\t0\t\t\tvar/lib/a\0\0",
            b"+\tf\t644\t7\t0\t\t\tvar/lib/a/\tmade\0\0",
            b"+\tf\t666\t7\t0\t\t\tvar/lib/open\0\0",
            b"+\td\t1777\t0\t0\t\t\tvar/lib/sticky\0\0",
            b"~\tf\t600\t7\t0\tmode owner\t\tetc/hostname\0\0",
            b"-\tc\t0\t0\t0\t\t\tusr/bin/old\0\0",
            b"+\tl\t777\t0\t0\t\t\tetc/systemd/system/x.wants/a.service\0/lib/a.service\0",
            b"+\tl\t777\t0\t0\t\t\tusr/lib/systemd/system/x.wants/b.service\0../b.service\0",
            b"~\tf\t644\t0\t0\tcontents\t\tvar/lib/dpkg/status\0\0",
            b"+\tf\t644\t0\t0\t\t\tvar/lib/dpkg/alternatives/ed\0\0",
            b"+\tf\t644\t0\t0\t\t\tvar/log/own.log\0\0",
            b"~\tf\t644\t0\t0\tcontents\t\tvar/log/dpkg.log\0\0",
            b"+\td\t755\t0\t0\t\t\tvar/cache/debconf/tmp.ci\0\0",
            b"~\tf\t644\t0\t0\tcontents\t\tvar/cache/debconf/config.dat\0\0",
            b"+\tf\t644\t0\t0\t\t\tetc/keep-\0\0",
            b"+\tf\t644\t0\t0\t\t\tetc/passwd-\0\0",
        )
    )
    items = difference.parse(data)
    service = "etc/systemd/system/x.wants/a.service"
    assert Item("+", "l", 0o777, 0, 0, service, "/lib/a.service") in items
    before = Texts("root:x:0:0::/:/bin/sh\n", diversions="")
    after = Texts(before.passwd + "d:x:7:7::/:/bin/false\n", diversions="/a\n/b\np\n")
    found = Installation(
        ("a 1",), items, {"usr/bin/a"}, before, after, "Processing triggers for libc-bin (2)\n"
    )
    text = "\n".join(difference.lines(found))
    for line in (
        "files of the packages:\n  1 new ones",
        "gone: /usr/bin/old\n",
        "new: /var/lib/a/\tmade\n",
        "/usr/bin/a (mode 4755, owner root:0)",
        "users:\n  new: d (7:7::/:/bin/false)",
        "new group: ed",
        "new enabled: /etc/systemd/system/x.wants/a.service",
        "new enabled: /usr/lib/systemd/system/x.wants/b.service",
        "capabilities of files:\n  /usr/bin/ping (cap_net_raw=ep)",
        "changed: /etc/hostname (mode 0600, owner d:0)",
        "new: /var/lib/open (mode 0666)",
        "new: /var/lib/sticky/\n",
        "new: /var/log/own.log",
        "new: /etc/keep-",
        "new: /a to /b by p",
        "ran: those of libc-bin",
        "no changes: groups, overridden modes",
    ):
        assert line in text, text
    assert "var/cache/debconf/config.dat" in text
    for path in ("dpkg/status", "dpkg.log", "passwd-", "tmp.ci"):
        assert path not in text


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("0100000200200000000000000000000000000000", "cap_net_raw=ep"),
        ("0000000200200000000000000000000000000000", "cap_net_raw=p"),
        ("010000020000200000002000000000000000000000", "cap_sys_admin=eip"),
        ("0100000301000000000000000001000000000000a0860100", "cap_chown,cap_checkpoint_restore=ep"),
        ("0000000200000000000000000000008000000000", "63=p"),
        ("", ""),
    ],
)
def test_capabilities_of_a_file(attribute: str, words: str) -> None:
    assert capabilities.words(attribute) == words


def test_finish_args() -> None:
    found = translate(
        [
            *("--share=network", "--share=ipc", "--socket=fallback-x11", "--device=dri", "--filesystem=home"),
            *("--filesystem=xdg-music:ro", "--filesystem=host:ro", "--talk-name=org.example.A", "--env=A=b"),
            *(
                "--nosocket=wayland",
                "--persist=.x",
                "--share=network",
                "--bogus",
                "--talk-name=nonsense name",
            ),
        ]
    )
    assert list(map(str, found.allow)) == [
        *("share=network", "device=dri", "filesystem=xdg-music:ro"),
        "talk=org.example.A",
    ]
    assert found.fallback
    assert found.deny == (Permission("socket", "wayland"),)
    assert found.environment == {"A": "b"}
    assert [argument for argument, _ in found.without] == [
        *("--share=ipc", "--filesystem=home", "--filesystem=host:ro", "--bogus", "--talk-name=nonsense name"),
    ]


@pytest.mark.parametrize(
    "argument",
    [
        *("--filesystem=/tmp", "--filesystem=/run/media:ro", "--filesystem=/var/lib/x", "--filesystem=~"),
        *("--filesystem=xdg-config", "--filesystem=xdg-data:create"),
        *("--env=PATH=/usr/bin:/app/bin", "--env=LD_LIBRARY_PATH=/app", "--env=X=--icons=/run/host/icons"),
    ],
)
def test_finish_args_that_no_root_can_have(argument: str) -> None:
    found = translate([argument])
    assert [name for name, _ in found.without] == [argument]
    assert not found.allow
    assert not found.environment


@pytest.mark.parametrize(
    ("argument", "permission"),
    [
        ("--filesystem=home:ro", "filesystem=~:ro"),
        ("--filesystem=/var/tmp/x", "filesystem=/var/tmp/x:rw"),
        ("--filesystem=/tmp/x:ro", "filesystem=/tmp/x:ro"),
        ("--filesystem=xdg-config/x", "filesystem=xdg-config/x:rw"),
        ("--filesystem=data", "filesystem=~/data:rw"),
    ],
)
def test_paths_of_finish_args(argument: str, permission: str) -> None:
    found = translate([argument, "--env=A=/srv/app:/application:x/app"])
    assert list(map(str, found.allow)) == [permission]
    assert found.environment == {"A": "/srv/app:/application:x/app"}


def test_what_is_granted(tmp_path: Path) -> None:
    manifest = tmp_path / "m.json"
    manifest.write_text('{"finish-args": ["--socket=wayland", "--filesystem=/srv/a"] // said\n}')
    found = grants.read(["filesystem=/srv/a", "share=network"], ["socket=wayland"], manifest)
    assert list(map(str, found.permissions)) == ["share=network", "filesystem=/srv/a:rw"]
    denied = grants.read(["filesystem=/srv/a:rw"], ["filesystem=/srv/a"], None)
    assert denied.permissions == ()
    assert found.hoped == {Permission("filesystem", "/srv/a", writable=True)}
    assert not found.fallback
    manifest.write_text('{"finish-args": ["--socket=fallback-x11"]}')
    assert grants.read([], [], manifest).fallback
    assert not grants.read([], ["socket=x11"], manifest).fallback
    # The bus comes with each name, and the portals with the bus.
    names = ["talk=org.example.A", "own=org.example.B", "socket=session-bus", "share=network"]
    assert grants.read(names, ["socket=session-bus"], None).permissions == (parse("share=network"),)
    with pytest.raises(UsageError, match="of no use here"):
        grants.read(["persist=x"], [], None)


def test_what_was_learned_is_denied(tmp_path: Path) -> None:
    learned = tmp_path / "learned.json"
    words_ = ["filesystem=~/data:rw", "socket=x11", "talk=org.example.A", "share=network"]
    learned.write_text(json.dumps({"version": 1, "permissions": words_}))
    denied = grants.read([], ["filesystem=~/data", "socket=x11", "socket=session-bus"], None)
    assert record.only(learned, denied).permissions == (parse("share=network"),)
    assert len(record.only(learned, grants.read(["share=network"], [], None)).permissions) == 4


def test_paths_are_compared_by_what_they_mean() -> None:
    places = {"~": "/home/joe", "xdg-documents": "/home/joe/Documents"}

    def read(*allowed: str, deny: tuple[str, ...] = ()) -> list[str]:
        words = ([f"filesystem={path}" for path in paths] for paths in (allowed, deny))
        return [
            str(item).removeprefix("filesystem=") for item in grants.read(*words, None, places).permissions
        ]

    assert read("/home/joe/.ssh", "~/data", deny=("~/.ssh",)) == ["~/data:ro"]
    assert read("~", "/srv", deny=("~/.ssh",)) == ["/srv:ro"]
    assert read("~/Documents/a:rw", "xdg-documents:rw", "/home/joe/Documents") == ["xdg-documents:rw"]
    # Below what is written something may be only read.
    assert read("~/data:rw", "~/data/old") == ["~/data:rw", "~/data/old:ro"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.json", "{", "no JSON"),
        ("m.json", '{"finish-args": [1]}', "no list finish-args"),
        ("m.yml", "a: [", "no YAML"),
        ("m.yml", "- x", "no list finish-args"),
        ("m.json", "[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        grants.read([], [], tmp_path / name)
