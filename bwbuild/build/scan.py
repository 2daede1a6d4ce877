"""What a build's output says: the step it is in, what failed, and the first lines that say why.

The output is the package's own and may be hostile: memory and work per byte are bounded, whatever it holds.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from bwbuild.build.record.escaping import escape
from bwbuild.events import Event, Observer, Output, Step

#: What is kept of a longer line, in bytes.
LONGEST_LINE = 4096
#: How many lines the end of the output has in an excerpt.
TAIL_LINES = 20
#: How many lines that say why an excerpt has, and how many lines after each.
ERROR_LINES = 10
CONTEXT_LINES = 2
#: How many lines that may be harmless stand in for errors where there are none.
WEAK_LINES = 5
#: After so many a package is playing games: a large real build has some hundred.
MOST_STEPS = 2000

_BLOCK = 65536
_HITS_PER_NEEDLE = 128
_CANDIDATES = 512
_LONGEST_TRACEBACK = 400

_STEPS = tuple(
    re.compile(pattern)
    for pattern in (
        # As dh prints its commands; by hand, in a rules file without dh, only with options or nothing behind.
        rb" {3}(dh_\w+)(?: .*)?",
        rb"(dh_\w+)(?: -.*)?",
        rb" {3}debian/rules ((?:override|execute_before|execute_after)_\w+)",
        # As dpkg-buildpackage prints its commands, with the gain-root command before the second.
        rb" (?:\S+ )?(debian/rules \S+)",
        rb" ?(dpkg-source)(?: .*)? (--?(?:b|build|before-build|after-build))(?: .*)?",
        rb" ?(dpkg-gen(?:buildinfo|changes))(?: .*)?",
    )
)
_DEBHELPER_ERROR = re.compile(rb"(dh|dh_\w+): error: ")
_MAKE_ERROR = re.compile(rb"g?make(?:\[(\d+)\])?: \*\*\* ")
_DPKG_ERROR = re.compile(rb"dpkg-[a-z]+: error: ")
_UNMET = re.compile(
    rb"dpkg-checkbuilddeps: error: (?:unmet build dependencies|(?:unmet )?build (conflicts)): ", re.IGNORECASE
)
_RELATION = rb"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?: \([^()]*\))?(?: \[[^\[\]]*\])?(?: <[^<>]*>)*"
_ALTERNATIVES = re.compile(rb"%s(?: \| %s)*" % (_RELATION, _RELATION))

_TRACEBACK = b"Traceback (most recent call last):"
_ERROR = re.compile(
    b"|".join(
        (
            # gcc, clang, rustc, ghc, ld, configure, dpkg-source and all that follow the same habit
            rb"(?:^|[\s:\]])(?:fatal |internal compiler )?error(?:\[[A-Z]?\d+\])?:(?:\s|$)",
            rb"undefined reference to |multiple definition of |cannot find -l|undefined symbol: ",
            rb"^[^\s:]+\.go:\d+:\d+: |^\s*--- FAIL: ",
            # Python, OCaml, node, Java
            rb"^[\w.]*(?:Error|Exception)(?::\s|$)|^Exception in thread ",
            rb"^E   \s*\S|^FAILED[ :]|^ERROR \S+\.py",
            rb"Can't locate \S+ |^\s*#\s+Failed test |^\s*not ok \d+(?!.*# (?:TODO|SKIP))",
            rb"(?:^|: )ERROR: |^\[ERROR\] |^CMake Error",
            # automake and unittest, meson, ctest
            rb"^FAIL[:\s]|^\s*\d+/\d+ .*\sFAIL\s|\*\*\*(?:Failed|Exception|Timeout)",
            rb"\*\*\* No rule to make target|panicked at |Segmentation fault|\(core dumped\)",
            rb"No space left on device|[Cc]annot allocate memory|[Oo]ut of memory",
            rb"Resource temporarily unavailable|[Cc]annot fork|Too many open files",
        )
    )
)
#: Often harmless, so that they are shown only where nothing better was found, and then the last ones.
_WEAK_ERROR = re.compile(
    rb"No such file or directory|command not found|: not found$|: Permission denied|^dh_\w+: warning: "
)
_NOISE = re.compile(rb"g?make(?:\[\d+\])?: (?:Entering|Leaving) |[-=]{20}")

#: Each line that one of the patterns may match has one of these; to find them costs a tenth of matching.
_NEEDLES = (
    *(b"dh_", b"debian/rules", b"\ndpkg-", b"\n dpkg-", b"***"),
    *(b"rror:", b"error[", b"rror\n", b"Exception", b"ERROR", b"CMake Error", b"FAIL", b"\nE   "),
    *(b"Traceback (", b".go:", b"Can't locate ", b"not ok ", b"Failed test ", b"panicked at "),
    *(b"undefined ", b"multiple definition of", b"cannot find -l", b"Segmentation", b"core dumped"),
    *(
        b"y unavailable",
        b"annot fork",
        b"oo many open",
        b"No space left",
        b"allocate memory",
        b"ut of memory",
        b"No such file",
        b"not found",
        b"ion denied",
    ),
)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What there is to say of a failed build; no control characters, lines of 4 KiB at most before escaping.

    :ivar step: the failing or last step, such as ``dh_auto_test``; empty if none began.
    :ivar command: the line that names what failed, such as ``dh_auto_test: error: make -j2 check returned
        exit code 2``; empty if there was none.
    :ivar errors: the first lines of the step that say why, each with the lines after it.
    :ivar tail: the last lines of the output.
    :ivar unmet: the build dependencies that dpkg-checkbuilddeps misses, each with its alternatives, and what
        conflicts, after ``no``.
    """

    step: str
    command: str
    errors: tuple[str, ...]
    tail: tuple[str, ...]
    unmet: tuple[str, ...]


class OutputScanner:
    """An observer of :class:`Output` that tells ``emit`` each new :class:`Step`."""

    def __init__(self, emit: Observer) -> None:
        self._emit = emit
        self._rest = b""
        self._tail: deque[bytes] = deque(maxlen=TAIL_LINES)
        self._steps = 0
        self._step = ""
        self._unmet: tuple[str, ...] = ()
        self._reasons = _Reasons()

    def __call__(self, event: Event) -> None:
        """Scan what the build wrote."""
        if isinstance(event, Output):
            self.feed(event.data)

    def feed(self, data: bytes) -> None:
        """Scan ``data``, which may begin and end anywhere in a line."""
        for start in range(0, len(data), _BLOCK):
            self._feed_block(data[start : start + _BLOCK])

    @property
    def step(self) -> str:
        """The current step; empty before the first."""
        return self._step

    @property
    def unmet(self) -> tuple[str, ...]:
        """The build dependencies that dpkg-checkbuilddeps misses."""
        return self._unmet

    def excerpt(self) -> Excerpt:
        """What the output says up to now."""
        tail = [*self._tail, self._rest] if self._rest else list(self._tail)
        command, failed = self._reasons.command()
        return Excerpt(
            step=failed or self._step,
            command=shown(command),
            errors=tuple(shown(line) for line in self._reasons.errors()),
            tail=tuple(shown(line) for line in tail[-TAIL_LINES:]),
            unmet=self._unmet,
        )

    def _feed_block(self, data: bytes) -> None:
        lines, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._rest += data[: max(0, LONGEST_LINE - len(self._rest))]
            return
        block = b"\n" + self._rest + lines + b"\n"
        self._rest = rest[:LONGEST_LINE]
        self._tail.extend(line[:LONGEST_LINE] for line in block[1:-1].rsplit(b"\n", TAIL_LINES)[-TAIL_LINES:])
        candidates = iter(_candidates(block))
        start = 1
        while start < len(block):
            if not self._reasons.attentive:
                start = next((line for line in candidates if line >= start), len(block) - 1)
            end = block.index(b"\n", start)
            self._line(block[start : min(end, start + LONGEST_LINE)])
            start = end + 1

    def _line(self, raw: bytes) -> None:
        line = _last_shown(raw)
        if name := _step_name(line):
            self._begin(name)
            return
        self._unmet += _unmet(line)
        self._reasons.read(line)

    def _begin(self, name: str) -> None:
        # The step before it did not end the build, so whatever it complained of is not why the build failed.
        self._reasons = _Reasons()
        if name != self._step and self._steps < MOST_STEPS:
            self._steps += 1
            self._step = name
            self._emit(Step(name))


class _Reasons:
    """The lines of one step that say what failed and why."""

    def __init__(self) -> None:
        self._debhelper = b""
        self._make = b""
        self._make_level = -1
        self._dpkg = b""
        self._errors: list[bytes] = []
        self._weak: deque[bytes] = deque(maxlen=WEAK_LINES)
        self._count = 0
        self._context = 0
        self._traceback = 0

    @property
    def attentive(self) -> bool:
        """Whether the next line matters, whatever it holds."""
        return self._context > 0 or self._traceback > 0

    def command(self) -> tuple[bytes, str]:
        """The line that names what failed, and the step that it names, if any."""
        failed = _DEBHELPER_ERROR.match(self._debhelper)
        return self._debhelper or self._make or self._dpkg, failed[1].decode() if failed else ""

    def errors(self) -> list[bytes]:
        """The lines that say why, or what comes closest to it."""
        return self._errors or list(self._weak)

    def read(self, line: bytes) -> None:
        """Look at the next line that is not a step."""
        if _DEBHELPER_ERROR.match(line):
            self._debhelper = line
        elif make := _MAKE_ERROR.match(line):
            self._read_make(line, int(make[1][:3]) if make[1] else 0)
        elif line.startswith(b"dpkg-buildpackage: error: "):
            self._dpkg = line
        elif self._is_error(line):
            if _DPKG_ERROR.match(line):
                self._dpkg = line
            self.note(line)
        elif self._context and _NOISE.match(line):
            return
        elif self._context and line:
            self._context -= 1
            self._errors.append(line)
        else:
            self._context = 0
            if _WEAK_ERROR.search(line):
                self._weak.append(line)

    def note(self, line: bytes) -> None:
        """Keep ``line`` as one that says why, unless there are enough or it is among them."""
        self._context = 0
        if self._count < ERROR_LINES and line not in self._errors:
            self._count += 1
            self._errors.append(line)
            self._context = CONTEXT_LINES

    def _read_make(self, line: bytes, level: int) -> None:
        # The innermost make speaks first, the ones around it only repeat that it failed.
        if not self._make or level >= self._make_level:
            self._make = line
        self._make_level = level
        self._context = 0
        if b"*** No rule to make target" in line:
            self.note(line)

    def _is_error(self, line: bytes) -> bool:
        if self._count >= ERROR_LINES:
            self._traceback = 0
            return False
        if self._traceback:
            # The first line that is not indented is the exception.
            self._traceback = 0 if line[:1].strip() else self._traceback - 1
            return bool(line[:1].strip())
        if line.startswith(_TRACEBACK):
            self._traceback = _LONGEST_TRACEBACK
            return False
        return _ERROR.search(line) is not None


def shown(line: bytes) -> str:
    """A line of the output as text that is safe on a terminal: escaped as in the log, tabs expanded."""
    return escape(_last_shown(line)).decode("utf-8", "backslashreplace").expandtabs()


def _last_shown(line: bytes) -> bytes:
    """What a terminal shows of a line in the end: what follows the last carriage return within it."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def _step_name(line: bytes) -> str:
    for pattern in _STEPS:
        if match := pattern.fullmatch(line):
            return shown(b" ".join(match.groups())[:80])
    return ""


def _unmet(line: bytes) -> tuple[str, ...]:
    prefix = _UNMET.match(line)
    if prefix is None:
        return ()
    relations = _ALTERNATIVES.findall(line, prefix.end())
    if prefix.group(1):
        relations = [b"no " + relation for relation in relations]
    # The last name of a line that was cut may be half a name.
    if len(line) == LONGEST_LINE:
        relations.pop()
    return tuple(relation.decode() for relation in relations)


def _candidates(block: bytes) -> list[int]:
    """Where the lines begin that have a needle; ``block`` begins and ends with a newline."""
    starts: set[int] = set()
    for needle in _NEEDLES:
        hit = block.find(needle)
        for _ in range(_HITS_PER_NEEDLE):
            if hit < 0:
                break
            starts.add(block.rfind(b"\n", 0, hit + 1) + 1)
            hit = block.find(needle, block.index(b"\n", hit + 1))
    ordered = sorted(starts)
    surplus = max(0, len(ordered) - _CANDIDATES)
    return ordered[: _CANDIDATES // 2] + ordered[_CANDIDATES // 2 + surplus :]
