"""README.md and docs/ as their readers type them: the fenced blocks and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

#: What a newcomer types on a bare machine; each page finds what the ones before it installed.
TYPED = (
    *("docs/tutorial.md", "README.md", "docs/explanation.md", "docs/how-to.md", "docs/reference.md"),
    *(
        "docs/learning.md",
        "docs/policy.md",
        "docs/corpus.md",
        "docs/reports.md",
        "docs/cluster.md",
        "docs/trying.md",
        "docs/permissions.md",
    ),
)

#: How a block of commands is run: on a bare machine, or by continuous integration itself.
RUNNERS = frozenset({"bare", "ci"})
#: What else its first line may say: its last command fails, or the lines beneath are really what it writes.
REMARKS = frozenset({"fails", "shows"})

#: What the pages take as examples: small sources of both releases, which partial mirrors have as well.
EXAMPLES = frozenset({"hostname", "sl"})

#: Sections with commands that no machine of the tests runs: those for several machines, and a synopsis.
ELSEWHERE = {
    "docs/cluster.md": ("Plain machines", "Slurm", "Kubernetes"),
    "README.md": ("Use",),
}

#: The page with one line for each attack.
ATTACKS = ROOT / "docs" / "attacks.md"
_KIND = re.compile(r"\| \*\*(?P<kind>[^|]+)\*\* \|[ |]*")

_PROMPT = re.compile(r"(?P<place>~[\w./+-]*)?\$ (?P<command>.+)")
#: A line that is a command though no prompt is before it; what bwbuild says begins with "bwbuild:".
_COMMAND = re.compile(
    r"\s*(?:apt|apt-get|bwbuild|cp|dask-scheduler|for|gbp|git|gpg|jq|python3|sbatch|ssh|sudo) [\w.<>\[\"$@/-]"
)
_FENCE = re.compile(r"```(?P<language>\w*)(?P<words>.*)")


@dataclass(frozen=True, slots=True)
class Command:
    """A line that is typed, and the directory in which."""

    place: str
    line: str


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    number: int
    language: str
    words: frozenset[str]
    lines: tuple[str, ...]

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page}:{self.number}"

    @property
    def within(self) -> range:
        """The numbers of its lines, those of the fence too."""
        return range(self.number, self.number + len(self.lines) + 2)

    @property
    def commands(self) -> list[Command]:
        """What is typed."""
        found = filter(None, map(_PROMPT.fullmatch, self.lines))
        return [Command(match["place"] or "~", match["command"]) for match in found]

    @property
    def shown(self) -> list[str]:
        """What is not typed."""
        return [line for line in self.lines if line and not _PROMPT.fullmatch(line)]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one attack: ``**succeeds**``, ``stopped``, ``hangs``, or ``not run: `` and why."""

    what: str
    script: str
    sbuild: str
    bwbuild: str


def attack_rows() -> dict[str, list[Row]]:
    """The table of all attacks, by their kinds."""
    found: dict[str, list[Row]] = {}
    rows: list[Row] | None = None
    for line in ATTACKS.read_text(encoding="utf-8").splitlines():
        if kind := _KIND.fullmatch(line):
            rows = found.setdefault(kind["kind"], [])
        elif rows is not None and line.startswith("| ") and not line.startswith("| of "):
            rows.append(Row(*line.strip("| ").split(" | ")))
    return found


def blocks(path: Path) -> list[Block]:
    """The blocks of one page."""
    found: list[Block] = []
    begun: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if fence and begun is None:
            begun, lines = (number, fence["language"], fence["words"]), []
        elif fence and begun is not None:
            name = str(path.relative_to(ROOT))
            found.append(Block(name, begun[0], begun[1], frozenset(begun[2].split()), tuple(lines)))
            begun = None
        elif begun is not None:
            lines.append(line)
    assert begun is None, f"{path}: a block has no end"
    return found


def prompts_outside(path: Path) -> Iterator[str]:
    """Lines that look typed and are in no block."""
    inside = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if _FENCE.fullmatch(line):
            inside = not inside
        elif not inside and _PROMPT.fullmatch(line.strip()):
            yield line


def commands_elsewhere(path: Path) -> Iterator[tuple[str, str]]:
    """Commands that are in no block of the language console, each with the section that it is in."""
    section, language = "", None
    for line in path.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.fullmatch(line)
        if fence:
            language = fence["language"] if language is None else None
        elif language is None and line.startswith("#"):
            section = line.lstrip("# ")
        elif _COMMAND.match(line) and (language == "text" or (language is None and line.startswith("    "))):
            yield section, line


def script(page: list[Block], mirror: str) -> str:
    """A shell script that types the blocks of a page for a bare machine, one after the other.

    It ends at the first command that does not do what the page says, with the place in the page.
    """
    lines = ["set -u", "said=$(mktemp)"]
    for block in (block for block in page if "bare" in block.words):
        commands = block.commands
        for command in commands:
            wanted = "fail" if "fails" in block.words and command == commands[-1] else "succeed"
            typed = command.line.replace("http://mirror.example.org/debian", mirror)
            lines += [
                f"echo '#' {block.where}: {shlex.quote(typed)}",
                f'(cd {command.place} && eval {shlex.quote(typed)}) </dev/null >"$said" 2>&1; status=$?',
                'cat "$said"',
                f'if [ $status = 0 ]; then end=succeed; else end=fail; fi; if [ "$end" != {wanted} ]; then '
                f'echo "{block.where}: status $status"; exit 1; fi',
            ]
        if "shows" in block.words:
            lines += [
                f"grep -q -F -e {shlex.quote(line)} \"$said\" || {{ echo '{block.where}: not shown:' "
                f"{shlex.quote(line)}; exit 1; }}"
                for line in block.shown
            ]
    return "\n".join([*lines, ""])
