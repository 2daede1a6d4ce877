"""What is asked, said and refused before a build, by what is to run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_plans import inputs
from support import make_tree

from bwbuild.build.granted.handshake import opened, requests_in, store
from bwbuild.build.plan import make_plan
from bwbuild.errors import PermissionsError
from bwbuild.events import Event
from bwbuild.permissions import grants
from bwbuild.permissions.answers import Answer, Wishes, decide
from bwbuild.permissions.asked import FILE, Purpose, Request

ASKS = """\
[[request]]
permission = "env=TOKEN"
reason = "the tests log in"
for = "tests"
required = {required}
"""


@pytest.mark.parametrize("required", ["true", "false"])
def test_what_is_asked_for_tests_is_for_tests(required: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    (tree / FILE).write_text(ASKS.format(required=required), encoding="utf-8")
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    asked: list[Request] = []
    told: list[Event] = []

    def ask(_: str, requests: tuple[Request, ...]) -> dict[Request, Answer]:
        asked.extend(requests)
        return {}

    wanted = inputs(tree=str(tree), caller_environment=environment)
    with opened(wanted, ask, told.append) as found:
        assert [item.purpose for item in found.decisions] == [Purpose.TESTS], "it is known all the same"
    assert (asked, told) == ([], [])
    # It can be granted by the source's name.
    assert [item.answer for item in grants.load(store(environment))] == [Answer.NO]
    (request,) = requests_in(tree)
    granted = replace(found, decisions=decide((request,), Wishes(allow=(request.permission,))))
    assert not [note for note in make_plan(granted).notes if "env=TOKEN" in note.text]
    testing = inputs(tree=str(tree), caller_environment=environment, autopkgtest=True)
    if required == "true":
        with pytest.raises(PermissionsError, match="env=TOKEN for its tests"):
            opened(testing, ask, told.append).__enter__()
    else:
        with opened(testing, ask, told.append):
            assert "bwbuild grant tiny env=TOKEN --for tests grants it" in str(told)
    assert len(asked) == 1
