"""/etc of the sandbox: the host's, with its secrets hidden and its accounts and network names replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Names below /etc that do not exist inside, with the reason. Most of them an ordinary user can't read; they
#: are hidden so that a file with careless permissions, or a caller who is root, gives nothing away.
HIDDEN: Mapping[str, str] = {
    "shadow": "password hashes",
    "shadow-": "password hashes",
    "gshadow": "password hashes",
    "gshadow-": "password hashes",
    "passwd-": "accounts of this machine",
    "group-": "accounts of this machine",
    "subuid": "accounts of this machine",
    "subuid-": "accounts of this machine",
    "subgid": "accounts of this machine",
    "subgid-": "accounts of this machine",
    "security/opasswd": "password hashes",
    "sudoers": "who may become root here",
    "sudoers.d": "who may become root here",
    "ssh/ssh_host_ecdsa_key": "private keys",
    "ssh/ssh_host_ed25519_key": "private keys",
    "ssh/ssh_host_rsa_key": "private keys",
    "ssl/private": "private keys",
    "apt/auth.conf": "passwords of repositories",
    "apt/auth.conf.d": "passwords of repositories",
    "krb5.keytab": "keys",
    "NetworkManager/system-connections": "passwords of networks",
    "wpa_supplicant": "passwords of networks",
    "wireguard": "private keys",
    "openvpn": "private keys",
    "ipsec.secrets": "private keys",
    "ppp/chap-secrets": "passwords of networks",
    "ppp/pap-secrets": "passwords of networks",
    "exim4/passwd.client": "passwords of mail servers",
    "cifs-credentials": "passwords",
    "crypttab": "disks of this machine",
    "fstab": "disks of this machine",
    "bwbuild": "settings of bwbuild are the caller's, not the package's",
    "devscripts.conf": "settings of the caller's machine",
    "dpkg/buildpackage.conf": "options that nobody typed for this build",
    "dpkg/buildflags.conf": "flags that nobody typed for this build",
    # Both are unset on build machines: time zone UTC, no mail name.
    "localtime": "time zone of this machine",
    "timezone": "time zone of this machine",
    "mailname": "name of this machine",
}

HOSTS = """\
127.0.0.1 localhost bwbuild
::1 localhost ip6-localhost ip6-loopback
"""

NSSWITCH = """\
passwd: files
group: files
shadow: files
gshadow: files
hosts: files dns
networks: files
protocols: files
services: files
ethers: files
rpc: files
"""


def files(
    passwd: str, group: str, user: tuple[str, int, int], nameserver: str | None = None
) -> dict[str, str]:
    """The files that lie over the host's /etc: name -> content.

    :param passwd: the host's passwd; accounts of its system stay, those of its people do not.
    :param user: name, uid and gid of the build user inside.
    :param nameserver: the address where names are asked for; None: nowhere.
    """
    name, uid, gid = user
    home = "/nonexistent:/bin/sh"
    return {
        "passwd": "".join((*_system(passwd, {uid}, name), f"{name}:x:{uid}:{gid}:build user:{home}\n"))
        if uid
        else "".join(_system(passwd, set(), "")),
        "group": "".join((*_system(group, {gid}, name), f"{name}:x:{gid}:\n"))
        if gid
        else "".join(_system(group, set(), "")),
        "hosts": HOSTS,
        "hostname": "bwbuild\n",
        "resolv.conf": "" if nameserver is None else f"nameserver {nameserver}\n",
        "nsswitch.conf": NSSWITCH,
        "machine-id": "",
    }


def _system(text: str, numbers: set[int], name: str) -> Iterable[str]:
    """The lines of system accounts, other than those with that number or name, without members."""
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) < 4 or not fields[2].isdigit():
            continue
        number = int(fields[2])
        if (number < 1000 or number == 65534) and number not in numbers and fields[0] != name:
            yield ":".join([*fields[:3], ""] if len(fields) == 4 else fields) + "\n"
