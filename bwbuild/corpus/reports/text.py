"""What packages say as text that is safe to show anywhere: pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bwbuild.corpus.values import Build, Verdict

#: Characters that steer a terminal or the eye and show nothing themselves: controls but newline and tab, lone
#: surrogates, what turns the direction of writing, blanks without width, separators of lines, tags, and what
#: XML 1.0 forbids besides.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_INTEREST = ("failed", "lost", "left", "skipped", "passed")
#: All verdicts, those that matter most first.
VERDICTS = tuple(sorted(Verdict, key=lambda verdict: _INTEREST.index(verdict.value)))
#: Those of builds that somebody should look into.
BAD = (Verdict.FAILED, Verdict.LOST)


def harmless(text: str) -> str:
    r"""``text`` with all that steers without being seen as visible text such as ``\x1b`` or ``\u202e``.

    Newlines, tabs and letters of all scripts are kept; ``\r\n`` becomes ``\n``.
    """
    return _STEERING.sub(_visible, text.replace("\r\n", "\n"))


def one_line(text: str, longest: int) -> str:
    """The harmless form of ``text`` in one line of at most ``longest`` characters."""
    line = " ".join(harmless(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def indented(text: str, longest: int) -> str:
    """As :func:`one_line`, with all its blanks but those at the end."""
    line = harmless(text).expandtabs().replace("\n", " ").rstrip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def of_bytes(data: bytes) -> str:
    r"""The harmless form of ``data``; bytes that are not UTF-8 become text such as ``\x80``."""
    return harmless(data.decode("utf-8", "backslashreplace"))


def of_path(path: Path) -> str:
    """The harmless form of a path that need not be UTF-8."""
    return of_bytes(bytes(path)).replace("\n", "\\x0a")


def reason(build: Build) -> str:
    """Why ``build`` is not as it should be, in one text; empty if it is."""
    if build.verdict is Verdict.PASSED:
        return ""
    said = [*build.problems, build.message] if build.message not in build.problems else build.problems
    return "; ".join(filter(None, said)) or "; ".join(build.lost) or _DEFAULT.get(build.verdict, "")


def headline(build: Build) -> str:
    """What says most about ``build`` in one line of a table; empty if it is as it should be."""
    if build.verdict in BAD and build.errors and not build.problems:
        return build.errors[0].text
    return reason(build)


def number_of(builds: Sequence[Build], *verdicts: Verdict) -> int:
    """How many of ``builds`` have one of ``verdicts``."""
    return sum(build.verdict in verdicts for build in builds)


_DEFAULT = {
    Verdict.FAILED: "failed",
    Verdict.LOST: "no result",
    Verdict.LEFT: "not built: the run was stopped",
}


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
