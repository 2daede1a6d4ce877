"""The looks, once for all tests of this directory: most of them only compare what was seen."""

from __future__ import annotations

import os
import tarfile
from typing import Any

import pytest
from looks import AS_ROOT, SECRETS, look
from support import Desk

from bwbuild.host.facts import read_caller


@pytest.fixture(scope="session")
def furnished(shared: Desk) -> Desk:
    """The shared tree with all around it that must not be seen."""
    (shared.tree / ".git").mkdir()
    (shared.tree / ".git" / "config").write_text("[core]\n")
    (shared.parent / "sibling").mkdir()
    (shared.parent / "sibling" / "secret").write_text("secret\n")
    (shared.parent / ".netrc").write_text("secret\n")
    (shared.parent / "tiny_0.orig.tar.gz").write_text("of another version\n")
    with tarfile.open(shared.parent / "tiny_1.orig.tar.gz", "w:gz") as tar:
        tar.add(shared.tree / "input", "tiny-1/input")
    (shared.home / ".ssh").mkdir()
    (shared.home / ".ssh" / "id_ed25519").write_text("secret\n")
    return shared


@pytest.fixture(scope="session")
def user(furnished: Desk) -> dict[str, Any]:
    """What the build user sees; the caller's environment is full of secrets, and his umask is 077."""
    return look(furnished, env=SECRETS, umask=0o077)


@pytest.fixture(scope="session")
def root(furnished: Desk) -> dict[str, Any]:
    """What root of the sandbox sees; the caller's umask is 000."""
    if os.getuid() != 0 and not _has_range():
        pytest.skip("this user has no subordinate ids, so only one id exists inside")
    return look(furnished, AS_ROOT, env=SECRETS, umask=0)


def _has_range() -> bool:
    caller = read_caller()
    return bool(caller.subuids and caller.subgids)


@pytest.fixture(params=["user", "root"])
def either(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Both looks, one after the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, dict)
    return found
