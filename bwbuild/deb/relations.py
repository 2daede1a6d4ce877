"""Relations between packages, such as Build-Depends: parsed, printed, reduced to what counts for a build."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bwbuild.deb.names import printable
from bwbuild.errors import SourceError


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation to a package.

    qualifier: ``""``, ``any``, ``native`` or an architecture; operator: ``""`` or one of ``<< <= = >= >>``;
    architectures: such as ``amd64``, ``!i386``, ``linux-any``; profiles: one tuple for each ``<...>``.
    """

    name: str
    qualifier: str = ""
    operator: str = ""
    version: str = ""
    architectures: tuple[str, ...] = ()
    profiles: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.name}:{self.qualifier}" if self.qualifier else self.name]
        if self.operator:
            parts.append(f"({self.operator} {self.version})")
        if self.architectures:
            parts.append(f"[{' '.join(self.architectures)}]")
        parts.extend(f"<{' '.join(formula)}>" for formula in self.profiles)
        return " ".join(parts)


#: Alternatives, the preferred one first.
Group = tuple[Relation, ...]

# dpkg compares any text as a version; what no version can look like is refused here, where it can be named.
_VERSION = r"(?: [0-9]+ : [A-Za-z0-9.+:~-]+ | [A-Za-z0-9.+~-]+ )"
_ARCHITECTURE = r"!?[A-Za-z0-9][A-Za-z0-9-]*"
# Blanks belong to the part behind them: runs of blanks that several parts could take cost cubic time.
_RELATION = re.compile(
    rf"""\s* ([a-z0-9][a-z0-9+.-]+) (?: :([a-z0-9][a-z0-9-]*) )?
        (?: \s* \( \s* ( << | <= | = | >= | >> | < | > ) \s* ({_VERSION}) \s* \) )?
        (?: \s* \[ \s* ({_ARCHITECTURE} (?: \s+ {_ARCHITECTURE} )*) \s* \] )?
        ( (?: \s* < \s* [^<>\s] [^<>]* > )* )
        \s*
    """,
    re.VERBOSE,
)
#: What the old operators have meant since dpkg has the doubled ones.
_OLD = {"<": "<=", ">": ">="}
_FORMULA = re.compile("<([^<>]+)>")


def check(field: str, text: str, file: str = "debian/control") -> None:
    """Refuse a relation field that does not parse; an empty one is all right.

    :raises SourceError: names the field and the relation.
    """
    parse(field, text, file)


def parse(field: str, text: str, file: str = "debian/control") -> tuple[Group, ...]:
    """The groups of a relation field, in its order; comment lines and empty groups are passed over.

    :raises SourceError: names the field and the relation that does not parse.
    """
    if "\n" in text or text.startswith("#"):
        # A comment line may stand in a field of debian/control.
        text = " ".join(line for line in text.splitlines() if not line.startswith("#"))
    try:
        return tuple([_group(group) for group in text.split(",") if group and not group.isspace()])
    except ValueError as error:
        raise SourceError(
            f"{file}: {field} has {printable(str(error))}, which is no relation to a package",
            hint="write NAME (>= VERSION) [ARCHITECTURES] <PROFILES>, separated by commas",
        ) from None


def group_text(group: Group) -> str:
    """``group`` as Debian writes it."""
    return " | ".join(map(str, group))


def reduce(
    groups: Iterable[Group], architecture: str, profiles: Collection[str] = frozenset()
) -> tuple[Group, ...]:
    """``groups`` without the alternatives that their restrictions exclude, and without what is empty then.

    :param architecture: the host architecture: the one that is built for.
    :param profiles: the build profiles that are set.
    """
    counting = (
        tuple(r for r in group if _concerns(r.architectures, architecture) and _wants(r.profiles, profiles))
        for group in groups
    )
    return tuple(group for group in counting if group)


# A closure names the same few hundred relations thousands of times.
@lru_cache(maxsize=1 << 14)
def _group(text: str) -> Group:
    if "|" in text:
        return tuple(map(_relation, text.split("|")))
    return (_relation(text),)


def _relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise ValueError(text.strip())
    name, qualifier, operator, version, architectures, profiles = match.groups()
    return Relation(
        name,
        qualifier or "",
        _OLD.get(operator, operator) if operator else "",
        version or "",
        tuple(architectures.split()) if architectures else (),
        tuple(tuple(formula.split()) for formula in _FORMULA.findall(profiles)) if profiles else (),
    )


def _concerns(restrictions: tuple[str, ...], architecture: str) -> bool:
    # As dpkg does: the first that matches decides, and a list of nothing but ! stands for all others.
    concerned = not restrictions
    for restriction in map(str.lower, restrictions):
        negated = restriction.startswith("!")
        if _matches(architecture, restriction.removeprefix("!")):
            return not negated
        concerned = concerned or negated
    return concerned


def _matches(architecture: str, name: str) -> bool:
    if name in (architecture, "any"):
        return True
    # linux-amd64 is another spelling of amd64.
    if "any" not in name.split("-") and not name.startswith("linux-"):
        return False
    return bool(_table().matches_architecture(architecture, name))


@lru_cache(maxsize=1)
def _table() -> Any:  # python-debian has no types
    from debian.debian_support import DpkgArchTable  # noqa: PLC0415 - 10 ms, and wildcards are rare

    return DpkgArchTable.load_arch_table()


def _wants(formulas: tuple[tuple[str, ...], ...], profiles: Collection[str]) -> bool:
    return not formulas or any(
        all((term.removeprefix("!") in profiles) != term.startswith("!") for term in formula)
        for formula in formulas
    )
