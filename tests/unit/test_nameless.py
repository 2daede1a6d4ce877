"""What processes hold that has no name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bwbuild.build.watch import nameless
from bwbuild.build.watch.nameless import Answer, Held, Nameless, asked, memory_device, read_answer

MIB = 1 << 20
TABLE = """\
       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap
         0          0   600             104857600    75    75      0  1007  1007  1007  1007 1796155277 1796155278 1796155277                  8192                  4096
         0          1   600             104857600    75    75      0  1007  1007  1007  1007 1796155277 1796155278 1796155277                     1                     0

"""  # noqa: E501


class Machine:
    """One on which ``shared`` bytes are in shared memory, and that answers ``answer``."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.shared = 0
        self.answer = answer
        self.questions: list[Sequence[int]] = []

    def ask(self, _first: int, others: Sequence[int]) -> Answer | None:
        self.questions.append(others)
        return self.answer

    def watch(self) -> Nameless:
        return Nameless(self.ask, lambda: self.shared)


@pytest.fixture
def memfd() -> int:
    descriptor = os.memfd_create("x")
    os.write(descriptor, bytes(3 * MIB))
    return descriptor


def test_files_of_memory_alone_count_once(memfd: int) -> None:
    before = Machine().watch().look(os.getpid(), [os.getpid()])
    assert before.memory >= 3 * MIB
    copy = os.dup(memfd)
    try:
        assert Machine().watch().look(os.getpid(), [os.getpid(), os.getpid()]) == before
    finally:
        os.close(copy)
    os.close(memfd)
    after = Machine().watch().look(os.getpid(), [os.getpid()])
    assert before.memory - after.memory == 3 * MIB


def test_unlinked_files(tmp_path: Path) -> None:
    path = tmp_path / "x (deleted)"
    with path.open("wb", buffering=0) as file:
        file.write(os.urandom(MIB))
        os.fsync(file.fileno())
        watching = Machine().watch()
        before = watching.look(os.getpid(), [os.getpid()])
        path.unlink()
        after = watching.look(os.getpid(), [os.getpid()])
        assert after.disk - before.disk >= MIB
        # A file system in memory counts them itself.
        device = os.fstat(file.fileno()).st_dev
        assert watching.look(os.getpid(), [os.getpid()], 0, [device]).disk <= before.disk


def test_millions_are_looked_at_bit_by_bit(memfd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nameless, "AT_ONCE", 5)
    own, watching = os.getpid(), Machine().watch()
    for _ in range(len(list(Path("/proc/self/fd").iterdir()))):
        watching.look(own, [own])
    seen = watching.look(own, [own])
    os.close(memfd)
    assert seen.memory >= 3 * MIB
    for _ in range(len(list(Path("/proc/self/fd").iterdir()))):
        watching.look(own, [own])
    assert watching.held.memory == seen.memory - 3 * MIB


def test_who_is_gone_holds_nothing() -> None:
    assert Machine().watch().look(os.getpid(), [1 << 30]) == Held()


def test_the_namespace_is_asked_when_nobody_knows_whose_shared_memory_is() -> None:
    machine = Machine(Answer(100 * MIB, {(memory_device(), 1): MIB, (1 << 40, 1): 5}))
    watching = machine.watch()
    machine.shared = 10 * MIB
    assert watching.look(7, []) == Held()
    machine.shared = 500 * MIB
    assert watching.look(7, [], named=490 * MIB) == Held()
    assert machine.questions == []
    machine.shared = 600 * MIB
    assert watching.look(7, [], named=490 * MIB) == Held(101 * MIB, 5)
    assert machine.questions == [()]
    # What others gave back meanwhile hides nothing.
    machine.shared = 300 * MIB
    watching.look(7, [])
    machine.shared = 330 * MIB
    watching.ask()
    assert len(machine.questions) == 2


def test_an_answer() -> None:
    assert read_answer(TABLE.rstrip()) == Answer(8192 + 4096 + 1, {})
    assert read_answer(f"{TABLE}66 1234 16\n1 5 8") == Answer(12289, {(66, 1234): 8192, (1, 5): 4096})


def test_what_is_everybodys_is_not_asked_for() -> None:
    assert asked(os.getpid(), []) is None
    assert asked(1 << 30, []) is None
