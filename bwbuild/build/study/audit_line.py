"""Scoring the sandbox of a bwrap command line, as if it were started here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bwbuild import process
from bwbuild.audit import probe, words
from bwbuild.audit.of_line import Around, facts_of_line
from bwbuild.build.study.audit import PATIENCE, Audit, Look, Looked, audited, judged, marker, no_look
from bwbuild.deb.source import find_tree
from bwbuild.errors import SourceError, UsageError
from bwbuild.host.facts import read_caller

#: Options that wait for a descriptor or tell on it; a look has no use for them.
_SIGNALS = {"--sync-fd", "--block-fd", "--userns-block-fd", "--info-fd", "--json-status-fd"}
#: Those that read from one.
_READS = {"--seccomp", "--add-seccomp-fd", "--file", "--bind-data", "--ro-bind-data"}


@dataclass(frozen=True, slots=True)
class _Passed:
    """The words of the options as a look takes them, and descriptors.

    :ivar read: what the options read from; ``others``: what else the caller has open and passes on.
    """

    options: tuple[str, ...]
    read: tuple[int, ...]
    others: tuple[int, ...]


def audit_line(line_words: Sequence[str], *, probing: bool) -> Audit:
    """Score the command line ``line_words``, which begin with bwrap; its command is not run.

    :raises UsageError: they begin with something else.
    :raises HostError: it does not start, or nothing can look around there.
    """
    name, *rest = line_words
    if PurePosixPath(name).name != "bwrap":
        raise UsageError(
            f"{name} is not bwrap",
            hint="give a command line that begins with bwrap; in a script, put bwbuild audit -- before it",
        )
    line = words.read(rest)
    passed = _passed(line)
    home, tree = Path(os.path.realpath(Path.home())), _tree()
    root = read_caller().is_root
    around = Around(PurePosixPath(home), PurePosixPath(tree), root=root, open_files=bool(passed.others))
    facts = facts_of_line(line, around)
    subject = "the bwrap command line"
    if not probing or line.unknown:
        return replace(judged(subject, facts), line=True)
    look = Look(process.run(["dpkg", "--print-architecture"]).text, home, tree)
    looked = _look(name, passed, look, words.mounts(line))
    return replace(audited(subject, facts, looked, filtered=line.filtered), line=True)


def _tree() -> Path:
    """The source tree around the current directory, or that directory."""
    try:
        return Path(os.path.realpath(find_tree(Path.cwd())))
    except SourceError:
        return Path.cwd()


def _look(program: str, passed: _Passed, look: Look, mounts: tuple[words.Mounted, ...]) -> Looked:
    """Start it with a look in place of its command."""
    variable = marker()
    command, text = probe.on_input(look.command("inside"))
    with Path(os.devnull).open("rb") as file, process.tied() as tie:
        extra = file.fileno()
        # As process 1 the command itself would have the tie.
        tied = () if "--as-pid-1" in passed.options else ("--sync-fd", str(tie))
        done = process.run(
            [program, *passed.options, *tied, "--", *command],
            check=False,
            stdin=text,
            env={**os.environ, variable: "1"},
            timeout=PATIENCE,
            pass_fds=(*passed.read, *passed.others, extra, *([tie] if tied else [])),
        )
    if done.returncode != 0:
        raise no_look(done.stderr.decode("utf-8", "replace"))
    expected = probe.Expected(marker=variable, mounts=mounts, extra=extra)
    return Looked(done.stdout.decode("ascii", "replace"), look, expected)


def _passed(line: words.Line) -> _Passed:
    """What a look passes on.

    A descriptor that the caller has not opened is left out with its option: what it would do is not known.
    """
    opened = _open_files()
    kept: list[str] = []
    read: list[int] = []
    for option in line.options:
        if option.name in _SIGNALS:
            continue
        if option.name in _READS:
            number = int(option.values[0]) if option.values[0].isdigit() else -1
            if number not in opened:
                continue
            read.append(number)
        kept += [option.name, *option.values]
    named = {option.values[0] for option in line.options if option.name in _SIGNALS | _READS}
    return _Passed(tuple(kept), tuple(read), tuple(n for n in opened if str(n) not in named))


def _open_files() -> tuple[int, ...]:
    """Descriptors beyond the three streams that a program inherits which this process starts."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # that of the directory itself, which is closed by now
    return tuple(sorted(found))
