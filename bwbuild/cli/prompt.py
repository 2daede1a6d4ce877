"""Asking the user, on his terminal, whether a source may have what it asks for."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bwbuild.build.granted.handshake import Ask
    from bwbuild.permissions.answers import Answer
    from bwbuild.permissions.asked import Request

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
        for line in shown(request, f"{number} of {len(requests)}"):
            _say(line)
        answers[request] = _answer()
    _say("")
    return answers


def shown(request: Request, count: str) -> tuple[str, ...]:
    """What is said of one request before the question: all of it, with what it exposes."""
    from bwbuild.audit.of_permission import explained  # noqa: PLC0415 - most sources ask for nothing
    from bwbuild.build.record.log import visible  # noqa: PLC0415
    from bwbuild.host.available import places  # noqa: PLC0415
    from bwbuild.permissions.exposes import exposure  # noqa: PLC0415

    meanings = places(os.environ)
    grave = "DANGER: " if exposure(request.permission, meanings).grave else ""
    required = ", and can't be built without it" if request.required else ""
    first, *more = explained(request.permission, meanings)
    return (
        "",
        f"{count}: {visible(str(request))}{required}",
        f"    its reason:  {visible(request.reason)}",
        f"    it exposes:  {grave}{visible(first)}",
        *(f"                 {visible(line)}" for line in more),
    )


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
