"""Relations between packages, such as Build-Depends."""

from __future__ import annotations

import re

from bwbuild.errors import SourceError

_RELATION = re.compile(
    r"""\s* [a-z0-9][a-z0-9+.-]+ (?: :[a-z0-9-]+ )?
        \s* (?: \( \s* (?: << | <= | = | >= | >> | < | > ) \s* [^()\s]+ \s* \) )?
        \s* (?: \[ [^\[\]]+ \] )?
        \s* (?: < [^<>]+ > \s* )*
    """,
    re.VERBOSE,
)


def check(field: str, text: str) -> None:
    """Refuse a relation field that does not parse; an empty one is all right.

    :raises SourceError: names the field and the relation.
    """
    # A comment line may stand in a field of debian/control.
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for group in " ".join(lines).split(","):
        for relation in group.split("|"):
            if group.strip() and not _RELATION.fullmatch(relation):
                raise SourceError(
                    f"debian/control: {field} has {relation.strip()!r}, which is no relation to a package",
                    hint="write NAME (>= VERSION) [ARCHITECTURES] <PROFILES>, separated by commas",
                )
