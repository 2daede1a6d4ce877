"""The list ``chroot_packages``, and sources that declare one build dependency less than they need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LIST = Path(__file__).with_name("chroot_packages")
_FIELD = re.compile(
    r"^(Build-Depends(?:-Arch|-Indep)?):((?:.*\n)(?:(?:[ \t]|#).*\n)*)", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list: a source, and the entry of its Build-Depends that ``without`` takes away.

    :ivar needed: the first package of the entry; empty if the source builds without any one of its entries.
    :ivar named: the package that has what the build then misses.
    """

    name: str
    needed: str
    named: str


def listed() -> list[Listed]:
    """The sources to build in both ways."""
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return [_listed(*words) for line in lines if (words := line.partition("#")[0].split())]


def _listed(name: str, entry: str) -> Listed:
    needed, _, named = entry.removeprefix("-").partition("=")
    return Listed(name, needed, named or needed)


def without(control: str, package: str) -> str:
    """``control``, the text of a debian/control, without the build dependency that names ``package`` first.

    :raises ValueError: no field has it.
    """
    source, separator, binaries = control.partition("\n\n")
    changed = _FIELD.sub(lambda match: _field(match[1], match[2], package), source + "\n")
    if changed == source + "\n":
        raise ValueError(f"no Build-Depends names {package} first")
    return changed.removesuffix("\n") + separator + binaries


def _field(name: str, value: str, package: str) -> str:
    lines = [line for line in value.splitlines() if not line.startswith("#")]
    entries = [entry for entry in (part.strip() for part in " ".join(lines).split(",")) if entry]
    kept = [entry for entry in entries if _first(entry) != package]
    if len(kept) == len(entries):
        return f"{name}:{value}"
    return f"{name}: {', '.join(kept)}\n" if kept else ""


def _first(entry: str) -> str:
    return re.split(r"[\s(:<\[|]", entry, maxsplit=1)[0]


def remove(tree: Path, package: str) -> None:
    """Take ``package`` out of the build dependencies of an unpacked source.

    :raises ValueError: they do not name it.
    """
    # dh_gnome_clean and the like make debian/control anew from a template.
    for file in (tree / "debian/control", tree / "debian/control.in"):
        if file.exists():
            file.write_text(without(file.read_text(encoding="utf-8"), package), encoding="utf-8")
