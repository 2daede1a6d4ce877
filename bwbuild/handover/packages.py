"""What a binary package must say of itself: the same as its file name and the .changes; pure."""

from __future__ import annotations

import re

from bwbuild.deb.changes import Changes
from bwbuild.deb.names import binary_file, check_version, printable, without_epoch
from bwbuild.deb.paragraph import Paragraph, as_text, parse
from bwbuild.errors import VerificationError
from bwbuild.handover.artifacts import mismatch

_SOURCE = re.compile(r"([^ ]+)(?: \(([^()]+)\))?")


def check_control(name: str, data: bytes, changes: Changes) -> None:
    """Refuse the package with the file name ``name`` and the control file ``data`` if it is another one.

    :raises VerificationError: its control file is not as dpkg-gencontrol writes it, or contradicts the name
        or the .changes; says in what.
    """
    control = parse(as_text(data, f"the control file of {name}"), f"the control file of {name}")
    of_name = binary_file(name)
    if of_name is None:
        raise VerificationError(f"{printable(name)} is no name of a binary package")
    package, version, architecture = of_name
    own = control.line("version")
    check_version(own)
    for field, found, wanted in (
        ("Package", control.line("package"), package),
        ("Version", without_epoch(own), version),
        ("Architecture", control.line("architecture"), architecture),
    ):
        if found != wanted:
            raise mismatch(f"{name}: {field} in it is not the one of its name", found, wanted)
    found, wanted = " ".join(_source(name, control, own)), f"{changes.source} {changes.source_version}"
    if found != wanted:
        raise mismatch(f"{name}: Source in it is not the one of the .changes", found, wanted)


def check_member(name: str, member: str) -> None:
    """Refuse a member of the package ``name`` whose path could lead out of where it is unpacked.

    :param member: as tar quotes it.
    :raises VerificationError: it is absolute or has ``..`` in it.
    """
    if member.startswith("/") or (".." in member and ".." in member.split("/")):
        raise VerificationError(f"{name} has a file that would be unpacked to {printable(member)}")


def _source(name: str, control: Paragraph, version: str) -> tuple[str, str]:
    """Name and version of the source package; a field that is not there says that they are the package's."""
    if "source" not in control.fields:
        return control.line("package"), version
    match = _SOURCE.fullmatch(control.line("source"))
    if match is None:
        raise VerificationError(f"{name}: Source in it is neither a name nor a name with a version")
    return match[1], match[2] or version
