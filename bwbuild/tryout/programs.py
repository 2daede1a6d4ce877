"""Which command of a package is run, and which ones are near a name that is not there: pure."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Collection, Mapping, Sequence

from bwbuild.errors import UsageError

#: Where programs of users are, as package databases and merged systems call these directories.
PLACES = ("usr/bin", "usr/games", "bin")
#: Where those of the administrator are.
OF_ROOT = ("usr/sbin", "sbin")
_ENTRIES = "usr/share/applications/"
#: Names that an error shows at most.
_SHOWN = 30


def of_lists(lists: Sequence[str]) -> tuple[str, ...]:
    """The names of programs among the paths of packages' lists of files."""
    found = set()
    for path in lists:
        directory, _, name = path.lstrip("/").rpartition("/")
        if directory in PLACES and name:
            found.add(name)
    return tuple(sorted(found))


def entries_of_lists(lists: Sequence[str]) -> tuple[str, ...]:
    """The paths of desktop files among them, relative to the root."""
    names = {path.lstrip("/") for path in lists}
    return tuple(sorted(name for name in names if name.startswith(_ENTRIES) and name.endswith(".desktop")))


def of_entry(text: str) -> tuple[str, ...]:
    """The command of a desktop file, without files to open; empty where it starts nothing by itself."""
    fields: dict[str, str] = {}
    group = ""
    for line in text.splitlines():
        if line.startswith("["):
            group = line.strip()
        elif group == "[Desktop Entry]" and "=" in line:
            key, _, value = line.partition("=")
            fields.setdefault(key.strip(), value.strip())
    hidden = "true" in (fields.get("NoDisplay", ""), fields.get("Hidden", ""))
    if hidden or fields.get("Type", "Application") != "Application":
        return ()
    try:
        words = shlex.split(fields.get("Exec", ""))
    except ValueError:
        return ()
    return tuple(word.replace("%%", "%") for word in words if not _has_field(word))


def _has_field(word: str) -> bool:
    """Whether a starter puts something there, such as files to open, or leaves it out without any."""
    return re.search(r"%[^%]", word.replace("%%", "")) is not None


def default(names: Sequence[str], entries: Mapping[str, tuple[str, ...]], what: str) -> tuple[str, ...]:
    """The command that runs where nobody names one.

    :param names: of the package's programs; ``entries``: path of a desktop file -> its command.
    :param what: stands for the package in messages.
    :raises UsageError: there is none, or more than one.
    """
    commands = {command for command in entries.values() if command}
    if len(names) == 1:
        return (names[0],)
    if len(commands) == 1:
        return commands.pop()
    if not names and commands:
        raise UsageError(
            f"{what} has {len(commands)} desktop files that start something",
            hint="name a command: -- COMMAND",
            details=sorted(shlex.join(command) for command in commands)[:_SHOWN],
        )
    if not names:
        raise UsageError(
            f"{what} has no program in /usr/bin or /usr/games", hint="name a command of the root: -- COMMAND"
        )
    raise UsageError(
        f"{what} has {len(names)} programs",
        hint="name one: -- COMMAND",
        details=[*names[:_SHOWN], *(["…"] if len(names) > _SHOWN else [])],
    )


def check(command: str, there: Collection[str]) -> None:
    """Refuse a command that is not there, and name those that are near; of paths only those of programs.

    :raises UsageError: it does not exist.
    """
    directory, slash, name = command.rpartition("/")
    if name in there or (slash and directory not in (f"/{place}" for place in (*PLACES, *OF_ROOT))):
        return
    near = difflib.get_close_matches(name, sorted(there), n=3, cutoff=0.7)
    raise UsageError(
        f"there is no command {command!r} in the root",
        hint=f"did you mean {' or '.join(near)}?" if near else "the package that has it: --with NAME",
    )
