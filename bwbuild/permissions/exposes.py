"""What each permission exposes: one table for the prompt, the audit, the manual and ``--explain``.

``exposure(permission)`` says it in a sentence and names the assessments of the audit that it makes worse, in
whose words :mod:`bwbuild.audit.of_permission` goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bwbuild.permissions.words import Permission, absolute, within


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
#: What is in a home directory and leads to its owner's accounts.
_KEYS = (".ssh", ".gnupg", ".pki", ".local/share/keyrings", ".password-store")
_WHOLE = ("/", "/home", "/root")
#: Whoever the caller is, this is somebody's home.
_HOME = re.compile(r"/home/[^/]+|/root(?![^/])")
#: No names are known but those that everybody has.
NO_PLACES: Mapping[str, str] = {}
_LEAVES = (
    "; programs that it leaves there may run as you, whoever starts them (set-user-ID), and files may belong"
    " to your subordinate ids"
)


def exposure(permission: Permission, places: Mapping[str, str] = NO_PLACES) -> Exposure:
    """What ``permission`` exposes; there is an entry for every permission that parses.

    :param places: as :func:`bwbuild.permissions.words.absolute` has them: a path is judged by where it is and
        not by how it is written.
    """
    if permission.key == "filesystem":
        return _of_path(permission, places)
    if permission.key == "talk":
        name = permission.value.removesuffix("*")
        for known, text in _OF_SESSIONS.items():
            if name.startswith(known) or (name.endswith(".") and known.startswith(name)):
                return Exposure(f"{text} ({permission.value})", ("sockets",), grave=True)
    found = _TABLE.get((permission.key, permission.value)) or _OTHERS[permission.key]
    return Exposure(found.text.format(permission.value), found.findings, found.grave)


def _of_path(permission: Permission, places: Mapping[str, str]) -> Exposure:
    found = _of_place(permission, places)
    return replace(found, text=found.text + _LEAVES) if permission.writable else found


def _of_place(permission: Permission, places: Mapping[str, str]) -> Exposure:
    shown, path = permission.value, absolute(permission.value, places)
    does = "reads and changes" if permission.writable else "reads"
    homes = _homes(path, places)
    if path in _WHOLE or any(within(home, path) for home in homes):
        text = f"it {does} ALL of {shown}: keys, tokens, mail, and what is run at your next login"
        return Exposure(text, ("home", "keys"), grave=True)
    keys = [f"{home}/{name}" for home in homes for name in _KEYS] + [absolute("xdg-data/keyrings", places)]
    known = any(within(path, key) or within(key, path) for key in keys)
    if known or "/.ssh" in path or "/.gnupg" in path:
        return Exposure(f"it {does} {shown}: who has your keys can be you", ("home", "keys"), grave=True)
    if permission.writable and _is_obeyed(path, homes, places):
        text = f"it {does} {shown}: settings that programs obey, so that it can have them run what it likes"
        return Exposure(text, ("home",), grave=True)
    is_home = any(within(path, home) for home in homes) or shown[0] != "/"
    return Exposure(f"it {does} {shown} and all below it", ("home",) if is_home else ())


def _homes(path: str, places: Mapping[str, str]) -> tuple[str, ...]:
    """The caller's home, and the one that ``path`` is in by its name."""
    named = _HOME.match(path)
    return (absolute("~", places), *((named[0],) if named else ()))


def _is_obeyed(path: str, homes: Iterable[str], places: Mapping[str, str]) -> bool:
    if any(path.startswith(f"{home}/.") or within(path, f"{home}/bin") for home in homes):
        return True
    return any(within(path, absolute(name, places)) for name in ("xdg-config", "xdg-data"))
