"""Values that the unit tests of plan and sandbox begin with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bwbuild.build.plan import Inputs, Plan, make_plan
from bwbuild.config.settings import Settings
from bwbuild.deb import buildoptions
from bwbuild.deb.source import Source
from bwbuild.host.facts import Caller, Host, Processors
from bwbuild.host.memory import Memory

RANGES = (range(100000, 165536),)
CALLER = Caller(1500, 1500, "joe", RANGES, RANGES)
ALONE = Caller(1500, 1500, "joe")
SUPERUSER = Caller(0, 0, "root")

ACCOUNTS = (
    "root:x:0:0:root:/root:/bin/bash\ngames:x:5:60:games:/usr/games:/bin/false\n"
    "joe:x:1500:1500:Joe:/home/joe:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
)

HOST = Host(
    caller=CALLER,
    architecture="amd64",
    kernel=(6, 1),
    root_names={"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"},
    has_usr_local=True,
    mount_points=frozenset({"/", "/proc", "/sys", "/dev"}),
    passwd=ACCOUNTS,
    group="root:x:0:\ngames:x:60:joe\njoe:x:1500:\nnogroup:x:65534:\n",
    mapped_ids=(range(4294967295),),
    taken_ids=(range(1), range(1500, 1501), *RANGES),
    memory=Memory(16 << 30, 12 << 30),
    processors=Processors(8, 8),
    files=1 << 20,
    manager=None,
)

SOURCE = Source(
    tree=Path("/home/joe/work/tiny"),
    name="tiny",
    version="2:1.0-1",
    distribution="unstable",
    changed_by="Joe <joe@example.org>",
    format="3.0 (quilt)",
    binaries=("tiny",),
)


def inputs(
    *options: str, caller: Caller = CALLER, tree: str | bytes = "/home/joe/work/tiny", **more: Any
) -> Inputs:
    """What was read for a tree; fields of Settings and of Inputs may be given by name."""
    of_settings = {name: more.pop(name) for name in list(more) if name in Settings.__slots__}
    made = Inputs(
        settings=Settings(**of_settings),
        source=replace(SOURCE, tree=Path(os.fsdecode(tree))),
        host=replace(HOST, caller=caller),
        caller_environment={"HOME": "/home/joe", "SECRET": "x"},
        options=buildoptions.parse(options),
        scratch_type="ext4",
        home=Path("/home/joe"),
    )
    return replace(made, **more)


def plan(*options: str, **more: Any) -> Plan:
    """The plan for :func:`inputs`."""
    return make_plan(inputs(*options, **more))


def pairs(words: Mapping[str, str]) -> list[tuple[str, str]]:
    """A mapping as pairs, in its order."""
    return list(words.items())
