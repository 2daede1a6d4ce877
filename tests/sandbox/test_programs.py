"""Real programs that need unusual system calls go on working in the default sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Desk, need

CRASH = """\
#include <stdlib.h>
static int inner(int *p) { return *p; }
int outer(int number) { int *p = malloc(4); *p = number; int kept = inner(p); free(p); return kept; }
int main(int argc, char **argv) { (void)argv; return outer(argc) - 1; }
"""
ADDRESS = """\
#include <stdlib.h>
int main(void) { volatile char *p = malloc(8); free((void *)p); return p[3]; }
"""
LEAK = """\
#include <stdlib.h>
int main(void) { volatile char *p = malloc(77); p = 0; return p != 0; }
"""
POOL = """if True:
    import multiprocessing, multiprocessing.shared_memory as memory
    def square(number):
        return number * number
    if __name__ == "__main__":
        for kind in ("fork", "spawn", "forkserver"):
            with multiprocessing.get_context(kind).Pool(3) as pool:
                print(kind, sum(pool.map(square, range(10))))
        block = memory.SharedMemory(create=True, size=100)
        block.close()
        block.unlink()
        lock = multiprocessing.Lock()
        with lock:
            print("lock")
"""
PTY = """if True:
    import os, pty, sys
    said = []
    def read(descriptor):
        data = os.read(descriptor, 1000)
        said.append(data)
        return data
    status = pty.spawn(["sh", "-c", "tty; stty size >/dev/null && echo works"], read)
    sys.exit(status)
"""


@pytest.fixture
def bench(desk: Desk) -> Desk:
    """A desk whose sandbox has all of this machine's programs."""
    return Desk(desk.top, {"BWBUILD_VIEW": "host"})


def compiled(desk: Desk, text: str, *flags: str) -> str:
    """Lines of a shell script that compile ``text`` to ``./program`` inside."""
    need("gcc")
    (desk.tree / "program.c").write_text(text, encoding="ascii")
    return f"gcc -g -O0 {' '.join(flags)} -o program program.c; "


def test_gdb(bench: Desk) -> None:
    need("gdb")
    commands = "-ex 'break inner' -ex run -ex backtrace -ex 'info registers rip pc' -ex continue"
    script = compiled(bench, CRASH) + f"gdb -batch -nx {commands} ./program 2>&1 || true"
    said = bench.inside(script)
    assert "in outer (number=1)" in said
    assert "exited normally" in said
    assert "Error disabling address space randomization" not in said


@pytest.mark.parametrize("options", ["", "-f", "-f --seccomp-bpf"])
def test_strace(bench: Desk, options: str) -> None:
    need("strace")
    said = bench.inside(f"strace {options} -e trace=openat,execve sh -c 'cat input; true' 2>&1")
    assert "execve(" in said
    assert "+++ exited with 0 +++" in said
    assert "hello" in said


def test_strace_changes_calls(bench: Desk) -> None:
    """A tracer that skips a call sets its number to -1, which is in no ABI."""
    need("strace")
    said = bench.inside(
        "strace -e trace=unlink,unlinkat -e inject=unlink,unlinkat:error=EDOM rm input 2>&1 || true"
    )
    assert "INJECTED" in said
    assert "SIGSYS" not in said
    assert bench.inside("cat input") == "hello\n"


def test_address_sanitizer(bench: Desk) -> None:
    script = compiled(bench, ADDRESS, "-fsanitize=address") + "./program 2>&1 || true"
    said = bench.inside(script)
    assert "heap-use-after-free" in said
    assert "program.c:2" in said


def test_leak_sanitizer(bench: Desk) -> None:
    script = compiled(bench, LEAK, "-fsanitize=address") + "./program 2>&1 || true"
    said = bench.inside(script)
    assert "77 byte(s) leaked" in said
    assert "LeakSanitizer has encountered a fatal error" not in said


@pytest.mark.parametrize("kind", ["undefined", "thread"])
def test_other_sanitizers(bench: Desk, kind: str) -> None:
    script = compiled(bench, CRASH, f"-fsanitize={kind}") + "./program 2>&1; echo ended $?"
    assert bench.inside(script) == "ended 0\n"


def test_setarch(bench: Desk) -> None:
    need("setarch")
    script = "setarch -R sh -c 'head -1 /proc/self/maps; head -1 /proc/self/maps; cat /proc/self/personality'"
    first, second, persona = bench.inside(script).splitlines()
    assert first == second
    assert int(persona, 16) == 0x40000


def test_setarch_without_options(bench: Desk) -> None:
    need("setarch")
    assert bench.inside("setarch $(uname -m) uname -m") == bench.inside("uname -m")


@pytest.mark.parametrize("program", ["fakeroot", "fakeroot-sysv", "fakeroot-tcp"])
def test_fakeroot(bench: Desk, program: str) -> None:
    need(program)
    script = (
        f"{program} sh -c 'touch f; chown games:games f; stat -c %U:%G f; mknod d c 1 3; stat -c %F d; id -u'"
    )
    assert bench.inside(script).splitlines() == ["games:games", "character special file", "0"]


def test_expect(bench: Desk) -> None:
    need("expect")
    dialogue = (
        'spawn sh -c "read -p name? n; echo hi \\$n"; expect name; send joe\\r; expect "hi joe"; expect eof'
    )
    (bench.tree / "dialogue").write_text(dialogue.replace("; ", "\n"), encoding="ascii")
    assert "hi joe" in bench.inside("expect -f dialogue")


def test_script(bench: Desk) -> None:
    need("script")
    assert "/dev/pts/" in bench.inside("script --quiet --return --command tty /dev/null")


def test_pty(bench: Desk) -> None:
    said = bench.ok("run", "--", "python3", "-c", PTY).out
    assert "/dev/pts/" in said
    assert "works" in said


def test_multiprocessing(bench: Desk) -> None:
    (bench.tree / "pool.py").write_text(
        POOL.replace("if True:\n", "").replace("\n    ", "\n").lstrip(), "ascii"
    )
    said = bench.inside("python3 -B pool.py").split("\n")
    assert said[:4] == ["fork 285", "spawn 285", "forkserver 285", "lock"]


def test_valgrind(bench: Desk) -> None:
    need("valgrind")
    script = compiled(bench, LEAK) + "valgrind --leak-check=full ./program 2>&1"
    assert "definitely lost: 77 bytes" in bench.inside(script)


@pytest.mark.parametrize("program", ["ip link", "ss -a"])
def test_network_tools(bench: Desk, program: str) -> None:
    need(program.split(maxsplit=1)[0])
    done = bench.run("run", "--", *program.split())
    assert "SIGSYS" not in done.both
    if program == "ip link":
        assert "lo:" in done.out


def test_threads_and_vfork(bench: Desk) -> None:
    """clone3 is not there, and C libraries have to fall back to clone."""
    script = """if True:
        import os, subprocess, threading
        seen = []
        threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(20)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        print(sorted(seen) == list(range(20)), subprocess.run(["true"]).returncode)
    """
    assert bench.ok("run", "--", "python3", "-c", script).out == "True 0\n"


def test_databases_need_no_disk(bench: Desk) -> None:
    """SQLite syncs its journal at each commit."""
    script = """if True:
        import sqlite3
        base = sqlite3.connect("base")
        base.execute("create table t (n)")
        for number in range(50):
            base.execute("insert into t values (?)", (number,))
            base.commit()
        for question in ("select sum(n) from t", "pragma integrity_check"):
            print(base.execute(question).fetchone()[0])
    """
    assert bench.ok("run", "--", "python3", "-c", script).out == "1225\nok\n"
    assert Path(bench.tree, "base").exists() is False
