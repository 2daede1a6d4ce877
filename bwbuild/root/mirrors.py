"""Where apt of a root fetches packages from, as its own files say."""

from __future__ import annotations

import re
from pathlib import Path

from bwbuild.units import without_passwords

_LINE = re.compile(r"^deb\s+(?:\[[^]]*\]\s+)?(\S.*)$", re.MULTILINE)


def mirrors(root: Path) -> tuple[str, ...]:
    """Each source of binary packages: address, suite and components; without passwords."""
    directory = root / "etc" / "apt" / "sources.list.d"
    files = [root / "etc" / "apt" / "sources.list", *sorted(directory.glob("*"))]
    found: list[str] = []
    for file in files:
        if file.suffix in (".list", ".sources") and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            found += _LINE.findall(text) if file.suffix == ".list" else _stanzas(text)
    return tuple(without_passwords(source).strip() for source in found)


def _stanzas(text: str) -> list[str]:
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            name.lower(): " ".join(value.split())
            for name, value in re.findall(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        }
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            found.append(" ".join(fields.get(name, "") for name in ("uris", "suites", "components")))
    return found
