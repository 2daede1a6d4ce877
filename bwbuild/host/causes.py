"""The causes behind the words of programs that were refused, and the commands that mend them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_KEEP = "sudo sysctl --system"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something does not work, and a command to paste that mends it."""

    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tried command said: ``status`` as a shell has it, ``text`` of both streams."""

    status: int
    text: str = ""

    @property
    def good(self) -> bool:
        """Whether it worked."""
        return self.status == 0

    @property
    def line(self) -> str:
        """What it said, in one line: mount and others add advice in further ones."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[0] if lines else f"exit status {self.status}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """The switches and surroundings that explain why the kernel refuses something; "" where one is absent."""

    root: bool = False
    user: str = ""
    #: the kernel's release, as of uname
    release: str = ""
    #: kernel.apparmor_restrict_unprivileged_userns
    apparmor: str = ""
    #: kernel.unprivileged_userns_clone
    clone: str = ""
    #: kind of namespace -> user.max_KIND_namespaces
    limits: Mapping[str, str] = field(default_factory=dict)
    #: this is not the machine's first user namespace
    nested: bool = False
    no_new_privs: bool = False
    #: a seccomp filter is in force
    filtered: bool = False
    #: docker, podman, lxc …
    container: str = ""
    chroot: bool = False
    #: the option hidepid of /proc
    hidepid: str = ""
    #: first id of a block that /etc/subuid and /etc/subgid give to nobody
    free_ids: int = 100000
    #: what is mounted below /usr
    below_usr: tuple[str, ...] = ()


def container_remedy(kind: str) -> str:
    """How a container is started so that namespaces can be made in it."""
    options = {
        "docker": "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
        "--security-opt systempaths=unconfined IMAGE",
        "podman": "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL "
        "--security-opt label=disable IMAGE",
        "lxc": "lxc config set CONTAINER security.nesting true && lxc restart CONTAINER",
    }
    return options.get(kind, "bwbuild doctor  # on the machine itself, outside of the container or sandbox")


def give_ids(conditions: Conditions, files: str = "/etc/subuid /etc/subgid") -> str:
    """The command that gives the caller subordinate ids; usermod knows no users of a directory service."""
    return f"echo {conditions.user}:{conditions.free_ids}:65536 | sudo tee -a {files}"


def cause_of(answer: Answer, conditions: Conditions) -> Cause:
    """Why a command could not make its namespaces or mounts, from what it said and what is known."""
    for rule in _RULES:
        found = rule(answer.text, conditions)
        if found is not None:
            return found
    return Cause("the kernel refused it for a reason that bwbuild does not know", "sudo dmesg | tail -n 20")


def _refused(text: str) -> bool:
    return bool(re.search(r"not permitted|[Pp]ermission denied|No permissions? to creat", text))


def _absent(text: str, _: Conditions) -> Cause | None:
    found = re.search(
        r"(?:program |exec: |sh: \d+: |namespace: \d+: |env: .?)(bwrap|unshare|setpriv)\b.*(?:not |No such)",
        text,
    )
    if found is None:
        return None
    package = "bubblewrap" if found[1] == "bwrap" else "util-linux"
    return Cause(f"{found[1]} is not installed below /usr", f"sudo apt install {package}")


def _mapper_absent(text: str, _: Conditions) -> Cause | None:
    if not re.search(
        r"failed to execute new[ug]idmap: No such file|new[ug]idmap.* not (?:found|installed)", text
    ):
        return None
    return Cause(
        "newuidmap and newgidmap, which map subordinate ids, are not installed", "sudo apt install uidmap"
    )


def _old_tools(text: str, _: Conditions) -> Cause | None:
    option = re.search(r"un(?:recognized|known) option '?(--[a-z-]+|[^\s']+)", text)
    if option is None:
        return None
    cause = f"util-linux (before 2.38) or bubblewrap (before 0.8) is too old to know {option[1]}"
    return Cause(cause, "bwbuild --identity single  # or upgrade to Debian 12, Ubuntu 24.04 or later")


def _restraints(text: str, conditions: Conditions) -> Cause | None:
    if re.search(r"PR_SET_SECCOMP|prctl\(PR_SET_NO_NEW_PRIVS", text):
        return Cause(
            "the kernel or the container around takes no filter of system calls", "bwbuild --no-seccomp"
        )
    if re.search(r"no session keyring of its own: .*quota", text):
        return Cause(
            "the kernel's quota of keys is used up (/proc/key-users)",
            "sudo sysctl kernel.keys.maxkeys=2000",
        )
    # The shell's words, when it opens the file to write 0.
    if re.search(r"/proc/sys/user/max_\w+: (?:Read-only|Permission)", text):
        cause = "/proc/sys can't be written here, so that builds could make user namespaces"
        return Cause(cause, f"bwbuild --allow userns  # or: {container_remedy(conditions.container)}")
    return None


def _limit(text: str, conditions: Conditions) -> Cause | None:
    if not re.search(r"unshare failed: No space|ENOSPC|max_\*_namespaces|namespace.*: No space", text):
        return None
    zero = [kind for kind, value in conditions.limits.items() if value == "0"]
    if conditions.nested:
        switch = f" (user.max_{zero[0]}_namespaces is 0)" if zero else ""
        cause = f"the sandbox or container around this process allows no further namespaces{switch}"
        return Cause(cause, container_remedy(conditions.container))
    kind = zero[0] if zero else "user"
    value = "is 0" if zero else f"({conditions.limits.get(kind, 'unknown')}) is reached"
    command = f"echo user.max_{kind}_namespaces=30000 | sudo tee /etc/sysctl.d/60-bwbuild.conf && {_KEEP}"
    return Cause(f"the limit user.max_{kind}_namespaces {value}", command)


def _unsupported(text: str, _: Conditions) -> Cause | None:
    if not re.search(
        r"unshare failed: (Invalid argument|Function not impl)|does not support user namesp", text
    ):
        return None
    return Cause(
        "this kernel was built without user namespaces (CONFIG_USER_NS)",
        "sudo apt install linux-image-$(dpkg --print-architecture)  # Debian's kernel has them; then boot it",
    )


def _no_ids(text: str, conditions: Conditions) -> Cause | None:
    if re.search(r"no line matching user", text):
        return Cause("the caller has no subordinate ids", give_ids(conditions))
    if re.search(r"[ug]id range \[.*not allowed", text):
        cause = "newuidmap finds that /etc/subuid or /etc/subgid don't give the caller these ids"
        return Cause(cause, give_ids(conditions))
    return None


def _proc(text: str, conditions: Conditions) -> Cause | None:
    if (
        re.search(r"new[ug]idmap: .*(open proc directory|owned by a different user)", text)
        and conditions.hidepid
    ):
        return Cause(
            f"/proc is mounted with hidepid={conditions.hidepid}", "sudo mount -o remount,hidepid=0 /proc"
        )
    if not re.search(r"[Cc]an't mount proc|mount.* /?proc\b", text):
        return None
    if conditions.container or conditions.nested:
        cause = (
            "parts of /proc are covered by the container or sandbox around, so the kernel allows no fresh one"
        )
        return Cause(cause, container_remedy(conditions.container))
    return Cause(
        "something is mounted over parts of /proc, so the kernel allows no fresh one", "findmnt -R /proc"
    )


def _clone_switch(text: str, conditions: Conditions) -> Cause | None:
    if conditions.root or conditions.clone != "0" or not _refused(text):
        return None
    command = f"echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-bwbuild.conf && {_KEEP}"
    return Cause("kernel.unprivileged_userns_clone is 0: only root may make user namespaces", command)


def _apparmor(text: str, conditions: Conditions) -> Cause | None:
    if conditions.apparmor in ("", "0") or not _refused(text):
        return None
    if conditions.root and not conditions.container:
        return None
    setting = "kernel.apparmor_restrict_unprivileged_userns=0"
    command = f"echo {setting} | sudo tee /etc/sysctl.d/60-bwbuild.conf && {_KEEP}"
    if conditions.container:
        command += "  # on the machine, not in the container"
    cause = (
        "AppArmor takes all rights in user namespaces from programs without a profile; bwbuild's package may"
        f" have one (kernel.apparmor_restrict_unprivileged_userns is {conditions.apparmor})"
    )
    return Cause(cause, command)


def _powerless_mapper(text: str, conditions: Conditions) -> Cause | None:
    if not re.search(r"new[ug]idmap: write to [ug]id_map failed", text):
        return None
    if conditions.no_new_privs or conditions.nested:
        inside = (
            "no_new_privs is set"
            if conditions.no_new_privs
            else "this is a user namespace with ids of its own"
        )
        cause = f"newuidmap has no power here: {inside}, as in a container or another sandbox"
        return Cause(cause, "bwbuild --identity single  # or run it outside of the container or sandbox")
    if conditions.container:
        return Cause(
            "the container takes newuidmap's power to map ids", container_remedy(conditions.container)
        )
    return Cause("newuidmap lacks its file capability or setuid bit", "sudo apt install --reinstall uidmap")


def _surroundings(text: str, conditions: Conditions) -> Cause | None:
    if not _refused(text):
        return None
    # ischroot also takes a mount namespace for one, but the kernel refuses only the namespace itself there.
    if conditions.chroot and "unshare failed" in text:
        return Cause(
            "this is a chroot, in which the kernel allows no user namespace",
            "sudo systemd-nspawn -D / bwbuild doctor  # or run bwbuild outside of the chroot",
        )
    if conditions.container or conditions.filtered or conditions.nested:
        kind = conditions.container or "sandbox"
        return Cause(f"the {kind} around this process forbids it", container_remedy(conditions.container))
    return None


def _covered_usr(text: str, conditions: Conditions) -> Cause | None:
    # The mount point of the declared view. What mount makes of the kernel's EINVAL depends on its version.
    if not re.search(r"mount: \S*\bns/usr: ", text) or _refused(text):
        return None
    if not conditions.below_usr:
        return Cause(
            "the kernel takes this machine's /usr for no layer of an overlay, so nothing of it can be hidden",
            "bwbuild --view host  # shows the build all of /usr",
        )
    first, *others = conditions.below_usr
    more = f" and {len(others)} more" if others else ""
    mend = "" if others else f"; or: sudo umount {first}"
    return Cause(
        f"something is mounted below /usr ({first}{more}), and the kernel allows no overlay over that",
        f"bwbuild --view host  # shows the build all of /usr{mend}",
    )


def _unreachable(text: str, _: Conditions) -> Cause | None:
    found = re.search(r"can't cd to (\S+)", text)
    if found is None:
        return None
    cause = f"users of the sandbox may not pass all directories above {found[1]}"
    return Cause(cause, "bwbuild --scratch DIR  # one that everybody may pass, as /var/cache/bwbuild/scratch")


def _overlay(text: str, _: Conditions) -> Cause | None:
    if re.search(r"unknown filesystem type '?overlay|No such device", text):
        return Cause("the kernel has no overlay file system", "sudo modprobe overlay")
    return None


Rule = Callable[[str, Conditions], Cause | None]

#: The first that knows the words wins: plain absence first, guesses from the surroundings last.
_RULES: tuple[Rule, ...] = (
    _absent,
    _mapper_absent,
    _old_tools,
    _restraints,
    _limit,
    _unsupported,
    _no_ids,
    _proc,
    _overlay,
    _covered_usr,
    _unreachable,
    _clone_switch,
    _apparmor,
    _powerless_mapper,
    _surroundings,
)
