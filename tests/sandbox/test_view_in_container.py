"""The declared view in a container: its root is an overlay, on which no whiteout can be made.

One is made of this machine: an overlay of its root with a layer in memory, entered by pivot_root, since no
user namespace can be made in a chroot. Whatever is done there is gone with it, so it is also where files
that no package owns can be put into /usr.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hostfiles
import pytest
from looks import AS_ROOT
from support import COMMAND, PATIENCE, ROOT, Desk, Done, as_root, make_desk, need, subordinate_options

pytestmark = as_root

NAME = "bwbtest"
#: Unowned files, and one that belongs to a package that no build needs.
STRANGERS = (
    "/usr/bin/stranger",
    "/usr/include/stranger.h",
    "/usr/lib/python3/dist-packages/stranger.py",
    "/usr/share/pkgconfig/stranger.pc",
    "/usr/local/bin/stranger",
    "/etc/stranger.conf",
)
HIDDEN = ("/usr/bin/bwrap", "/usr/share/doc/bubblewrap", *STRANGERS)

_ENTER = """\
top=$1 layers=$2; shift 2
mount -t tmpfs -o mode=755 none $layers
mkdir $layers/upper $layers/work $layers/root
mount -t overlay -o lowerdir=/,upperdir=$layers/upper,workdir=$layers/work none $layers/root
cd $layers/root
# What is mounted on the machine is not in the overlay.
[ -d .$top ] || { mkdir -p .$top; cp -a $top/. .$top/; }
for name in proc dev sys; do mount --rbind /$name $name; done
chmod 1777 tmp var/tmp
mkdir .old
pivot_root . .old
umount -l .old
exec sh -euc "$@"
"""
#: As root of the container: a user with ids, and files that nobody owns.
_FURNISH = """\
cd /
useradd --no-create-home --shell /bin/sh {user}
usermod {ids} {user}
chown -R {user}: {top}
for file in {strangers}; do mkdir -p $(dirname $file); echo stranger > $file; chmod 755 $file; done
cd {tree}
exec setpriv --reuid={user} --regid={user} --clear-groups sh -euc "$0" "$@"
"""


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk that another user can reach, with a copy of the command."""
    need("bwrap", "newuidmap", "dpkg-buildpackage", "pivot_root", "useradd")
    top = Path(tempfile.mkdtemp(prefix="bwbuild-test-", dir="/var/tmp"))
    top.chmod(0o755)
    program = top / "desk" / "program"
    shutil.copytree(ROOT / "bwbuild", program / "bwbuild", ignore=shutil.ignore_patterns("__pycache__"))
    (top / "layers").mkdir()
    yield make_desk(top / "desk", program=program)
    subprocess.run(["rm", "-rf", top], check=True)


def contained(desk: Desk, script: str, *words: str) -> Done:
    """Run a shell script as the container's user in the tree, with the command as ``$bwbuild``."""
    top = desk.top.parent
    # Other tests may make a user outside meanwhile, whom nobody can remove while his ids are in use.
    ids, strangers = " ".join(subordinate_options(beyond=2)), " ".join(STRANGERS)
    furnish = _FURNISH.format(user=NAME, ids=ids, top=top, tree=desk.tree, strangers=strangers)
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-euc", _ENTER, "sh"),
            *(str(top), str(top / "layers"), furnish, script, *words),
        ],
        env=desk.environment | {"bwbuild": " ".join(COMMAND)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_build_sees_what_is_declared(desk: Desk) -> None:
    script = (
        "$bwbuild -b --report $HOME/report >&2; stat -f -c %T $BWBUILD_CACHE; ls ..; cat $HOME/report;"
        " echo; find $BWBUILD_CACHE/views -name usr.hidden -size +0; find $BWBUILD_CACHE -type c"
    )
    done = contained(desk, script)
    assert done.status == 0, done.both
    kind, *lines = done.out.splitlines()
    assert kind == "overlayfs"
    assert "tiny_1_all.deb" in lines
    assert lines[-1].endswith("/usr.hidden"), "no list, or whiteouts where none can be made"
    report = json.loads("\n".join(lines[lines.index("{") : lines.index("}") + 1]))
    assert (report["status"], report["view"]) == ("success", "declared")


def test_what_is_hidden_is_reached_by_no_way(desk: Desk) -> None:
    (desk.tree / "tricks.py").write_text(Path(__file__).with_name("tricks.py").read_text(encoding="utf-8"))
    sums = {path: hostfiles.digest(path) for path in HIDDEN}
    look = 'python3 tricks.py "$0"'
    weak = "$bwbuild run --no-seccomp --allow userns"
    script = (
        f"for path in {' '.join(HIDDEN)}; do [ -e $path ] || exit 3; done; {weak} -- {look}; echo;"
        f" {weak} -- {AS_ROOT} {look}; echo; {weak} --view host -- {look}"
    )
    done = contained(desk, script, json.dumps(sums))
    assert done.status == 0, done.both
    user, root, host = map(json.loads, done.out.split("\n"))
    assert user["reached"] == []
    assert [line for line in root["reached"] if not line.startswith("exe: /proc/1/")] == []
    assert user["tried"] > 1000 < root["tried"]
    for path in HIDDEN:
        if not path.startswith("/usr/local/"):
            assert any(path in line for line in host["reached"]), path


def test_a_whole_container_does_well(desk: Desk) -> None:
    done = contained(desk, "$bwbuild doctor --json")
    assert done.status == 0, done.both
    found = {row["name"]: row["status"] for row in json.loads(done.out)}
    assert (found["overlay"], found["view"], found["sandbox"]) == ("ok", "ok", "ok")
