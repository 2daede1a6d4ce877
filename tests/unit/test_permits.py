"""From granted permissions to mounts and variables, and what of the machine there is for them."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from made_plans import inputs, plan

from bwbuild.build.granted import terms
from bwbuild.build.watch.limits import NO_LIMITS, Limits
from bwbuild.config.settings import Settings
from bwbuild.errors import ConfigurationError, HostError
from bwbuild.events import Level
from bwbuild.host import available as machine
from bwbuild.permissions.answers import Answer, Wishes, decide
from bwbuild.permissions.asked import Request
from bwbuild.permissions.words import parse
from bwbuild.sandbox import bwrap
from bwbuild.sandbox.permits import NO_PERMITS, Available, permits
from bwbuild.sandbox.spec import Bind, Directory, Guest, Network

KVM, READ, WRITE = (parse(text) for text in ("device=kvm", "filesystem=/srv/a/b", "filesystem=/srv/a/b:rw"))


def test_nothing_is_granted() -> None:
    assert permits((), Available(environment={"A": "1"})) == NO_PERMITS
    asked = tuple(Request(parse(text), "why") for text in ("share=network", "device=kvm", "env=A", "userns"))
    unanswered = plan(decisions=decide(asked, Wishes()))
    assert unanswered.sandbox == plan().sandbox
    assert unanswered.script == plan().script


def test_devices_and_paths() -> None:
    available = Available(
        devices={"kvm": (Path("/dev/kvm"),)}, paths=dict.fromkeys((READ, WRITE), Path("/srv/a/b"))
    )
    found = permits((KVM, READ), available)
    assert found.mounts == (
        Bind(Path("/dev/kvm"), Guest("/dev/kvm"), devices=True),
        Directory(Guest("/srv")),
        Directory(Guest("/srv/a")),
        Bind(Path("/srv/a/b"), Guest("/srv/a/b")),
    )
    assert bwrap.mount_words(found.mounts[0]) == ("--dev-bind", "/dev/kvm", "/dev/kvm")
    # Both at once are one mount.
    assert permits((READ, WRITE), available).mounts[-1:] == (
        Bind(Path("/srv/a/b"), Guest("/srv/a/b"), writable=True),
    )


def test_sockets_and_variables() -> None:
    words = ("socket=wayland", "socket=pulseaudio", "socket=x11", "socket=session-bus", "env=TOKEN", "env=NO")
    sockets = {"wayland": "/a/w", "pulseaudio": "/a/p", "x11": "/a/X7", "session-bus": "/a/b"}
    available = Available({"TOKEN": "secret"}, sockets={word: Path(path) for word, path in sockets.items()})
    found = permits(map(parse, words), available)
    assert found.environment == {
        "WAYLAND_DISPLAY": "/run/bwbuild-permits/wayland",
        "PULSE_SERVER": "unix:/run/bwbuild-permits/pulseaudio",
        "DISPLAY": ":7",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/bwbuild-permits/session-bus",
        "TOKEN": "secret",
    }
    assert found.secret == {"TOKEN"}
    assert Bind(Path("/a/X7"), Guest("/tmp/.X11-unix/X7")) in found.mounts
    assert Bind(Path("/a/w"), Guest("/run/bwbuild-permits/wayland")) in found.mounts


def test_what_stays() -> None:
    found = permits((parse("persist=my.cache"),), Available(persist={"my.cache": Path("/cache/data")}))
    assert found.environment == {"BWBUILD_PERSIST_MY_CACHE": "/run/bwbuild-persist/my.cache"}
    assert found.mounts[-1] == Bind(
        Path("/cache/data"), Guest("/run/bwbuild-persist/my.cache"), writable=True
    )


def test_mounts_come_after_all_but_the_seal() -> None:
    found = permits((READ,), Available(paths={READ: Path("/srv/a/b")}))
    mounts = plan(permits=found).sandbox.mounts
    assert mounts[-1 - len(found.mounts) : -1] == found.mounts
    assert mounts[: -1 - len(found.mounts)] == plan().sandbox.mounts[:-1]


def test_the_network_is_the_launchers() -> None:
    sandbox = plan(permits=permits((parse("share=network"),), Available(network=Network.PASTA))).sandbox
    assert sandbox.network is Network.PASTA
    assert "net" not in sandbox.namespaces


def test_groups_stay_where_a_device_needs_one() -> None:
    words = bwrap.inner_command(plan(permits=replace(NO_PERMITS, groups=True)).sandbox)
    assert words[1] == "user-with-groups"
    assert bwrap.inner_command(plan().sandbox)[1] == "user"


def test_settings() -> None:
    granted = tuple(map(parse, ("userns", "foreign-abi", "raw-sync")))
    found = terms.applied(Settings(), granted)
    assert (found.allow, found.foreign_abi, found.suppress_sync) == (granted, True, False)
    assert terms.applied(found, ()) == Settings()
    older = terms.wishes(Settings(foreign_abi=True, suppress_sync=False), {})
    assert older.allow == granted[1:]


@pytest.mark.parametrize(("before", "after"), [(1 << 30, 8 << 30), (16 << 30, 16 << 30), (None, None)])
def test_limits_are_raised_only(before: int | None, after: int | None) -> None:
    wanted = (parse("limit=memory:8G"), parse("limit=memory:4G"))
    assert terms.raised(Limits(memory=before), wanted) == Limits(memory=after)
    assert terms.raised(NO_LIMITS, ()) == NO_LIMITS


def test_notes() -> None:
    asked = Request(parse("share=network"), "to fetch")
    kept = {asked: Answer.ALWAYS}
    (given,) = terms.notes(decide((asked,), Wishes(kept=kept)))
    assert given.level is Level.WARNING
    assert given.text.startswith("granted, always: share=network: it reaches all machines")
    (refused,) = decide((asked,), Wishes())
    assert list(terms.notes((refused,))) == []
    assert terms.denial("tiny", refused) == (
        "denied, nobody was asked: share=network (to fetch); bwbuild grant tiny share=network grants it"
    )


def around(home: Path, **more: object) -> machine.Around:
    return replace(machine.Around(home, {}), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/", "/etc", "/usr/share", "/run/user/1000", "/tmp", "/var/tmp", "/lib64"])
def test_paths_that_no_sandbox_may_have(path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be granted"):
        machine.look([parse(f"filesystem={path}")], around(tmp_path))


def test_paths(tmp_path: Path) -> None:
    home = Path(os.path.realpath(tmp_path))
    (home / "data" / "sub").mkdir(parents=True)
    wanted = [parse("filesystem=~/data"), parse(f"filesystem={home}/data/sub:rw")]
    assert machine.look(wanted, around(home)).paths == {
        wanted[0]: home / "data",
        wanted[1]: home / "data" / "sub",
    }
    with pytest.raises(HostError, match="No such file"):
        machine.look([parse("filesystem=~/nothing")], around(home))


def test_no_path_below_one_that_is_written(tmp_path: Path) -> None:
    home = Path(os.path.realpath(tmp_path))
    (home / "data" / "sub").mkdir(parents=True)
    below = parse(f"filesystem={home}/data/sub")
    for mode in ("ro", "rw"):
        wanted = [replace(below, writable=mode == "rw"), parse("filesystem=~/data:rw")]
        place = around(home, lasting=True, undo={wanted[0]: "so it goes"})
        with pytest.raises(ConfigurationError, match="could leave a link here") as raised:
            machine.look(wanted, place)
        assert raised.value.hint == "name less than that; so it goes"


def test_what_was_looked_at_is_mounted(tmp_path: Path) -> None:
    home = Path(os.path.realpath(tmp_path))
    (home / "data").mkdir()
    item = parse("filesystem=~/data")
    found = machine.look([item], around(home))
    assert found.looked == {home / "data": f"{home.stat().st_dev}:{(home / 'data').stat().st_ino}"}
    given = permits([item], Available(paths=found.paths, looked=found.looked))
    bind = given.mounts[-1]
    assert isinstance(bind, Bind)
    assert bwrap.mount_words(bind) == ("--ro-bind", bind.held, f"{home}/data")
    machine.confirm(given.looked)
    (home / "data").rename(home / "other")
    with pytest.raises(ConfigurationError, match="not what was granted any more"):
        machine.confirm(given.looked)
    (home / "data").symlink_to("other")
    with pytest.raises(ConfigurationError, match="not what was granted any more"):
        machine.confirm(given.looked)


@pytest.mark.parametrize("name", ["link", "link/sub", "data/inner"])
def test_a_path_leads_through_no_link(name: str, tmp_path: Path) -> None:
    home = Path(os.path.realpath(tmp_path))
    (home / "data" / "sub").mkdir(parents=True)
    (home / "link").symlink_to(home / "data")
    (home / "data" / "inner").symlink_to("/etc")
    with pytest.raises(ConfigurationError, match="through a symbolic link"):
        machine.look([parse(f"filesystem=~/{name}")], around(home))


def test_sockets_below_a_path(tmp_path: Path) -> None:
    home = Path(os.path.realpath(tmp_path))
    (home / "a").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "a" / "s"))
        with pytest.raises(ConfigurationError, match="leads to a process outside"):
            machine.look([parse("filesystem=~/a")], around(home))
        with pytest.raises(ConfigurationError, match="no directory and no regular file"):
            machine.look([parse("filesystem=~/a/s")], around(home))


def test_bwbuilds_own_files_and_the_tree(tmp_path: Path) -> None:
    home = Path(os.path.realpath(tmp_path))
    for name in ("conf/bwbuild", "tree/sub", "written"):
        (home / name).mkdir(parents=True)
    place = around(home, own=(home / "conf/bwbuild",), tree=home / "tree", written=(home / "written",))
    machine.look([parse("filesystem=~/conf:ro")], place)
    for text in ("~/conf:rw", "~/conf/bwbuild:rw", "~:ro", "~/tree:ro", "~/tree/sub:ro", "~/written:ro"):
        with pytest.raises(ConfigurationError, match="can't be granted"):
            machine.look([parse(f"filesystem={text}")], place)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("~", "/home/joe"),
        ("~/a", "/home/joe/a"),
        ("xdg-documents/x", "/home/joe/Papers/x"),
        ("xdg-music", "/srv/music"),
        ("xdg-videos", "/home/joe/Videos"),
        ("xdg-data", "/home/joe/.local/share"),
        ("xdg-cache", "/c"),
    ],
)
def test_names_of_users_directories(value: str, path: str, tmp_path: Path) -> None:
    text = 'XDG_DOCUMENTS_DIR="$HOME/Papers"\n# XDG_VIDEOS\nXDG_MUSIC_DIR="/srv/music"\n'
    (tmp_path / "user-dirs.dirs").write_text(text, encoding="utf-8")
    place = machine.Around(Path("/home/joe"), {"XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": "/c"})
    assert machine.expanded(value, place) == Path(path)


def test_sockets_of_a_session(tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "WAYLAND_DISPLAY": "wayland-7"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "wayland-7"))
        found = machine.sockets_of_session(["wayland"], environment)
    assert found == {"wayland": tmp_path / "wayland-7"}
    with pytest.raises(HostError, match="no such socket"):
        machine.sockets_of_session(["pulseaudio"], environment)
    with pytest.raises(HostError, match="no such socket"):
        machine.sockets_of_session(["wayland"], {})


@pytest.mark.parametrize(
    "word",
    [
        *("socket=x11", "socket=session-bus", "talk=org.example.A", "own=org.a.B"),
        *(
            "filesystem=/",
            "filesystem=/etc",
            "filesystem=/usr/share:rw",
            "filesystem=/tmp",
            "filesystem=/lib64",
        ),
        *("env=PATH", "env=HOME", "env=USER", "env=BWBUILD_CACHE"),
    ],
)
def test_what_no_build_can_be_given(word: str) -> None:
    assert terms.senseless(parse(word))


@pytest.mark.parametrize(
    "word", ["socket=wayland", "filesystem=~", "filesystem=/tmp/a", "filesystem=/srv", "env=PATHS"]
)
def test_what_a_build_may_be_given(word: str) -> None:
    assert not terms.senseless(parse(word))


def test_the_plan_has_the_effective_settings() -> None:
    nesting = plan(settings=terms.applied(inputs().settings, (parse("userns"),)))
    assert nesting.sandbox.restraints.nesting
