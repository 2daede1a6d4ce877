"""The fold and its lowering to bwrap: values in, values out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_plans import ALONE, SUPERUSER, plan

from bwbuild.config.settings import BuildAs, IdentityChoice, Workspace
from bwbuild.host.sysfs import Sysfs
from bwbuild.sandbox import bwrap
from bwbuild.sandbox.policy import LAYERS, ROOT_CAPABILITIES, Request, RootView, compose
from bwbuild.sandbox.spec import (
    Bind,
    Directory,
    Filter,
    Guest,
    Identity,
    IdentityKind,
    Kernel,
    Layering,
    ReadOnly,
    Restraints,
    Sandbox,
    Scratch,
    Symlink,
    Tmpfs,
)
from bwbuild.sandbox.spec import Workspace as Work
from bwbuild.sandbox.syscalls import Group

SINGLE = Identity(IdentityKind.SINGLE, 0, 0)
RANGE = Identity(IdentityKind.RANGE, 1500, 1501)
VIEW = RootView((), (Bind(Path("/usr"), Guest("/usr")),))


FILTERS = (Filter("policy", (Group.MOUNTS, Group.KEYRING)), Filter("sync", (Group.SYNC,)))
RESTRAINTS = Restraints(FILTERS, nesting=False, keyctl=250)


def request(identity: Identity = RANGE, layering: Layering = Layering.OVERLAY, **more: Any) -> Request:
    inside = (
        Guest("/home/joe/t/tiny") if layering is Layering.NONE else Guest("/build/reproducible-path/tiny-1")
    )
    work = Work(Path("/home/joe/t/tiny"), layering, inside)
    restraints = more.pop("restraints", RESTRAINTS)
    return Request(identity, work, VIEW, {"B": "2", "A": "1"}, ("make", "all"), restraints, **more)


REQUESTS = [
    request(),
    request(SINGLE),
    request(as_root=True),
    request(interactive=True),
    request(layering=Layering.NONE),
    request(layering=Layering.COPY),
]


@pytest.mark.parametrize("wanted", REQUESTS, ids=range(len(REQUESTS)))
def test_fold_is_pure(wanted: Request) -> None:
    before = repr(wanted)
    assert compose(wanted) == compose(wanted)
    assert bwrap.argv(compose(wanted)) == bwrap.argv(compose(wanted))
    assert repr(wanted) == before


@pytest.mark.parametrize("wanted", REQUESTS, ids=range(len(REQUESTS)))
def test_each_layer_leaves_its_argument_alone(wanted: Request) -> None:
    sandbox = Sandbox(wanted.identity, wanted.workspace, environment={})
    for layer in LAYERS:
        before = repr(sandbox)
        following = layer(wanted, sandbox)
        assert repr(sandbox) == before
        assert following.mounts[: len(sandbox.mounts)] == sandbox.mounts, "a layer only adds mounts"
        sandbox = following
    assert sandbox == compose(wanted)


def targets(sandbox: Sandbox) -> list[str]:
    return [str(mount.target) for mount in sandbox.mounts]


@pytest.mark.parametrize("wanted", REQUESTS, ids=range(len(REQUESTS)))
def test_order_of_mounts(wanted: Request) -> None:
    sandbox = compose(wanted)
    found = targets(sandbox)
    assert found[-1] == "/"
    assert isinstance(sandbox.mounts[-1], ReadOnly)
    for below, above in (
        ("/usr", "/proc"),
        ("/dev", "/dev/shm"),
        ("/run", "/run/bwbuild"),
        ("/run", "/run/lock"),
    ):
        assert found.index(below) < found.index(above)
    # A mount hides what was mounted below it before.
    for number, mount in enumerate(sandbox.mounts[:-1]):
        if isinstance(mount, Bind | Tmpfs | Kernel):
            hidden = [name for name in found[:number] if Guest(name).is_relative_to(mount.target)]
            assert hidden in ([], [str(mount.target)]), f"{mount.target} hides {hidden}"


@pytest.mark.parametrize("wanted", REQUESTS, ids=range(len(REQUESTS)))
def test_only_the_workspace_is_writable(wanted: Request) -> None:
    writable = [m for m in compose(wanted).mounts if isinstance(m, Bind) and m.writable]
    if wanted.workspace.layering is Layering.NONE:
        assert [(m.source, str(m.target)) for m in writable] == [(Path("/home/joe/t"), "/home/joe/t")]
    else:
        assert all(isinstance(m.source, Scratch) for m in writable)
        assert [str(m.target) for m in writable] == [
            "/build/reproducible-path",
            "/build/reproducible-path/tiny-1",
        ]


def test_a_tree_below_tmp_is_not_hidden_by_the_fresh_one() -> None:
    work = Work(Path("/tmp/x/tiny"), Layering.NONE, Guest("/tmp/x/tiny"))
    found = targets(compose(Request(RANGE, work, VIEW, {}, ("true",), RESTRAINTS)))
    assert found.index("/tmp/x") > found.index("/tmp")


def test_namespaces() -> None:
    for wanted in REQUESTS:
        assert compose(wanted).namespaces == ("pid", "ipc", "uts", "cgroup", "net")


def test_capabilities() -> None:
    assert compose(request()).capabilities == ROOT_CAPABILITIES
    assert compose(request(as_root=True)).capabilities == ROOT_CAPABILITIES
    assert compose(request(SINGLE)).capabilities == ()
    forbidden = {
        "sys_admin",
        "sys_ptrace",
        "sys_module",
        "net_admin",
        "mknod",
        "dac_read_search",
        "sys_chroot",
    }
    assert not forbidden & {*ROOT_CAPABILITIES}


@pytest.mark.parametrize("wanted", REQUESTS, ids=range(len(REQUESTS)))
def test_restraints_can_be_read_from_the_sandbox(wanted: Request) -> None:
    assert compose(wanted).restraints == RESTRAINTS


def test_broker() -> None:
    assert compose(request()).broker
    assert not compose(request(SINGLE)).broker
    assert not compose(request(as_root=True)).broker


# argv, by equality

HEAD = [
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--unshare-net"),
    *("--hostname", "bwbuild", "--die-with-parent"),
]
SESSION = ["--new-session"]
NO_CAPABILITY = ["--cap-drop", "ALL"]
CAPABILITIES = [word for name in ROOT_CAPABILITIES for word in ("--cap-add", f"CAP_{name.upper()}")]
FILTER_WORDS = ["--add-seccomp-fd", "4", "--add-seccomp-fd", "5"]
ENVIRONMENT = [*FILTER_WORDS, "--clearenv", "--setenv", "A", "1", "--setenv", "B", "2"]
MOUNTS = [
    *("--ro-bind", "/usr", "/usr", "--proc", "/proc"),
    *("--ro-bind", Scratch("ns/inside/boot-id"), "/proc/sys/kernel/random/boot_id", "--dev", "/dev"),
    *("--perms", "1777", "--tmpfs", "/dev/shm", "--ro-bind", Scratch("ns/sys"), "/sys"),
    *("--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/var/tmp"),
    *("--perms", "0755", "--tmpfs", "/run", "--perms", "1777", "--dir", "/run/lock"),
    *(
        "--symlink",
        "/dev/shm",
        "/run/shm",
        "--symlink",
        "/run/lock",
        "/var/lock",
        "--symlink",
        "/run",
        "/var/run",
    ),
    *("--perms", "0755", "--dir", "/media", "--perms", "0755", "--dir", "/mnt"),
    *("--perms", "0755", "--dir", "/var/log", "--perms", "0755", "--dir", "/var/mail"),
    *("--perms", "0755", "--dir", "/var/opt", "--perms", "0755", "--dir", "/var/spool"),
    *("--symlink", "../mail", "/var/spool/mail"),
    *("--perms", "0000", "--tmpfs", "/root", "--remount-ro", "/root"),
    *("--ro-bind", Scratch("ns/inside"), "/run/bwbuild"),
]
BUILD = "/build/reproducible-path"


def private(tree: str) -> list[str | Scratch]:
    parent = "parent" if tree == "tree" else "ns/parent"
    return [
        *("--perms", "0755", "--dir", "/build"),
        *("--bind", Scratch(parent), BUILD, "--bind", Scratch(tree), f"{BUILD}/tiny-1"),
        *("--remount-ro", "/", "--chdir", f"{BUILD}/tiny-1", "--"),
    ]


def test_argv_of_a_range() -> None:
    assert list(bwrap.argv(compose(request()))) == [
        *(*HEAD, *SESSION, *NO_CAPABILITY, *CAPABILITIES, *ENVIRONMENT, *MOUNTS, *private("ns/tree")),
        *("/run/bwbuild/init", "user", "1500", "1501", "make", "all"),
    ]


def test_argv_of_a_single_id() -> None:
    assert list(bwrap.argv(compose(request(SINGLE)))) == [
        *(*HEAD, *SESSION, *NO_CAPABILITY, *ENVIRONMENT, *MOUNTS, *private("ns/tree"), "make", "all")
    ]


def test_argv_of_a_copy_as_root() -> None:
    assert list(bwrap.argv(compose(request(layering=Layering.COPY, as_root=True)))) == [
        *(*HEAD, *SESSION, *NO_CAPABILITY, *CAPABILITIES, *ENVIRONMENT, *MOUNTS, *private("tree")),
        *("/run/bwbuild/init", "root", "0", "0", "make", "all"),
    ]


def test_argv_of_a_shell_has_job_control() -> None:
    usual, shell = bwrap.argv(compose(request())), bwrap.argv(compose(request(interactive=True)))
    assert [word for word in usual if word != "--new-session"] == list(shell)
    assert "--new-session" in usual


def test_argv_in_place() -> None:
    assert list(bwrap.argv(compose(request(layering=Layering.NONE)))) == [
        *(*HEAD, *SESSION, *NO_CAPABILITY, *CAPABILITIES, *ENVIRONMENT, *MOUNTS),
        *("--perms", "0755", "--dir", "/home", "--perms", "0755", "--dir", "/home/joe"),
        *("--bind", "/home/joe/t", "/home/joe/t", "--remount-ro", "/", "--chdir", "/home/joe/t/tiny", "--"),
        *("/run/bwbuild/init", "user", "1500", "1501", "make", "all"),
    ]


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        (Bind(Path("/a b"), Guest("/c")), ("--ro-bind", "/a b", "/c")),
        (Bind(Path("/a"), Guest("/c"), optional=True), ("--ro-bind-try", "/a", "/c")),
        (Bind(Scratch("x"), Guest("/c"), writable=True), ("--bind", Scratch("x"), "/c")),
        (Tmpfs(Guest("/t"), 0o1777), ("--perms", "1777", "--tmpfs", "/t")),
        (Tmpfs(Guest("/t"), 0o1777, size=5), ("--perms", "1777", "--size", "5", "--tmpfs", "/t")),
        (Tmpfs(Guest("/t"), 0, read_only=True), ("--perms", "0000", "--tmpfs", "/t", "--remount-ro", "/t")),
        (Directory(Guest("/d")), ("--perms", "0755", "--dir", "/d")),
        (Symlink("usr/bin", Guest("/bin")), ("--symlink", "usr/bin", "/bin")),
        (Kernel("proc", Guest("/proc")), ("--proc", "/proc")),
        (ReadOnly(Guest("/")), ("--remount-ro", "/")),
    ],
)
def test_words_of_a_mount(mount: object, words: tuple[object, ...]) -> None:
    assert bwrap.mount_words(mount) == words  # type: ignore[arg-type]


def test_an_unknown_mount_is_a_bug() -> None:
    with pytest.raises(TypeError):
        bwrap.mount_words("mount")  # type: ignore[arg-type]


def test_host_paths_outside_of_the_system_never_appear() -> None:
    """No option of a private build brings in a directory of people."""
    for made in (
        plan(),
        plan(identity=IdentityChoice.SINGLE),
        plan(build_as=BuildAs.ROOT),
        plan(caller=ALONE),
        plan(caller=SUPERUSER),
    ):
        sources = [
            m.source for m in made.sandbox.mounts if isinstance(m, Bind) and isinstance(m.source, Path)
        ]
        assert sources == [Path("/usr")]
        lowest = [overlay.lower for overlay in made.sandbox.overlays]
        assert {str(place).split("/")[1] for place in lowest} == {"etc", "var"}
        assert Path("/var/lib/dpkg") in lowest


# /sys, and what else tells machines apart


def test_control_groups_are_seen_where_the_machine_has_them() -> None:
    seen = targets(compose(request(sysfs=Sysfs(groups=True))))
    assert seen.index("/sys") < seen.index("/sys/fs/cgroup")
    assert "/sys/fs/cgroup" not in targets(compose(request()))


def test_a_sys_of_which_something_is_hidden() -> None:
    sandbox = compose(
        request(sysfs=Sysfs(whole=False, groups=True, networks=("/sys/class/net", "/sys/x/net")))
    )
    found = [mount for mount in sandbox.mounts if str(mount.target).startswith("/sys")]
    assert found == [
        Bind(Path("/sys"), Guest("/sys")),
        Tmpfs(Guest("/sys/class/net"), 0o755, read_only=True),
        Tmpfs(Guest("/sys/x/net"), 0o755, read_only=True),
    ]
    assert not sandbox.own_sys


def test_nested_namespaces_can_mount_proc() -> None:
    open_to_all = request(restraints=replace(RESTRAINTS, nesting=True))
    assert "/proc/sys/kernel/random/boot_id" not in targets(compose(open_to_all))


def test_relaxing_options_appear() -> None:
    usual = set(bwrap.argv(plan().sandbox))
    in_place = set(bwrap.argv(plan(workspace=Workspace.IN_PLACE).sandbox))
    assert "/home/joe/work" in in_place - usual
    assert "--new-session" in usual - set(bwrap.argv(plan(interactive=True).sandbox))


def test_environment_is_sorted_and_cleared() -> None:
    words = [word for word in bwrap.argv(plan().sandbox) if isinstance(word, str)]
    names = [words[number + 1] for number, word in enumerate(words) if word == "--setenv"]
    assert names == sorted(names)
    assert words.index("--clearenv") < words.index("--setenv")
    assert "SECRET" not in names
