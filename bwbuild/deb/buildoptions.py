"""The options of dpkg-buildpackage: which exist, which go on to it, which bwbuild acts on itself.

The table follows ``dpkg-buildpackage --help`` of dpkg 1.21 and 1.22. An option is passed on unless its row
says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bwbuild.deb import rebuild
from bwbuild.deb.buildwishes import ALL, ANY, BUILD_TYPES, SOURCE, BuildOptions
from bwbuild.errors import UsageError

__all__ = ["ALL", "ANY", "ROWS", "SOURCE", "SPELLINGS", "BuildOptions", "find", "parse"]

_SHORT_TYPES = {"-b": "binary", "-B": "any", "-A": "all", "-S": "source", "-F": "full"}
_SHORT_TYPES |= {"-g": "source,all", "-G": "source,any"}


Effect = Callable[[BuildOptions, str], BuildOptions]


@dataclass(frozen=True, slots=True)
class Row:
    """One option: ``pattern`` matches the whole word, its first group is the value."""

    pattern: re.Pattern[str]
    effect: Effect | None = None
    #: the value may be the next word
    separate: bool = False
    passes: bool = True
    spellings: tuple[str, ...] = field(default=())


def _set_types(names: str) -> Effect:
    def effect(options: BuildOptions, value: str) -> BuildOptions:
        types: set[str] = set()
        for name in (names or value).split(","):
            if name not in BUILD_TYPES:
                raise UsageError(
                    f"--build={value}: unknown type {name!r}", hint="use " + ", ".join(BUILD_TYPES)
                )
            types |= BUILD_TYPES[name]
        if options.types_given and options.types != types:
            message = f"two build types: {options.type_name} and {names or value}"
            raise UsageError(message, hint="give one of -b -B -A -S -g -G -F, or --build=TYPE,TYPE")
        return replace(options, types=frozenset(types), types_given=True, asked=frozenset(types))

    return effect


def _unsign(part: str) -> Effect:
    parts = {"source": {"source"}, "buildinfo": {"buildinfo"}, "changes": {"buildinfo", "changes"}}
    parts["all"] = {"source", "buildinfo", "changes"}

    def effect(options: BuildOptions, _value: str) -> BuildOptions:
        unsigned = options.unsigned | parts[part]
        return replace(options, unsigned=unsigned, sign=False if "changes" in unsigned else options.sign)

    return effect


def _no_clean(options: BuildOptions, _value: str) -> BuildOptions:
    return replace(options, no_clean=True)


def _targets(options: BuildOptions, value: str) -> BuildOptions:
    return replace(options, targets=options.targets + tuple(value.split(",")))


def _profiles(options: BuildOptions, value: str) -> BuildOptions:
    return replace(options, profiles=tuple(value.replace(",", " ").split()))


def _profiles_of_sbuild(options: BuildOptions, value: str) -> BuildOptions:
    words = value.replace(",", " ").split()
    return replace(options, profiles=tuple(words), passed=(*options.passed, f"-P{','.join(words)}"))


def _host_of_sbuild(options: BuildOptions, value: str) -> BuildOptions:
    return replace(options, host_arch=value, passed=(*options.passed, f"-a{value}"))


def _add(kind: str) -> Effect:
    def effect(options: BuildOptions, value: str) -> BuildOptions:
        return replace(options, added=(*options.added, (kind, value)))

    return effect


def _extra(kind: str) -> Effect:
    def effect(options: BuildOptions, value: str) -> BuildOptions:
        return replace(options, extra=(*options.extra, (kind, value)))

    return effect


def _part(name: str, *, wanted: bool) -> Effect:
    """One of sbuild's switches for a part of the build; what none of them names stays as it is."""

    def effect(options: BuildOptions, _value: str) -> BuildOptions:
        types = options.types | {name} if wanted else options.types - {name}
        asked = options.asked | {name} if wanted else options.asked - {name}
        return replace(options, types=types, parts_given=True, asked=asked)

    return effect


def _rebuild(name: str) -> Effect:
    def effect(options: BuildOptions, value: str) -> BuildOptions:
        return replace(options, rebuild=options.rebuild.with_value(name, value))

    return effect


def _source_only(*, wanted: bool) -> Effect:
    def effect(options: BuildOptions, _value: str) -> BuildOptions:
        return replace(options, source_only=wanted)

    return effect


def _maintainer_of_sbuild(options: BuildOptions, value: str) -> BuildOptions:
    return replace(options, maintainer=value, passed=(*options.passed, f"-m{value}"))


def _changes_file(options: BuildOptions, value: str) -> BuildOptions:
    name = value.removeprefix("../")
    if not name or "/" in name or name.startswith("."):
        raise UsageError(
            f"--changes-file={value}", hint="name a file in the parent directory: --changes-file=../NAME"
        )
    return replace(options, changes_file=name)


def _refuse_backend(options: BuildOptions, value: str) -> BuildOptions:
    if value not in ("auto", "gpg"):
        hint = "debsign signs here, with gpg or the program of -p; leave the option out"
        raise UsageError(f"--sign-backend={value} can't be honoured", hint=hint)
    return options


def _keyfile(_options: BuildOptions, value: str) -> BuildOptions:
    hint = "import the key with gpg and name it: -kKEY"
    raise UsageError(f"--sign-keyfile={value}: debsign signs here, which has no key files", hint=hint)


def _set(name: str) -> Effect:
    def effect(options: BuildOptions, value: str) -> BuildOptions:
        changed: dict[str, Any] = {name: value or True}
        return replace(options, **changed)

    return effect


def _row(pattern: str, spellings: str, effect: Effect | None = None, **more: bool) -> Row:
    return Row(re.compile(pattern, re.DOTALL), effect, spellings=tuple(spellings.split()), **more)


_PASSED_ON = (
    ("--post-clean|--no-post-clean|--pre-clean", "--post-clean --no-post-clean --pre-clean"),
    ("-D|--check-builddeps|--ignore-builtin-builddeps", "-D --check-builddeps --ignore-builtin-builddeps"),
    ("--sanitize-env|--rules-requires-root|--as-root", "--sanitize-env --rules-requires-root --as-root"),
    (r"--jobs(?:-try|-force)?(?:=(?:\d*|auto))?|-[jJ](?:\d*|auto)", "-j --jobs --jobs-try --jobs-force"),
    ("-R.+|--rules-file=.*", "-R --rules-file"),
    ("--check-command=.*|--check-option=.*", "--check-command --check-option"),
    ("--hook-[a-z]+=.*", "--hook-init --hook-build --hook-binary --hook-changes --hook-done"),
    ("--buildinfo-option=.*|--changes-option=.*", "--buildinfo-option --changes-option"),
    ("--source-option=.*|--buildinfo-id=.*", "--source-option --buildinfo-id"),
    ("-s[iadnsAkurKUR]|-s(?:gpg|pgp)", "-si -sa -sd -sn"),
    ("-v.+|-C.+|-[EW]", "-v -C"),
    ("-e.+|--(?:changed|release)-by=.*", "-e --changed-by --release-by"),
    ("-z.*|-Z.*|--compression(?:-level)?=.+", "-z -Z --compression --compression-level"),
    ("-i.*|-I.*|--(?:diff|tar)-ignore(?:=.*)?", "-i -I --diff-ignore --tar-ignore"),
)

ROWS: tuple[Row, ...] = (
    *(_row(f"(?:{pattern})", spellings) for pattern, spellings in _PASSED_ON),
    *(_row(short, short, _set_types(types)) for short, types in _SHORT_TYPES.items()),
    _row("--build=(.*)", "--build", _set_types("")),
    _row("-us|--unsigned-source", "-us --unsigned-source", _unsign("source"), passes=False),
    _row("-ui|--unsigned-buildinfo", "-ui --unsigned-buildinfo", _unsign("buildinfo"), passes=False),
    _row("-uc|--unsigned-changes", "-uc --unsigned-changes", _unsign("changes"), passes=False),
    _row("--no-sign", "--no-sign", _unsign("all"), passes=False),
    _row("--force-sign", "--force-sign", _set("sign"), passes=False),
    _row("(?:-k|--sign-key(?:id)?=)(.+)", "-k --sign-key --sign-keyid", _set("sign_key"), passes=False),
    _row("(?:-p|--sign-command=)(.+)", "-p --sign-command", _set("sign_program"), passes=False),
    _row("--sign-backend=(.*)", "--sign-backend", _refuse_backend, passes=False),
    _row("--sign-keyfile=(.*)", "--sign-keyfile", _keyfile, passes=False),
    _row("(?:-m|--(?:source|build)-by=)(.+)", "-m --source-by --build-by", _set("maintainer")),
    _row("(?:-P|--build-profiles=)(.*)", "-P --build-profiles", _profiles),
    _row("-nc|--no-pre-clean", "-nc --no-pre-clean", _no_clean),
    _row("-d|--no-check-builddeps", "-d --no-check-builddeps", _set("unchecked")),
    _row("(?:-a|--host-arch=)(.*)|--host-arch", "-a --host-arch", _set("host_arch"), separate=True),
    _row(
        "(?:-t|--(?:host-type|target-arch|target-type)=)(.*)|--(?:host-type|target-arch|target-type)",
        "-t --host-type --target-arch --target-type",
        separate=True,
    ),
    _row(
        "(?:-T|--(?:rules-)?target=)(.*)|--(?:rules-)?target",
        "-T --rules-target --target",
        _targets,
        separate=True,
    ),
    _row("--admindir=(.*)|--admindir", "--admindir", separate=True),
    _row("(?:-r|--root-command=)(.+)", "-r --root-command", _set("root_command")),
    _row("--changes-file=(.*)", "--changes-file", _changes_file),
    _row("--buildinfo-file=(.+)", "--buildinfo-file"),
    _row("-tc", "-tc"),
    # sbuild's names. Its -A, -s and -d mean something else to dpkg-buildpackage, whose words these are here.
    *(
        _row(f"--{no}{word}", f"--{no}{word}", _part(name, wanted=not no), passes=False)
        for no in ("", "no-")
        for word, name in (("arch-all", ALL), ("arch-any", ANY), ("source", SOURCE))
    ),
    _row("--profiles=(.*)|--profiles", "--profiles", _profiles_of_sbuild, separate=True, passes=False),
    _row("--host=(.+)|--host", "--host", _host_of_sbuild, separate=True, passes=False),
    _row("--add-depends=(.+)|--add-depends", "--add-depends", _add("Depends"), separate=True, passes=False),
    _row(
        "--add-conflicts=(.+)|--add-conflicts",
        "--add-conflicts",
        _add("Conflicts"),
        separate=True,
        passes=False,
    ),
    *(
        _row(
            f"--{name}=(.+)|--{name}",
            f"--{name}",
            _extra(name.removeprefix("extra-")),
            separate=True,
            passes=False,
        )
        for name in ("extra-package", "extra-repository", "extra-repository-key")
    ),
    _row(
        "--maintainer=(.+)|--maintainer", "--maintainer", _maintainer_of_sbuild, separate=True, passes=False
    ),
    *(
        _row(f"--{name}=(.*)|--{name}", f"--{name}", _rebuild(name), separate=True, passes=False)
        for name in rebuild.OPTIONS
    ),
    *(
        _row(word, word, _source_only(wanted=wanted), passes=False)
        for word, wanted in (("--source-only-changes", True), ("--no-source-only-changes", False))
    ),
    # debsign asks for the passphrase itself, which is the pause that this option wants.
    _row("-ap|--sign-pausa|--sign-pause", "-ap --sign-pause", passes=False),
)

#: Every spelling, to look for the nearest one.
SPELLINGS: tuple[str, ...] = tuple(spelling for row in ROWS for spelling in row.spellings)


def find(word: str) -> tuple[Row, bool] | None:
    """The row of an option, and whether it takes the next word as its value; None if there is none."""
    for row in reversed(ROWS):  # the exact -tc and -ap stand after -tTYPE and -aARCH
        match = row.pattern.fullmatch(word)
        if match:
            return row, row.separate and not match.group(1) and not word.endswith("=")
    return None


def parse(words: Sequence[str]) -> BuildOptions:
    """Fold the options of a command line over the defaults.

    :raises UsageError: an unknown option, a missing value, or options that contradict each other.
    """
    options = BuildOptions()
    todo = list(words)
    while todo:
        word = todo.pop(0)
        found = find(word)
        if found is None:
            raise UsageError(f"dpkg-buildpackage has no option {word}")
        row, separate = found
        if separate and not todo:
            raise UsageError(f"{word} needs a value")
        taken = [word, todo.pop(0)] if separate else [word]
        match = row.pattern.fullmatch(word)
        value = taken[1] if separate else (match.group(1) if match and match.groups() else "") or ""
        if row.effect is not None:
            options = row.effect(options, value)
        if row.passes:
            options = replace(options, passed=options.passed + tuple(taken))
    options = _finished(options)
    if options.source_only and (SOURCE not in options.types or options.targets):
        raise UsageError(
            "--source-only-changes needs a build that makes the source package",
            hint="leave out the option that says otherwise, such as -b or -nc; -F and -S make it",
        )
    return options


def _binary_only(options: BuildOptions) -> BuildOptions:
    """A rebuild makes what the architecture has of its own, as with sbuild: the rest is the source's."""
    clash = sorted(options.asked & {SOURCE} if options.rebuild.whole else options.asked & {SOURCE, ALL})
    if clash:
        made = {SOURCE: "a source package", ALL: "architecture-independent packages"}
        raise UsageError(
            "a build under another version than the source's can't make "
            + " or ".join(made[name] for name in clash),
            hint="build with -B, or write the entry into the tree with dch and make a new source of it",
        )
    if options.types_given:
        return options
    return replace(options, types=options.types & {ANY} | options.asked, parts_given=True)


def _finished(options: BuildOptions) -> BuildOptions:
    options.rebuild.check()
    if options.rebuild.wanted:
        options = _binary_only(options)
    if options.unsigned and "changes" not in options.unsigned:
        raise UsageError(
            f"unsigned {' and '.join(sorted(options.unsigned))} under a signed .changes",
            hint="debsign signs all of them or none; use -us -uc for none",
        )
    if options.parts_given and options.types_given:
        raise UsageError(
            "two build types: by dpkg-buildpackage's option and by sbuild's",
            hint="give one of -b -B -A -S -g -G -F, or --arch-all, --no-arch-any, --source and the like",
        )
    if options.parts_given:
        if not options.types:
            raise UsageError("nothing is left to build", hint="leave out one of the --no-… options")
        types = ",".join(sorted(options.types, reverse=True))
        return replace(options, types_given=True, passed=(f"--build={types}", *options.passed))
    if options.no_clean and not options.types_given:
        return replace(options, types=frozenset({ANY, ALL}))  # dpkg-buildpackage: -nc implies -b
    return options
