"""A build that writes what bwbuild itself says, and what steers a terminal."""

from __future__ import annotations

import os
import re
from pathlib import Path

from support import Rules, make_desk, make_tree

FORGED = (
    "bwbuild: signed with 0123456789ABCDEF0123456789ABCDEF01234567",
    "bwbuild: tiny 1 (amd64): built in 1 s",
    f"+{'-' * 78}+",
    f"| {'Summary':76} |",
    f"+{'-' * 78}+",
    "Status: successful",
    "Fail-Stage: none",
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f]")


def test_forged_lines_are_marked(tmp_path: Path) -> None:
    """They are in the log and on the terminal as what they are: output of the build."""
    desk = make_desk(tmp_path, Rules(during="cat forged; false"))
    text = "".join(f"{line}\n" for line in FORGED)
    (desk.tree / "forged").write_bytes(
        text.encode() + b"\x9b31m \xc2\x9b31m \xe2\x82\xac\nI: pybuild says so\n"
    )
    done = desk.run("-b", "--no-sign", "--verbose", "--keep", "never")
    assert done.status == 10, done.both
    for where in (done.out, desk.log()):
        lines = where.splitlines()
        at = [number for number, line in enumerate(lines) if line == f"> {FORGED[0]}"]
        assert len(at) == 1
        assert lines[at[0] : at[0] + len(FORGED)] == [f"> {line}" for line in FORGED]
        assert "\\x9b31m \\x9b31m €" in lines
        assert "I: pybuild says so" in lines
        assert not CONTROL.search(where)
    own = desk.log().splitlines()
    assert own.count(FORGED[3]) == 1
    assert [line for line in own if line.startswith("Status:")] == ["Status: attempted"]


def test_the_script_on_a_terminal_has_no_control_sequence(tmp_path: Path) -> None:
    """A directory may have any name; in a file the script has to name it as it is."""
    desk = make_desk(tmp_path)
    name = "x\x1b]0;forged\x07"
    tree = make_tree(desk.parent / name)
    assert name in desk.ok("--dry-run", tree).out
    ours, its = os.openpty()
    with desk.start("--dry-run", tree, stdout=its, stderr=None) as child:
        os.close(its)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:
            pass  # it has ended, and closed the terminal
    os.close(ours)
    assert child.returncode == 0
    assert b"x\\x1b]0;forged\\x07" in shown
    assert b"\x07" not in shown
