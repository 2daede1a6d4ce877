"""Where apt of a root fetches packages from."""

from __future__ import annotations

from pathlib import Path

from bwbuild.root.mirrors import mirrors

STANZAS = """\
# one
Types: deb deb-src
URIs: http://a.example.org/debian
Suites: trixie
 trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/x.gpg

Types: deb-src
URIs: http://sources.example.org
Suites: trixie

Types: deb
Enabled: no
URIs: http://off.example.org
Suites: trixie
"""


def test_both_forms_without_passwords(tmp_path: Path) -> None:
    apt = tmp_path / "etc" / "apt"
    (apt / "sources.list.d").mkdir(parents=True)
    (apt / "sources.list").write_text(
        "# deb http://no.example.org x\n"
        "deb [trusted=yes arch=amd64] http://joe:secret@b.example.org/debian bookworm main\n"
        "deb-src http://b.example.org/debian bookworm main\n"
        "deb copy:/srv/packages ./\n"
    )
    (apt / "sources.list.d" / "a.sources").write_text(STANZAS)
    (apt / "sources.list.d" / "a.save").write_text("deb http://old.example.org x\n")
    assert mirrors(tmp_path) == (
        "http://b.example.org/debian bookworm main",
        "copy:/srv/packages ./",
        "http://a.example.org/debian trixie trixie-updates main contrib",
    )


def test_nothing_is_there(tmp_path: Path) -> None:
    assert mirrors(tmp_path) == ()
