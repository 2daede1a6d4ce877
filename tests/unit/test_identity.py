from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_plans import ALONE, CALLER, HOST, RANGES, SUPERUSER

from bwbuild.errors import HostError
from bwbuild.host.facts import Caller
from bwbuild.sandbox.identity import BUILD_UID, CONTAINER_IDS, FULL, REDUCED, choose, free_block
from bwbuild.sandbox.spec import Identity, IdentityKind

ALL_IDS = (range(4294967295),)


def test_range_of_a_user() -> None:
    for wanted in (None, IdentityKind.RANGE):
        assert choose(replace(HOST, caller=CALLER), wanted) == Identity(IdentityKind.RANGE, 1500, 1500)


@pytest.mark.parametrize("caller", [CALLER, ALONE, SUPERUSER], ids=["user", "alone", "root"])
def test_single_is_always_to_be_had(caller: Caller) -> None:
    assert choose(replace(HOST, caller=caller), IdentityKind.SINGLE) == Identity(IdentityKind.SINGLE, 0, 0)


@pytest.mark.parametrize(
    "caller", [ALONE, Caller(1500, 1500, "joe", RANGES, ()), Caller(1500, 1500, "joe", (), RANGES)]
)
def test_without_both_kinds_of_ids_there_is_one(caller: Caller) -> None:
    assert choose(replace(HOST, caller=caller), None).kind is IdentityKind.SINGLE
    with pytest.raises(HostError, match="joe has no subordinate ids") as caught:
        choose(replace(HOST, caller=caller), IdentityKind.RANGE)
    # 100000 to 165535 are taken on that machine
    assert caught.value.hint == "echo joe:165536:65536 | sudo tee -a /etc/subuid /etc/subgid"


def test_a_caller_without_a_name_is_called_by_number() -> None:
    with pytest.raises(HostError, match="1234 has no subordinate ids"):
        choose(replace(HOST, caller=Caller(1234, 1234, "")), IdentityKind.RANGE)


def test_root_takes_ids_of_nobody() -> None:
    found = choose(replace(HOST, caller=SUPERUSER), None)
    assert found == Identity(IdentityKind.RANGE, BUILD_UID, BUILD_UID, CONTAINER_IDS[0].start, FULL)
    assert found.outer_first != 0


def test_root_without_a_block_is_never_root_silently() -> None:
    host = replace(HOST, caller=SUPERUSER, mapped_ids=(range(1),))
    for wanted in (None, IdentityKind.RANGE):
        with pytest.raises(HostError, match="root of the sandbox would be root of this machine") as caught:
            choose(host, wanted)
        assert "--identity single" in caught.value.hint


# free_block on maps of all kinds


def test_block_of_a_machine() -> None:
    """None that useradd gives to a user, who may be made while a build runs."""
    # A build of trixie's has no such file, nor useradd; 600100000 is what useradd takes without it.
    settings = Path("/etc/login.defs")
    lines = settings.read_text(encoding="utf-8").splitlines() if settings.exists() else []
    most = [int(line.split()[1]) for line in lines if line.startswith(("SUB_UID_MAX", "SUB_GID_MAX"))]
    found = free_block(ALL_IDS, [])
    assert found is not None
    assert len(found) == FULL
    assert found.start > max([600100000, *most])
    assert found.start % FULL == 0, "as systemd has them"
    # Where there are no such ids, others of containers.
    assert free_block([range(1000000)], []) == range(524288, 524288 + FULL)


def test_block_steps_over_what_is_taken() -> None:
    first = range(CONTAINER_IDS[0].start, CONTAINER_IDS[0].start + FULL)
    assert free_block(ALL_IDS, [first]) == range(first.stop, first.stop + FULL)
    assert free_block(ALL_IDS, [range(first.stop - 1, first.stop + 1)]) == range(
        first.stop + FULL, first.stop + 2 * FULL
    )
    assert free_block(ALL_IDS, [range(first.start, first.start + 10 * FULL)]) == range(
        first.start + 10 * FULL, first.start + 11 * FULL
    )


def test_block_of_a_rootless_container() -> None:
    taken = [range(1), range(1000, 1001), range(65534, 65535)]
    found = free_block([range(65536)], taken)
    assert found == range(65536 - 2 * REDUCED, 65536 - REDUCED), "nobody's 65534 is in the highest block"
    assert free_block([range(65536)], []) == range(65536 - REDUCED, 65536)


@pytest.mark.parametrize("mapped", [[range(1)], [], [range(REDUCED)], [range(1000, 1001)]])
def test_no_block(mapped: list[range]) -> None:
    assert free_block(mapped, []) is None


def test_small_and_odd_maps() -> None:
    # 0 and 1..65536 come as two lines where newuidmap made the map
    assert free_block([range(1), range(1, 65537)], [range(1)]) == range(65537 - REDUCED, 65537)
    for mapped in ([range(70000)], [range(1), range(100000, 165536)], [range(524288, 524289), range(20000)]):
        found = free_block(mapped, [])
        assert found is not None
        assert any(found.start in ids and found[-1] in ids for ids in mapped)
        assert 0 not in found


def test_nothing_of_a_block_is_taken() -> None:
    mapped = [range(65536)]
    taken: list[range] = []
    while (found := free_block(mapped, taken)) is not None:
        assert len(found) == REDUCED
        assert found.start >= REDUCED
        assert not any(set(found) & set(other) for other in taken)
        taken.append(found)
    assert len(taken) == 65536 // REDUCED - 1, "all but the lowest"


def test_a_map_that_ends_within_the_containers_ids() -> None:
    mapped = [range(524288 + FULL + 100)]
    first = range(524288, 524288 + FULL)
    assert free_block(mapped, []) == first
    found = free_block(mapped, [first])
    assert found is not None
    assert len(found) == REDUCED
    assert found[-1] in mapped[0]
