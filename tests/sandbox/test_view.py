"""The declared view from inside: what is hidden can't be reached by any way, and dpkg tells the truth."""

# It is about ten thousands of paths.
# ruff: noqa: PTH110, PTH113, PTH114, PTH120

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import hostfiles
import pytest
from looks import AS_ROOT
from support import Desk, discard, give_up, make_desk, need

from bwbuild.host.facts import read_caller
from bwbuild.root.etc import HIDDEN

TRICKS = (Path(__file__).parent / "tricks.py").read_text(encoding="utf-8")

#: What no view shows.
SECRET = tuple(f"/etc/{name}" for name in HIDDEN)
#: Reads paths from the file in its argument; prints what lstat says of those that exist.
_LOOK = """\
import json, os, stat, sys
found = {}
for path in open(sys.argv[1], errors="surrogateescape").read().split(chr(0)):
    try:
        status = os.lstat(path)
    except OSError:
        continue
    found[path] = [stat.S_IFMT(status.st_mode), status.st_size if stat.S_ISREG(status.st_mode) else 0]
json.dump(found, sys.stdout)
"""
#: All links below /usr and /etc that lead nowhere.
_DANGLING = """\
import json, os, sys
found = []
for top in ("/usr", "/etc"):
    for directory, directories, files in os.walk(top):
        paths = (f"{directory}/{name}" for name in (*directories, *files))
        found += [path for path in paths if os.path.islink(path) and not os.path.exists(path)]
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Divided:
    """The packages of this machine, those that the sandbox shows and those that it hides.

    ``hidden_paths``: what hidden packages own alone, as far as it exists here.
    """

    shown: frozenset[str]
    hidden: frozenset[str]
    hidden_paths: frozenset[str]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A tree into which the tests may put lists."""
    need("bwrap", "dpkg-buildpackage")
    desk = make_desk(tmp_path_factory.mktemp("view"))
    yield desk
    discard(desk.scratch)


@pytest.fixture(scope="session")
def divided(place: Desk) -> Divided:
    """Who is shown, says dpkg inside."""
    shown = frozenset(place.inside("dpkg-query -W -f '${binary:Package}\\n'").split())
    hidden = hostfiles.installed() - shown
    alone = hostfiles.all_of(hidden) - hostfiles.all_of(shown) - hostfiles.diverted()
    return Divided(shown, hidden, frozenset(filter(os.path.lexists, alone)))


def seen(desk: Desk, paths: frozenset[str], *words: str) -> dict[str, list[int]]:
    """Those paths that exist inside -> type and size."""
    (desk.tree / "paths").write_text("\0".join(sorted(paths)), errors="surrogateescape")
    found = json.loads(desk.ok("run", *words, "--", "python3", "-c", _LOOK, "paths").out)
    assert isinstance(found, dict)
    return found


# All files


def test_nothing_of_a_hidden_package_exists(place: Desk, divided: Divided) -> None:
    assert {"bubblewrap", "python3-click"} <= divided.hidden
    hidden = divided.hidden_paths
    hidden |= frozenset(hostfiles.bytecode(hidden))
    assert len(hidden) > 100
    assert seen(place, hidden) == {}


def test_all_of_a_visible_package_exists(place: Desk, divided: Divided) -> None:
    """With its type and size; a view that hides too much breaks builds."""
    wanted = {
        path: [0o170000 & status.st_mode, status.st_size if os.path.isfile(path) else 0]
        for path, status in _status(hostfiles.all_of(divided.shown) - hostfiles.diverted())
        if not path.startswith(SECRET) and not path.startswith("/usr/local")
    }
    wanted = {path: value if not os.path.islink(path) else [value[0], 0] for path, value in wanted.items()}
    found = seen(place, frozenset(wanted))
    assert {path: found.get(path) for path in wanted if found.get(path) != wanted[path]} == {}


def _status(paths: frozenset[str]) -> Iterator[tuple[str, os.stat_result]]:
    for path in paths:
        try:
            if os.path.islink(path) or os.access(path, os.R_OK):
                yield path, os.lstat(path)
        except FileNotFoundError:
            continue  # removed by the administrator, or never unpacked


def test_no_link_leads_nowhere_that_does_not_do_so_here(place: Desk) -> None:
    links = json.loads(place.ok("run", "--", "python3", "-c", _DANGLING).out)
    # The time zone of this machine is hidden, and tzdata has a link to it.
    hidden = [f"/etc/{name}" for name in HIDDEN]
    assert [path for path in links if os.path.exists(path) and str(Path(path).readlink()) not in hidden] == []


def test_the_host_view_shows_everything(place: Desk, divided: Divided) -> None:
    hidden = frozenset(path for path in divided.hidden_paths if not path.startswith(SECRET))
    assert hidden - seen(place, hidden, "--view", "host").keys() == set()
    out = place.inside("dpkg-query -W -f '${db:Status-Status} ${binary:Package}\\n'", "--view", "host")
    assert {line.split()[1] for line in out.splitlines() if line.startswith("installed ")} == (
        hostfiles.installed()
    )


# Ways to what is hidden


@pytest.fixture(scope="session")
def specimens(divided: Divided) -> dict[str, str]:
    """Hidden files of all kinds -> SHA-256: a program, a module and its byte-code, settings, …"""
    hidden = sorted(divided.hidden_paths)
    files = [path for path in hidden if os.path.isfile(path)]
    shared = [path for path in hidden if hostfiles.is_directory(os.path.dirname(path))]
    kinds: tuple[Callable[[str], bool], ...] = (
        lambda path: path == "/usr/bin/bwrap",
        lambda path: path.startswith("/usr/bin/") and os.path.islink(path),
        lambda path: path.startswith("/usr/lib/python3/dist-packages/") and path.endswith(".py"),
        lambda path: path.startswith("/usr/share/doc/"),
        lambda path: path.startswith("/usr/include/"),
        lambda path: path.startswith("/usr/lib/") and ".so." in path,
        lambda path: path.startswith("/etc/"),
        lambda path: path.startswith("/etc/") and os.path.isfile(path) and os.access(path, os.R_OK),
    )
    chosen = [path for kind in kinds for path in [next(filter(kind, shared), None)] if path]
    chosen += islice(hostfiles.bytecode(files), 2)
    chosen += [str(path) for path in Path("/usr/local").iterdir()][:2]
    return {path: hostfiles.digest(path) for path in chosen}


#: A view has to hold without the help of other restraints.
WEAKEST = ("--no-seccomp", "--allow", "userns")


def tricks(desk: Desk, hidden: dict[str, str], *prefix: str, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """What all the tricks have reached."""
    script = desk.tree / "tricks.py"
    script.write_text(TRICKS, encoding="utf-8")
    done = desk.ok("run", *words, "--", *prefix, "python3", "tricks.py", json.dumps(hidden))
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


def test_the_user_reaches_nothing_hidden(place: Desk, specimens: dict[str, str]) -> None:
    assert "/usr/bin/bwrap" in specimens
    found = tricks(place, specimens, words=WEAKEST)
    assert found["reached"] == []
    assert found["tried"] > 1000
    if found["namespace"]:
        give_up(f"no namespace can be made in the sandbox: {found['namespace']}")
    assert any("overlay" in line for line in found["mounted"])


def test_root_of_the_sandbox_reaches_nothing_hidden(place: Desk, specimens: dict[str, str]) -> None:
    caller = read_caller()
    if os.getuid() != 0 and not (caller.subuids and caller.subgids):
        pytest.skip("this user has no subordinate ids, so only one id exists inside")
    found = tricks(place, specimens, AS_ROOT, words=WEAKEST)
    # The first process is bwrap itself, as whose peer root may look at its program.
    own = [line for line in found["reached"] if "/proc/1/" in line and line.endswith("of /usr/bin/bwrap")]
    assert [line for line in found["reached"] if line not in own] == []
    assert found["tried"] > 1000


def test_the_tricks_would_work(place: Desk, specimens: dict[str, str]) -> None:
    """What reaches nothing proves nothing unless it reaches what is there."""
    found = tricks(place, specimens, words=("--view", "host", *WEAKEST))["reached"]
    for how in ("spelling", "symlink", "O_PATH", "handle", "readdir", "openat", "chroot", "bind", "overlay"):
        assert any(line.startswith(how) for line in found), how
    for path in specimens:
        if not path.startswith("/usr/local/"):
            assert any(path in line for line in found), path


def test_no_mount_says_where_the_cache_is(place: Desk) -> None:
    script = "cat /proc/[0-9]*/mountinfo /proc/[0-9]*/mounts /proc/[0-9]*/mountstats /proc/[0-9]*/environ"
    out = place.inside(f"{script} 2>/dev/null | tr '\\0' ' '; {AS_ROOT} {script} 2>/dev/null | tr '\\0' ' '")
    assert "overlay" in out
    assert str(place.top.parent) not in out
    assert place.environment["BWBUILD_CACHE"] not in out


# dpkg, and what else is asked who is there


def test_dpkg_lists_what_is_seen(place: Desk, divided: Divided) -> None:
    out = place.inside("dpkg -l | sed -n 's/^ii *//p'")
    assert {line.split()[0] for line in out.splitlines()} == divided.shown
    assert "apt" not in divided.shown
    assert place.inside("dpkg --audit; ! command -v apt-get; ! ls /etc/apt/sources.list* /var/lib/apt") == ""


def test_dpkg_knows_whose_a_file_is(place: Desk) -> None:
    script = (
        "dpkg -S /usr/bin/python3 /usr/bin/make; dpkg -L make | grep -x /usr/bin/make; dpkg -V make;"
        " ! dpkg -S /usr/bin/bwrap; ! dpkg -L bubblewrap; ! dpkg -s bubblewrap"
    )
    assert place.inside(f"({script}) 2>/dev/null").splitlines() == [
        "python3-minimal: /usr/bin/python3",
        "make: /usr/bin/make",
        "/usr/bin/make",
    ]


def test_checkbuilddeps_knows_what_is_missing(place: Desk) -> None:
    place.inside("dpkg-checkbuilddeps")
    done = place.run("run", "--", "dpkg-checkbuilddeps", "-d", "bubblewrap, make, python3-click")
    assert done.status != 0
    assert "unmet build dependencies: bubblewrap python3-click" in done.both.lower()


def test_alternatives_are_among_what_is_seen(place: Desk) -> None:
    script = (
        "for link in /etc/alternatives/*; do [ -e $link ] || echo dangling $link; done;"
        " update-alternatives --get-selections | while read name mode value; do"
        " [ $mode = auto ] || echo manual $name; [ -e $value ] || echo gone $value;"
        " update-alternatives --query $name | sed -n 's/^Alternative: //p' | while read file; do"
        " [ -e $file ] || echo hidden $file; done; done; update-alternatives --get-selections | wc -l"
    )
    *wrong, count = place.inside(script).splitlines()
    assert wrong == []
    assert int(count) >= 1


def test_ldconfig_lists_what_is_seen(place: Desk) -> None:
    def libraries(text: str) -> set[str]:
        return {line.rpartition(" => ")[2] for line in text.splitlines() if " => " in line}

    found = libraries(place.inside("/sbin/ldconfig -p"))
    assert found
    script = "for path in $(cat libraries); do [ ! -e $path ] || echo $path; done"
    host = libraries(place.inside("/sbin/ldconfig -p", "--view", "host"))
    (place.tree / "libraries").write_text("\n".join(host | found))
    assert found == set(place.inside(script).split())


def test_find_library_finds_what_is_seen(place: Desk, divided: Divided) -> None:
    names = {
        Path(path).name.removeprefix("lib").partition(".so.")[0]
        for path in divided.hidden_paths
        if ".so." in path and os.path.dirname(path).startswith("/usr/lib/") and path.count("/") == 4
    }
    visible = {Path(path).name.removeprefix("lib").partition(".so")[0] for path in seen(place, _libraries())}
    hidden = sorted(names - visible)[:3]
    script = "import ctypes.util, sys; print(*map(ctypes.util.find_library, sys.argv[1:]))"
    out = place.ok("run", "--", "python3", "-c", script, "c", "z", *hidden).out
    assert out.split() == ["libc.so.6", "libz.so.1", *["None"] * len(hidden)]


def _libraries() -> frozenset[str]:
    return frozenset(str(path) for path in Path("/usr/lib").glob("*/lib*.so*"))
