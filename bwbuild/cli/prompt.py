"""Asking the user, on his terminal, whether a source may have what it asks for."""

from __future__ import annotations

import os
import sys
import termios
import unicodedata
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bwbuild.build.granted.handshake import Ask
    from bwbuild.permissions.answers import Answer
    from bwbuild.permissions.asked import Request

#: How far in all lines begin that go on with what is said, which may be the source's own words: those of the
#: prompt itself begin further left.
_INDENT = 17
_USUAL_WIDTH = 80
_QUESTION = "Grant it? (o)nce, (a)lways, (n)o, ne(v)er [n]: "


def asking() -> Ask | None:
    """What asks the user; None where nobody is there, or git-buildpackage is what started the build."""
    if os.environ.get("GBP_BUILD_DIR") or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return ask


def ask(source: str, requests: tuple[Request, ...]) -> Mapping[Request, Answer]:
    """Ask about each of ``requests`` of ``source``. Only whole words grant; all else, and the end, is no."""
    _say(f"{source} asks for what builds do not have:")
    answers = {}
    for number, request in enumerate(requests, 1):
        for line in shown(request, f"{number} of {len(requests)}", _width()):
            _say(line)
        answers[request] = _answer()
    _say("")
    return answers


def shown(request: Request, count: str, width: int = _USUAL_WIDTH) -> tuple[str, ...]:
    """What is said of one request before the question: all of it, with what it exposes.

    :param width: of the terminal, in columns: it breaks no line of these.
    """
    from bwbuild.audit.of_permission import explained  # noqa: PLC0415 - most sources ask for nothing
    from bwbuild.build.record.escaping import visible  # noqa: PLC0415
    from bwbuild.host.available import places  # noqa: PLC0415
    from bwbuild.permissions.exposes import exposure  # noqa: PLC0415

    meanings = places(os.environ)
    grave = "DANGER: " if exposure(request.permission, meanings).grave else ""
    required = ", and can't be built without it" if request.required else ""
    first, *more = explained(request.permission, meanings)
    said = (
        (f"{count}: ", f"{request}{required}"),
        ("    its reason:  ", request.reason),
        ("    it exposes:  ", f"{grave}{first}"),
        *((" " * _INDENT, line) for line in more),
    )
    return ("", *(line for label, text in said for line in _wrapped(label, visible(text), width)))


def _wrapped(label: str, text: str, width: int) -> Iterator[str]:
    """The lines of ``text`` behind ``label``, all but the first of them indented."""
    indent = " " * min(_INDENT, width // 3)
    # With the last column full, some terminals are in the next line already.
    room, line, is_fresh = width - 1, label, True
    for word in text.split(" "):
        if not is_fresh and _cells(line) + 1 + _cells(word) > room:
            yield line
            line, is_fresh = indent, True
        line += "" if is_fresh else " "
        for character in word:
            if _cells(line) + _cells(character) > room:
                yield line
                line = indent
            line += character
        is_fresh = False
    yield line


def _cells(text: str) -> int:
    """The most columns that a terminal gives to ``text``."""
    return sum(2 if unicodedata.east_asian_width(character) in "WFA" else 1 for character in text)


def _width() -> int:
    """Of the terminal; one that does not say it is as most are."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        columns = 0
    return max(columns, 20) if columns else _USUAL_WIDTH


def _answer() -> Answer:
    from bwbuild.permissions.answers import Answer  # noqa: PLC0415 - as above

    words = {answer.value: answer for answer in Answer}
    words |= {"o": Answer.ONCE, "a": Answer.ALWAYS, "n": Answer.NO, "v": Answer.NEVER}
    # What was typed before the question was there is no answer to it.
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    sys.stderr.write(_QUESTION)
    sys.stderr.flush()
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        _say("")
        raise
    if not line:
        _say("")
    return words.get(line.strip().lower(), Answer.NO)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
