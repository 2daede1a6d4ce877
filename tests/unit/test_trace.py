"""strace's lines as events."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bwbuild.sandbox import traced
from bwbuild.trace.parse import Event, Kind, Parser, events, question
from bwbuild.trace.touches import READERS

CWD = b"AT_FDCWD</build/tree>"
LINES = {
    b'8<sh> openat(%s, "/lib/x.so", O_RDONLY|O_CLOEXEC) = 3</usr/lib/x.so.1>': Event(
        Kind.OPEN, "sh", "/lib/x.so", "/usr/lib/x.so.1", pid=8
    ),
    b'8 openat(%s, "a", O_RDONLY) = -1 ENOENT (No such file or directory)': Event(
        Kind.OPEN, "", "/build/tree/a", error="ENOENT", pid=8
    ),
    b'8<cp> openat(4</usr/share>, "doc/x", O_RDONLY) = 5</usr/share/doc/x>': Event(
        Kind.OPEN, "cp", "/usr/share/doc/x", "/usr/share/doc/x", pid=8
    ),
    b'8<cp> openat(%s, "/etc/x", O_WRONLY|O_CREAT|O_TRUNC, 0666) = -1 EROFS (Read-only file system)': Event(
        Kind.WRITE, "cp", "/etc/x", error="EROFS", pid=8
    ),
    b'8<x> open("/a\\"\\n) = 3", O_RDWR) = 9</a\\"\\n) = 3>': Event(
        Kind.WRITE, "x", '/a"\n) = 3', '/a"\n) = 3', pid=8
    ),
    b'8<x> openat2(%s, "/a", {flags=O_RDONLY, resolve=RESOLVE_BENEATH}, 24) = 3</a (deleted)>': Event(
        Kind.OPEN, "x", "/a", "/a (deleted)", pid=8
    ),
    b'8<a\\76 \\377> execve("/bin/true", ["true", ") = -1 ENOENT (x)"], 0x7f /* 3 vars */) = 0': Event(
        Kind.EXEC, "a> \udcff", "/bin/true", pid=8
    ),
    b'8<sh> faccessat2(%s, "x", R_OK, AT_EACCESS) = 0': Event(Kind.LOOK, "sh", "/build/tree/x", pid=8),
    b'8<sh> newfstatat(%s, "x", {st_mode=S_IFREG|0644, st_size=1, ...}, 0) = 0': Event(
        Kind.STAT, "sh", "/build/tree/x", pid=8
    ),
    b'8<sh> readlink("/x", "/y\\") = 0", 4095) = 9': Event(Kind.STAT, "sh", "/x", pid=8),
    b"8<unshare> unshare(CLONE_NEWNS|CLONE_NEWUSER) = 0": Event(Kind.NAMESPACE, "unshare", "", pid=8),
    b"8<x> clone3({flags=CLONE_NEWUSER, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 88) = 9<x>": Event(
        Kind.NAMESPACE, "x", "", pid=8
    ),
    b"8<x> setns(3<user:[4026531837]>, 0) = -1 EPERM (Operation not permitted)": Event(
        Kind.NAMESPACE, "x", "", error="EPERM", pid=8
    ),
    b"8<x> fsync(3</build/tree/x>) = 0": Event(Kind.SYNC, "x", "", pid=8),
    b"8<x> sync() = 0": Event(Kind.SYNC, "x", "", pid=8),
    b"8<x> [ Process PID=8 runs in 32 bit mode. ]": Event(Kind.MODE, "x", "32 bit", pid=8),
    b"8<x> [ Process PID=8 runs in x32 mode. ]": Event(Kind.MODE, "x", "x32", pid=8),
    b'8<sh> access("/x", R_OK) = -1 ENOENT (No such file or directory)': Event(
        Kind.LOOK, "sh", "/x", error="ENOENT", pid=8
    ),
    b'8<sh> execve("./no", ["no"...], NULL) = -1 EACCES (Permission denied)': Event(
        Kind.EXEC, "sh", "./no", error="EACCES", pid=8
    ),
    b"8<x> connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(80),"
    b' sin_addr=inet_addr("10.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)': Event(
        Kind.CONNECT, "x", "10.0.0.1:80", error="EINPROGRESS", pid=8
    ),
    b"8<x> connect(3, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0),"
    b' inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = 0': Event(
        Kind.CONNECT, "x", "[2001:db8::1]:443", pid=8
    ),
    b'8<x> connect(3, {sa_family=AF_UNIX, sun_path=@"bus\\1"}, 9) = -1 ECONNREFUSED (Refused)': Event(
        Kind.CONNECT, "x", "@bus\1", error="ECONNREFUSED", pid=8
    ),
    b'8<x> sendto(3, "\\0224\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3www\\7example\\0\\0\\1\\0\\1",'
    b" 29, 0, NULL, 0) = 29": Event(Kind.ASK, "x", "www.example", pid=8),
    b'8<x> mkdir("/home/u", 0777) = -1 EROFS (Read-only file system)': Event(
        Kind.CHANGE, "x", "/home/u", error="EROFS", pid=8
    ),
    b'8<x> unlinkat(%s, "b", AT_REMOVEDIR) = 0': Event(Kind.CHANGE, "x", "/build/tree/b", pid=8),
    b'8<x> symlinkat("/text", %s, "b") = 0': Event(Kind.CHANGE, "x", "/build/tree/b", pid=8, leads="/text"),
    b'8<x> symlink("../\\n", "b") = 0': Event(Kind.CHANGE, "x", "b", pid=8, leads="../\n"),
    b'8<x> link("/a", "b") = 0': Event(Kind.CHANGE, "x", "b", pid=8),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line(line: bytes) -> None:
    text = line.replace(b"%s", CWD)
    assert list(events([text + b"\n"], inside=True)) == [LINES[line]]


TOUCHES = {
    b'8<x> chmod("f\\n", 0600) = 0': Event(Kind.CHANGE, "x", "f\n", pid=8),
    b'8<x> fchmodat(%s, "f", 0600) = 0': Event(Kind.CHANGE, "x", "/build/tree/f", pid=8),
    b"8<x> fchmod(3</srv/f>, 0600) = -1 EROFS (Read-only file system)": Event(
        Kind.CHANGE, "x", "/srv/f", error="EROFS", pid=8
    ),
    b'8<x> utimensat(%s, "f", [{tv_sec=1 /* 1970-01-01T00:00:01+0000 */, tv_nsec=0}, UTIME_OMIT], 0)'
    b" = 0": Event(Kind.CHANGE, "x", "/build/tree/f", pid=8),
    b"8<x> utimensat(0</srv/f>, NULL, NULL, 0) = 0": Event(Kind.CHANGE, "x", "/srv/f", pid=8),
    b'8<x> setxattr("/srv/f", "user.x", "y", 1, 0) = 0': Event(Kind.CHANGE, "x", "/srv/f", pid=8),
    b'8<sh> chdir("data") = 0': Event(Kind.ENTER, "sh", "data", pid=8),
    b"8<sh> fchdir(3</srv/d\\76>) = 0": Event(Kind.ENTER, "sh", "/srv/d>", pid=8),
    b'8<x> sendto(3<socket:[1]>, "{sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr(\\"1.1.1.1\\")}",'
    b' 9, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.1")}, 16)'
    b" = -1 ENETUNREACH (No)": Event(Kind.SEND, "x", "192.0.2.1:9", error="ENETUNREACH", pid=8),
    b"8<x> sendmsg(3<socket:[1]>, {msg_name={sa_family=AF_INET6, sin6_port=htons(9), sin6_flowinfo=htonl(0),"
    b' inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, msg_namelen=28,'
    b' msg_iov=[{iov_base="a", iov_len=1}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, 0) = 1': Event(
        Kind.SEND, "x", "[2001:db8::1]:9", pid=8
    ),
}


@pytest.mark.parametrize("line", TOUCHES)
def test_a_line_about_what_is_not_opened(line: bytes) -> None:
    text = line.replace(b"%s", CWD) + b"\n"
    assert list(Parser(inside=True, more=READERS).feed(text)) == [TOUCHES[line]]
    assert list(events([text], inside=True)) == []


def test_both_names_of_a_move() -> None:
    line = (
        b'8<mv> renameat2(AT_FDCWD</t>, "a", AT_FDCWD</t>, "/usr/b", RENAME_NOREPLACE) = -1 EXDEV (Other)\n'
    )
    found = [(event.subject, event.moved) for event in events([line], inside=True)]
    assert found == [("/t/a", "/usr/b"), ("/usr/b", "")]


def test_where_a_program_is_that_was_started_by_a_relative_path() -> None:
    started = b'<sh> execve("%s", ["x", "AT_FDCWD</no>, "], 0x1 /* 1 var */) = 0\n'
    loads = b'<x> openat(AT_FDCWD<%s>, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>\n'
    preload = b'<x> access("/etc/ld.so.preload", R_OK) = -1 ENOENT (No such file or directory)\n'
    lines = [
        *(b"7" + started % b".//x", b"8" + started % b"bin/x", b"7" + preload),
        *(b"7" + loads % b"/usr/bin", b"8" + loads % b"/usr/bin"),
        *(b"7" + loads % b"/elsewhere", b"9" + started % b"./x", b"9" + loads % b"/"),
        # From here it is all known, but for where it is this time.
        *(b"4" + started % b"./x", b"4" + loads % b"/usr/bin"),
        *(b"5" + started % b"/bin/x", b"5" + loads % b"/usr"),
    ]
    found = [(event.pid, event.process, event.subject) for event in of_programs(lines)]
    assert found == [
        *((7, "sh", "/usr/bin/x"), (8, "sh", "/usr/bin/bin/x")),
        *((9, "sh", "/x"), (4, "sh", "/usr/bin/x")),
    ]


def of_programs(lines: list[bytes]) -> list[Event]:
    return [event for event in events(lines, inside=True) if event.kind is Kind.PROGRAM]


def test_not_all_that_was_started_is_waited_for() -> None:
    lines = [b'%d<sh> execve("./x", ["x"], 0x1 /* 1 var */) = 0\n' % pid for pid in range(1, 5000)]
    lines += [b'%d<x> openat(AT_FDCWD</d>, "/x", O_RDONLY) = 3</x>\n' % pid for pid in (1, 4999)]
    assert [event.pid for event in of_programs(lines)] == [4999]


def test_what_bwrap_does_before_is_left_out() -> None:
    lines = (
        b'1<perl> execve("/usr/bin/bwrap", ["bwrap"], 0x1 /* 1 var */) = 0\n'
        b'1<bwrap> openat(AT_FDCWD</home/u>, "/home/u/secret", O_RDONLY) = 3</home/u/secret>\n'
        b'2<bwrap> execve("/run/bwbuild/init", ["init"], 0x1 /* 1 var */) = 0\n'
        b'2<init> openat(AT_FDCWD</b>, "/etc/x", O_RDONLY) = 3</etc/x>\n'
    )
    assert [event.subject for event in events([lines])] == ["/run/bwbuild/init", "/etc/x"]


def test_the_same_is_told_once_whoever_did_it() -> None:
    line = b'<cc1> openat(AT_FDCWD</b>, "/etc/x", O_RDONLY) = 3</etc/x>\n'
    assert len(list(events([b"1" + line + b"22" + line, b"1" + line], inside=True))) == 1


def test_a_call_whose_end_stands_apart() -> None:
    lines = (
        b'1<a> openat(AT_FDCWD</b>, "/x", O_RDONLY <unfinished ...>\n'
        b'2<b> execve("/y", ["y"], 0x1 /* 1 var */ <unfinished ...>\n'
        b"1<a> <... openat resumed>)             = 3</x>\n"
        b"2<b> <... execve resumed>)       = -1 ENOENT (No such file or directory)\n"
    )
    found = [(event.kind, event.subject, event.error) for event in events([lines], inside=True)]
    assert found == [(Kind.OPEN, "/x", ""), (Kind.EXEC, "/y", "ENOENT")]


@pytest.mark.parametrize(
    "line",
    [
        b"strace: Process 7 attached",
        b"7<a> +++ exited with 0 +++",
        b'7<a> openat(AT_FDCWD</b>, "/x", O_RDONLY',
        b'7<a> openat(AT_FDCWD</b>, "/x',
        b'7<a> execve("/x", ["',
        b"7<a> connect(3, NULL, 0) = -1 EFAULT (Bad address)",
        b"7<a> connect(3, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0",
        b"7<a> sendto(3, NULL, 0, 0, NULL, 0) = 0",
        b'7<a> newfstatat(3</x>, "", {st_mode=S_IFREG|0644, st_size=1, ...}, AT_EMPTY_PATH) = 0',
        b"7<a> getpid() = 7",
        b"\xff\x00 (",
        b"",
    ],
)
def test_other_lines_are_passed_over(line: bytes) -> None:
    assert list(events([line + b"\n"], inside=True)) == []


@given(st.binary(max_size=300), st.integers(1, 40))
@settings(max_examples=300)
def test_any_bytes_in_any_pieces(data: bytes, size: int) -> None:
    text = data + b"\n" + data + b"<... x resumed>\n"
    list(events(text[at : at + size] for at in range(0, len(text), size)))


def quoted(name: bytes, special: bytes) -> bytes:
    """As strace writes a name."""
    harmless = bytes(code for code in range(32, 127) if code not in b'"\\' + special)
    return b"".join(bytes((code,)) if code in harmless else b"\\%03o" % code for code in name)


NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


@given(NAMES, NAMES, st.integers(1, 9))
@settings(max_examples=200)
def test_any_name_comes_through(name: bytes, process: bytes, size: int) -> None:
    line = b'1<%s> openat(AT_FDCWD</>, "/%s", O_RDONLY) = 3</%s>\n' % (
        quoted(process, b"<>"),
        quoted(name, b""),
        quoted(name, b"<>"),
    )
    pieces = (line[at : at + size] for at in range(0, len(line), size))
    path = os.fsdecode(b"/" + name)
    assert list(events(pieces, inside=True)) == [
        Event(Kind.OPEN, os.fsdecode(process), path, path, pid=1),
    ]


def test_memory_is_bounded() -> None:
    parser = Parser(inside=True)
    found = 0
    for number in range(3000):
        found += len(
            list(
                parser.feed(b'1<a> openat(AT_FDCWD</b>, "/%d%s", O_RDONLY) = 3</x>\n' % (number, b"x" * 9999))
            )
        )
        found += len(list(parser.feed(b'%d<a> execve("/x" <unfinished ...>\n' % number)))
    found += len(list(parser.feed(b"endless" * (1 << 20))))
    for number in range(3000):
        line = b"%d<a> set_robust_list(0x%x, 24) = 0\n" % (number, number)
        assert list(parser.feed(line)) == []
        assert line[line.index(b"<") : -1] not in parser._seen, "a line of each process, which says nothing"
    held = sum(map(len, parser._seen)) + len(parser._rest)
    assert found == 3000
    assert held < 64 << 20


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 12, b"GET / HTTP/1.1\r\n\r\n", b"\0" * 40, b"..\1\0\0\1\0\0\0\0\0\0\x40x"]
)
def test_no_question(data: bytes) -> None:
    assert question(data) == ""


def test_a_cut_question() -> None:
    assert question(b"..\1\x20\0\1\0\0\0\0\0\1\3www\7exam") == "www.exam"


def test_why_strace_is_refused() -> None:
    said = "strace: ptrace(PTRACE_SEIZE, 7): Operation not permitted"
    assert "CAP_SYS_PTRACE" in (traced.refused(1, said, "1\n").hint or "")
    assert "ptrace_scope" in (traced.refused(1, said, "3\n").hint or "")
    assert "5.16" in (traced.refused(1, "strace: invalid option -- '='", "").hint or "")
