"""Where an attack happens: a tree with a developer's things around it, and ways to start programs in it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from support import PATIENCE, PYTHON, ROOT, Desk, Rules, discard, make_tree

CLASSIC = Path(__file__).with_name("classic")
#: What a program writes before all else. It has it in parts only, so that who shows the program without
#: running it, such as make or an error, does not write it as well.
_RAN = "RAN-@RUN@"
_SAYS_IN_SHELL = "printf 'RAN-%s\\n' @RUN@\n"
_SAYS_IN_PYTHON = "print('RAN', '@RUN@', sep='-', flush=True)\n"
#: What a package has done before it comes to this, by its debian/rules, is its attack.
_PACKED = "dpkg-deb: building package"
PACKAGES = ROOT / "testpkgs"
#: Neither pytest's directories nor /tmp, which the classic script shows inside as a whole.
SHELTER = Path("/var/tmp")


class Way(Enum):
    """How the attacker's program is started."""

    #: without any sandbox
    BARE = "no sandbox"
    CLASSIC = "classic script"
    BWBUILD = "bwbuild"
    #: part of a build in a chroot, from the tarball that the name CHROOT of the field says
    SBUILD = "sbuild"


class NotRun(Exception):  # noqa: N818 - it is said of the way, not of the attack
    """The way never came to the program, so the attack was not tried; the end of what the way wrote."""


@dataclass(frozen=True, slots=True)
class Field(Desk):
    """One attack's directories; all of them go with it."""

    #: the developer's habit that exposes most: the tree is right in the home directory
    in_home: bool = False
    #: what programs and stages name with ``@NAME@``
    names: dict[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> Path:
        """The directory of the tree."""
        return self.home if self.in_home else self.home / "deb"

    @property
    def public(self) -> Path:
        """A directory of the user in the machine's /tmp, as other programs have one there."""
        return Path(self.names["TMP"])

    def fill(self, text: str) -> str:
        """``text`` with the places of this field for ``@NAME@``."""
        for name, value in self.names.items():
            text = text.replace(f"@{name}@", value)
        return text

    def at(self, place: str) -> Path:
        """A place as an attack spells it; its directory is made."""
        path = Path(self.fill(place))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True, slots=True)
class Scene:
    """What a stage has set up: who decides afterwards, and what the program is started with."""

    #: whether the attack did what it wanted, by the host's state; it gets what the program wrote
    succeeded: Callable[[str], bool]
    #: for Popen, such as descriptors
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    #: what is put before the command
    prefix: tuple[str, ...] = ()
    #: what was written, also where ``options`` lead it elsewhere; it gets what came to the test
    wrote: Callable[[str], str] = lambda written: written


Stage = Callable[[Field], AbstractContextManager[Scene]]


@dataclass(frozen=True, slots=True)
class Attack:
    """A small program, given to every way as it is, and what tells whether it did its harm.

    Exactly one of ``script``, ``python`` and ``package`` is there.
    """

    name: str
    #: for the table: "The build ..."
    what: str
    stage: Stage
    script: str = ""
    python: str = ""
    #: a package of testpkgs, built as it is
    package: str = ""
    #: shell run in the same tree a second time, by the same way
    again: str = ""
    #: part of which target of debian/rules it is, in place of a command of its own
    target: str = ""
    in_home: bool = False
    #: why the classic script stops it too; it is then shown without any sandbox that the attack is one
    why_not: str = ""
    #: why bwbuild does not stop it yet
    gap: str = ""
    #: why nobody should have sbuild run it
    not_by_sbuild: str = ""
    #: whether README shows it
    telling: bool = False

    @property
    def shown(self) -> Way:
        """The way by which the attack must succeed: one that never does proves nothing."""
        return Way.BARE if self.why_not else Way.CLASSIC


@contextmanager
def fields() -> Iterator[Callable[..., AbstractContextManager[Field]]]:
    """A maker of fields that share a cache; what was made is removed at the end."""
    top = Path(tempfile.mkdtemp(prefix="bwbuild-attack.", dir=SHELTER))

    @contextmanager
    def make(*, in_home: bool = False, program: Path = ROOT) -> Iterator[Field]:
        own = Path(tempfile.mkdtemp(prefix="", dir=top))
        public = Path(tempfile.mkdtemp(prefix="bwbuild-attack.", dir="/tmp"))
        found = Field(own, program=program, in_home=in_home, names={"TOP": str(own), "TMP": str(public)})
        found.names.update(KEY=secrets.token_hex(16), RUN=secrets.token_hex(16))
        found.names.update(HOME=str(found.home), PARENT=str(found.parent), TREE=str(found.tree))
        found.parent.mkdir(parents=True)
        try:
            yield found
        finally:
            discard(found.scratch)
            for path in (own, public):
                _remove(path)

    try:
        yield make
    finally:
        discard(top / "cache")
        _remove(top)


def _remove(path: Path) -> None:
    """Attacks leave directories that can't be entered."""
    subprocess.run(["chmod", "-R", "u+rwX", path], stderr=subprocess.DEVNULL, check=False)
    shutil.rmtree(path)


def attacked(attack: Attack, way: Way, where: Field) -> bool:
    """Whether ``attack`` succeeds when it is run by ``way``.

    :raises NotRun: it was never run, so that its failure says nothing.
    """
    is_build = bool(attack.target or attack.package) or way is Way.SBUILD
    if attack.package:
        shutil.copytree(PACKAGES / attack.package / "tree", where.tree, symlinks=True)
    else:
        make_tree(where.tree, _rules(attack) if is_build else Rules())
    with attack.stage(where) as scene:
        if is_build:
            _write(attack, where)
            argv = _build_words(way, attack, where)
        else:
            argv = _command_words(way, _words(attack, where))
        runs = [_start(where, argv, scene)]
        if attack.again and way is not Way.SBUILD:
            words = ("sh", "-c", where.fill(_SAYS_IN_SHELL + attack.again))
            runs.append(_start(where, _command_words(way, words), scene))
        if scene.succeeded(runs[-1]):
            return True
        proof = _PACKED if attack.package else where.fill(_RAN)
        for written in runs:
            seen = scene.wrote(written)
            if proof not in seen and not (is_build and proof in _logged(where)):
                raise NotRun((written or seen)[-4000:])
        return False


def _logged(where: Field) -> str:
    """What logs beside the tree have of a build, which shows only the end of it elsewhere."""
    logs = (path for path in where.parent.glob("*.build") if path.is_file())
    return "".join(path.read_text("utf-8", "surrogateescape") for path in logs)


def _program(attack: Attack, where: Field) -> str:
    says = _SAYS_IN_PYTHON if attack.python else _SAYS_IN_SHELL
    return where.fill(says + (attack.python or attack.script))


def _words(attack: Attack, where: Field) -> tuple[str, ...]:
    return (PYTHON if attack.python else "sh", "-c", _program(attack, where))


def _line(attack: Attack) -> str:
    return f"{'python3' if attack.python else 'sh'} debian/attack || true"


def _rules(attack: Attack) -> Rules:
    return Rules() if attack.target == "clean" else Rules(during=_line(attack))


def _write(attack: Attack, where: Field) -> None:
    """The program as a file of the tree, and its line in a target for which the tiny package has no place."""
    if attack.package:
        return
    (where.tree / "debian" / "attack").write_text(_program(attack, where))
    if attack.target == "clean":
        rules = where.tree / "debian" / "rules"
        rules.write_text(rules.read_text() + f"\t{_line(attack)}\n")


def _command_words(way: Way, words: tuple[str, ...]) -> list[str]:
    before: dict[Way, tuple[str, ...]] = {
        Way.BARE: (),
        Way.CLASSIC: (str(CLASSIC),),
        Way.BWBUILD: (PYTHON, "-m", "bwbuild", "run", "--"),
    }
    return [*before[way], *words]


def _build_words(way: Way, attack: Attack, where: Field) -> list[str]:
    kind = "-F" if attack.target == "clean" else "-b"
    if way is Way.BWBUILD:
        return [PYTHON, "-m", "bwbuild", kind, "--no-sign", "--keep", "never"]
    if way is Way.SBUILD:
        options = ("lintian", "piuparts", "autopkgtest")
        chroot = ("--chroot-mode=unshare", f"--chroot={where.names['CHROOT']}", "--dist=unstable", "--nolog")
        less = ("--no-apt-update", "--no-apt-upgrade", "--no-apt-distupgrade", "--arch-all")
        return ["sbuild", *chroot, *less, *(f"--no-run-{name}" for name in options)]
    before = (str(CLASSIC),) if way is Way.CLASSIC else ()
    return [*before, "dpkg-buildpackage", "-us", "-uc", "-d", kind]


def _start(where: Field, argv: list[str], scene: Scene) -> str:
    """Run it to its end and return what it wrote: attacks may fail, only the host's state counts."""
    own = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(
        [*scene.prefix, *argv],
        cwd=where.tree,
        env=where.environment | {"USER": "dev"} | dict(scene.environment),
        **{**own, **scene.options},
    )
    # What makes a system for each build takes its time.
    patience = PATIENCE * 5 if argv[0] == "sbuild" else PATIENCE
    try:
        written, _ = process.communicate(timeout=patience)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return (written or b"").decode("utf-8", "surrogateescape")


def same_user_files(top: Path) -> list[Path]:
    """All files below ``top`` that this user can find."""
    return [Path(directory, name) for directory, _, names in os.walk(top) for name in names]
