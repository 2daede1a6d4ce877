"""What the build sees and may do, looked at from inside, as the build user and as root of the sandbox."""

from __future__ import annotations

import fcntl
import os
import pwd
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from looks import SECRETS, look
from support import COMMAND, PATIENCE, Desk, as_user

Facts = dict[str, Any]
ALLOWED = {"HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "USER"}
#: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setfcap: what fakeroot pretends.
FAKEROOT = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 31


def home_of_caller() -> str:
    return pwd.getpwuid(os.getuid()).pw_dir


# Namespaces, session, network


@pytest.mark.parametrize("kind", ["user", "pid", "ipc", "uts", "cgroup", "net", "mnt"])
def test_namespaces_are_its_own(either: Facts, kind: str) -> None:
    assert either["namespaces"][kind] != os.readlink(f"/proc/self/ns/{kind}")  # noqa: PTH115


def test_session_is_its_own(either: Facts) -> None:
    # getsid is 0 for a session whose leader is outside of the pid namespace
    assert either["session"] > 0


def test_no_terminal(either: Facts) -> None:
    assert either["tty"] == {"open": "ENXIO", "stdin": "ENOTTY", "stdout": "ENOTTY"}


def test_only_loopback(either: Facts) -> None:
    assert either["interfaces"] == ["lo"]
    assert either["routes"] == []
    assert either["loopback"]["v4"] == ""


def test_loopback_v6(either: Facts) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this kernel has no IPv6")
    assert either["loopback"]["v6"] == ""


def test_no_way_out(either: Facts) -> None:
    assert (either["outside"], either["metadata"]) == ("ENETUNREACH", "ENETUNREACH")


def test_listener_of_the_host_is_not_reached(furnished: Desk) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        script = f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {port})))"
        assert furnished.ok("run", "--", "python3", "-c", script).out.strip() == "111"  # ECONNREFUSED
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_abstract_socket_of_the_host_is_not_reached(furnished: Desk) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        name = f"bwbuild-test-{os.getpid()}"
        server.bind("\0" + name)
        server.listen()
        script = f"import socket; print(socket.socket(socket.AF_UNIX).connect_ex('\\0{name}'))"
        assert furnished.ok("run", "--", "python3", "-c", script).out.strip() == "111"


def test_names(either: Facts) -> None:
    assert either["hostname"] == "bwbuild" != socket.gethostname()
    assert either["own name"] == "127.0.0.1"
    assert set(either["localhost"]) <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in either["localhost"]
    assert socket.gethostname() not in either["hosts"].split()


# The file system


def test_root_has_usr_and_links(either: Facts) -> None:
    found = either["root"]
    usual = {"build", "dev", "etc", "media", "mnt", "proc", "root", "run", "sys", "tmp", "usr", "var"}
    links = {
        name
        for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
        if Path("/", name).is_symlink()
    }
    assert {name for name, target in found.items() if not target} - set(links) == usual
    assert {name: target for name, target in found.items() if target} == {
        name: f"usr/{name}" for name in links
    }


@pytest.mark.parametrize(
    "place", ["/", "/usr", "/usr/bin", "/usr/local", "/etc", "/sys", "/var", "/var/lib/dpkg"]
)
def test_system_is_read_only(either: Facts, place: str) -> None:
    assert either["write"][place] == "EROFS"


def test_files_of_the_system_are_read_only(either: Facts) -> None:
    # Those that belong to nobody inside are EACCES before the file system is asked.
    assert set(either["append"].values()) <= {"EROFS", "EACCES"}
    assert either["append"]["/etc/hosts"] == "EROFS"


def test_root_can_not_write_system_files(root: Facts) -> None:
    assert set(root["append"].values()) <= {"EROFS", "EACCES"}
    assert root["write"]["/root"] == "EROFS"
    assert root["write"]["/build"] == "EROFS"


def test_mounts_can_not_be_changed(either: Facts) -> None:
    allowed = {"chroot"} if either["ids"][0] == 0 else set()
    assert {name: error for name, error in either["mount"].items() if error != "EPERM"}.keys() <= allowed


def test_root_has_no_chroot(root: Facts) -> None:
    assert root["mount"]["chroot"] == "EPERM"


def test_fresh_directories(user: Facts) -> None:
    assert {name: names for name, names in user["empty"].items() if names} == {"/run": user["empty"]["/run"]}
    assert set(user["empty"]["/run"]) == {
        "bwbuild", "bwbuild.socket", "bwbuild.socket.streams", "lock", "shm"
    }  # fmt: skip
    assert {name for name, error in user["fresh"].items() if not error} == set(user["fresh"]) - {"/run"}
    modes = {name: f"{mode:o}" for name, mode in user["modes"].items()}
    shared = dict.fromkeys(("/tmp", "/var/tmp", "/dev/shm", "/run/lock"), "1777")
    assert modes == {**shared, "/run": "755", "/root": "0", "/": "755"}


def test_what_a_run_leaves_in_tmp_is_gone_in_the_next(furnished: Desk) -> None:
    script = "ls -A /tmp /var/tmp /dev/shm; touch /tmp/left /var/tmp/left /dev/shm/left"
    assert "left" not in furnished.inside(script) + furnished.inside(script)
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        assert not Path(place, "left").exists()


def test_links_below_run(either: Facts) -> None:
    assert either["links"] == {"/run/shm": "/dev/shm", "/var/run": "/run", "/var/lock": "/run/lock"}


def test_directories_of_the_host_have_nothing(either: Facts) -> None:
    assert all(not names for names in either["absent"].values()), either["absent"]


def test_home_of_root_is_closed(user: Facts) -> None:
    assert user["root home"] == "EACCES"


def test_usr_local_of_the_host_is_not_there(furnished: Desk) -> None:
    found = [path.name for path in Path("/usr/local").iterdir()]
    assert found, "a directory that is always empty proves nothing"
    assert furnished.inside("ls -A /usr/local") == ""


def test_no_socket_and_no_fifo_but_the_brokers(either: Facts) -> None:
    assert either["sockets"] in ([], ["/run/bwbuild.socket"])


def test_secrets_of_etc(either: Facts) -> None:
    assert either["secrets"] == []


@pytest.mark.parametrize(
    "name", ["shadow", "gshadow", "shadow-", "sudoers", "subuid", "ssl/private", "fstab"]
)
def test_hidden_files_do_not_exist(furnished: Desk, name: str) -> None:
    if not os.path.lexists(f"/etc/{name}"):
        pytest.skip(f"this machine has no /etc/{name}")
    assert furnished.inside(f"[ ! -e /etc/{name} ] && echo absent") == "absent\n"


def test_tree_siblings_and_version_control(user: Facts, root: Facts) -> None:
    for facts in (user, root):
        assert facts["cwd"] == "/build/reproducible-path/tiny-1"
        assert facts["beside"] == ["tiny-1", "tiny_1.orig.tar.gz"]
        assert facts["tree"] == ["debian", "input"]


# Who


def test_identity_of_the_user(user: Facts) -> None:
    # Supplementary groups are unmapped and upset test suites.
    assert user["ids"] == [os.getuid() or 1000, os.getgid() or 1000, []]
    assert (user["name"], user["group"]) == ("bwbuild", "bwbuild")


def test_identity_of_root(root: Facts) -> None:
    assert root["ids"] == [0, 0, []]
    assert root["name"] == "root"


def test_accounts_of_people_are_not_there(either: Facts) -> None:
    people = [entry.pw_name for entry in pwd.getpwall() if 1000 <= entry.pw_uid < 60000]
    inside = {line.split(":")[0] for line in either["passwd"].splitlines()}
    assert not inside & set(people) - {"bwbuild"}


@as_user
def test_user_has_no_capability(user: Facts) -> None:
    assert {
        name: user["status"][name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    } == dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)


def test_no_new_privileges(either: Facts) -> None:
    assert either["status"]["NoNewPrivs"] == "1"


def test_root_has_what_fakeroot_pretends(root: Facts) -> None:
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(root["status"][name], 16) == FAKEROOT
    for name in ("CapInh", "CapAmb"):
        assert int(root["status"][name], 16) == 0


def test_chown_works_for_root_alone(user: Facts, root: Facts) -> None:
    assert root["chown"] == {"games": [5, 60], "man": [6, 12], "nobody": [65534, 65534]}
    assert set(user["chown"].values()) == {"EPERM"}


def test_files_of_root_stay_roots(furnished: Desk) -> None:
    script = "/run/bwbuild/as-root sh -c 'echo x > /tmp/f; chown games:games /tmp/f; chmod 640 /tmp/f'"
    assert furnished.inside(f"{script}; stat -c %U:%G /tmp/f; cat /tmp/f 2>/dev/null || echo refused") == (
        "games:games\nrefused\n"
    )


def test_user_has_no_power_over_the_root_side(furnished: Desk) -> None:
    script = (
        "for p in 1 3; do if kill -0 $p 2>/dev/null; then echo signalled; fi;"
        " if ls /proc/$p/root/ 2>/dev/null; then echo seen; fi; done"
    )
    assert furnished.inside(script) == ""


def test_processes_of_the_host_are_not_there(either: Facts) -> None:
    assert either["processes"] <= 8


# Environment, descriptors, umask


def test_environment_is_the_allow_list(user: Facts, root: Facts) -> None:
    assert len(SECRETS) >= 40
    for facts, name in ((user, "bwbuild"), (root, "bwbuild")):
        assert facts["environment"] == {
            "HOME": "/nonexistent",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "LOGNAME": name,
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD": "/build/reproducible-path/tiny-1",
            "SHELL": "/bin/sh",
            "TERM": "dumb",
            "USER": name,
        }
        assert facts["environment"].keys() == ALLOWED


def test_allowed_variables_pass(furnished: Desk) -> None:
    given = {
        "DEB_BUILD_OPTIONS": "parallel=3 nocheck",
        "SOURCE_DATE_EPOCH": "17",
        "CFLAGS": "-DX=\"a b\"\n'c'",
    }
    found = furnished.ok("run", "--", "python3", "-c", "import os; print(dict(os.environ))", env=given)
    assert {name: eval(found.out)[name] for name in given} == given  # noqa: S307 - printed a line above


def test_time_zone_and_locale(either: Facts) -> None:
    assert either["zone"] == [["UTC", "UTC"], False, False]


def test_machine_id_is_empty(either: Facts) -> None:
    assert either["machine-id"] in ([], [""])


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_umask_is_022(furnished: Desk, mask: int) -> None:
    script = "umask; umask -S; touch f; mkdir d; stat -c %a f d . .."
    assert furnished.ok("run", "--", "sh", "-c", script, umask=mask).out.split() == [
        "0022", "u=rwx,g=rx,o=rx", "644", "755", "755", "755"
    ]  # fmt: skip


def test_umask_of_probe(either: Facts) -> None:
    assert either["umask"] == 0o022


def test_descriptors(user: Facts) -> None:
    assert user["descriptors"] == {"0": "/dev/null", "1": "pipe", "2": "pipe"}


def test_open_files_of_the_caller_are_not_passed(furnished: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    ours = [os.open(secret, os.O_RDWR), os.open(tmp_path, os.O_RDONLY), os.open("/", os.O_RDONLY)]
    with socket.socket(socket.AF_UNIX) as listener, secret.open() as stdin:
        listener.bind(os.fspath(tmp_path / "socket"))
        numbers = (*ours, listener.fileno())
        for number in numbers:
            os.set_inheritable(number, True)
        facts = look(furnished, stdin=stdin, pass_fds=numbers)
    for number in ours:
        os.close(number)
    assert facts["descriptors"] == {"0": "/dev/null", "1": "pipe", "2": "pipe"}


def test_signals_are_as_usual(furnished: Desk) -> None:
    out = furnished.inside("grep -E 'Sig(Ign|Blk)' /proc/self/status")
    assert out.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]


# What the caller is called, and where he lives


def test_environment_and_accounts_do_not_name_the_caller(user: Facts) -> None:
    if os.getuid() == 0:
        pytest.skip("root is called root everywhere")
    text = repr({key: value for key, value in user.items() if key != "sockets"})
    assert home_of_caller() not in text
    names = {line.split(":")[0] for line in user["passwd"].splitlines()}
    assert pwd.getpwuid(os.getuid()).pw_name not in names


def test_processes_do_not_name_the_caller(furnished: Desk) -> None:
    script = "cat /proc/[0-9]*/cmdline; cat /proc/[0-9]*/environ 2>/dev/null || true"
    both = furnished.inside(
        script + "; /run/bwbuild/as-root sh -c 'cat /proc/[0-9]*/environ 2>/dev/null || true'"
    )
    assert str(furnished.top) not in both


def test_mounts_do_not_name_the_caller(furnished: Desk) -> None:
    assert str(furnished.top) not in furnished.inside("cat /proc/self/mountinfo /proc/mounts")


# What tells machines apart, and what the kernel counts for the caller too


def test_no_network_card_is_in_sys(furnished: Desk) -> None:
    assert furnished.inside("ls /sys/class/net").split() == ["lo"]


@as_user
def test_network_cards_where_a_part_of_sys_is_hidden(furnished: Desk) -> None:
    """As in containers; the kernel mounts no other sysfs then."""
    script = 'mount -t tmpfs none /sys/power; exec "$@"'
    looks = "ls /sys/class /sys/class/net; cat /sys/class/net/*/address /sys/devices/*/net/*/address"
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script, "sh"),
            *(*COMMAND, "run", "--identity", "single", "--view", "host", "--", "sh", "-c", looks),
        ],
        cwd=furnished.tree,
        env=furnished.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "net" in done.stdout.split()
    assert ":" not in done.stdout.replace("/sys/class:", "").replace("/sys/class/net:", ""), done.stdout
    assert "hides a part of /sys" in done.stderr


def test_numbers_of_the_boot_are_alike(furnished: Desk) -> None:
    own = Path("/proc/sys/kernel/random/boot_id").read_text()
    found = [furnished.inside("cat /proc/sys/kernel/random/boot_id") for _ in range(2)]
    assert found[0] == found[1] != own


def test_half_of_inotify_is_the_callers(furnished: Desk) -> None:
    place = "/proc/sys/user/max_inotify_instances"
    script = f"cat {place}; echo 9999 > {place} 2>/dev/null || cat {place}"
    half = str(int(Path(place).read_text()) // 2)
    assert furnished.inside(script).split() == [half, half]


@pytest.mark.parametrize("view", ["declared", "host"])
def test_locks_on_state_are_its_own(furnished: Desk, view: str) -> None:
    place = "/var/cache/debconf/config.dat"
    with Path(place).open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        script = f"flock --nonblock --exclusive {place} echo free || echo taken"
        assert furnished.inside(script, "--view", view) == "free\n"
