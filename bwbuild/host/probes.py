"""Reading and trying, for the doctor, what needs no sandbox: switches, versions, space, tools."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from bwbuild.errors import HostError
from bwbuild.host.causes import Answer, Cause, Conditions, cause_of, give_ids
from bwbuild.host.doctor import Finding, Status
from bwbuild.host.facts import Host, free_ids, parse_kernel
from bwbuild.process import Argv, run
from bwbuild.units import human_size

#: The oldest version that has all that is used, and the first that follows no link below a mount point.
OLDEST_BWRAP = (0, 8)
FIXED_BWRAP = (0, 12)
#: Overlays in a user namespace exist since.
OVERLAY_KERNEL = (5, 11)
#: Bytes of free space below which a build hardly ends, and below which none does.
SCARCE, FULL = 2 << 30, 64 << 20

#: The machine's first user namespace maps all ids.
_ALL_IDS = 4294967295
_KINDS = ("user", "pid", "net", "mnt", "ipc", "uts", "cgroup")
_SECONDS = 20.0


def attempt(
    argv: Argv, env: Mapping[str, str] | None = None, cwd: Path | None = None, *, tie: bool = False
) -> Answer:
    """Run a command that may fail; one that is missing or never ends gives an answer too.

    :param tie: it starts a sandbox.
    """
    try:
        done = run(argv, check=False, env=env, cwd=cwd, timeout=_SECONDS, tie=tie)
    except HostError as error:
        return Answer(127, error.message)
    return Answer(done.returncode, (done.stderr + done.stdout).decode("utf-8", "replace"))


def read_conditions(host: Host) -> Conditions:
    """Read the switches and surroundings of this process."""
    status = _text("/proc/self/status")
    return Conditions(
        root=host.caller.is_root,
        user=host.caller.name or str(host.caller.uid),
        release=os.uname().release,
        apparmor=_text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").strip(),
        clone=_text("/proc/sys/kernel/unprivileged_userns_clone").strip(),
        limits={kind: _text(f"/proc/sys/user/max_{kind}_namespaces").strip() for kind in _KINDS},
        nested=not any(len(ids) >= _ALL_IDS for ids in host.mapped_ids),
        no_new_privs=bool(re.search(r"^NoNewPrivs:\s*1", status, re.MULTILINE)),
        filtered=bool(re.search(r"^Seccomp:\s*2", status, re.MULTILINE)),
        container=_container(),
        chroot=attempt(["ischroot"]).good,
        hidepid=parse_hidepid(_text("/proc/self/mountinfo")),
        free_ids=free_ids(host.taken_ids),
        below_usr=tuple(sorted(point for point in host.mount_points if point.startswith("/usr/"))),
    )


def parse_hidepid(mountinfo: str) -> str:
    """The value of hidepid of the mount that is visible at /proc; "" where it hides nothing."""
    value = ""
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and fields[4] == "/proc":
            found = re.search(r"\bhidepid=(\w+)", line)
            value = found[1] if found and found[1] not in ("0", "off") else ""
    return value


def switches(conditions: Conditions) -> Finding:
    """The row of the kernel's switches."""
    values = {
        "kernel.apparmor_restrict_unprivileged_userns": conditions.apparmor,
        "kernel.unprivileged_userns_clone": conditions.clone,
        "user.max_user_namespaces": conditions.limits.get("user", ""),
    }
    what = ", ".join(f"{name}={value or 'absent'}" for name, value in values.items())
    return Finding("switches", Status.INFO, what)


def kernel(conditions: Conditions) -> Finding:
    """The row of the kernel's version."""
    if parse_kernel(conditions.release) >= OVERLAY_KERNEL:
        return Finding("kernel", Status.OK, conditions.release)
    why = Cause(
        "overlays in a user namespace need Linux 5.11",
        "sudo apt install linux-image-$(dpkg --print-architecture)  # then boot it",
    )
    return Finding.because("kernel", conditions.release, why)


def surroundings(conditions: Conditions) -> Finding:
    """The row of what is around this process."""
    facts = [f"container ({conditions.container})"] if conditions.container else []
    facts += ["user namespace"] if conditions.nested else []
    facts += ["chroot (says ischroot)"] if conditions.chroot else []
    facts += ["no_new_privs"] if conditions.no_new_privs else []
    facts += ["system-call filter"] if conditions.filtered else []
    return Finding("inside", Status.INFO, ", ".join(facts) or "no container, sandbox or chroot")


def bubblewrap(answer: Answer) -> Finding:
    """The row of bubblewrap, from ``bwrap --version``."""
    found = re.match(r"bubblewrap (\d+)\.(\d+)(\S*)", answer.text)
    if not answer.good or found is None:
        why = Cause("bwrap is not installed below /usr", "sudo apt install bubblewrap")
        return Finding.because("bubblewrap", answer.line, why)
    version, shown = (int(found[1]), int(found[2])), answer.line.removeprefix("bubblewrap ")
    if version < OLDEST_BWRAP:
        why = Cause("bubblewrap before 0.8 lacks what the sandbox needs", "sudo apt install bubblewrap")
        return Finding.because("bubblewrap", shown, why)
    if version < FIXED_BWRAP:
        note = (
            "it follows links on the way to a mount point (GHSA-pxhw-h44j-8pfx); the mount points "
            "of a build are fixed and checked for links, so it does not matter here"
        )
        return Finding("bubblewrap", Status.INFO, shown, note)
    return Finding("bubblewrap", Status.OK, shown)


def view(answer: Answer, conditions: Conditions, *, needed: bool) -> Finding:
    """The row of the overlay over this machine's /usr, through which the declared view is seen."""
    if answer.good:
        return Finding("view", Status.OK, "/usr can be seen through a mask")
    if needed:
        return Finding.because("view", answer.line, cause_of(answer, conditions))
    return Finding("view", Status.INFO, answer.line, "not needed here: all of /usr is shown (--view host)")


def subordinate_ids(host: Host, conditions: Conditions) -> Finding:
    """The row of /etc/subuid and /etc/subgid."""
    name = "subordinate ids"
    if host.caller.is_root:
        return Finding(name, Status.INFO, "root takes ids that nobody uses")
    counts = {
        "/etc/subuid": sum(len(ids) for ids in host.caller.subuids),
        "/etc/subgid": sum(len(ids) for ids in host.caller.subgids),
    }
    what = ", ".join(f"{count} in {file}" for file, count in counts.items())
    missing = [file for file, count in counts.items() if count == 0]
    few = [file for file, count in counts.items() if count < 65536]
    if not few:
        return Finding(name, Status.OK, what)
    cause = (
        "without them only root exists in the sandbox, and chown to other users fails"
        if missing
        else "with fewer than 65536, nobody and other high ids are missing in the sandbox"
    )
    return Finding.because(name, what, Cause(cause, give_ids(conditions, " ".join(few))), Status.WARNING)


def space(name: str, path: Path, remedy: str) -> Finding:
    """The row of the free space at ``path`` or, where it does not exist yet, its nearest parent."""
    place = path.absolute()
    while not os.access(place, os.F_OK) and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding.because(name, str(path), Cause(f"{place} can't be written", remedy))
    state = os.statvfs(place)
    free = state.f_bavail * state.f_frsize
    what = f"{path} has {human_size(free)} free"
    # File systems that make inodes as they go tell of none at all.
    if state.f_files and state.f_favail < 1000:
        return Finding.because(name, f"{path} has {state.f_favail} inodes free", Cause("it is full", remedy))
    if free < SCARCE:
        status = Status.FAILED if free < FULL else Status.WARNING
        return Finding.because(name, what, Cause("builds need more space", remedy), status)
    return Finding(name, Status.OK, what)


def packages(listing: str) -> tuple[Finding, ...]:
    """The rows of the packages that every build needs, from ``dpkg-query`` lines: name, state, version."""
    installed = {}
    for line in listing.splitlines():
        words = line.split(" ")
        if len(words) == 3 and words[1] == "installed":
            installed[words[0]] = words[2]
    return tuple(
        Finding(name, Status.OK, installed[name])
        if name in installed
        else Finding.because(name, "not installed", Cause(why, f"sudo apt install {name}"))
        for name, why in (
            ("dpkg-dev", "dpkg-buildpackage is missing"),
            ("build-essential", "every source package takes it for granted"),
        )
    )


def query_packages() -> str:
    """Ask dpkg for :func:`packages`."""
    form = "${Package} ${db:Status-Status} ${Version}\\n"
    return run(["dpkg-query", "-W", f"-f={form}", "dpkg-dev", "build-essential"], check=False).text


def system_calls(actions: str, instructions: int) -> Finding:
    """The row of the filter of system calls, from what the kernel says that a filter may answer."""
    name = "system calls"
    if "errno" in actions.split():
        return Finding(name, Status.OK, f"can be filtered, by a program of {instructions} instructions")
    why = Cause(
        "this kernel was built without filters of system calls (CONFIG_SECCOMP_FILTER)",
        "bwbuild --no-seccomp  # or boot Debian's kernel",
    )
    return Finding.because(name, "can't be filtered", why)


def filter_actions() -> str:
    """Ask the kernel for :func:`system_calls`."""
    return _text("/proc/sys/kernel/seccomp/actions_avail")


def control_group(answer: Answer | None) -> Finding:
    """Whether systemd of the user gives a build one; ``answer`` is None where it was not asked."""
    name = "control group"
    if answer is None:
        return Finding(name, Status.INFO, "none: no systemd of yours gives one, or none is wanted")
    if answer.good:
        return Finding(name, Status.OK, "with limits of memory and processes")
    remedy = "systemctl --user status  # or do without: bwbuild --no-limit-scope"
    return Finding.because(name, answer.line, Cause("systemd of your session runs, but gives none", remedy))


def has_debsign() -> bool:
    """Whether debsign is installed."""
    return shutil.which("debsign") is not None


def _container() -> str:
    if Path("/run/.containerenv").exists():
        return "podman"
    if Path("/.dockerenv").exists():
        return "docker"
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    return _text("/run/systemd/container").strip()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
