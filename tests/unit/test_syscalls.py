"""The table of system calls, and the programs that libseccomp makes of it."""

from __future__ import annotations

import errno
import itertools
import random
import struct
import sys
from collections import Counter

import pytest
import seccomp as libseccomp
from hypothesis import given
from hypothesis import strategies as st

from bwbuild.errors import ExitStatus, HostError
from bwbuild.sandbox import seccomp, syscalls
from bwbuild.sandbox.spec import Filter
from bwbuild.sandbox.syscalls import (
    FOREIGN,
    HELD_BACK,
    INT,
    NESTING,
    TABLE,
    Flags,
    Group,
    NoneOf,
    OneOf,
    Rule,
)

POLICY = Filter("policy", HELD_BACK)
SYNC = Filter("sync", (Group.SYNC,))
WIDE = Filter("policy", HELD_BACK, foreign=True)
NARROW = Filter("policy", tuple(group for group in HELD_BACK if group not in NESTING))
#: The kernel takes no longer program.
LONGEST = 4096
each = pytest.mark.parametrize(
    "rule", TABLE, ids=[f"{rule.calls[0]} {number}" for number, rule in enumerate(TABLE)]
)


# The table


@each
def test_entry_has_a_reason(rule: Rule) -> None:
    assert len(rule.why.split()) >= 3
    assert not rule.why.endswith(".")


@each
def test_error_is_known(rule: Rule) -> None:
    usual = {errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT}
    assert rule.errno in ({0} if rule.group is Group.SYNC else usual)


@each
def test_calls_are_known_to_libseccomp(rule: Rule) -> None:
    for name in rule.calls:
        known = libseccomp.resolve_syscall(libseccomp.Arch(libseccomp.Arch.NATIVE), name)
        assert known != -1 or name in syscalls.YOUNG, name


def test_names_are_not_those_of_libseccomps_mistakes() -> None:
    assert libseccomp.resolve_syscall(libseccomp.Arch(libseccomp.Arch.NATIVE), "no_such_call") == -1


def test_no_call_has_two_entries_but_for_other_arguments() -> None:
    plain = Counter(name for rule in TABLE for name in rule.calls if not rule.when)
    assert {name: count for name, count in plain.items() if count > 1} == {}
    whole = {name for rule in TABLE for name in rule.calls if rule.when}
    assert not whole & plain.keys()
    entries = [(name, rule.when) for rule in TABLE for name in rule.calls]
    assert len(set(entries)) == len(entries)


def test_every_group_has_entries() -> None:
    assert {rule.group for rule in TABLE} == set(Group)
    assert set(HELD_BACK) == set(Group) - {Group.SYNC}


NEEDED = [
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "mlock",
    "mlockall",
    "seccomp",
    "landlock_create_ruleset",
    "memfd_create",
    "chmod",
    "fchmod",
    "fchmodat",
    "setxattr",
    "msgget",
    "semget",
    "shmget",
    "listen",
    "prctl",
    "prlimit64",
    "mbind",
    "set_mempolicy",
    "inotify_init1",
    "pidfd_open",
    "process_mrelease",
    "adjtimex",
    "arch_prctl",
    "execveat",
    "fork",
    "vfork",
    "capset",
    "setuid",
    "mknod",
    "chown",
]


def test_what_builds_need_is_not_there() -> None:
    assert not {name for rule in TABLE for name in rule.calls} & set(NEEDED)


def test_number_of_keyctl() -> None:
    names = {"amd64": "X86_64", "arm64": "AARCH64", "armhf": "ARM", "armel": "ARM", "i386": "X86"}
    names |= {"mips64el": "MIPSEL64", "ppc64el": "PPC64LE", "riscv64": "RISCV64", "s390x": "S390X"}
    names |= {"loong64": "LOONGARCH64"} if hasattr(libseccomp.Arch, "LOONGARCH64") else {}
    for debian, name in names.items():
        try:
            arch = libseccomp.Arch(getattr(libseccomp.Arch, name))
        except ValueError:
            continue  # a name that the module has and does not take
        assert syscalls.KEYCTL[debian] == libseccomp.resolve_syscall(arch, "keyctl"), debian


def test_architectures_are_libseccomps() -> None:
    names = {*FOREIGN, *itertools.chain(*FOREIGN.values()), *syscalls.SOCKETCALL, *syscalls.CLONE_SWAPPED}
    assert {name.upper() for name in names} <= set(dir(libseccomp.Arch))


# Comparisons


numbers = st.one_of(st.integers(0, INT), st.sampled_from([0, 1, 2, 8, 10, 16, 40, INT, INT - 1, 1 << 31]))


def holds(condition: Flags | OneOf | NoneOf, value: int) -> bool:
    """Whether a comparison holds for a whole register."""
    return any(value & case.mask == case.value for case in condition.cases())


@given(st.sets(numbers, max_size=8), numbers, st.integers(0, INT))
def test_none_of(values: set[int], tried: int, upper: int) -> None:
    for number in (tried, *values):
        found = holds(NoneOf(0, tuple(values)), upper << 32 | number)
        assert found == (number not in values)


@given(numbers, st.integers(0, INT))
def test_one_of(tried: int, upper: int) -> None:
    assert holds(OneOf(0, (5, 7)), upper << 32 | tried) == (tried in (5, 7))


@pytest.mark.parametrize(("value", "found"), [(0, True), (63, True), (64, False), (99, False), (INT, False)])
def test_usual_descriptors(value: int, found: bool) -> None:
    (rule,) = (rule for rule in TABLE if "fsync" in rule.calls)
    assert holds(rule.when[0], value) is found  # type: ignore[arg-type]


def test_flags() -> None:
    assert holds(Flags(0, (4, 8)), 12)
    assert holds(Flags(0, (4, 8)), 5)
    assert not holds(Flags(0, (4, 8)), 3)


def test_clone_of_machines_that_swap_its_arguments() -> None:
    (rule,) = (rule for rule in TABLE if rule.calls == ("clone",))
    assert {case[0].argument for case in seccomp.cases(rule)} == {0}
    assert {case[0].argument for case in seccomp.cases(rule, swapped=True)} == {1}


# Programs, run here as the kernel would

ALLOW, KILL = 0x7FFF0000, 0x80000000
X86_64 = 0xC000003E


def run(program: bytes, number: int, *arguments: int, arch: int = X86_64) -> int:
    """What a filter answers: classic BPF on struct seccomp_data of a little-endian machine."""
    words = [word & (1 << 64) - 1 for word in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number & INT, arch, 0, *words)
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        op, yes, no, k = code[at]
        at += 1
        if op == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif op == 0x54:
            accumulator &= k
        elif op == 0x05:
            at += k
        elif op in (0x15, 0x25, 0x35, 0x45):
            true = {
                0x15: accumulator == k,
                0x25: accumulator > k,
                0x35: accumulator >= k,
                0x45: accumulator & k,
            }
            at += yes if true[op] else no
        elif op == 0x06:
            return k
        else:
            raise AssertionError(hex(op))


only_x86 = pytest.mark.skipif(
    libseccomp.system_arch() != X86_64 or sys.byteorder != "little", reason="numbers are those of amd64"
)


def number(name: str) -> int:
    found: int = libseccomp.resolve_syscall(libseccomp.Arch(libseccomp.Arch.NATIVE), name)
    return found


def refusal(error: int) -> int:
    return 0x50000 | error


@only_x86
def test_every_rule_is_in_the_program() -> None:
    program = seccomp.program(POLICY)
    for rule in TABLE:
        for name in rule.calls:
            if (
                rule.group is Group.SYNC
                or number(name) < 0
                or (name == "open_tree_attr" and number(name) == -1)
            ):
                continue
            for case in seccomp.cases(rule):
                words = [0] * 6
                for comparison in case:
                    words[comparison.argument] = comparison.value
                assert run(program, number(name), *words) == refusal(rule.errno), (name, case)
    assert run(program, syscalls.YOUNG["open_tree_attr"]) == refusal(errno.ENOSYS)


@only_x86
@pytest.mark.parametrize("name", NEEDED)
def test_what_builds_need_is_allowed(name: str) -> None:
    for wanted in (POLICY, SYNC, WIDE):
        assert run(seccomp.program(wanted), number(name), *[(1 << 64) - 1] * 6) == ALLOW


@only_x86
@given(st.integers(0, 500), st.lists(st.integers(0, (1 << 64) - 1), min_size=6, max_size=6))
def test_all_calls_are_answered_as_the_table_says(call: int, words: list[int]) -> None:
    expected = ALLOW
    for rule in TABLE:
        numbers_of = {number(name) if number(name) != -1 else syscalls.YOUNG[name] for name in rule.calls}
        if (
            rule.group is not Group.SYNC
            and call in numbers_of
            and all(holds(condition, words[condition.argument]) for condition in rule.when)
        ):
            expected = refusal(rule.errno)
    assert run(seccomp.program(POLICY), call, *words) == expected


@only_x86
def test_families_in_every_spelling() -> None:
    program = seccomp.program(POLICY)
    chance = random.Random(1)  # noqa: S311 - no secret
    for family in [*range(200), *(chance.getrandbits(32) for _ in range(2000))]:
        for upper in (0, 1, INT):
            answer = run(program, number("socket"), upper << 32 | family, 1, 0)
            assert (answer == ALLOW) == (family in (0, 1, 2, 10, 16)), family


@only_x86
@pytest.mark.parametrize("arch", [0x40000003, 0x40000028, 0])
def test_other_abis(arch: int) -> None:
    assert run(seccomp.program(POLICY), 20, arch=arch) == KILL
    assert run(seccomp.program(POLICY), 0x40000000 | 39) == KILL
    expected = ALLOW if arch == 0x40000003 else KILL
    assert run(seccomp.program(WIDE), 20, arch=arch) == expected
    assert run(seccomp.program(WIDE), 0x40000000 | 39) == ALLOW


@only_x86
def test_a_tracer_may_skip_a_call() -> None:
    assert run(seccomp.program(POLICY), -1) == ALLOW


@only_x86
def test_sockets_of_32_bit_programs_are_not_all_refused() -> None:
    """socketcall hides the family, so it is let through."""
    assert run(seccomp.program(WIDE), 102, 1, 0, arch=0x40000003) == ALLOW
    assert run(seccomp.program(WIDE), 310, 0x10000000, arch=0x40000003) == refusal(errno.EPERM)


@only_x86
def test_allowing_user_namespaces() -> None:
    program = seccomp.program(NARROW)
    for name in ("unshare", "clone", "clone3", "mount", "pivot_root", "setns", "fsopen", "sethostname"):
        assert run(program, number(name), 0x10000000) == ALLOW
    assert run(program, number("keyctl")) == refusal(errno.ENOSYS)
    assert run(program, number("socket"), 40) == refusal(errno.EAFNOSUPPORT)


@only_x86
def test_sync_filter_does_nothing_else() -> None:
    program = seccomp.program(SYNC)
    answered = {call for call in range(500) if run(program, call, 3, 0, 4) != ALLOW}
    names = ("sync", "fsync", "fdatasync", "syncfs", "sync_file_range", "msync")
    assert answered == {number(name) for name in names}
    assert {run(program, call, 3, 0, 4) for call in answered} == {refusal(0)}


@pytest.mark.parametrize("wanted", [POLICY, SYNC, WIDE, NARROW], ids=["policy", "sync", "wide", "narrow"])
def test_same_filter_gives_same_bytes(wanted: Filter) -> None:
    seccomp.program.cache_clear()
    first = seccomp.program(wanted)
    seccomp.program.cache_clear()
    assert seccomp.program(wanted) == first
    assert len(first) % seccomp.INSTRUCTION == 0
    assert 0 < len(first) // seccomp.INSTRUCTION <= LONGEST


def test_without_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "seccomp", None)
    seccomp.program.cache_clear()
    with pytest.raises(HostError) as caught:
        seccomp.program(POLICY)
    assert caught.value.status is ExitStatus.HOST
    assert seccomp.PACKAGE in caught.value.message
    assert f"apt install {seccomp.PACKAGE}" in caught.value.hint
    assert "--no-seccomp" in caught.value.hint
