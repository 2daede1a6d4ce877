from __future__ import annotations

import pytest

from bwbuild.build.inspect.contents import LONGEST_LINE, fields, member


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "-rwsr-xr-x root/games    17 2024-01-01 00:00 ./usr/games/x y",
            "-rwsr-xr-x root/games 17 ./usr/games/x y",
        ),
        ("lrwxrwxrwx root/root 0 2024-01-01 00:00 ./a -> b", "lrwxrwxrwx root/root 0 ./a -> b"),
        ("crw-r--r-- root/root 1,3 2024-01-01 00:00 ./dev/null", "crw-r--r-- root/root 1,3 ./dev/null"),
        ("anything else", "anything else"),
        ("\x1b[2J\u202e", "\\x1b[2J\\u202e"),
    ],
)
def test_a_member_is_a_short_clean_line(line: str, shown: str) -> None:
    assert member(line) == shown


def test_fields_keep_their_order_and_their_lines() -> None:
    text = "Package: x\nDescription: short\n long\n .\n more\nDepends: a,\n b\n"
    assert list(fields(text)) == [
        ("Package", "x"),
        ("Description", "short\nlong\n.\nmore"),
        ("Depends", "a,\nb"),
    ]


def test_hostile_fields_are_bounded_and_clean() -> None:
    ((name, value),) = fields("\x1b[2J" + "x" * 3 * LONGEST_LINE + ":\x07bell")
    assert "\x1b" not in name
    assert "\x07" not in value
    assert len(name) < 2 * LONGEST_LINE
    assert list(fields("")) == []
    assert list(fields(" continuation of nothing\n")) == []
