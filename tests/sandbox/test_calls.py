"""System calls of the build, made from inside: what the table holds back fails as it says, the rest works."""

from __future__ import annotations

import errno
import json
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from calls import BAD, NEWUSER, PROBER, SIGCHLD, held_back, number, tried
from support import PATIENCE, Desk

from bwbuild.sandbox.syscalls import TABLE, Group

HELD_BACK = held_back()
NESTING = ("--allow", "userns")
#: What the kernel itself lets an ordinary user do, so that a test of it can fail.
OPEN_WITHOUT = {
    "clone3", "keyctl", "add_key", "request_key", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "pidfd_getfd", "modify_ldt", "move_pages", "open_tree", "fsconfig", "mount", "chroot", "socket",
    "personality", "userfaultfd", "perf_event_open", "bpf", "ioctl", "process_madvise",
}  # fmt: skip
HIGH = 1 << 32
AF = {"UNSPEC": 0, "UNIX": 1, "INET": 2, "INET6": 10, "NETLINK": 16}
STREAM, DGRAM, RAW = 1, 2, 3

x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="it is about the 32-bit ABI of x86")


def name_of(error: int) -> str:
    return errno.errorcode[error]


@pytest.fixture(scope="module", params=["user", "root"])
def refused(request: pytest.FixtureRequest, shared: Desk) -> dict[str, str]:
    return tried(shared, [call for call, _ in HELD_BACK.values()], as_root=request.param == "root")


@pytest.mark.parametrize("name", HELD_BACK)
def test_call_is_refused(refused: dict[str, str], name: str) -> None:
    assert refused[name] == name_of(HELD_BACK[name][1])


def test_calls_are_open_without_the_filter(shared: Desk) -> None:
    """Else the test above would say nothing: other things refuse these calls too."""
    found = tried(shared, [call for call, _ in HELD_BACK.values()], "--no-seccomp")
    changed = {name for name, (_, error) in HELD_BACK.items() if found[name] != name_of(error)}
    assert OPEN_WITHOUT & HELD_BACK.keys() <= changed


def test_all_of_a_call_that_is_no_danger_goes_on(shared: Desk) -> None:
    calls = [
        ("clone without a namespace", number("clone"), (SIGCHLD, 0, 0, 0, 0)),
        ("unshare of open files", number("unshare"), (0x400,)),
        ("unshare of the directory", number("unshare"), (0x200,)),
        ("personality that asks", number("personality"), (0xFFFFFFFF,)),
        ("personality of setarch -R", number("personality"), (0x40000,)),
        ("personality of linux32 --uname-2.6", number("personality"), (0x20008,)),
        ("seccomp", number("seccomp"), (2, 0, BAD)),
        ("ptrace", number("ptrace"), (16, BAD, 0, 0)),
        ("memfd_create", number("memfd_create"), (BAD, 0)),
        ("listen", number("listen"), (BAD, 0)),
        ("mbind", number("mbind"), (0, 0, 0, 0, 0, 0)),
        ("inotify", number("inotify_init1"), (0,)),
        ("adjtimex", number("adjtimex"), (BAD,)),
        ("clock_gettime", number("clock_gettime"), (0, BAD)),
        ("landlock", number("landlock_create_ruleset"), (BAD, 1, 0)),
        ("process_vm_readv", number("process_vm_readv"), (BAD, 0, 0, 0, 0, 0)),
    ]
    found = tried(shared, calls)
    assert not {name: error for name, error in found.items() if error in ("EPERM", "ENOSYS")}


def test_setuid_bits_can_be_made(shared: Desk) -> None:
    assert shared.inside("touch s; chmod 4755 s; stat -c %a s") == "4755\n"


# Families of sockets


def test_families(shared: Desk) -> None:
    families = [*range(1 << 6), 255, 1 << 16, BAD]
    calls = [(f"{family}", number("socket"), (family, DGRAM, 0)) for family in families]
    found = tried(shared, calls)
    open_ones = {family for family in families if found[str(family)] != "EAFNOSUPPORT"}
    # Linux has no sockets of UNSPEC, and says the same of it.
    assert open_ones == {AF["UNIX"], AF["INET"], AF["INET6"], AF["NETLINK"]}


def test_upper_half_of_the_family_does_not_count(shared: Desk) -> None:
    """An int is half of a register, and what is in the other half is nobody's concern."""
    calls = [(f"{family}", number("socket"), (HIGH | family, DGRAM, 0)) for family in (1, 2, 16, 38, 40)]
    assert tried(shared, calls) == {"1": "", "2": "", "16": "", "38": "EAFNOSUPPORT", "40": "EAFNOSUPPORT"}


def test_pairs_of_sockets(shared: Desk) -> None:
    calls = [(f"{family}", number("socketpair"), (family, STREAM, 0, BAD)) for family in range(46)]
    found = tried(shared, calls)
    assert found.pop("1") == "EFAULT"
    let_through = {name for name, error in found.items() if error != "EAFNOSUPPORT"}
    assert let_through <= {str(family) for family in AF.values()}


def test_protocols_of_netlink(shared: Desk) -> None:
    protocols = [*range(32), HIGH | 12]
    calls = [(f"{protocol}", number("socket"), (AF["NETLINK"], RAW, protocol)) for protocol in protocols]
    found = tried(shared, calls)
    assert {name for name, error in found.items() if error != "EAFNOSUPPORT"} == {"0", "15", "16"}
    assert found["0"] == ""


# Terminals


def test_nothing_types_on_a_terminal(shared: Desk) -> None:
    script = """if True:
        import fcntl, os, termios
        leader, terminal = os.openpty()
        for command in (termios.TIOCSTI, termios.TIOCLINUX):
            try:
                fcntl.ioctl(terminal, command, b"x")
                print("typed")
            except OSError as error:
                print(error.errno)
        termios.tcgetattr(terminal)
        fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8))
    """
    assert shared.ok("run", "--", "python3", "-c", script).out.split() == [str(errno.EPERM)] * 2


def test_upper_half_of_an_ioctl_does_not_count(shared: Desk) -> None:
    calls = [(hex(word), number("ioctl"), (BAD, word, 0)) for word in (0x5412, HIGH | 0x5412, HIGH | 0x541C)]
    assert set(tried(shared, calls).values()) == {"EPERM"}
    usual = [(hex(word), number("ioctl"), (BAD, word, 0)) for word in (0x5422, 0x540E, 0x5401)]
    assert set(tried(shared, usual).values()) == {"EBADF"}  # TIOCNOTTY, TIOCSCTTY, TCGETS


# User namespaces

NAMESPACES = [
    ("unshare", number("unshare"), (NEWUSER,)),
    ("clone", number("clone"), (NEWUSER | SIGCHLD, 0, 0, 0, 0)),
]


def test_user_namespaces_are_closed_by_both(shared: Desk) -> None:
    assert tried(shared, NAMESPACES) == {"unshare": "EPERM", "clone": "EPERM"}


@pytest.mark.parametrize("as_root", [False, True], ids=["user", "root"])
def test_limit_alone_closes_them(shared: Desk, as_root: bool) -> None:
    assert tried(shared, NAMESPACES, "--no-seccomp", as_root=as_root) == {
        "unshare": "ENOSPC", "clone": "ENOSPC"
    }  # fmt: skip


@pytest.mark.parametrize("as_root", [False, True], ids=["user", "root"])
def test_filter_alone_closes_them(shared: Desk, as_root: bool) -> None:
    """The launcher, run by hand without the line that sets the limit."""
    shared.scratch.mkdir(exist_ok=True)
    text = shared.ok("--dry-run", "--workspace-memory", "never").out
    limit = "echo 0 > /proc/sys/user/max_user_namespaces\n"
    assert text.count(limit) == 1
    root = "/run/bwbuild/as-root " if as_root else ""
    text = text.replace(limit, ":\n")  # the lines of the files in it are counted
    text, count = re.subn(r"dpkg-buildpackage -us -uc -r\S+", f'{root}python3 -c "$PROBER" "$CALLS"', text)
    assert count == 1
    own = {"PROBER": PROBER, "CALLS": json.dumps(NAMESPACES)}
    done = subprocess.run(
        ["sh"], input=text, capture_output=True, text=True, check=False, timeout=PATIENCE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(shared.scratch), **own},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"unshare": "EPERM", "clone": "EPERM"}


@pytest.mark.parametrize("options", [(), ("--no-seccomp",)], ids=["filtered", "not filtered"])
def test_limit_can_not_be_raised(shared: Desk, options: tuple[str, ...]) -> None:
    script = (
        "cat /proc/sys/user/max_user_namespaces;"
        " for who in env /run/bwbuild/as-root; do"
        " $who sh -c 'echo 9 > /proc/sys/user/max_user_namespaces' 2>/dev/null || echo refused; done;"
        " cat /proc/sys/user/max_user_namespaces; unshare --user true 2>/dev/null || echo closed"
    )
    assert shared.inside(script, *options).split() == ["0", "refused", "refused", "0", "closed"]


def test_they_can_be_allowed(shared: Desk) -> None:
    script = (
        "unshare --user --map-root-user id -u;"
        " unshare --user --map-root-user --mount"
        " sh -c 'mount -t tmpfs x /mnt && umount /mnt && echo mounted';"
        " unshare --user --map-root-user --uts sh -c 'hostname other; hostname'"
    )
    assert shared.inside(script, *NESTING, "--view", "host").split() == ["0", "mounted", "other"]


def test_allowing_them_allows_nothing_else(shared: Desk) -> None:
    kept = {
        name
        for rule in TABLE
        if rule.group in (Group.KEYRING, Group.SURFACE, Group.HOST, Group.SOCKETS, Group.PERSONALITY)
        for name in rule.calls
    } & HELD_BACK.keys()
    found = tried(shared, [HELD_BACK[name][0] for name in kept], *NESTING)
    assert found == {name: name_of(HELD_BACK[name][1]) for name in kept}


# Other ABIs

INT80 = [
    ("getpid", "int80", 20, ()),
    ("unshare", "int80", 310, (NEWUSER,)),
    ("socket VSOCK", "int80", 359, (40, 1, 0)),
    ("keyctl", "int80", 288, (0, 0, 0)),
]


@x86_64
def test_32_bit_calls_end_the_program(shared: Desk) -> None:
    assert set(tried(shared, INT80).values()) == {"SIGSYS"}
    assert tried(shared, INT80, "--no-seccomp")["getpid"] == ""


@x86_64
def test_32_bit_calls_may_be_allowed_and_are_filtered_then(shared: Desk) -> None:
    found = tried(shared, INT80, "--foreign-abi")
    assert (found["getpid"], found["unshare"], found["keyctl"]) == ("", "EPERM", "ENOSYS")


@x86_64
def test_x32_calls_end_the_program(shared: Desk) -> None:
    call = ("getpid", 0x40000000 | number("getpid"), ())
    assert tried(shared, [call])["getpid"] == "SIGSYS"


def program_of_32_bits() -> bytes:
    """An ELF file that writes a line and ends: write(1, line, 6); exit(0)."""
    base, offset, line = 0x10000, 84, b"hello\n"
    code = (
        b"\xb8\x04\0\0\0\xbb\x01\0\0\0\xb9"
        + struct.pack("<I", base + offset + 34)
        + b"\xba\x06\0\0\0\xcd\x80"
    )
    code += b"\xb8\x01\0\0\0\xbb\0\0\0\0\xcd\x80"
    assert len(code) == 34
    size = offset + len(code) + len(line)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + offset, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    header += struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 4096)
    return header + code + line


@x86_64
@pytest.mark.parametrize(
    ("option", "said"), [((), ""), (("--foreign-abi",), "hello")], ids=["default", "allowed"]
)
def test_32_bit_programs(desk: Desk, option: tuple[str, ...], said: str) -> None:
    file = desk.tree / "hello"
    file.write_bytes(program_of_32_bits())
    file.chmod(0o755)
    try:
        outside = subprocess.run([file], capture_output=True, check=False).stdout
    except OSError:
        outside = b""
    if outside != b"hello\n":
        pytest.skip("this kernel runs no 32-bit programs")
    done = desk.run("run", *option, "--", "./hello")
    assert done.out.strip() == said
    assert (done.status == 0) == bool(said)


# Keyrings


def with_key(desk: Desk, argv: list[str]) -> tuple[str, str]:
    """Run ``argv`` in a session keyring with a key; what it wrote, and what the keyring has afterwards."""
    join, search, read = 1, 10, 11
    keyctl = number("keyctl")
    script = f"""if True:
        import ctypes, subprocess, sys
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall({keyctl}, {join}, None) < 0:
            sys.exit(77)
        add = libc.syscall({number("add_key")}, b"user", b"bwbuild:secret", b"SECRET", 6, -3)
        done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        buffer = ctypes.create_string_buffer(100)
        size = libc.syscall({keyctl}, {read}, add, buffer, 100)
        planted = libc.syscall({keyctl}, {search}, -3, b"user", b"bwbuild:planted", 0)
        print(done.stdout.decode(), end="")
        print("outside", buffer.raw[:size].decode(), planted >= 0)
    """
    done = subprocess.run(
        [sys.executable, "-c", script, *argv],
        cwd=desk.tree, env=desk.environment, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("this kernel has no keyrings")
    assert done.returncode == 0, done.stderr
    inside, _, outside = done.stdout.rpartition("outside ")
    return inside, outside.strip()


#: Looks for the caller's key in its own session keyring, changes it, and plants another.
THIEF = f"""if True:
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    key = libc.syscall({number("keyctl")}, 10, -3, b"user", b"bwbuild:secret", 0)
    buffer = ctypes.create_string_buffer(100)
    print("found" if key >= 0 else "none", libc.syscall({number("keyctl")}, 11, key, buffer, 100) > 0)
    libc.syscall({number("keyctl")}, 2, key, b"TAMPERED", 8)
    made = libc.syscall({number("add_key")}, b"user", b"bwbuild:planted", b"evil", 4, -3)
    print("made" if made >= 0 else "not made")
"""


@pytest.mark.parametrize(
    ("options", "made"), [((), "not made"), (("--no-seccomp",), "made")], ids=["filtered", "not filtered"]
)
@pytest.mark.parametrize("who", ["user", "root"])
def test_keys_of_the_session_are_not_there(
    shared: Desk, options: tuple[str, ...], made: str, who: str
) -> None:
    words = ["/run/bwbuild/as-root"] if who == "root" else []
    inside, outside = with_key(shared, shared.argv("run", *options, "--", *words, "python3", "-c", THIEF))
    # Without the filter it has a session keyring of its own, in which it may do as it likes.
    assert inside.split("\n")[:2] == ["none False", made]
    assert outside == "SECRET False"


def test_the_thief_finds_the_key_without_a_sandbox(shared: Desk) -> None:
    inside, outside = with_key(shared, [sys.executable, "-c", THIEF])
    assert inside.split("\n")[:2] == ["found True", "made"]
    assert outside == "TAMPERED True"


# Syncing

SYNCS = f"""if True:
    import ctypes, errno, os, tempfile
    libc = ctypes.CDLL(None, use_errno=True)
    file = tempfile.TemporaryFile()
    closed = os.dup(0)
    os.close(closed)
    def said(number, *words):
        result = libc.syscall(number, *map(ctypes.c_long, words))
        return "ok" if result == 0 else errno.errorcode[ctypes.get_errno()]
    for number in ({number("fsync")}, {number("fdatasync")}, {number("syncfs")}):
        print(said(number, file.fileno()), said(number, closed), said(number, -1), said(number, 99))
    print(said({number("sync_file_range")}, closed, 0, 0, 0))
    print(said({number("msync")}, 4096, 4096, 4), said({number("msync")}, 4096, 4096, 1))
"""


def test_syncs_are_answered_at_once(shared: Desk) -> None:
    """What shows it is that a closed descriptor goes unnoticed; what test suites look for is noticed."""
    lines = shared.ok("run", "--", "python3", "-c", SYNCS).out.splitlines()
    assert lines == [*["ok ok EBADF EBADF"] * 3, "ok", "ok ENOMEM"]


@pytest.mark.parametrize("option", ["--no-suppress-sync", "--no-seccomp", "--in-place"])
def test_syncs_are_real(desk: Desk, option: str) -> None:
    lines = desk.ok("run", option, "--", "python3", "-c", SYNCS).out.splitlines()
    assert lines == [*["ok EBADF EBADF EBADF"] * 3, "EBADF", "ENOMEM ENOMEM"]


def test_results_are_synced_outside(desk: Desk, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace]
    if subprocess.run(["strace", "-V"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace is not installed")
    # The sandbox may have setuid helpers, which a traced process can't have; only what follows is looked at.
    done = subprocess.run(
        [*command, "--seccomp-bpf", *desk.argv("-b", "-us", "-uc", "--identity", "single")],
        cwd=desk.tree, env=desk.environment, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    synced = trace.read_text(encoding="utf-8")
    for name in ("tiny_1_all.deb", ".changes", ".buildinfo"):
        assert re.search(rf"fsync\(\d+<[^>]*{re.escape(name)}>\) += 0", synced), name


def test_status_says_that_filters_are_in_force(shared: Desk) -> None:
    script = (
        "grep -h ^Seccomp_filters /proc/self/status; /run/bwbuild/as-root grep -h ^Seccomp: /proc/self/status"
    )
    assert shared.inside(script).split() == ["Seccomp_filters:", "2", "Seccomp:", "2"]
