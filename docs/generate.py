#!/usr/bin/python3
"""Write the manual pages and the shells' completions: ``PYTHONPATH=. python3 docs/generate.py DIRECTORY``.

What options and settings there are comes from click and from the declarations of the settings, so the pages
know every command that the program has. The prose around them is in ``docs/manual``; a line ``@NAME@`` there
is replaced.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

import click
from click import shell_completion

from bwbuild import __version__
from bwbuild.cli.main import commands
from bwbuild.cli.options import BUILD, SANDBOX
from bwbuild.config.kinds import Duration, Several, Switch
from bwbuild.config.settings import DEFAULTS, OPTIONS, Option

HERE = Path(__file__).resolve().parent
#: Option of a build, or a command and its own option -> what the manual pages say besides.
DETAILS: Mapping[str, str] = tomllib.loads((HERE / "manual/details.toml").read_text(encoding="utf-8"))
#: Where the shells look for their files below a prefix such as /usr.
PLACES = {
    "bash": "share/bash-completion/completions/bwbuild",
    "zsh": "share/zsh/vendor-completions/_bwbuild",
    "fish": "share/fish/vendor_completions.d/bwbuild.fish",
}
_VARIABLE = "_BWBUILD_COMPLETE"


def escaped(text: str) -> str:
    """Text as roff takes it: hyphens are hyphens of options, and no line is a request by accident."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    text = text.replace("^", r"\(ha").replace("~", r"\(ti").replace("…", r"\|.\|.\|.")
    return re.sub(r"(?m)^\.", r"\\&.", text)


def flags(option: click.Option) -> str:
    """Such as ``--keep``, ``never|failure|always``; the words in bold, the value in italics."""
    names = ", ".join(rf"\fB{escaped(name)}\fR" for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else option.metavar or _words_of(option.type)
    if not value:
        return names
    return rf"{names}\fI{escaped(value)}\fR" if value.startswith("[") else rf"{names} \fI{escaped(value)}\fR"


def _words_of(kind: click.ParamType) -> str:
    """What stands for a value that has no word of its own: those that there are, or the name of its type."""
    return "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else kind.name.upper()


def entries(options: Iterable[click.Option], names: tuple[str, ...] = ()) -> Iterator[str]:
    """A paragraph with a tag for each option, of the command ``names`` or of a build."""
    for option in options:
        yield from (".TP", flags(option), escaped(option.help or ""))
        # Options of other commands may have the same name and mean another thing.
        more = DETAILS.get(" ".join((*names, option.opts[0])))
        if more:
            yield escaped(more)


def options_of(command: click.Command) -> list[click.Option]:
    """Its options but ``--help``."""
    return [found for found in command.params if isinstance(found, click.Option) and found.opts != ["--help"]]


def leaves(
    group: click.Group, names: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands with their words, groups before what is in them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None  # noqa: S101 - for the type checker
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from leaves(command, (*names, name))


def sandbox_options() -> tuple[list[click.Option], list[click.Option]]:
    """The options of a build: those that every sandbox has, and the others."""
    build = dict(leaves(commands))[("build",)]
    shared = {OPTIONS[key].attribute for key in SANDBOX} | {"flag_in_place", "config"}
    found = options_of(build)
    inside = [option for option in found if option.name in shared]
    return inside, [option for option in found if option.name not in shared]


def command_section(names: tuple[str, ...], command: click.Command) -> Iterator[str]:
    """One command: synopsis, what it does, its options; those of a build by reference."""
    inside, others = sandbox_options()
    usage = escaped(" ".join(command.collect_usage_pieces(click.Context(command))))
    yield rf".SS \fBbwbuild {' '.join(names)}\fR {usage}"
    for number, paragraph in enumerate((command.help or "").split("\n\n")):
        yield from (*((".PP",) if number else ()), escaped(" ".join(paragraph.split())))
    mine = options_of(command)
    yield from entries((option for option in mine if not _within(option, inside + others)), names)
    yield from _borrowed(mine, inside, others)
    yield from _epilog(command.epilog or "")


def _epilog(text: str) -> Iterator[str]:
    """What ``--help`` has behind the options; lines that click leaves alone are a word and its meaning."""
    for paragraph in filter(None, text.strip().split("\n\n")):
        if not paragraph.startswith("\b"):
            yield from (".PP", escaped(" ".join(paragraph.split())))
            continue
        for line in paragraph.splitlines()[1:]:
            word, meaning = re.split(r": |\s{2,}", line, maxsplit=1)
            yield from (".TP", rf"\fB{escaped(word)}\fR", escaped(meaning))


def _within(option: click.Option, group: list[click.Option]) -> bool:
    return any(option.opts == other.opts and option.help == other.help for other in group)


def _borrowed(
    mine: list[click.Option], inside: list[click.Option], others: list[click.Option]
) -> Iterator[str]:
    """The sentence about options that are described elsewhere."""
    shared = [option for option in mine if _within(option, inside + others)]
    phrases = []
    if all(_within(option, shared) for option in inside):
        phrases.append("all options of the sandbox")
        shared = [option for option in shared if not _within(option, inside)]
    missing = [option for option in others if not _within(option, shared)]
    if len(missing) <= 1:
        but = f" but {_words(missing)}" if missing else ""
        phrases.append(f"all other options of a build{but}")
        shared = []
    phrases += [_words([option]) for option in shared]
    if phrases:
        last = f" and {phrases[-1]}" if len(phrases) > 1 else phrases[-1]
        yield from (".PP", f"As for a build: {', '.join(phrases[:-1])}{last}.")


def _words(options: list[click.Option]) -> str:
    """The first spelling of each."""
    return ", ".join(rf"\fB{escaped(option.opts[0])}\fR" for option in options)


def setting(option: Option) -> Iterator[str]:
    """One setting: key, kind, what it does, default, variable and option."""
    kind = "true or false" if isinstance(option.kind, Switch) else option.kind.metavar
    default = _default(option)
    many = " (a list)" if isinstance(option.kind, Several) else ""
    yield from (".TP", rf"\fB{escaped(option.key)}\fR = \fI{escaped(kind)}\fR{many}", escaped(option.help))
    more = DETAILS.get(option.flag, "")
    if more:
        yield escaped(more)
    # The sentence may say it of what no value stands for.
    known = "" if not default and "The default is" in more else f"Default: {escaped(default) or 'none'}. "
    yield rf"{known}Variable \fB{option.variable}\fR."


def _default(option: Option) -> str:
    """As one would write it: ``2d``, not the number of seconds."""
    value = DEFAULTS[option.key]
    if not isinstance(option.kind, Duration) or not isinstance(value, float):
        return option.kind.shown(value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def date() -> str:
    """Of the version, as Debian's changelog has it."""
    text = (HERE.parent / "debian/changelog").read_text(encoding="utf-8")
    found = re.search(r"(?m)^ -- .*>  (.+)$", text)
    assert found is not None  # noqa: S101 - for the type checker
    return f"{parsedate_to_datetime(found[1]):%Y-%m-%d}"


def replacements() -> dict[str, Iterable[str]]:
    """What stands for each ``@NAME@``."""
    inside, others = sandbox_options()
    others += [option for option in options_of(commands) if not _within(option, others)]
    rest = [(names, command) for names, command in leaves(commands) if names != ("build",)]
    return {
        "SANDBOX": entries(inside),
        "BUILD": entries(others),
        "COMMANDS": (line for names, command in rest for line in command_section(names, command)),
        "SETTINGS": (line for key in (*BUILD, *SANDBOX) for line in setting(OPTIONS[key])),
    }


def page(name: str) -> str:
    """The manual page of that name, such as ``bwbuild.1``."""
    parts = replacements()
    lines: list[str] = []
    for line in (HERE / "manual" / f"{name}.in").read_text(encoding="utf-8").splitlines():
        marker = re.fullmatch(r"@([A-Z]+)@", line)
        words = line.replace("@VERSION@", __version__).replace("@DATE@", date())
        lines += parts[marker.group(1)] if marker else [words]
    return "\n".join(lines) + "\n"


def completion(shell: str) -> str:
    """What ``shell`` reads to complete the command's words."""
    kind = shell_completion.get_completion_class(shell)
    assert kind is not None  # noqa: S101 - for the type checker
    found = kind(commands, {}, "bwbuild", _VARIABLE)
    text = shell_completion.ShellComplete.source(
        found
    )  # bash's own looks for the bash that is installed here
    if shell == "zsh" and "loadautofunc" not in text:
        # Old versions of click only define the function: the first completion of a session stayed empty.
        text += f'\n[[ $zsh_eval_context[-1] == loadautofunc ]] && {found.func_name} "$@"\n'
    return text


def main(top: Path) -> None:
    """Write all files below ``top``, as they are below /usr."""
    files = {place: completion(shell) for shell, place in PLACES.items()}
    for template in sorted((HERE / "manual").glob("*.in")):
        name = template.stem
        files[f"share/man/man{name[-1]}/{name}"] = page(name)
    for place, text in files.items():
        path = top / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: docs/generate.py DIRECTORY")
    main(Path(sys.argv[1]))
