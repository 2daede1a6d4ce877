"""What a failed build missed, and which installed package that it does not declare has it.

The output is the package's own and may be hostile: lines are cut, the number of wants and the work per line
are bounded, and what is not the plain name of a file never becomes part of a search.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from bwbuild.lookup.messages import MESSAGES, Message
from bwbuild.lookup.shapes import is_name

#: What is read of a longer line, in bytes.
LONGEST_LINE = 4096
#: After so many wants the oldest is dropped: what ends a build stands near the end of its output.
MOST_WANTS = 200
#: How many of the checks before an error may be what it is about, and how near its reason follows.
CHECKS = 3
NEAR = 4
#: How many files are named for one want.
MOST_FOUND = 2

_BATCH = 8192
_CANDIDATES = 512
_HITS = 256
_MATCHES = 20

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_QUOTES = str.maketrans("‘’`´“”", "''''\"\"")  # noqa: RUF001 - these quotes are what is replaced
_RELATIONS = re.compile(r"[<>=!]=? *[^\s,;]+")
_BETWEEN = re.compile(r"[\s,;'\"\[\]]+")
_VERDICT = re.compile(r"configure: error: |\S: ERROR: |^CMake Error")
_VERDICTS = ("configure: error:", ": ERROR: ", "CMake Error", "CMake Warning")


@dataclass(frozen=True, slots=True)
class Want:
    """What a line of output said was missing.

    :ivar name: as the line has it.
    :ivar shapes: how the file may look, best first; see :mod:`bwbuild.lookup.shapes`.
    """

    name: str
    shapes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A file that would have been there, had its package been declared.

    :ivar path: from the root, without the first slash, as the package's list has it.
    :ivar declared: its package is declared, and the file hidden since no recorded build opened it.
    """

    path: str
    package: str
    version: str
    declared: bool = False

    def __str__(self) -> str:
        where = f"{self.path} is in {self.package} {self.version}"
        if self.declared:
            return f"{where}, which is declared, but no recorded build opened it: bwbuild learn --more"
        return f"{where}, installed here but not in Build-Depends"


def wants(lines: Iterable[bytes]) -> tuple[Want, ...]:
    """What the output of a failed build says it missed, in order of appearance, each once.

    :param lines: of the output, with newlines or without.
    """
    reader = _Reader()
    remaining = iter(lines)
    while batch := [line[:LONGEST_LINE] for line in islice(remaining, _BATCH)]:
        for line in _candidates(b"\n" + b"\n".join(batch) + b"\n"):
            reader.read(line)
    return reader.wants()


def find(
    wants: Sequence[Want],
    packages: Iterable[tuple[str, str, Iterable[str]]],
    aliases: Mapping[str, str] | None = None,
) -> tuple[Found, ...]:
    """Which files of ``packages`` are what the build wanted, in the order of ``wants``, each once.

    :param packages: those that were hidden: name, version, absolute paths of the files.
    :param aliases: links that no package has in its list, such as alternatives, and the files they lead to.
    """
    index = _Index(wants)
    for link, target in (aliases or {}).items():
        for want, rank, _ in list(index.matches(link)):
            index.add(want, rank, _merged(target.lstrip("/")))
    best: dict[int, list[tuple[tuple[int, int, str, str], Found]]] = defaultdict(list)
    for package, version, paths in packages:
        for path in paths:
            for want, rank, plain in index.matches(path):
                found = Found(path.lstrip("/"), package, version)
                best[want].append(((rank, plain.count("/"), plain, package), found))
    chosen = (found for want in sorted(best) for found in _best(best[want]))
    return tuple(dict.fromkeys(chosen))


def _best(hits: list[tuple[tuple[int, int, str, str], Found]]) -> Iterator[Found]:
    """The best file, and another package's that is as good."""
    hits.sort(key=lambda hit: hit[0])
    (rank, depth, *_), _ = hits[0]
    packages: set[str] = set()
    for key, found in hits:
        if key[:2] != (rank, depth) or len(packages) == MOST_FOUND:
            return
        if found.package not in packages:
            packages.add(found.package)
            yield found


class _Index:
    """The shapes of all wants by what is cheap to see of a path: how its base name is, begins or ends."""

    def __init__(self, wants: Sequence[Want]) -> None:
        self._names: dict[str, dict[tuple[int, int, str], None]] = defaultdict(dict)
        self._stems: dict[str, dict[tuple[int, int, str], None]] = defaultdict(dict)
        self._ends: dict[str, dict[tuple[int, int, str], None]] = defaultdict(dict)
        for number, want in enumerate(wants):
            for rank, shape in enumerate(want.shapes):
                self.add(number, rank, shape)

    def add(self, want: int, rank: int, shape: str) -> None:
        """Let a path like ``shape`` be what ``want`` is about."""
        base = shape.rpartition("/")[2]
        literal, wild = _split_at_wildcard(base)
        if not wild:
            self._names[base][want, rank, shape] = None
        elif "." in literal:
            self._stems[base.partition(".")[0]][want, rank, shape] = None
        else:
            self._ends[base.rpartition(".")[2]][want, rank, shape] = None

    def matches(self, path: str) -> Iterator[tuple[int, int, str]]:
        """Number of the want, rank of its shape and the path below the merged /usr."""
        base = path[path.rfind("/") + 1 :]
        if base in self._names:
            yield from self._checked(path, self._names[base])
        if self._stems and (stem := base.partition(".")[0]) in self._stems:
            yield from self._checked(path, self._stems[stem])
        if self._ends and (end := base.rpartition(".")[2]) in self._ends:
            yield from self._checked(path, self._ends[end])

    @staticmethod
    def _checked(path: str, shapes: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
        plain = _merged(path.lstrip("/"))
        for want, rank, shape in shapes:
            if plain.endswith(_tail(shape)) and _regex(shape).fullmatch(plain):
                yield want, rank, plain


def _merged(path: str) -> str:
    """The path below /usr that a path in /bin, /sbin or /lib is, as packages' lists still have it."""
    return (
        f"usr/{path}" if path.startswith(("bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/")) else path
    )


def _split_at_wildcard(text: str) -> tuple[str, str]:
    literal = re.split(r"[*?\[]", text, maxsplit=1)[0]
    return literal, text[len(literal) :]


@cache
def _tail(shape: str) -> str:
    """The end of ``shape`` without a wildcard, to which comparing is cheap."""
    return re.split(r"\*\*/|[*?\]]", shape)[-1]


@cache
def _regex(shape: str) -> re.Pattern[str]:
    wild = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    parts = re.findall(r"\*\*/|\*|\?|\[[^\]]*\]|[^*?\[]+", shape)
    return re.compile(
        "".join(wild.get(p) or (p if p.startswith("[") else re.escape(p)) for p in parts), re.DOTALL
    )


class _Reader:
    """Reads the lines that may say something, in order."""

    def __init__(self) -> None:
        self._wants: dict[Want, None] = {}
        self._checks: deque[Want] = deque(maxlen=CHECKS)
        self._pending: tuple[Want, ...] = ()
        self._near = 0
        self._warning = False

    def wants(self) -> tuple[Want, ...]:
        """All up to now."""
        self._settle()
        return tuple(self._wants)

    def read(self, raw: bytes) -> None:
        """Look at the next line."""
        line = _plain(raw)
        if not line.startswith("  "):
            self._warning = line.startswith("CMake Warning")
        if _VERDICT.search(line):
            self._settle()
            self._pending, self._near = tuple(self._checks), NEAR
            self._checks.clear()
        message, found = _read(line)
        if message is None:
            self._near -= 1
        elif message.weak or self._warning:
            self._checks.extend(found)
        else:
            # The error says itself what it is about, so that the checks before it have no part in it.
            self._pending = ()
            self._keep(found)
        if self._pending and self._near <= 0:
            self._settle()

    def _settle(self) -> None:
        self._keep(self._pending)
        self._pending = ()

    def _keep(self, found: Iterable[Want]) -> None:
        for want in found:
            self._wants[want] = None
            if len(self._wants) > MOST_WANTS:
                del self._wants[next(iter(self._wants))]


def _read(line: str) -> tuple[Message | None, list[Want]]:
    """The first wording that ``line`` has with a name in it, and what is wanted."""
    for message in MESSAGES:
        if message.needle not in line:
            continue
        matches = islice(_pattern(message.pattern).finditer(line), _MATCHES)
        found = [want for match in matches for want in _named(message, match[1])]
        if found:
            return message, found[:_MATCHES]
    return None, []


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def _named(message: Message, text: str) -> Iterator[Want]:
    for name in _BETWEEN.split(_RELATIONS.sub(" ", text)):
        name = name.rstrip(".:")  # noqa: PLW2901 - the end of a sentence is no part of a name
        if is_name(name):
            # An absolute path is that file, whatever the message is about.
            shapes = (name.strip("/"),) if name.startswith("/") else message.shapes(name)
            if shapes:
                yield Want(name, tuple(_merged(shape) for shape in shapes))


def _plain(raw: bytes) -> str:
    """A line as a terminal shows it in the end, without colours, with plain quotes."""
    shown = raw.rstrip(b"\r").rpartition(b"\r")[2]
    return _COLOUR.sub("", shown.decode("utf-8", "backslashreplace")).translate(_QUOTES).rstrip()


#: Each line with a needle has one of these: a block is searched for few strings, its hits for many.
_GATES = (
    *(b"not ", b"NOT ", b"n't ", b"No ", b"no ", b".. no", b"nable to find", b"ENOENT", b"File not"),
    *(b"Unknown ", b"ailed ", b"to load network", b"undefined", b"is missing", b"Unbound module"),
    *(b"NotFoundError", b"Build-Depend", b"found: NO", b"configure: error:", b": ERROR: ", b"CMake "),
)
_NEEDLES = tuple({needle.encode() for needle in (*_VERDICTS, *(message.needle for message in MESSAGES))})


def _candidates(block: bytes) -> list[bytes]:
    """The lines that have a needle, the first and the last if they are many; ``block`` is in newlines."""
    starts = sorted({start for gate in _GATES for start in _hits(block, gate)})
    lines = [block[start : block.index(b"\n", start)] for start in starts]
    found = [line for line in lines if any(needle in line for needle in _NEEDLES)]
    surplus = max(0, len(found) - _CANDIDATES)
    return found[: _CANDIDATES // 2] + found[_CANDIDATES // 2 + surplus :]


def _hits(block: bytes, gate: bytes) -> Iterator[int]:
    """Where lines with ``gate`` begin: a number of the first and of the last."""
    hit = block.find(gate)
    for _ in range(_HITS):
        if hit < 0:
            return
        yield block.rfind(b"\n", 0, hit) + 1
        hit = block.find(gate, block.index(b"\n", hit))
    end = len(block)
    for _ in range(_HITS):
        last = block.rfind(gate, hit, end) if hit >= 0 else -1
        if last < 0:
            return
        end = block.rfind(b"\n", 0, last)
        yield end + 1
