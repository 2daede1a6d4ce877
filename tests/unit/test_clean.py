"""What ``bwbuild clean`` prints."""

from __future__ import annotations

import pytest

from bwbuild.cli.clean import Entry, _listed


def test_names_of_trees_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    entry = Entry("x 1\x1b[2J", "/s/x of /home/me/x\x1b]0;forged\x07\u202e", 1, 0.0, lambda: 0)
    assert _listed([entry], remove=False) == 1
    shown = capsys.readouterr().out
    assert "/home/me/x\\x1b]0;forged\\x07\\u202e\n" in shown
    assert "\x1b" not in shown
