"""What each permission exposes: one table for the prompt, the audit, the manual and ``--explain``.

``exposure(permission)`` says it in a sentence and names the assessments of the audit that it makes worse, in
whose words :mod:`bwbuild.audit.of_permission` goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bwbuild.permissions.words import Permission


@dataclass(frozen=True, slots=True)
class Exposure:
    """What somebody inside gets.

    :ivar text: a sentence without its full stop.
    :ivar findings: names of the audit's assessments that it makes worse.
    :ivar grave: who has it can become the user, or read his secrets.
    """

    text: str
    findings: tuple[str, ...] = ()
    grave: bool = False


_TABLE: Mapping[tuple[str, str], Exposure] = {
    ("share", "network"): Exposure(
        "it reaches all machines that this one reaches, those of your own network among them, and can send"
        " them what it sees; not what listens on this machine's loopback alone",
        ("network",),
    ),
    ("device", "kvm"): Exposure("it runs virtual machines: a part of the kernel with a history of holes"),
    ("device", "dri"): Exposure(
        "it uses the graphics card: its driver, and perhaps what other programs left in its memory"
    ),
    ("device", "fuse"): Exposure("it talks to the kernel as a file system does"),
    ("socket", "x11"): Exposure(
        "it reads every key that you type and every window, and types in your place", ("sockets",), grave=True
    ),
    ("socket", "wayland"): Exposure(
        "it opens windows on your desktop, which may look like others, and reads the clipboard while one has"
        " the focus",
        ("sockets",),
    ),
    ("socket", "pulseaudio"): Exposure(
        "it plays sound, and listens to the microphone and to what others play", ("sockets",), grave=True
    ),
    ("socket", "session-bus"): Exposure(
        "it talks to those programs of your session whose names were granted, and to no others", ("sockets",)
    ),
    ("allow", "userns"): Exposure(
        "it makes namespaces in which it is root: much more of the kernel can be attacked",
        ("nested namespaces", "calls to mount", "calls for namespaces"),
    ),
    ("allow", "foreign-abi"): Exposure(
        "programs of the machine's other ABIs run, and not all of their sockets are filtered", ("other ABIs",)
    ),
    ("allow", "raw-sync"): Exposure("its fsync reaches your disk, which others may then wait for"),
}
_OTHERS: Mapping[str, Exposure] = {
    "env": Exposure("it reads the value of your variable {}, which may be a secret", ("environment",)),
    "persist": Exposure(
        "a directory of its own stays between its builds: what one build leaves there, the next one trusts"
    ),
    "limit": Exposure("it may take more of the machine: {}"),
    "talk": Exposure("it asks {} on your session bus for whatever that does", ("sockets",)),
    "own": Exposure("it answers on your session bus as {}", ("sockets",)),
}
#: Programs of a session that do much for whoever asks, by the beginning of their names.
_OF_SESSIONS: Mapping[str, str] = {
    "org.freedesktop.Flatpak": "it has any command run as you, outside of every sandbox",
    "org.freedesktop.systemd1": "it has any command run as you, outside of every sandbox",
    "org.gtk.vfs": "it reads and changes ALL files of yours, by the session's own file systems",
    "ca.desrt.dconf": "it changes ALL settings of your desktop, among them commands that keys run",
    "org.freedesktop.impl.portal.PermissionStore": "it lets itself and others do what portals ask you about",
    "org.gnome.Shell": "it commands your desktop: it may see and fill all windows, and have extensions run",
    "org.freedesktop.secrets": "it asks your keyring for passwords, and gets those that are unlocked",
    "org.kde.kwalletd": "it asks your keyring for passwords, and gets those that are unlocked",
}
#: Places below the home directory that are worth more words than others.
_KEYS = ("~/.ssh", "~/.gnupg", "~/.pki", "~/.local/share/keyrings", "~/.password-store")
_WHOLE = ("/", "/home", "/root", "~")


def exposure(permission: Permission) -> Exposure:
    """What ``permission`` exposes; there is an entry for every permission that parses."""
    if permission.key == "filesystem":
        return _of_path(permission)
    if permission.key == "talk":
        name = permission.value.removesuffix("*")
        for known, text in _OF_SESSIONS.items():
            if name.startswith(known) or (name.endswith(".") and known.startswith(name)):
                return Exposure(f"{text} ({permission.value})", ("sockets",), grave=True)
    found = _TABLE.get((permission.key, permission.value)) or _OTHERS[permission.key]
    return Exposure(found.text.format(permission.value), found.findings, found.grave)


def _of_path(permission: Permission) -> Exposure:
    path = permission.value
    does = "reads and changes" if permission.writable else "reads"
    if path in _WHOLE:
        return Exposure(
            f"it {does} ALL of {path}: keys, tokens, mail, and what is run at your next login",
            ("home", "keys"),
            grave=True,
        )
    if (
        any(_within(path, keys) or _within(keys, path) for keys in _KEYS)
        or "/.ssh" in path
        or "/.gnupg" in path
    ):
        return Exposure(f"it {does} {path}: who has your keys can be you", ("home", "keys"), grave=True)
    hidden = path.startswith("~/.") or path in ("xdg-config", "xdg-data")
    if hidden and permission.writable:
        text = f"it {does} {path}: settings that programs obey, so that it can have them run what it likes"
        return Exposure(text, ("home",), grave=True)
    return Exposure(f"it {does} {path} and all below it", ("home",) if path[0] == "~" else ())


def _within(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top.rstrip('/')}/")
