from __future__ import annotations

import time
import tracemalloc

import pytest

from bwbuild.build import scan
from bwbuild.build.scan import ERROR_LINES, LONGEST_LINE, MOST_STEPS, TAIL_LINES, Excerpt, OutputScanner
from bwbuild.events import Event, Level, Notice, Output, Step

FAILED_BUILD = b"""\
dpkg-buildpackage: info: source package hello
 dpkg-source --before-build .
dpkg-source: info: using options from debian/source/options: --x
 /run/bwbuild/as-root debian/rules binary
dh binary
   dh_update_autotools_config
   debian/rules override_dh_auto_configure
make[1]: Entering directory '/build/x'
dh_auto_configure -- --with-x
checking for foo... not found
configure: error: this one did not end the build
   dh_auto_build -O--parallel
\tmake -j2
make[1]: Entering directory '/build/x'
gcc -Werror=format-security -c foo.c
foo.c: In function 'f':
foo.c:3:5: error: expected ';' before '}' token
    3 | int x
      |      ^
bar.c:1:1: warning: nothing
make[3]: *** [Makefile:10: foo.o] Error 1
make[2]: *** [Makefile:5: all] Error 2
make[1]: *** [Makefile:2: all] Error 2
make[1]: Leaving directory '/build/x'
dh_auto_build: error: make -j2 returned exit code 2
make: *** [debian/rules:4: binary] Error 25
dpkg-buildpackage: error: debian/rules binary subprocess returned exit status 2
"""


def scanned(data: bytes, size: int = 1 << 20) -> tuple[Excerpt, list[str]]:
    events: list[Event] = []
    scanner = OutputScanner(events.append)
    for start in range(0, len(data), size):
        scanner.feed(data[start : start + size])
    return scanner.excerpt(), [event.name for event in events if isinstance(event, Step)]


def errors_of(line: str) -> tuple[str, ...]:
    return scanned(f"harmless\n{line}\n".encode())[0].errors


def test_a_failed_build() -> None:
    excerpt, steps = scanned(FAILED_BUILD)
    assert steps == [
        "dpkg-source --before-build",
        "debian/rules binary",
        "dh_update_autotools_config",
        "override_dh_auto_configure",
        "dh_auto_configure",
        "dh_auto_build",
    ]
    assert excerpt.step == "dh_auto_build"
    assert excerpt.command == "dh_auto_build: error: make -j2 returned exit code 2"
    assert excerpt.errors == (
        "foo.c:3:5: error: expected ';' before '}' token",
        "    3 | int x",
        "      |      ^",
    )
    assert excerpt.tail == tuple(
        line.decode().expandtabs() for line in FAILED_BUILD.splitlines()[-TAIL_LINES:]
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_chunks_may_end_anywhere(size: int) -> None:
    assert scanned(FAILED_BUILD, size) == scanned(FAILED_BUILD)
    crlf = FAILED_BUILD.replace(b"\n", b"\r\n")
    assert scanned(crlf, size) == scanned(FAILED_BUILD)


@pytest.mark.parametrize(
    "line",
    [
        "make[1]: dh_auto_build",
        "make[1]: Entering directory '/x'",
        "dh_auto_build is what comes next",
        "dh_auto_test: error: make check returned exit code 2",
        "dpkg-source: info: building hello",
        "    dh_auto_build",
        "echo debian/rules binary",
        "dh: warning: dh_auto_build",
    ],
)
def test_what_is_no_step(line: str) -> None:
    assert scanned(f"{line}\n".encode())[1] == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("   dh_auto_build -a", "dh_auto_build"),
        ("   dh_auto_test", "dh_auto_test"),
        ("dh_testdir", "dh_testdir"),
        ("dpkg-source -b .", "dpkg-source -b"),
        (" dpkg-source -i -I --after-build .", "dpkg-source --after-build"),
        (" debian/rules binary", "debian/rules binary"),
        (" fakeroot debian/rules clean", "debian/rules clean"),
        (" dpkg-genbuildinfo --build=binary -O../x.buildinfo", "dpkg-genbuildinfo"),
        (" dpkg-genchanges --build=binary", "dpkg-genchanges"),
        ("   debian/rules execute_before_dh_install", "execute_before_dh_install"),
    ],
)
def test_steps(line: str, name: str) -> None:
    assert scanned(f"{line}\n".encode())[1] == [name]


def test_a_step_is_told_once_until_another_begins() -> None:
    assert scanned(b"   dh_a\n   dh_a\n   dh_b\n   dh_a\n")[1] == ["dh_a", "dh_b", "dh_a"]


def test_only_output_is_scanned() -> None:
    events: list[Event] = []
    scanner = OutputScanner(events.append)
    scanner(Notice(Level.INFO, "   dh_auto_build"))
    scanner(Output(b"   dh_auto_test\n"))
    assert events == [Step("dh_auto_test")]
    assert scanner.step == "dh_auto_test"


@pytest.mark.parametrize(
    "line",
    [
        "../src/foo.cpp:12:34: fatal error: foo.h: No such file or directory",
        "/usr/bin/ld: main.c:(.text+0x5): undefined reference to `g'",
        "collect2: error: ld returned 1 exit status",
        "error[E0308]: mismatched types",
        "error: could not compile `foo`",
        "src/Foo.hs:3:5: error:",
        "./main.go:5:2: undefined: x",
        "--- FAIL: TestX (0.00s)",
        "ModuleNotFoundError: No module named 'x'",
        "AssertionError",
        "E       assert 1 == 2",
        "FAILED tests/test_x.py::test_y - assert 1 == 2",
        "Can't locate Foo/Bar.pm in @INC (you may need to install the Foo::Bar module)",
        "not ok 3 - does it",
        "#   Failed test 'does it'",
        'meson.build:5:0: ERROR: Dependency "x" not found, tried pkgconfig',
        "CMake Error at CMakeLists.txt:3 (find_package):",
        "[ERROR] Failed to execute goal org.apache.maven",
        "make[2]: *** No rule to make target 'x.o', needed by 'all'.  Stop.",
        "FAIL: check.sh",
        "FAIL: test_a (t.T.test_a)",
        "ERROR: test_a (t.T.test_a)",
        "configure: error: no acceptable C compiler found in $PATH",
        "dpkg-source: error: aborting due to unexpected upstream changes, see /tmp/x",
        " 3/10 foo        FAIL           0.01s   exit status 1",
        "3/3 Test #3: foo ....................***Failed    0.01 sec",
        "thread 'main' panicked at src/main.rs:2:5:",
        "Error: Unbound module Foo",
        "tar: x: Cannot write: No space left on device",
        "sh: 1: foo: not found",
        "bash: line 1: foo: command not found",
        "cat: x: No such file or directory",
        "dh_install: warning: hello missing files: usr/bin/x",
    ],
)
def test_lines_that_say_why(line: str) -> None:
    assert errors_of(line) == (line,)


@pytest.mark.parametrize(
    "line",
    [
        "gcc -Werror=format-security -c error.c",
        "checking for foo... not found",
        "not ok 3 - later # TODO not yet",
        "# FAIL:  0",
        "XFAIL: check.sh",
        "0 errors, 0 FAILURES",
        "ok 3 - error handling",
        "test_error ... ok",
    ],
)
def test_lines_that_are_harmless(line: str) -> None:
    assert errors_of(line) == ()


def test_a_traceback_gives_the_exception() -> None:
    text = (
        b'Traceback (most recent call last):\n  File "x"\n    f()\nfoo.bar.Oops: it went wrong\nnext\n\nz\n'
    )
    assert scanned(text)[0].errors == ("foo.bar.Oops: it went wrong", "next")
    assert scanned(text, 1) == scanned(text)


def test_doubtful_lines_give_way_to_errors() -> None:
    doubtful = b"cat: a: No such file or directory\n" * 3
    assert scanned(doubtful + b"x.c:1:1: error: y\n")[0].errors == ("x.c:1:1: error: y",)


def test_errors_are_few_and_the_first() -> None:
    text = b"".join(b"x.c:%d:1: error: e\na\nb\nc\n" % number for number in range(100))
    errors = scanned(text)[0].errors
    assert len(errors) == 3 * ERROR_LINES
    assert errors[:4] == ("x.c:0:1: error: e", "a", "b", "x.c:1:1: error: e")


def test_the_same_error_is_said_once() -> None:
    assert scanned(b"x.c:1:1: error: e\n" * 5)[0].errors == ("x.c:1:1: error: e",)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (
            "make[2]: *** [a:1: x] Error 1\nmake[1]: *** [b:1: y] Error 2\nmake: *** [c:1: z] Error 2",
            "make[2]: *** [a:1: x] Error 1",
        ),
        (
            "make[2]: *** [a:1: x] Error 1\nmake[1]: *** [b:1: y] Error 2\nmake[1]: *** [b:2: z] Error 1",
            "make[1]: *** [b:2: z] Error 1",
        ),
        ("dpkg-buildpackage: error: x\n", "dpkg-buildpackage: error: x"),
        ("dpkg-source: error: y\ndpkg-buildpackage: error: x", "dpkg-buildpackage: error: x"),
        (
            "make[1]: *** [a:1: x] Error 1\ndh_auto_test: error: make check\nmake: *** [b:1: y] Error 2",
            "dh_auto_test: error: make check",
        ),
        ("all is well", ""),
    ],
)
def test_the_command_that_failed(text: str, command: str) -> None:
    assert scanned(f"{text}\n".encode())[0].command == command


def test_the_step_that_debhelper_names() -> None:
    assert scanned(b"   debian/rules override_dh_x\ndh_auto_test: error: no\n")[0].step == "dh_auto_test"


@pytest.mark.parametrize("separator", [" ", ", "])
def test_unmet_dependencies(separator: str) -> None:
    unmet = ("libnothere-dev (>= 3)", "foo | bar (<< 2~)", "baz:native", "xx [amd64 i386] <!nocheck>")
    line = f"dpkg-checkbuilddeps: error: Unmet build dependencies: {separator.join(unmet)}"
    excerpt = scanned(f"{line}\n".encode())[0]
    assert excerpt.unmet == unmet
    assert excerpt.command == line
    assert scanned(f"{line.replace('Unmet', 'unmet')}\n".encode())[0].unmet == unmet


def test_half_a_name_is_no_unmet_dependency() -> None:
    line = b"dpkg-checkbuilddeps: error: Unmet build dependencies: " + b"libfoo-dev " * 500 + b"\n"
    assert set(scanned(line)[0].unmet) == {"libfoo-dev"}
    assert scanned(line[:LONGEST_LINE] + b"\n")[0].unmet[-1] == "libfoo-dev"


def test_the_end_is_what_a_terminal_would_show() -> None:
    excerpt = scanned(b"10%\r20%\r\n\x1b[31mred\x1b[0m \xff\n\tprompt? ")[0]
    assert excerpt.tail == ("20%", "\\x1b[31mred\\x1b[0m \\xff", "        prompt? ")


def test_long_lines_are_cut() -> None:
    excerpt = scanned(b"x.c:1:1: error: " + b"y" * 100_000 + b"\n" + b"z" * 100_000, 30_000)[0]
    assert [len(line) for line in excerpt.tail] == [LONGEST_LINE, LONGEST_LINE]
    assert len(excerpt.errors[0]) == LONGEST_LINE


NEEDLES = b"\n".join(scan._NEEDLES) + b"\n"


@pytest.mark.parametrize(
    "piece",
    [
        b"a",
        b"\n",
        b"   dh_a\n   dh_b\n",
        b"error:\n",
        b"Traceback (most recent call last):\n",
        b"E   \n",
        NEEDLES,
        b" dpkg-source " + b" -" * 1500 + b"\n",
        b"not ok 1" + b"# " * 1500 + b"\n",
        b"A." * 1500 + b"Erro\n",
        b" " * 4000 + b"rror:\n",
        b"dpkg-checkbuilddeps: error: Unmet build dependencies: " + b"a- (" * 900 + b"\n",
        b"1/1 " + b" FAIL" * 800 + b"\n",
        b"\r" * 4000 + b"rror:\n",
    ],
    ids=lambda piece: repr(piece[:12]),
)
def test_hostile_output_costs_no_more_than_its_size(piece: bytes) -> None:
    chunk = (piece * (65536 // len(piece) + 1))[:65536]
    steps: list[Event] = []
    scanner = OutputScanner(steps.append)
    start = time.process_time()
    for _ in range(25):
        scanner.feed(chunk)
    # 1.6 MB; the slowest of them takes a quarter of a second.
    assert time.process_time() - start < 5
    assert len(steps) <= MOST_STEPS
    scanner.excerpt()


def test_memory_is_bounded() -> None:
    chunk = NEEDLES * (65536 // len(NEEDLES)) + b"a" * 20_000
    scanner = OutputScanner(lambda _: None)
    scanner.feed(chunk)
    tracemalloc.start()
    for _ in range(30):
        scanner.feed(chunk)
    assert tracemalloc.get_traced_memory()[1] < 1_500_000
    tracemalloc.stop()
