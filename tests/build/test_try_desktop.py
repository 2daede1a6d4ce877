"""bwbuild try with real programs and real servers: what is granted works, what is not fails when it is tried.

Each test has a session of its own: a bus, an Xvfb, weston or pulseaudio, which stand for the user's desktop.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import made_suites as suites
import pytest
from made_debs import make_deb
from made_suites import Bases
from support import Desk, discard, need, wait_for

pytestmark = pytest.mark.long

#: Types into whatever has the focus, and reads the clipboard, as programs of the display that they are given.
SPY = """\
xinput --list > /dev/null 2>&1
timeout 6 xev -root > ~/seen 2>&1 &
(timeout 6 xinput test-xi2 --root > ~/raw 2>&1) &
sleep 1; echo ready; sleep 4
echo "clipboard: $(xclip -o -selection clipboard 2>&1)"
echo "raw: $(grep -c 'RawKeyPress' ~/raw)"
"""


@dataclass
class Session:
    """A user's desktop, as far as a test has started it."""

    desk: Desk
    top: Path
    environment: dict[str, str] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        log = (self.top / f"{Path(words[0]).name}.log").open("wb")
        child = subprocess.Popen(
            words,
            env=self.desk.environment | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.stack.callback(log.close)
        self.stack.callback(child.wait)
        self.stack.callback(child.terminate)
        return child

    def argv(self, *words: str) -> list[str]:
        return self.desk.argv("try", *words)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*words),
            cwd=self.desk.tree,
            env=self.desk.environment | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=1200,
            check=False,
        )

    def outside(self, *words: str) -> str:
        done = subprocess.run(
            words,
            env=self.desk.environment | self.environment,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return done.stdout

    def with_display(self) -> None:
        need("Xvfb", "xdotool", "xclip", "xwininfo")
        # Clients look for an abstract socket first, and those are of all that share a network namespace.
        used = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace")
        free = (n for n in range(90, 200) if f"/tmp/.X11-unix/X{n}\n" not in used)
        number = next(n for n in free if not Path(f"/tmp/.X11-unix/X{n}").exists())
        self.start("Xvfb", f":{number}", "-screen", "0", "1400x900x24", "-nolisten", "tcp")
        wait_for(Path(f"/tmp/.X11-unix/X{number}").is_socket)
        self.environment["DISPLAY"] = f":{number}"

    def with_bus(self) -> None:
        need("dbus-daemon", "xdg-dbus-proxy", "gdbus")
        path = self.top / "bus"
        self.start("dbus-daemon", "--session", "--nofork", f"--address=unix:path={path}")
        wait_for(path.is_socket)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={path}"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, bases: Bases) -> Iterator[Desk]:
    top = tmp_path_factory.mktemp("desktop")
    yield bases.desk(top)
    discard(top / "cache")


@pytest.fixture
def session(stage: Desk, tmp_path: Path) -> Iterator[Session]:
    # A path of a socket may be no longer than a hundred characters.
    with suites_runtime(tmp_path) as runtime:
        found = Session(stage, runtime, {"XDG_RUNTIME_DIR": str(runtime), "TERM": "xterm"})
        with found.stack:
            yield found


@contextmanager
def suites_runtime(_tmp_path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="try-", dir="/var/tmp") as name:
        yield Path(name)


def pixels(png: Path) -> bytes:
    """The rows of a PNG that bwbuild has written."""
    data = png.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, rows = 8, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            rows += data[at + 8 : at + 8 + size]
        at += 12 + size
    return zlib.decompress(rows)


def test_console_game_and_tool_of_a_library(session: Session) -> None:
    done = session.run("bsdgames", "--", "sh", "-c", "primes 100 110; ls /usr/games | wc -l")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("101\n103\n107\n109\n")
    tool = session.run(
        "libxml2-utils", "--", "sh", "-c", "echo '<a><b/></a>' | xmllint --xpath 'count(//b)' -"
    )
    assert (tool.returncode, tool.stdout.strip()) == (0, "1"), tool.stderr


def test_game_on_a_terminal(session: Session) -> None:
    """sl draws on a terminal of its own, whose size is the caller's, and ends by itself."""
    need("script")
    words = " ".join(
        ["stty cols 100 rows 30;", *(f"'{word}'" for word in session.argv("sl", "--", "sl", "-l"))]
    )
    drawn = session.outside("script", "--quiet", "--return", "--command", words, "/dev/null")
    assert drawn.count("\x1b[") > 100
    assert "nothing was written in the home" in drawn


def test_picture_of_an_x_program(session: Session, tmp_path: Path) -> None:
    need("Xvfb")
    png = tmp_path / "clock.png"
    done = session.run("x11-apps", "--screenshot", str(png), "--", "xclock", "-title", "The time \x1b[31m")
    assert done.returncode == 0, done.stderr
    assert re.search(r"window 'The time .*31m', \d+x\d+", done.stderr), done.stderr
    assert "\x1b" not in done.stderr
    rows = pixels(png)
    assert len(rows) == 800 * (1 + 3 * 1280)
    assert len(set(rows)) > 3
    # That it has a display is no matter of what is granted.
    learned = session.run("x11-apps", "--learn", "--screenshot", str(png), "--", "xclock")
    assert "what it needs of what it had: --allow socket=x11;" in learned.stderr
    assert "refused: socket=x11" not in learned.stderr
    words = ("--only-learned", "--allow", "socket=x11", "--screenshot", str(png))
    assert session.run("x11-apps", *words, "--", "xclock").returncode == 0
    none = session.run("x11-apps", "--screenshot", str(png), "--", "true")
    assert none.returncode == 15
    assert "no window was shown" in none.stderr


@pytest.mark.parametrize("server", ["xephyr", "xpra"])
def test_private_display_sees_no_keys_and_no_clipboard_of_the_users(session: Session, server: str) -> None:
    """The same spy reads both where it has the user's own display, so the test can fail."""
    need("Xephyr", "xinput", "xev", "timeout")
    if shutil.which(server) is None and server == "xpra":
        pytest.skip("xpra is not in every release")
    session.with_display()
    subprocess.run(
        ["xclip", "-selection", "clipboard"],
        input=b"the user's secret",
        env=session.desk.environment | session.environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def spied(words: list[str]) -> str:
        child = subprocess.Popen(
            words,
            cwd=session.desk.tree,
            env=session.desk.environment | session.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        assert first == b"ready\n", (first, child.communicate())
        # Not into the window of the private server: what is typed there is for it.
        session.outside("xdotool", "mousemove", "1390", "890")
        for _ in range(20):
            session.outside("xdotool", "key", "--delay", "20", "a")
        return child.communicate(timeout=120)[0].decode()

    home = session.top / "spy"
    home.mkdir()
    own = spied(["env", f"HOME={home}", "sh", "-c", SPY])
    assert "the user's secret" in own
    assert int(re.search(r"raw: (\d+)", own)[1]) > 0  # type: ignore[index]
    besides = ["xinput", "--with", "xclip", "--with", "x11-utils", "--x11", server]
    granted = [*besides, "--allow", "socket=x11"]
    private = spied(session.argv(*granted, "--", "sh", "-c", SPY))
    assert "the user's secret" not in private
    assert "raw: 0" in private
    # Without a grant there is no display at all.
    nothing = session.run(
        *besides, "--", "sh", "-c", "DISPLAY=$1 xclip -o", "sh", session.environment["DISPLAY"]
    )
    assert nothing.returncode != 0
    assert "secret" not in nothing.stdout


def test_windows_by_xpra(session: Session) -> None:
    if shutil.which("xpra") is None:
        pytest.skip("xpra is not in every release")
    session.with_display()
    words = ("x11-apps", "--allow", "socket=x11", "--x11", "xpra", "--", "timeout", "60", "xclock")
    child = subprocess.Popen(
        session.argv(*words),
        cwd=session.desk.tree,
        env=session.desk.environment | session.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_for(lambda: session.outside("xdotool", "search", "--name", "xclock on bwbuild"), 300)
    finally:
        child.terminate()
        said = child.communicate(timeout=120)[0]
    assert child.returncode == 130, said


def test_display_that_is_not_there(session: Session) -> None:
    session.environment["DISPLAY"] = ":4711"
    done = session.run("x11-apps", "--allow", "socket=x11", "--", "xclock")
    assert done.returncode == 4
    assert "there is no server at /tmp/.X11-unix/X4711" in done.stderr
    session.environment["DISPLAY"] = "elsewhere:0"
    assert (
        "no display of this machine"
        in session.run("x11-apps", "--allow", "socket=x11", "--", "xclock").stderr
    )


def test_wayland_client(session: Session) -> None:
    need("weston")
    session.start("weston", "--backend=headless-backend.so", "--socket=wayland-t", "--idle-time=0")
    wait_for((session.top / "wayland-t").is_socket)
    session.environment["WAYLAND_DISPLAY"] = "wayland-t"
    done = session.run("wayland-utils", "--allow", "socket=wayland", "--", "wayland-info")
    assert done.returncode == 0, done.stderr
    assert "wl_compositor" in done.stdout
    denied = session.run(
        "wayland-utils", "--allow", "socket=wayland", "--deny", "socket=wayland", "--", "wayland-info"
    )
    assert denied.returncode != 0


def test_sound_into_a_null_sink(session: Session) -> None:
    need("pulseaudio", "pactl")
    words = ("--daemonize=no", "-n", "--exit-idle-time=-1", "-L", "module-null-sink sink_name=null")
    session.start("pulseaudio", *words, "-L", "module-native-protocol-unix")
    wait_for((session.top / "pulse" / "native").is_socket)
    script = "sox -n -r 44100 -c 2 t.wav synth 3 sine 440; paplay t.wav & sleep 1.5; "
    script += "pactl list short sink-inputs; wait"
    done = session.run(
        "pulseaudio-utils", "--with", "sox", "--allow", "socket=pulseaudio", "--", "sh", "-c", script
    )
    assert done.returncode == 0, done.stderr
    assert "protocol-native" in done.stdout
    assert "44100Hz" in done.stdout
    assert session.run("pulseaudio-utils", "--", "pactl", "info").returncode != 0


CALL = "gdbus call --session --dest {0} --object-path / --method {0}.Get 2>&1; "
OWN = (
    "gdbus call --session --dest org.freedesktop.DBus --object-path / "
    "--method org.freedesktop.DBus.RequestName org.example.{0} 0 2>&1; "
)
MONITOR = (
    "gdbus call --session --dest org.freedesktop.DBus --object-path /org/freedesktop/DBus "
    "--method org.freedesktop.DBus.Monitoring.BecomeMonitor [] 0; "
)


def test_names_on_the_bus(session: Session) -> None:
    session.with_bus()
    # What a run left that was killed.
    old = session.top / ".flatpak" / "bwbuild-old"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    granted = ("--allow", "talk=org.example.Granted", "--allow", "own=org.example.Owned")
    calls = [CALL.format(f"org.example.{name}") for name in ("Granted", "Secret", "Secret")]
    script = "".join([*calls, *(OWN.format(name) for name in ("Owned", "Other")), MONITOR])
    done = session.run("libglib2.0-bin", *granted, "--", "sh", "-c", script)
    lines = done.stdout.splitlines()
    # What is granted reaches the bus, which knows of no such program; what is not never gets there.
    assert "The name org.example.Granted was not provided by any .service files" in done.stdout
    assert "org.example.Secret was not" not in done.stdout
    assert "(uint32 1,)" in lines
    assert re.search(r"refused: talk=org\.example\.Secret \(\d times\)", done.stderr), done.stderr
    assert "refused: own=org.example.Other" in done.stderr
    assert "refused: BecomeMonitor of the session bus itself" in done.stderr
    assert "org.example.Granted" not in done.stderr
    assert list(old.parent.iterdir()) == []


def test_learning(session: Session, tmp_path: Path) -> None:
    need("strace", "xdg-dbus-proxy")
    session.with_bus()
    home = session.desk.home
    for name in ("data", "Documents", ".ssh"):
        (home / name).mkdir(exist_ok=True)
        (home / name / "file").write_text(f"{name}\n")
    idle = ("--allow", "talk=org.example.Idle", "--allow", "filesystem=xdg-documents")
    script = f"cat ~/data/file; cat {home}/.ssh/file; touch /usr/x; {CALL.format('org.example.Granted')} true"
    words = ("--allow", "filesystem=~/data:rw", "--allow", "talk=org.example.Granted", *idle)
    done = session.run("libglib2.0-bin", "--learn", *words, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("data\n")
    needed = "--allow 'filesystem=~/data:ro' --allow talk=org.example.Granted"
    assert f"what it needs of what it had: {needed};" in done.stderr
    assert "not used: talk=org.example.Idle" in done.stderr
    assert "not used: filesystem=xdg-documents:ro" in done.stderr
    assert "refused: filesystem=~/.ssh/file:ro, which is not granted" in done.stderr
    assert "refused: write /usr/x" in done.stderr
    script = "cat ~/data/file; echo new > ~/data/file; cat ~/Documents/file; true"
    held = session.run("libglib2.0-bin", "--only-learned", "--", "sh", "-c", script)
    assert held.stdout == "data\n"
    assert (home / "data" / "file").read_text() == "data\n"
    wider = session.run("libglib2.0-bin", "--only-learned", "--allow", "share=network", "--", "true")
    assert wider.returncode == 2
    assert "more than what was learned" in wider.stderr


JSON = """\
{ /* as flatpak-builder takes it */
  "app-id": "org.example.Editor", // one of its own
  "finish-args": ["--share=ipc", "--socket=fallback-x11", "--socket=wayland", "--device=dri",
    "--share=network", "--filesystem=host", "--filesystem=xdg-documents",
    "--talk-name=org.freedesktop.secrets",
    "--system-talk-name=org.freedesktop.UPower", "--env=EDITOR_HOME=/usr/share/editor",
    "--env=PATH=/app/bin:/usr/bin"]
}
"""
YAML = """\
id: org.example.Player
finish-args:
  - --share=ipc
  - --socket=x11
  - --socket=pulseaudio
  - --filesystem=xdg-music:ro
  - --own-name=org.mpris.MediaPlayer2.player
  - --device=all
  - --unknown
"""


def test_finish_args(session: Session, tmp_path: Path) -> None:
    editor, player = tmp_path / "editor.json", tmp_path / "player.yml"
    editor.write_text(JSON)
    player.write_text(YAML)
    told = session.run("--explain", "--finish-args", str(editor))
    assert told.returncode == 0, told.stderr
    for line in (
        "socket=wayland: it opens windows",
        "share=network: it reaches all machines",
        "filesystem=xdg-documents:rw: it reads and changes",
        "talk=org.freedesktop.secrets: it asks",
        "EDITOR_HOME is set to '/usr/share/editor'",
        "--env=PATH=/app/bin:/usr/bin has no counterpart",
        "--filesystem=host has no counterpart",
        "--system-talk-name=org.freedesktop.UPower has no counterpart",
        "socket=x11, where there is no Wayland: it draws",
    ):
        assert line in told.stdout, told.stdout
    session.with_display()
    session.with_bus()
    music = session.desk.home / "Music"
    music.mkdir(exist_ok=True)
    (music / "song").write_text("la\n")
    script = "cat ~/Music/song; xclock & sleep 2; kill $!; env | grep -c 'DISPLAY\\|DBUS'"
    words = ("--finish-args", str(player), "--deny", "socket=pulseaudio")
    done = session.run("x11-apps", *words, "--", "sh", "-c", script)
    assert done.stdout == "la\n2\n", done.stderr
    assert "--device=all has no counterpart" in done.stderr
    assert "--unknown has no counterpart" in done.stderr


def test_root_without_a_package(session: Session) -> None:
    script = "cat ~/x; echo 1 > ~/x; ls /usr/bin/dpkg"
    done = subprocess.run(
        session.desk.argv("run", "--root", "-d", suites.OWN, "--", "sh", "-c", script),
        cwd=session.desk.tree,
        env=session.desk.environment | session.environment,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "/usr/bin/dpkg\n"), done.stderr


def test_shell_where_a_package_cannot_be_installed(session: Session, tmp_path: Path) -> None:
    need("script", "expect")
    made = make_deb(tmp_path, "bwt-half", {"usr/bin/half": ""}, {"postinst": "echo the reason; exit 3"})
    words = " ".join(session.argv(str(made), "--shell-on-failure"))
    commands = tmp_path / "type.exp"
    commands.write_text(
        f"set timeout 300\nspawn sh -c {{{words}}}\n"
        'expect "the reason"\nexpect "root as the failure"\nexpect -re {[#$] $}\n'
        'send "dpkg -s bwt-half | grep Status; ls /usr/bin/half; id -u; exit\\r"\nexpect eof\n'
    )
    said = session.outside("expect", str(commands))
    assert "half-configured" in said
    assert "/usr/bin/half" in said
    assert "bwt-half of" in said


def test_documents_through_a_portal(session: Session, tmp_path: Path) -> None:
    """A dialog of xdg-desktop-portal, in which somebody types a path: the program gets that file alone."""
    for path in (
        "xdg-desktop-portal",
        "xdg-desktop-portal-gtk",
        "xdg-document-portal",
        "xdg-permission-store",
    ):
        if not Path("/usr/libexec", path).exists():
            pytest.skip(f"{path} is not installed")
    runtime = Path(f"/run/user/{os.getuid()}")
    if (
        not runtime.is_dir()
        or not os.access("/dev/fuse", os.R_OK | os.W_OK)
        or shutil.which("fusermount3") is None
    ):
        pytest.skip("there is no /run/user of this user, or no FUSE")
    session.environment |= {"XDG_RUNTIME_DIR": str(runtime), "XDG_CURRENT_DESKTOP": "GNOME"}
    session.with_display()
    session.with_bus()
    names = ("DISPLAY", "XDG_RUNTIME_DIR", "XDG_CURRENT_DESKTOP")
    session.outside("dbus-update-activation-environment", *names)
    for name in (
        "xdg-document-portal",
        "xdg-permission-store",
        "xdg-desktop-portal-gtk",
        "xdg-desktop-portal",
    ):
        session.start(f"/usr/libexec/{name}")
    wait_for(lambda: "portal.Desktop" in session.outside("gdbus", "call", *_LIST), 60)
    shown = session.desk.home / "letters"
    shown.mkdir(exist_ok=True)
    (shown / "one.txt").write_text("one letter\n")
    (shown / "two.txt").write_text("another letter\n")
    child = subprocess.Popen(
        session.argv(
            "python3-gi", "--allow", "socket=session-bus", "--", "python3", "-c", CLIENT, str(shown)
        ),
        cwd=session.desk.tree,
        env=session.desk.environment | session.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    window = ("xdotool", "search", "--name", "Choose a letter")
    wait_for(lambda: session.outside(*window), 300)
    # A dialog that is still being made loses keys.
    while session.outside(*window):
        session.outside(*window, "windowfocus", "--sync")
        session.outside("xdotool", "key", "ctrl+a")
        session.outside("xdotool", "type", "--delay", "30", str(shown / "one.txt"))
        time.sleep(2)
        session.outside("xdotool", "key", "Return")
        time.sleep(5)
    out, err = (text.decode() for text in child.communicate(timeout=120))
    assert "READ one letter" in out, (out, err)
    assert "NO FileNotFoundError" in out
    assert list(runtime.glob(".flatpak/bwbuild-*")) == []


_LIST = (
    *("--session", "--dest", "org.freedesktop.DBus", "--object-path", "/"),
    *("--method", "org.freedesktop.DBus.ListNames"),
)
CLIENT = """\
import sys
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SESSION)
loop = GLib.MainLoop()
def answered(*arguments):
    code, results = arguments[5].unpack()
    for uri in results["uris"]:
        print("READ", open(GLib.filename_from_uri(uri)[0]).read())
    loop.quit()
token = bus.get_unique_name()[1:].replace(".", "_")
path = f"/org/freedesktop/portal/desktop/request/{token}/t"
bus.signal_subscribe(None, "org.freedesktop.portal.Request", "Response", path, None, 0, answered)
options = {"handle_token": GLib.Variant("s", "t")}
bus.call_sync("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop",
    "org.freedesktop.portal.FileChooser", "OpenFile",
    GLib.Variant("(ssa{sv})", ("", "Choose a letter", options)), None, 0, -1, None)
GLib.timeout_add_seconds(100, loop.quit)
loop.run()
try:
    open(sys.argv[1] + "/two.txt")
except OSError as error:
    print("NO", type(error).__name__)
"""
