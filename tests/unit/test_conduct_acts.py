"""What the processes of a build tried, from lines as strace writes them."""

from __future__ import annotations

from pathlib import PurePosixPath

from bwbuild.conduct.acts import Places, Watcher
from bwbuild.conduct.values import Act, Actor, Kind, Traced

PLACES = Places(PurePosixPath("/build/x/tiny-1"), PurePosixPath("/nonexistent"))
RULES = b'10<dpkg-buildpacka> execve("debian/rules", ["debian/rules", "build"], 0x1 /* 9 vars */) = 0\n'
CURL = b'11<sh> execve("/usr/bin/curl", ["curl", "http://x/"], 0x1 /* 9 vars */) = 0\n'
WHO = Actor("curl http://x/", "build")


def traced(*lines: bytes) -> Traced:
    """What is seen of these lines within a target, in pieces of odd lengths."""
    watcher = Watcher(PLACES, inside=True)
    data = RULES + CURL + b"".join(b"11<curl> " + line + b"\n" for line in lines)
    for start in range(0, len(data), 7):
        watcher.feed(data[start : start + 7])
    return watcher.traced()


def acts(*lines: bytes) -> list[tuple[Kind, str, str]]:
    found = traced(*lines).acts
    assert {act.actor for act in found} <= {WHO}
    return [(act.kind, act.target, act.outcome) for act in found]


def test_addresses() -> None:
    lines = (
        b"connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(80), "
        b'sin_addr=inet_addr("192.0.2.1")}, 16)'
        b" = -1 ENETUNREACH (Network is unreachable)",
        b"connect(3<socket:[1]>, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        b'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 EINPROGRESS (Operation'
        b" now in progress)",
        b'sendto(3<socket:[1]>, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9), '
        b'sin_addr=inet_addr("192.0.2.7")}, 16) = 1',
    )
    assert acts(*lines) == [
        (Kind.NETWORK, "192.0.2.1:80", "ENETUNREACH"),
        (Kind.NETWORK, "[2001:db8::1]:443", "EINPROGRESS"),
        (Kind.NETWORK, "192.0.2.7:9", ""),
    ]


def test_names() -> None:
    query = rb'"\1\2\1\0\0\1\0\0\0\0\0\0\3www\7example\3org\0\0\1\0\1"'
    own = rb'"\1\2\1\0\0\1\0\0\0\0\0\0\7bwbuild\0\0\34\0\1"'
    assert acts(b"sendto(3<socket:[1]>, %s, 33, MSG_NOSIGNAL, NULL, 0) = 33" % query) == [
        (Kind.NETWORK, "www.example.org", "")
    ]
    assert acts(b"sendto(3<socket:[1]>, %s, 25, MSG_NOSIGNAL, NULL, 0) = 25" % own) == []


def test_this_machine_is_no_network() -> None:
    line = b'connect(3, {sa_family=AF_INET, sin_port=htons(%d), sin_addr=inet_addr("%s")}, 16) = 0'
    here = ((80, b"127.0.0.1"), (53, b"127.0.0.1"), (0, b"192.0.2.1"), (80, b"0.0.0.0"))
    assert acts(*(line % one for one in here)) == []
    mapped = (
        b"connect(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), "
        b'inet_pton(AF_INET6, "::ffff:%s", &sin6_addr), sin6_scope_id=0}, 28) = 0'
    )
    assert acts(mapped % b"127.0.0.1") == []
    assert acts(mapped % b"192.0.2.1") == [(Kind.NETWORK, "[::ffff:192.0.2.1]:80", "")]
    assert acts(b'connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 10) = 0') == []


def test_home_and_outside() -> None:
    cwd = b"AT_FDCWD</build/x/tiny-1>"
    lines = (
        b'mkdir("/nonexistent", 0777) = -1 EROFS (Read-only file system)',
        b'mkdir("/nonexistent/.y", 0777) = -1 ENOENT (No such file or directory)',
        b'openat(%s, "/usr/share/x", O_WRONLY|O_CREAT, 0666) = -1 EROFS (Read-only file system)' % cwd,
        b'openat(%s, "../beside", O_WRONLY|O_CREAT, 0666) = 3</build/x/beside>' % cwd,
        b'openat(%s, "/nonexistent/.x", O_WRONLY|O_CREAT, 0666) = -1 ENOENT (No such file or directory)'
        % cwd,
        b'creat("/etc/x", 0644) = -1 EACCES (Permission denied)',
        b'unlinkat(%s, "/var/lib/x", 0) = -1 EROFS (Read-only file system)' % cwd,
    )
    assert acts(*lines) == [
        (Kind.HOME, "/nonexistent", "EROFS"),
        (Kind.HOME, "/nonexistent/.y", "ENOENT"),
        (Kind.OUTSIDE, "/usr/share/x", "EROFS"),
        (Kind.OUTSIDE, "/build/x/beside", ""),
        (Kind.HOME, "/nonexistent/.x", "ENOENT"),
        (Kind.OUTSIDE, "/etc/x", "EACCES"),
        (Kind.OUTSIDE, "/var/lib/x", "EROFS"),
    ]


def test_what_may_be_written() -> None:
    cwd = b"AT_FDCWD</build/x/tiny-1>"
    lines = (
        b'openat(%s, "/tmp/x", O_WRONLY|O_CREAT, 0666) = 3</tmp/x>' % cwd,
        b'openat(%s, "/dev/null", O_WRONLY) = 3</dev/null>' % cwd,
        b'openat(%s, "../tiny_1_all.deb", O_WRONLY|O_CREAT, 0644) = 3</build/x/tiny_1_all.deb>' % cwd,
        b'openat(%s, "/usr/share/x", O_RDONLY) = 3</usr/share/x>' % cwd,
        b'mkdir("/build", 0777) = -1 EEXIST (File exists)',
        b'openat(%s, "/usr/lib/python3.11/__pycache__/x.pyc.1", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0644)'
        b" = -1 EROFS (Read-only file system)" % cwd,
        b'unlinkat(%s, "/etc/none", 0) = -1 ENOENT (No such file or directory)' % cwd,
        b'mkdir("relative", 0777) = 0',
        b'openat(%s, "/usr/share", O_RDWR|O_CREAT, 0666) = -1 EISDIR (Is a directory)' % cwd,
    )
    assert acts(*lines) == []


def test_what_the_changes_list_is_no_misconduct_whatever_its_name() -> None:
    line = b'openat(AT_FDCWD</build/x/tiny-1>, "../%s", O_WRONLY|O_CREAT, 0666) = 3</build/x/%s>'
    found = traced(*(line % (name, name) for name in (b"tiny_1_amd64.tar.gz", b"other.tar.gz")))
    left = found.without({"/build/x/tiny_1_amd64.tar.gz"})
    assert [act.target for act in left.acts] == ["/build/x/other.tar.gz"]


def test_who_wrote_in_the_tree() -> None:
    place = b"/build/x/tiny-1/debian"
    line = b'openat(AT_FDCWD<%s>, "a\\nb", O_WRONLY|O_CREAT, 0666) = 3<%s/a\\nb>' % (place, place)
    gone = b'unlinkat(AT_FDCWD<%s>, "gone", 0) = 0' % place
    assert traced(line, gone).writers == {"debian/a\nb": WHO}


def test_what_only_root_may() -> None:
    line = b'fchownat(AT_FDCWD</build/x/tiny-1>, "out", 5, -1, 0) = -1 EPERM (Operation not permitted)'
    assert acts(line, b"fchown(3</build/x/tiny-1/a>, 0, 0) = -1 EPERM (Operation not permitted)") == [
        (Kind.ROOT, "out", "EPERM"),
        (Kind.ROOT, "/build/x/tiny-1/a", "EPERM"),
    ]


def test_what_dpkg_itself_does_is_not_the_package() -> None:
    watcher = Watcher(PLACES, inside=True)
    write = b'openat(AT_FDCWD</>, "/usr/%s", O_WRONLY|O_CREAT, 0666) = -1 EROFS (Read-only file system)\n'
    between = (
        b'12<perl> execve("/usr/bin/dpkg-genchanges", ["dpkg-genchanges", "-b"], 0x1 /* 9 vars */) = 0\n'
    )
    watcher.feed(b"9<perl> " + write % b"before" + RULES + b"10<make> " + write % b"during" + between)
    watcher.feed(b"12<dpkg-genchanges> " + write % b"after")
    make = Actor("debian/rules build", "build")
    assert watcher.traced().acts == (Act(Kind.OUTSIDE, "open to write", "/usr/during", make, "EROFS"),)


def test_targets_of_dh_are_no_targets() -> None:
    override = (
        b'13<dh> execve("debian/rules", ["debian/rules", "override_dh_auto_build"], 0x1 /* 9 vars */) = 0'
    )
    write = b'openat(AT_FDCWD</>, "/usr/x", O_WRONLY|O_CREAT, 0666) = -1 EROFS (Read-only file system)'
    watcher = Watcher(PLACES, inside=True)
    watcher.feed(RULES + override + b"\n13<make> " + write + b"\n")
    (act,) = watcher.traced().acts
    assert act.actor == Actor("debian/rules override_dh_auto_build", "build")


def test_lines_of_another_form_are_passed_over() -> None:
    lines = (
        b"execve(",
        b"connect(3, ",
        b"sendto({sa_family=AF_INET",
        b"chown() = -1 EPERM",
        b"\xff" * 300,
        b"(" * 99,
    )
    assert acts(*lines) == []
    assert acts(b"x" * (1 << 18), b'mkdir("/nonexistent", 0777) = -1 EROFS (Read-only file system)')[-1:] == [
        (Kind.HOME, "/nonexistent", "EROFS")
    ]
