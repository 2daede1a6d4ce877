"""Attacks on what is published and signed: packages of testpkgs, which tamper with what they have built."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from field import Attack, Field, Scene, Stage
from stages import both, is_setuid

ENTRY = re.compile(r"^ ([0-9a-f]{64}) (\d+) (\S+)$", re.M)
Judge = Callable[[Path], bool]


def published(bad: Judge) -> Stage:
    """``bad`` looks at each name beside the tree that is new."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        before = set(where.parent.iterdir())
        yield Scene(lambda _: any(bad(path) for path in set(where.parent.iterdir()) - before))

    return stage


def named(pattern: str) -> Stage:
    """Nothing of that name must be beside the tree."""
    return published(lambda path: re.fullmatch(pattern, path.name) is not None)


def changes(bad: Callable[[str, Path], bool]) -> Stage:
    """``bad`` looks at the text of each .changes that a signer would take."""
    return published(lambda path: path.suffix == ".changes" and bad(path.read_text(), path.parent))


def is_link(path: Path) -> bool:
    """Logs have a link of the builder's own."""
    return path.is_symlink() and path.suffix != ".build"


def is_no_file(path: Path) -> bool:
    """What stops or leads astray whoever opens it."""
    return not stat.S_ISREG(path.stat().st_mode)


def contradicts(text: str, parent: Path) -> bool:
    """A file is not what the .changes says of it."""
    for digest, size, name in ENTRY.findall(text):
        path = parent / name
        if not path.is_file() or path.stat().st_size != int(size):
            return True
        if sha256(path.read_bytes()).hexdigest() != digest:
            return True
    return False


def leads_out(text: str, _: Path) -> bool:
    """A name has a directory, which upload tools would follow."""
    return "/" in " ".join(name for _, _, name in ENTRY.findall(text))


def sections_differ(text: str, _: Path) -> bool:
    """A file is not in all sections of sums."""
    lines = [set(re.findall(r"^ [0-9a-f]{%d} .*?(\S+)$" % size, text, re.M)) for size in (32, 40, 64)]  # noqa: UP031
    return not lines[0] == lines[1] == lines[2]


def says(field: str) -> Callable[[str, Path], bool]:
    """The .changes has a line."""
    return lambda text, _: re.search(field, text, re.M) is not None


def removes(place: str) -> Stage:
    """What the attack leaves in a place of everybody's."""

    @contextmanager
    def stage(where: Field) -> Iterator[Scene]:
        try:
            yield Scene(lambda _: os.path.lexists(place))
        finally:
            Path(place).unlink(missing_ok=True)

    return stage


@contextmanager
def result_later(where: Field) -> Iterator[Scene]:
    """A result that is there already, and a program outside that changes it when the build has ended."""
    receiver = Path(where.fill("@TMP@/s"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(receiver))
        listener.listen()
        listener.setblocking(False)

        def changed(_: str) -> bool:
            try:
                connection = listener.accept()[0]
            except BlockingIOError:
                return False
            with connection:
                _, descriptors, _, _ = socket.recv_fds(connection, 10, 1)
                (descriptor,) = descriptors
                os.write(descriptor, b"INERT")
                os.close(descriptor)
            return any(b"INERT" in path.read_bytes() for path in where.parent.glob("*.deb"))

        yield Scene(changed)


RESULTS = [
    Attack(
        "link",
        "replaces its package by a link to a file of the host",
        published(is_link),
        package="hostile-symlink",
        telling=True,
    ),
    Attack(
        "link for .changes",
        "replaces its .changes by a link",
        published(is_link),
        package="hostile-changes-link",
    ),
    Attack("FIFO as result", "replaces its package by a FIFO", published(is_no_file), package="hostile-fifo"),
    Attack(
        "directory as result",
        "replaces its package by a directory",
        published(is_no_file),
        package="hostile-directory",
    ),
    Attack(
        "second name",
        "keeps a second name of its package, by which it can be changed later",
        published(lambda path: path.stat().st_nlink > 1 and path.is_file()),
        package="hostile-hard-link",
    ),
    Attack(
        "terabyte",
        "makes its package a terabyte of nothing",
        published(lambda path: path.stat().st_size > 1 << 39),
        package="hostile-sparse",
        not_by_sbuild="to copy a terabyte of nothing would fill the disk",
    ),
    Attack(
        "other contents",
        "changes its package after its sums were taken",
        changes(contradicts),
        package="hostile-wrong-sum",
        telling=True,
    ),
    Attack("other size", "makes its package longer", changes(contradicts), package="hostile-wrong-size"),
    Attack("missing", "removes its package", changes(contradicts), package="hostile-missing"),
    Attack(
        "name with a directory",
        "names a file outside in its .changes",
        both(removes("/tmp/hostile-traversal_1_all.deb"), changes(leads_out)),
        package="hostile-traversal",
        telling=True,
    ),
    Attack(
        "absolute name", "names /etc/passwd in its .changes", changes(leads_out), package="hostile-absolute"
    ),
    Attack(
        "one section",
        "lists a file in one of three sections of sums",
        changes(sections_differ),
        package="hostile-one-section",
    ),
    Attack(
        "other source",
        "says that it is sudo",
        changes(says("^Source: sudo$")),
        package="hostile-other-source",
    ),
    Attack(
        "other version",
        "says that it is version 99",
        changes(says("^Version: 99$")),
        package="hostile-other-version",
    ),
    Attack(
        "second paragraph",
        "adds a second paragraph to its .changes",
        changes(says(r"\n\nFormat:")),
        package="hostile-two-paragraphs",
    ),
    Attack(
        "signed already",
        "puts a signature around its .changes, so that a signer leaves it as it is",
        changes(says("^-----BEGIN PGP SIGNATURE")),
        package="hostile-signed",
        telling=True,
    ),
    Attack(
        "dotfile",
        "has a hidden file among its results, which tools of the developer would read",
        named(r"\..*"),
        package="hostile-dotfile",
    ),
    Attack("option", "names a result like an option", named(r"-.*"), package="hostile-option"),
    Attack("makefile", "has a Makefile among its results", named("Makefile"), package="hostile-makefile"),
    Attack(
        "foreign package",
        "builds a package that its source does not have",
        published(lambda path: path.suffix == ".deb" and not path.name.startswith("hostile-")),
        package="hostile-foreign-package",
        telling=True,
    ),
    Attack(
        "setuid result",
        "leaves a setuid program of the developer among its results",
        published(is_setuid),
        script="cp /usr/bin/true ../tiny_1_all.bin; chmod 4755 ../tiny_1_all.bin",
        target="during",
    ),
    Attack(
        "open result",
        "sends an open descriptor of its package to a program outside, which writes to it after the build",
        result_later,
        python="""
import os, socket
s = socket.socket(socket.AF_UNIX)
out = os.open("../early_1_all.deb", os.O_WRONLY | os.O_CREAT)
s.connect("@TMP@/s")
socket.send_fds(s, [b"x"], [out])
""",
    ),
]
