"""Scoring the sandbox of a bwrap command line, as if it were started here."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bwbuild import process
from bwbuild.audit import probe, words
from bwbuild.audit.facts import Streams
from bwbuild.audit.of_line import Around, facts_of_line
from bwbuild.build.study.audit import (
    PATIENCE,
    Audit,
    Look,
    Looked,
    audited,
    judged,
    marker,
    no_look,
    places_of_keys,
)
from bwbuild.deb.source import find_tree
from bwbuild.errors import HostError, SourceError, UsageError
from bwbuild.host.facts import read_caller

#: Options that wait for a descriptor or tell on it; a look has no use for them.
_SIGNALS = {"--sync-fd", "--block-fd", "--userns-block-fd", "--info-fd", "--json-status-fd"}
#: Those that read from one.
_READS = {"--seccomp", "--add-seccomp-fd", "--file", "--bind-data", "--ro-bind-data"}


#: Where programs have their sockets, /var/run often as a link to the other.
_RUN = ("/run", "/var/run")


@dataclass(frozen=True, slots=True)
class _Passed:
    """The words of the options as a look takes them, and descriptors.

    :ivar read: what the options read from; ``others``: what else the caller has open and passes on.
    """

    options: tuple[str, ...]
    read: tuple[int, ...]
    others: tuple[int, ...]


def is_line(line_words: Sequence[str]) -> bool:
    """Whether these are the words of a command line, and not one that names what to build."""
    alone = len(line_words) == 1 and PurePosixPath(line_words[0]).name == "bwrap"
    return len(line_words) > 1 or (alone and not Path(line_words[0]).is_dir())


def audit_line(line_words: Sequence[str], *, probing: bool) -> Audit:
    """Score the command line ``line_words``, which begin with bwrap; its command is not run.

    :raises UsageError: they begin with something else, or are no more than that.
    :raises HostError: it does not start, or nothing can look around there.
    """
    name, *rest = line_words
    if PurePosixPath(name).name != "bwrap":
        raise UsageError(
            f"{name} is not bwrap",
            hint="give a command line that begins with bwrap; in a script, put bwbuild audit -- before it",
        )
    if not rest:
        raise UsageError(
            f"{name} alone is no command line",
            hint="give its options and its command as well: bwbuild audit -- bwrap OPTION... COMMAND",
        )
    given = words.read(rest)
    passed = _passed(given)
    line = words.with_sources(given, os.path.realpath)
    home, tree = Path(os.path.realpath(Path.home())), _tree()
    around = Around(
        PurePosixPath(home),
        PurePosixPath(tree),
        root=read_caller().is_root,
        open_files=bool(passed.others),
        keys=tuple(map(PurePosixPath, places_of_keys(home))),
        run=tuple(dict.fromkeys(PurePosixPath(os.path.realpath(place)) for place in _RUN)),
        streams=_streams(),
    )
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
    if "/" in program and not os.access(program, os.X_OK):
        raise HostError(
            f"{program} is no program that can be started",
            hint="give the path of a bubblewrap that is there, or bwrap for the one on PATH",
        )
    variable = marker()
    command, text = probe.on_input(look.command("inside", mounts))
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
    expected = probe.Expected(marker=variable, mounts=mounts, extra=extra, serving=False)
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


def _streams() -> Streams:
    """What the command would have for its three: bwrap passes on those that it is started with."""
    return Streams.PIPES if all(map(_is_harmless, range(3))) else Streams.CALLERS


def _is_harmless(stream: int) -> bool:
    """Whether it is a pipe, a file or /dev/null, and no terminal, socket or directory."""
    try:
        found = os.fstat(stream)
    except OSError:
        return False
    null = os.stat(os.devnull)  # noqa: PTH116 - beside that of a descriptor
    is_null = stat.S_ISCHR(found.st_mode) and found.st_rdev == null.st_rdev
    return is_null or stat.S_ISFIFO(found.st_mode) or stat.S_ISREG(found.st_mode)
