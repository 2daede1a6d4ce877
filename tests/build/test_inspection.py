"""Binary packages looked into in a real sandbox, made byte for byte by hand."""

from __future__ import annotations

import io
import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support import need, processes

from bwbuild.build.inspect import inspection
from bwbuild.build.inspect.inspection import Inspected
from bwbuild.build.restraints import for_unpacking
from bwbuild.config.settings import Settings
from bwbuild.deb.changes import Changes
from bwbuild.errors import VerificationError
from bwbuild.handover.artifacts import Artifact
from bwbuild.host.facts import read_host
from bwbuild.sandbox.inspection import LARGEST

CHANGES = Changes("1.8", "foo", "1", "unstable", ("all",), "x", (), "1")
CONTROL = b"Package: foo\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.uname, info.gname = len(data), 0o644, "root", "root"
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def deb(control: bytes, data: bytes) -> bytes:
    """A .deb of two archives, compressed."""
    parts = (("debian-binary", b"2.0\n"), ("control.tar.xz", control), ("data.tar.xz", data))
    text = b"!<arch>\n"
    for name, part in parts:
        packed = lzma.compress(part, preset=1) if name.endswith("xz") else part
        text += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(packed):<10}`\n".encode() + packed
        text += b"\n" * (len(packed) % 2)
    return text


class Bench:
    """A scratch directory with packages in quarantine."""

    def __init__(self, top: Path) -> None:
        need("bwrap")
        self.top = top
        (top / "quarantine").mkdir(mode=0o700)
        self.artifacts: list[Artifact] = []

    def add(self, data: bytes, name: str = "foo_1_all.deb") -> None:
        path = self.top / "quarantine" / name
        path.write_bytes(data)
        path.chmod(0o600)
        self.artifacts.append(Artifact(name, len(data), "", path))

    def inspect(self) -> Sequence[Inspected]:
        host = read_host()
        found = inspection.inspect(
            self.artifacts, self.top, host, for_unpacking(Settings(), host.architecture)
        )
        inspection.check(self.artifacts, self.top, CHANGES)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path)
    assert processes(str(tmp_path)) == []


def simple(*members: tuple[tarfile.TarInfo, bytes], control: bytes = CONTROL) -> bytes:
    return deb(tar(member("./control", control)), tar(*members))


def test_what_the_log_shows(bench: Bench) -> None:
    bench.add(simple(member("./usr/share/foo", b"hello"), member("./new\nline")))
    bench.add(b"no package", "foo_1.dsc")
    bench.add(simple(control=CONTROL.replace(b"foo", b"foo-b\nSource: foo")), "foo-b_1_all.udeb")
    first, second = bench.inspect()
    assert (first.name, second.name) == ("foo_1_all.deb", "foo-b_1_all.udeb")
    assert first.shown.startswith(" new Debian package, version 2.0.\n size ")
    assert "\n Package: foo\n Version: 1\n" in first.shown
    assert first.shown.endswith(
        "\n\n-rw-r--r-- root/root         5 1970-01-01 00:00 ./usr/share/foo\n"
        "-rw-r--r-- root/root         0 1970-01-01 00:00 ./new\\nline"
    )
    assert "\n Source: foo\n" in second.shown


def test_no_packages_start_no_sandbox(bench: Bench) -> None:
    bench.add(b"no package", "foo_1.dsc")
    assert bench.inspect() == ()
    assert not (bench.top / "inspect").exists()


@pytest.mark.parametrize(
    "evil",
    [
        member("../evil"),
        member("/etc/evil"),
        member("./usr/../../evil"),
        # Its line in the long listing reads like that of a file called ./ok 0 …
        member("../evil", gname="root 0 1970-01-01 00:00 ./ok"),
        member("../evil", uname="root/root 0 1970-01-01 00:00 ./ok\n-rw-r--r-- root"),
        member("./x -> y/../../evil", type=tarfile.SYMTYPE, linkname="z"),
        member("./" + "a" * 5000 + "/../../evil"),
    ],
    ids=["parent", "absolute", "inner", "group", "user", "arrow", "long"],
)
def test_paths_that_lead_out(bench: Bench, evil: tuple[tarfile.TarInfo, bytes]) -> None:
    bench.add(simple(member("./ok"), evil, member("./ok too")))
    with pytest.raises(VerificationError, match="has a file that would be unpacked to"):
        bench.inspect()


def test_files_may_belong_to_anybody(bench: Bench) -> None:
    bench.add(
        deb(
            tar(
                member("./", type=tarfile.DIRTYPE, mode=0o755, uid=5), member("./control", CONTROL, uid=1234)
            ),
            tar(member("./x", uid=1234, uname="", gname="")),
        )
    )
    (found,) = bench.inspect()
    assert found.shown.endswith("\n-rw-r--r-- 1234/0            0 1970-01-01 00:00 ./x")


def test_links_may_lead_anywhere(bench: Bench) -> None:
    bench.add(simple(member("./x", type=tarfile.SYMTYPE, linkname="../../etc/passwd")))
    bench.inspect()


@pytest.mark.parametrize("evil", [b"Version: 2", b"Package: bar", b"Architecture: amd64"])
def test_contradictions(bench: Bench, evil: bytes) -> None:
    field = evil.split(b":")[0]
    lines = [evil if line.startswith(field + b":") else line for line in CONTROL.split(b"\n")]
    bench.add(simple(control=b"\n".join(lines)))
    with pytest.raises(VerificationError, match=f"{field.decode()} in it is not the one of its name"):
        bench.inspect()


def test_two_control_files_are_the_one_that_dpkg_takes(bench: Bench) -> None:
    other = member("./control", CONTROL.replace(b"Version: 1", b"Version: 2"))
    bench.add(deb(tar(member("./control", CONTROL), other), tar()))
    with pytest.raises(VerificationError, match="Version in it is not the one of its name"):
        bench.inspect()


def test_control_archive_that_unpacks_to_300_megabytes(bench: Bench) -> None:
    bench.add(deb(tar(member("./control", CONTROL), member("./md5sums", bytes(300 << 20))), tar()))
    assert bench.artifacts[0].size < 60_000
    with pytest.raises(VerificationError, match="holds more than 64 MiB of control files"):
        bench.inspect()
    left = [path.stat().st_size for path in (bench.top / "inspected").iterdir()]
    assert sum(left) <= 2 * LARGEST


def test_control_archive_of_many_files(bench: Bench) -> None:
    header = member("./x" * 20)[0].tobuf()
    bench.add(deb(tar(member("./control", CONTROL))[:1024] + header * (LARGEST // 512 + 1), tar()))
    with pytest.raises(VerificationError, match="holds more than 64 MiB of control files"):
        bench.inspect()


def test_list_of_files_without_end(bench: Bench) -> None:
    name = member("./" + "x" * 90)[0].tobuf()
    bench.add(deb(tar(member("./control", CONTROL)), name * (LARGEST // 80)))
    with pytest.raises(VerificationError, match="control files or of file names"):
        bench.inspect()


def test_a_large_list_is_shortened_in_the_log_and_checked_as_a_whole(bench: Bench) -> None:
    names = b"".join(member(f"./{number:0>80}")[0].tobuf() for number in range(20_000))
    bench.add(deb(tar(member("./control", CONTROL)), names + bytes(1024)))
    (found,) = bench.inspect()
    assert " bytes are left out here]\n" in found.shown
    assert len(found.shown) < 600_000
    evil = Bench(bench.top / "evil") if (bench.top / "evil").mkdir() is None else bench
    middle = len(names) // 1024 * 512
    evil.add(
        deb(
            tar(member("./control", CONTROL)),
            names[:middle] + member("../x")[0].tobuf() + names[middle:] + bytes(1024),
        )
    )
    with pytest.raises(VerificationError, match="would be unpacked to"):
        evil.inspect()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"!<arch>\n",
        deb(b"", b""),
        deb(tar(member("./control", CONTROL)), tar(member("./x", b"y"))[:520]),
    ],
    ids=["empty", "no members", "no control", "cut off"],
)
def test_what_dpkg_can_not_read(bench: Bench, data: bytes) -> None:
    bench.add(simple(), "foo-a_1_all.deb")
    bench.add(data)
    with pytest.raises(VerificationError, match=r"dpkg-deb can't read foo_1_all\.deb"):
        bench.inspect()


@pytest.mark.long
def test_time_is_limited(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "PATIENCE", 0.3)
    # 3 GB of nothing, in which no tar finds a member.
    stream = lzma.LZMACompressor(preset=1)
    zeros = member("./x")[0]
    zeros.size = 3 << 30
    packed = stream.compress(zeros.tobuf(format=tarfile.GNU_FORMAT))
    block = bytes(1 << 24)
    packed += b"".join(stream.compress(block) for _ in range(192)) + stream.flush()
    whole = deb(tar(member("./control", CONTROL)), b"")
    start = whole.index(b"data.tar.xz")
    head = f"{'data.tar.xz':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(packed):<10}`\n".encode()
    bench.add(whole[:start] + head + packed)
    with pytest.raises(VerificationError, match="could not be looked into within"):
        bench.inspect()


def test_nothing_of_the_caller_is_there(bench: Bench) -> None:
    bench.add(simple())
    bench.inspect()
    text = os.fsdecode((bench.top / "inspect").read_bytes())
    assert "--unshare-net" in text
    assert str(Path.home()) not in text
    assert "/proc" not in text


_ON_A_FULL_DISK = """
import pathlib, subprocess, sys
sys.path[:0] = sys.argv[2:]
import test_inspection as tests
from bwbuild.errors import OutputError
place = pathlib.Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=True)
bench = tests.Bench(place)
names = b"".join(tests.member(f"./{number:0>80}")[0].tobuf() for number in range(20_000))
bench.add(tests.deb(tests.tar(tests.member("./control", tests.CONTROL)), names + bytes(1024)))
try:
    bench.inspect()
except OutputError as error:
    print(error.message, "|", error.hint)
"""


def test_full_disk_is_not_the_package_s_fault(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", _ON_A_FULL_DISK),
            *(tmp_path, Path(__file__).parent, Path(__file__).parents[1], Path(__file__).parents[2]),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{tmp_path} is full: packages could not be looked into"
        " | free some space, or name another directory: --scratch DIR\n"
    )
