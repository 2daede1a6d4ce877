"""Tries, from inside of the sandbox, to reach files that must not exist there; prints what it reached.

The argument is JSON: path of a hidden file -> its SHA-256 on the host, "" for what has no content. A file is
reached when its name can be looked up by any way, or when something that can be opened has its content.
"""

# It is about system calls, not about paths.
# ruff: noqa: PTH102, PTH106, PTH108, PTH110, PTH112, PTH113, PTH116, PTH119
# ruff: noqa: PTH120, PTH123, PTH207, PTH208, PTH211
# ruff: noqa: PTH208, PTH211, PTH113

from __future__ import annotations

import ctypes
import errno
import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile

AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, AT_RECURSIVE = -100, 0x1000, 0x400, 0x8000
MS_BIND, MS_REC, MS_REMOUNT, MS_MOVE, MS_PRIVATE = 4096, 16384, 32, 8192, 1 << 18
MNT_DETACH = 2
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
OPEN_TREE_CLONE = 1
#: The same numbers on all architectures since Linux 5.1; those before differ, so libc's functions are taken.
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 428, 429, 430, 431, 432
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "loongarch64": 41, "ppc64le": 203, "s390x": 217}
#: Mounts that were allowed: without any, little was tried.
MOUNTED = []
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    """A function of libc by its name; its result, or an OSError."""
    result = getattr(LIBC, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def mount(source, target, kind=None, flags=0, data=None):
    words = [None if word is None else word.encode() for word in (source, target, kind)]
    call("mount", *words, flags, None if data is None else data.encode())
    MOUNTED.append(f"{source} {target} {kind} {flags} {data}")


def worked(action, *arguments):
    """Whether a system call is allowed."""
    try:
        action(*arguments)
    except OSError:
        return False
    return True


class Tricks:
    def __init__(self, hidden):
        self.hidden = hidden
        self.sums = {value: path for path, value in hidden.items() if value}
        self.reached = []
        self.tried = 0
        self.place = tempfile.mkdtemp()

    def name(self, how, path, directory=None):
        """The name must not exist."""
        self.tried += 1
        try:
            os.stat(path, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return
        self.reached.append(f"{how}: {path}")

    def content(self, how, path):
        """What can be read there must not be a hidden file."""
        self.tried += 1
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
                if not os.path.isfile(f"/proc/self/fd/{stream.fileno()}"):
                    return
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return
        if found in self.sums:
            self.reached.append(f"{how}: {path} has the content of {self.sums[found]}")

    def below(self, how, seen, top="/usr"):
        """The hidden files must not be below ``seen``, where ``/`` or ``top`` may have come."""
        for path in self.hidden:
            self.name(how, seen + path)
            if path.startswith(f"{top}/"):
                self.name(how, seen + path.removeprefix(top))

    # As whoever runs this

    def spellings(self):
        for path in self.hidden:
            directory, name = os.path.split(path)
            parent = os.path.basename(directory)
            for spelt in (
                path,
                f"/{path}",
                f"{directory}//{name}",
                f"{directory}/./{name}",
                f"{directory}/../{parent}/{name}",
                f"/tmp/../{path}",
                f"{path}/",
                f"{path}/.",
                path.removeprefix("/usr") if path.startswith(("/usr/bin/", "/usr/lib/")) else path,
            ):
                self.name("spelling", spelt)
            try:
                if name in os.listdir(directory):
                    self.reached.append(f"readdir: {path}")
            except OSError:
                pass  # the directory does not exist either
            self.links(path)

    def links(self, path):
        link = f"{self.place}/link"
        for text, then in ((path, ""), (os.path.dirname(path), f"/{os.path.basename(path)}"), ("/", path)):
            os.symlink(text, link)
            self.tried += 1
            if os.path.exists(link + then):
                self.reached.append(f"symlink {text}: {path}")
            os.unlink(link)
        name = path.encode()
        for flags in (0, AT_SYMLINK_FOLLOW):
            if worked(call, "linkat", AT_FDCWD, name, AT_FDCWD, f"{self.place}/hard".encode(), flags):
                self.reached.append(f"hard link: {path}")
        if worked(os.open, path, os.O_PATH | os.O_NOFOLLOW):
            self.reached.append(f"O_PATH: {path}")
        if worked(os.open, path, os.O_WRONLY | os.O_CREAT):
            self.reached.append(f"created: {path}")
        if worked(os.rename, path, f"{self.place}/renamed") or worked(os.unlink, path):
            self.reached.append(f"renamed or removed: {path}")
        if worked(self.handle, AT_FDCWD, path):
            self.reached.append(f"handle: {path}")
        self.execute(path)

    def execute(self, path):
        loaders = glob.glob("/lib*/ld-linux*") + glob.glob("/lib/ld-linux*")
        for argv in ([path, "--version"], *([loader, path, "--version"] for loader in loaders)):
            try:
                done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
            except OSError:
                continue
            if done.returncode == 0:
                self.reached.append(f"executed: {argv}")

    def processes(self):
        for path in glob.glob("/proc/[0-9]*") + glob.glob("/proc/self/task/*") + ["/proc/thread-self"]:
            for name in ("root", "cwd", "cwd/..", "cwd/../..", "cwd/../../.."):
                self.below(f"{path}/{name}", f"{path}/{name}")
            self.content("exe", f"{path}/exe")
            for name in glob.glob(f"{path}/map_files/*") + glob.glob(f"{path}/fd/*"):
                self.content("descriptor", name)
                if os.path.isdir(name):
                    self.below(name, name)
                    self.below(f"{name}/..", f"{name}/..")

    def descriptors(self):
        for top in ("/", "/usr", "/usr/..", "/proc/self/root", "/build", "/var/lib/dpkg", "/etc", "/tmp"):
            directory = os.open(top, os.O_PATH | os.O_DIRECTORY)
            for path in self.hidden:
                for up in ("", "../", "../../", "../../../"):
                    self.name(f"openat {top}", up + path[1:], directory)
            os.close(directory)

    def handle(self, directory, path, flags=0):
        """The file handle of a path: kind and bytes."""
        buffer = (ctypes.c_char * 136)()
        ctypes.memmove(buffer, (128).to_bytes(4, sys.byteorder), 4)
        call("name_to_handle_at", directory, path.encode(), buffer, ctypes.byref(ctypes.c_int()), flags)
        size = int.from_bytes(buffer[0:4], sys.byteorder)
        return bytearray(buffer[0 : 8 + size])

    def handles(self):
        """Handles of directories that are the host's own: their file system's root has inode 2 or 128."""
        for top in ("/usr", "/etc", "/var/lib/dpkg", *glob.glob("/var/lib/*"), *glob.glob("/var/cache/*")):
            try:
                own = self.handle(AT_FDCWD, top)
                mounted = os.open(top, os.O_RDONLY)
            except OSError:
                continue
            for inode in (None, 2, 64, 96, 128, 256):
                guess = bytearray(own)
                if inode is not None:
                    guess[8:12] = inode.to_bytes(4, sys.byteorder)
                    guess[12:16] = bytes(4)
                self.tried += 1
                buffer = ctypes.create_string_buffer(bytes(guess), len(guess))
                try:
                    found = call("open_by_handle_at", mounted, buffer, os.O_RDONLY)
                except OSError:
                    continue
                for path in self.hidden:
                    for spelt in (path[1:], path.removeprefix("/usr/"), f"..{path}", f"../..{path}"):
                        self.name(f"handle of {top}", spelt, found)
                    self.name(f"handle of {top}", f"../../..{path}", found)
            os.close(mounted)

    def mask(self):
        """The layers themselves must be nowhere."""
        for path in ("ns", "ns/view", "/ns", "/ns/view/usr", "/newroot", "/oldroot", "/run/bwbuild/../ns"):
            self.name("layer", path)
        for path in ("/usr", "/usr/bin", "/etc"):
            for name in os.listxattr(path):
                if "overlay" in name:
                    self.reached.append(f"attribute {name} of {path}")
            if worked(os.setxattr, path, "user.overlay.opaque", b"n"):
                self.reached.append(f"attribute set on {path}")

    # As root of a user and mount namespace of its own

    def enter(self):
        """Whether such namespaces can be made here."""
        uid, gid = os.getuid(), os.getgid()
        try:
            call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                with open(f"/proc/self/{name}", "w") as stream:
                    stream.write(text)
        except OSError as error:
            return errno.errorcode[error.errno]
        return ""

    def undo(self):
        """What lies under a mount must not come out."""
        for top in ("/usr", "/usr/local", "/etc", "/var/lib/dpkg", "/proc", "/"):
            for flags in (0, MNT_DETACH, 1, 4, 8):
                if worked(call, "umount2", top.encode(), flags) and top not in ("/proc",):
                    self.reached.append(f"unmounted {top}")
                self.below(f"umount2 {top} {flags}", "")
            for flags in (MS_REMOUNT | MS_BIND, MS_REMOUNT):
                if worked(mount, "none", top, None, flags):
                    self.reached.append(f"remounted {top} writable")
            for data in ("lowerdir=/usr", "lowerdir+=/usr"):
                worked(mount, "none", top, "overlay", MS_REMOUNT, data)
            worked(mount, top, f"{self.place}/seen", None, MS_MOVE)
            self.below(f"moved {top}", f"{self.place}/seen", top)

    def binds(self):
        for top in ("/", "/usr", "/usr/bin", "/usr/local", "/etc", "/var/lib/dpkg"):
            for flags in (MS_BIND, MS_BIND | MS_REC):
                if worked(mount, top, f"{self.place}/seen", None, flags):
                    self.below(f"bind {top}", f"{self.place}/seen", top)
                    self.local(f"bind {top}", f"{self.place}/seen")
                    worked(call, "umount2", f"{self.place}/seen/local".encode(), MNT_DETACH)
                    self.below(f"bind {top}, then umount", f"{self.place}/seen", top)
                    self.local(f"bind {top}, then umount", f"{self.place}/seen")
                    call("umount2", f"{self.place}/seen".encode(), MNT_DETACH)
            for flags in (OPEN_TREE_CLONE, OPEN_TREE_CLONE | AT_RECURSIVE, 0):
                try:
                    tree = call("syscall", OPEN_TREE, AT_FDCWD, top.encode(), flags)
                except OSError:
                    continue
                self.below(f"open_tree {top}", f"/proc/self/fd/{tree}", top)
                self.local(f"open_tree {top}", f"/proc/self/fd/{tree}")
                target = f"{self.place}/seen".encode()
                if worked(call, "syscall", MOVE_MOUNT, tree, b"", AT_FDCWD, target, 4):
                    self.below(f"move_mount {top}", f"{self.place}/seen", top)
                    call("umount2", target, MNT_DETACH)
                os.close(tree)

    def local(self, how, top):
        """The host's /usr/local lies under a mount."""
        for path in (f"{top}/local", f"{top}/usr/local"):
            try:
                names = os.listdir(path)
            except OSError:
                continue
            if names:
                self.reached.append(f"{how}: {path} has {names}")

    def overlays(self):
        call("mount", b"none", f"{self.place}/layers".encode(), b"tmpfs", 0, None)
        for name in ("empty", "upper", "work"):
            os.mkdir(f"{self.place}/layers/{name}")
        empty, upper, work = (f"{self.place}/layers/{name}" for name in ("empty", "upper", "work"))
        for top in ("/", "/usr", "/usr/bin", "/etc"):
            for data in (
                f"lowerdir={top}:{empty}",
                f"lowerdir={empty}:{top},userxattr",
                f"lowerdir={empty}:{top},redirect_dir=on,metacopy=on",
                f"lowerdir={empty}:{top},nfs_export=on,index=on",
                f"lowerdir={empty}:{top},index=on,upperdir={upper},workdir={work}",
                f"lowerdir={top},upperdir={upper},workdir={work}",
                f"lowerdir={top},upperdir={upper},workdir={work},userxattr,xino=on",
                f"lowerdir={empty}::{top},userxattr",
                f"lowerdir={empty}:ns/view/usr:{top}",
                f"lowerdir=ns/usr.over:ns/view/usr:{top}",
            ):
                if not worked(mount, "none", f"{self.place}/seen", "overlay", 0, data):
                    continue
                self.below(f"overlay {data}", f"{self.place}/seen", top)
                self.local(f"overlay {data}", f"{self.place}/seen")
                self.tamper(data)
                call("umount2", f"{self.place}/seen".encode(), MNT_DETACH)
        call("umount2", f"{self.place}/layers".encode(), MNT_DETACH)

    def tamper(self, data):
        """A name that is removed and made again, or a directory moved, must not show what was under it."""
        seen = f"{self.place}/seen"
        for path in self.hidden:
            for name in (path, path.removeprefix("/usr"), f"/{os.path.basename(path)}"):
                made = seen + name
                if os.path.isdir(os.path.dirname(made)) and worked(os.mkdir, made):
                    os.rmdir(made)
                    self.name(f"made and removed in {data}", made)

    def devices(self):
        """File systems and devices that a namespace may mount or name itself."""
        for kind in ("ext4", "xfs", "btrfs", "squashfs"):
            for device in ("/dev/vda", "/dev/sda", "/dev/root", "/dev/vda1"):
                if worked(mount, device, f"{self.place}/seen", kind):
                    self.reached.append(f"mounted {device}")
        for kind in ("proc", "sysfs", "tmpfs", "ramfs", "devpts", "mqueue", "cgroup2", "devtmpfs"):
            if worked(mount, "none", f"{self.place}/seen", kind):
                for root in glob.glob(f"{self.place}/seen/[0-9]*/root"):
                    self.below(kind, root)
                call("umount2", f"{self.place}/seen".encode(), MNT_DETACH)
        worked(os.mknod, f"{self.place}/device", 0o60600, os.stat("/usr").st_dev)
        if worked(os.open, f"{self.place}/device", os.O_RDONLY):
            self.reached.append("opened the disk")

    def roots(self):
        """Another root, from which .. may lead out, or under which the old one can be taken apart."""
        kept = os.open("/", os.O_RDONLY)
        for top in ("/usr", "/tmp", "/build"):
            if worked(os.chroot, top):
                os.fchdir(kept)
                for path in self.hidden:
                    for up in range(8):
                        self.name(f"chroot {top}", "../" * up + path[1:])
                os.chroot(".")
        self.pivot()

    def pivot(self):
        if not worked(mount, self.place, self.place, None, MS_BIND | MS_REC):
            return
        os.mkdir(f"{self.place}/old")
        number = PIVOT_ROOT.get(os.uname().machine)
        words = self.place.encode(), f"{self.place}/old".encode()
        if number is None or not worked(call, "syscall", number, *words):
            return
        for path in ("", "/usr", "/usr/local", "/etc"):
            worked(call, "umount2", f"/old{path}".encode(), MNT_DETACH)
            self.below(f"pivot_root, then umount {path}", "/old")
            self.local("pivot_root", "/old")


def parts(tricks, *names):
    for name in names:
        getattr(tricks, name)()


def main():
    tricks = Tricks(json.loads(sys.argv[1]))
    os.mkdir(f"{tricks.place}/seen")
    os.mkdir(f"{tricks.place}/layers")
    parts(tricks, "spellings", "processes", "descriptors", "handles", "mask")
    error = tricks.enter()
    if not error:
        parts(tricks, "spellings", "processes", "handles", "undo", "binds", "overlays", "devices", "roots")
    json.dump(
        {"reached": tricks.reached, "tried": tricks.tried, "namespace": error, "mounted": MOUNTED}, sys.stdout
    )


main()
