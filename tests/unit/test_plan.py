from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_plans import ALONE, HOST, SUPERUSER, inputs, plan

from bwbuild.build.plan import make_plan, on_disk
from bwbuild.build.record.history import Estimate
from bwbuild.config.settings import BuildAs, IdentityChoice, Keep, Workspace
from bwbuild.deb.buildoptions import ROWS
from bwbuild.errors import ConfigurationError, HostError
from bwbuild.events import Level
from bwbuild.host.memory import Memory
from bwbuild.sandbox.identity import CONTAINER_IDS
from bwbuild.sandbox.spec import IdentityKind, Layering, Saved


def test_same_inputs_same_plan_and_script() -> None:
    first, second = plan("-b"), plan("-b")
    assert first == second
    assert first.script == second.script


def test_order_of_maps_does_not_matter() -> None:
    forwards = {"CFLAGS": "a", "LDFLAGS": "b", "DEB_BUILD_OPTIONS": "nocheck"}
    backwards = dict(reversed(forwards.items()))
    names = {"tiny_1.0.orig.tar.xz": Path("/a"), "tiny_1.0.orig-b.tar.xz": Path("/b")}
    one = plan(caller_environment=forwards, origs=names)
    other = plan(caller_environment=backwards, origs=dict(reversed(names.items())))
    assert one.script == other.script


def test_inputs_are_not_changed() -> None:
    made = inputs("-b")
    before = repr(made)
    make_plan(made)
    assert repr(made) == before


def test_script_holds_no_time_and_no_process() -> None:
    assert str(os.getpid()) not in plan().script.split()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((), "tiny_1.0-1_amd64.changes"),
        (("-b",), "tiny_1.0-1_amd64.changes"),
        (("-A",), "tiny_1.0-1_all.changes"),
        (("-S",), "tiny_1.0-1_source.changes"),
        (("-g",), "tiny_1.0-1_all.changes"),
        (("-G",), "tiny_1.0-1_amd64.changes"),
        (("-b", "-aarmhf"), "tiny_1.0-1_armhf.changes"),
        (("--changes-file=../other.changes",), "other.changes"),
    ],
)
def test_name_of_the_changes(options: tuple[str, ...], name: str) -> None:
    assert plan(*options).changes == name


def test_build_path_is_that_of_buildds() -> None:
    assert str(plan().sandbox.workspace.inside) == "/build/reproducible-path/tiny-1.0"


def test_command_of_a_range() -> None:
    found = plan("-b", "-j3").sandbox.command
    assert found == ("dpkg-buildpackage", "-us", "-uc", "-r/run/bwbuild/as-root", "-b", "-j3")


@pytest.mark.parametrize("how", ["single", "root", "fakeroot"])
def test_command_without_broker(how: str) -> None:
    made = {
        "single": plan("-b", identity=IdentityChoice.SINGLE),
        "root": plan("-b", build_as=BuildAs.ROOT),
        "fakeroot": plan("-b", "-rfakeroot"),
    }[how]
    assert "-r/run/bwbuild/as-root" not in made.sandbox.command
    assert made.sandbox.command[:3] == ("dpkg-buildpackage", "-us", "-uc")


def test_results_go_beside_the_tree_or_to_output() -> None:
    assert plan().output == Path("/home/joe/work")
    assert plan(output=Path("/out")).output == Path("/out")


# Layering


def test_layering_is_an_overlay() -> None:
    made = plan()
    assert made.sandbox.workspace.layering is Layering.OVERLAY
    assert made.notes == ()


@pytest.mark.parametrize("kind", ["overlay", "nfs", "nfs4", "fuse", "9p", "cifs", "virtiofs"])
@pytest.mark.parametrize(("kernel", "layering"), [((6, 6), Layering.MEMORY), ((6, 5), Layering.COPY)])
def test_layering_on_file_systems_without_upper_layers(
    kind: str, kernel: tuple[int, int], layering: Layering
) -> None:
    made = plan(scratch_type=kind, host=replace(HOST, kernel=kernel))
    assert made.sandbox.workspace.layering is layering
    assert [note.level for note in made.notes] == [Level.INFO]
    assert kind in made.notes[0].text
    assert "--scratch" in made.notes[0].text


NEW = replace(HOST, kernel=(6, 6))
QUARTER = HOST.memory.total // 4


def test_small_builds_are_in_memory() -> None:
    made = plan(host=NEW, tree_size=4 << 20)
    assert made.sandbox.workspace.memory == QUARTER
    assert made.sandbox.workspace.layering is Layering.OVERLAY
    assert "in memory" in made.notes[0].text
    assert "--workspace-memory never" in made.notes[0].text
    assert on_disk(made).sandbox.workspace.memory is None


@pytest.mark.parametrize(
    "more",
    [
        {"host": replace(NEW, kernel=(6, 5))},
        {"host": replace(NEW, memory=Memory(16 << 30, 7 << 30))},
        {"host": replace(NEW, memory=Memory(1 << 30, 1 << 30))},
        {"tree_size": 200 << 20},
        {"past": Estimate(10.0, space=3 << 30)},
        {"scratch": Path("/elsewhere")},
        {"keep": Keep.ALWAYS},
        {"command": ("true",)},
        {"workspace_memory": 0},
        {"host": replace(NEW, caller=SUPERUSER)},
        {"foreign": Path("/home/joe/work/tiny/theirs")},
        {"scratch_type": "nfs"},
    ],
)
def test_other_builds_are_on_disk(more: dict[str, Any]) -> None:
    assert plan(**{"host": NEW, "tree_size": 4 << 20, **more}).sandbox.workspace.memory is None


def test_going_on_is_on_disk() -> None:
    assert plan("-nc", host=NEW).sandbox.workspace.memory is None


def test_what_a_build_took_counts_for_more_than_its_tree() -> None:
    assert plan(host=NEW, tree_size=200 << 20, past=Estimate(10.0, space=1 << 20)).sandbox.workspace.memory


def test_memory_as_asked() -> None:
    made = plan(host=NEW, tree_size=1 << 40, workspace_memory=5 << 20, scratch=Path("/elsewhere"))
    assert made.sandbox.workspace.memory == 5 << 20
    with pytest.raises(HostError, match=r"needs Linux 6\.6"):
        plan(workspace_memory=5 << 20)


def test_layering_with_a_foreign_file() -> None:
    made = plan(foreign=Path("/home/joe/work/tiny/theirs"))
    assert made.sandbox.workspace.layering is Layering.COPY
    assert "/home/joe/work/tiny/theirs" in made.notes[0].text


def test_layering_with_a_mount_below_the_tree() -> None:
    made = plan(host=replace(HOST, mount_points=frozenset({"/home/joe/work/tiny/sub"})))
    assert made.sandbox.workspace.layering is Layering.COPY


@pytest.mark.parametrize("point", ["/home/joe/work/tiny", "/home/joe/work", "/home/joe/work/tiny-other"])
def test_layering_with_a_mount_elsewhere(point: str) -> None:
    made = plan(host=replace(HOST, mount_points=frozenset({point})))
    assert made.sandbox.workspace.layering is Layering.OVERLAY


def test_layering_as_root_is_a_copy() -> None:
    made = plan(caller=SUPERUSER)
    assert made.sandbox.workspace.layering is Layering.COPY
    assert made.sandbox.identity.outer_first == CONTAINER_IDS[0].start


# In place


def test_in_place_warns() -> None:
    made = plan(workspace=Workspace.IN_PLACE)
    assert made.sandbox.workspace.layering is Layering.NONE
    assert str(made.sandbox.workspace.inside) == "/home/joe/work/tiny"
    assert [note.level for note in made.notes] == [Level.WARNING]


@pytest.mark.parametrize(
    "tree",
    [
        "/tiny",
        "/home/tiny",
        "/home/joe/tiny",
        "/usr/tiny",
        "/etc/tiny",
        "/var/tiny",
        "/tmp/tiny",
        "/var/tmp/tiny",
    ],
)
def test_in_place_refuses_shared_directories(tree: str) -> None:
    with pytest.raises(ConfigurationError, match="--in-place would give the build all of"):
        plan(workspace=Workspace.IN_PLACE, tree=tree)


def test_in_place_as_root_is_refused() -> None:
    with pytest.raises(HostError, match="--in-place as root"):
        plan(workspace=Workspace.IN_PLACE, caller=SUPERUSER)
    plan(workspace=Workspace.IN_PLACE, caller=SUPERUSER, identity=IdentityChoice.SINGLE)


# Identity


def test_without_subordinate_ids_there_is_one_id_and_a_warning() -> None:
    made = plan(caller=ALONE)
    assert made.sandbox.identity.kind is IdentityKind.SINGLE
    assert [note.level for note in made.notes] == [Level.WARNING]
    assert "joe has no subordinate ids" in made.notes[0].text


def test_single_as_asked_says_so() -> None:
    (note,) = plan(identity=IdentityChoice.SINGLE).notes
    assert "was asked for" in note.text


def test_single_as_root_warns_of_this_machine() -> None:
    note = plan(identity=IdentityChoice.SINGLE, caller=SUPERUSER).notes[0]
    assert note.level is Level.WARNING
    assert "root of this machine" in note.text


# What the user allows is seen


@pytest.mark.parametrize(
    "weaker",
    [
        {"workspace": Workspace.IN_PLACE},
        {"identity": IdentityChoice.SINGLE},
    ],
    ids=str,
)
def test_every_weakening_is_a_warning(weaker: dict[str, object]) -> None:
    assert Level.WARNING in {note.level for note in plan(**weaker).notes}
    assert Level.WARNING not in {note.level for note in plan().notes}


def test_every_option_of_the_sandbox_changes_the_sandbox() -> None:
    usual = plan().sandbox
    for changed in (
        {"workspace": Workspace.IN_PLACE},
        {"identity": IdentityChoice.SINGLE},
        {"build_as": BuildAs.ROOT},
        {"command": ("true",)},
        {"interactive": True},
        {"version_control": (".git",)},
        {"caller_environment": {"CFLAGS": "-O0"}},
    ):
        assert plan(**changed).sandbox != usual, changed


def test_interactive_has_the_callers_terminal() -> None:
    made = plan(interactive=True, command=("/bin/bash",), caller_environment={"TERM": "xterm-256color"})
    assert made.sandbox.environment["TERM"] == "xterm-256color"
    assert plan(caller_environment={"TERM": "xterm"}).sandbox.environment["TERM"] == "dumb"


def test_a_layer_in_memory_is_saved_as_kept() -> None:
    assert plan().sandbox.workspace.saved is Saved.FAILURE
    assert plan("-nc").sandbox.workspace.saved is Saved.ALWAYS


def test_signing_stays_outside() -> None:
    found = plan("-kABCD", "-pgpg2", "--force-sign").sandbox.command
    assert not [word for word in found if word.startswith(("-k", "-p", "--force", "--sign"))]
    assert found[1:3] == ("-us", "-uc")


def test_options_that_sign_never_pass() -> None:
    signing = [
        row
        for row in ROWS
        if {"-us", "-uc", "-ui", "--no-sign", "--force-sign", "-k", "-p"} & {*row.spellings}
    ]
    assert len(signing) == 7
    assert not any(row.passes for row in signing)
