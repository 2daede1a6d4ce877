"""Attacks on the file system, and on the trees and git repositories around."""

from __future__ import annotations

import stat
import tarfile
from pathlib import Path

from field import Attack, Field
from stages import changes, is_setuid, judged, leaves, plants, reads, runs_later

NOT_BOUND = "nothing of it is bound inside"
MARK = "touch @TOP@/marker"
REPOSITORY = "git init -q . && git add -A && git commit -q -m first"


def has_backdoor(where: Field) -> bool:
    """Whether the source package has a file that the tree has not."""
    names: list[str] = []
    for path in where.parent.glob("tiny_1.tar.*"):
        with tarfile.open(path) as tar:
            names += tar.getnames()
    return any(name.endswith("backdoor.h") for name in names)


def cannot_be_entered(path: Path) -> bool:
    """Left behind with a name or mode that tools stumble over."""
    return "\n" in path.name or "\x1b" in path.name or stat.S_IMODE(path.lstat().st_mode) == 0


FILES = [
    Attack(
        "key of the home",
        "reads a private key; the tree is below the home directory",
        reads("@HOME@/.ssh/id_ed25519"),
        script="cat @HOME@/.ssh/id_ed25519 @TREE@/../../.ssh/id_ed25519",
        why_not=NOT_BOUND,
    ),
    Attack(
        "key beside the tree",
        "reads a private key; the tree is right in the home directory",
        reads("@HOME@/.ssh/id_ed25519"),
        script="cat ../.ssh/id_ed25519 @HOME@/.ssh/id_ed25519",
        in_home=True,
        telling=True,
    ),
    Attack(
        "passwords beside the tree",
        "searches the parent directory for passwords",
        reads("@HOME@/.netrc"),
        script="find .. @HOME@ -name .netrc -exec cat {} +",
        in_home=True,
    ),
    Attack(
        "devscripts",
        "writes commands into ~/.devscripts, which debsign runs",
        runs_later(". @HOME@/.devscripts", sources={"@HOME@/.devscripts": "DEBSIGN_KEYID=\n"}),
        script=f"echo '{MARK}' >> @HOME@/.devscripts || echo '{MARK}' >> ../.devscripts",
        in_home=True,
        telling=True,
    ),
    Attack(
        "shell start",
        "writes commands into ~/.profile",
        changes("@HOME@/.profile"),
        script="echo ': inert' >> @HOME@/.profile; echo ': inert' >> ../.profile",
        in_home=True,
    ),
    Attack(
        "compiler flags",
        "sees flags that the developer set in ~/.config, so that the result differs",
        reads("@HOME@/.config/dpkg/buildflags.conf"),
        script="HOME=@HOME@; export HOME; cat ~/.config/dpkg/buildflags.conf; dpkg-buildflags --get CFLAGS",
        in_home=True,
    ),
    Attack(
        "read /tmp",
        "reads a file that another program has in /tmp",
        reads("@TMP@/session"),
        script="cat @TMP@/session",
        telling=True,
    ),
    Attack(
        "write /tmp", "changes such a file", changes("@TMP@/session"), script="echo changed > @TMP@/session"
    ),
    Attack("remove /tmp", "removes such a file", changes("@TMP@/session"), script="rm -f @TMP@/session"),
    Attack(
        "plant in /tmp",
        "leaves a file in /tmp for other programs to find",
        plants("@TMP@/plugin.so"),
        script="mkdir -p @TMP@; touch @TMP@/plugin.so",
    ),
    Attack(
        "link in /tmp",
        "puts a link in /tmp where another program will write",
        plants("@TMP@/output"),
        script="ln -s @HOME@/.profile @TMP@/output",
    ),
    Attack(
        "read /var/tmp",
        "reads a file in /var/tmp",
        reads("@TOP@/session"),
        script="cat @TOP@/session",
        why_not=NOT_BOUND,
    ),
    Attack(
        "read a sibling",
        "reads another source tree beside its own",
        reads("@PARENT@/other-2/src/unpublished.c"),
        script="cat ../other-2/src/unpublished.c",
    ),
    Attack(
        "write a sibling",
        "changes debian/rules of another source tree",
        changes("@PARENT@/other-2/debian/rules"),
        script="echo 'inert:' >> ../other-2/debian/rules",
        telling=True,
    ),
    Attack(
        "files that tools read",
        "leaves .gbp.conf, .envrc, .cargo/config.toml and a Makefile in the parent",
        plants(*(f"@PARENT@/{name}" for name in (".gbp.conf", ".envrc", ".cargo", "Makefile"))),
        script="mkdir ../.cargo; touch ../.gbp.conf ../.envrc ../.cargo/config.toml ../Makefile",
    ),
    Attack(
        "change the tree",
        "changes the source that it is built of",
        changes("@TREE@/input"),
        script="echo changed > input",
    ),
    Attack(
        "source before packing",
        "adds a file in its clean target, before the source package is made",
        judged(has_backdoor),
        script="echo inert > debian/backdoor.h",
        target="clean",
        telling=True,
    ),
    Attack(
        "key in clean",
        "reads a private key in its clean target, which tools run to make a source package",
        reads("@HOME@/.ssh/id_ed25519"),
        script="cat @HOME@/.ssh/id_ed25519",
        target="clean",
        in_home=True,
        telling=True,
    ),
    Attack(
        "next build",
        "makes its tree a link to ~/.ssh, and so the next build's parent the home directory",
        reads("@HOME@/.ssh/id_ed25519"),
        script="cd .. && mv tiny-1 .hidden && ln -s @HOME@/.ssh tiny-1",
        again="cat id_ed25519",
        telling=True,
    ),
    Attack(
        "setuid",
        "leaves a setuid program, with which others become the developer",
        leaves(is_setuid),
        script="for place in . .. @TMP@; do cp /usr/bin/true $place/s; chmod 6755 $place/s; done",
    ),
    Attack(
        "rubbish",
        "leaves names with line breaks and escapes, and files of mode 000",
        leaves(cannot_be_entered),
        script=(
            "n='\n'; e=$(printf '\\033'); touch \"../a${n}b\" \"../a${e}[2Jb\";"
            " touch ../closed; chmod 0 ../closed"
        ),
    ),
    Attack(
        "disk of links",
        "hides 300 directories in one another beside the tree",
        plants("@PARENT@/d"),
        script="cd ..; i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit; i=$((i + 1)); done",
    ),
]

GIT = [
    Attack(
        "git monitor",
        "sets core.fsmonitor in the tree's .git, and the developer types git status",
        runs_later("git status", REPOSITORY),
        script=f"printf '[core]\\n\\tfsmonitor = \"{MARK};false\"\\n' >> .git/config",
        telling=True,
    ),
    Attack(
        "git hook",
        "writes a hook, and the developer commits",
        runs_later("git commit -q --allow-empty -m second", REPOSITORY),
        script=(
            "h=.git/hooks/post-commit; mkdir -p .git/hooks;"
            f" printf '#!/bin/sh\\n{MARK}\\n' > $h; chmod 755 $h"
        ),
        telling=True,
    ),
    Attack(
        "git in the parent",
        "makes a repository of the parent, and the developer types git status in a tree without one",
        runs_later("git status"),
        script=(
            "cd .. && mkdir -p .git/objects .git/refs && echo 'ref: refs/heads/main' > .git/HEAD &&"
            f" printf '[core]\\n\\tfsmonitor = \"{MARK};false\"\\n' > .git/config"
        ),
    ),
    Attack(
        "git in the tree",
        "hides a bare repository in the tree, and the developer types git status in that directory",
        runs_later("mkdir -p testdata/x && cd testdata/x && git status", REPOSITORY),
        script=(
            "mkdir -p testdata/x/objects testdata/x/refs && cd testdata/x &&"
            " echo 'ref: refs/heads/main' > HEAD &&"
            f" printf '[core]\\n\\trepositoryformatversion = 0\\n\\tbare = false\\n\\tworktree = ..\\n'"
            f"'\\tfsmonitor = \"{MARK};false\"\\n' > config"
        ),
    ),
    Attack(
        "git of a sibling",
        "writes a hook into the repository of another tree, and the developer commits there",
        runs_later(
            "cd ../other-2 && git commit -q --allow-empty -m second",
            f"mkdir ../other-2 && cd ../other-2 && echo x > x && {REPOSITORY}",
        ),
        script=(
            "h=../other-2/.git/hooks/pre-commit; mkdir -p ../other-2/.git/hooks;"
            f" printf '#!/bin/sh\\n{MARK}\\n' > $h; chmod 755 $h"
        ),
    ),
    Attack(
        "git of a worktree",
        "turns the tree's .git into a file that names a repository of its own",
        runs_later("git status", REPOSITORY),
        script=(
            "mv .git away; mkdir -p evil/objects evil/refs; echo 'ref: refs/heads/main' > evil/HEAD;"
            f" printf '[core]\\n\\tworktree = ..\\n\\tfsmonitor = \"{MARK};false\"\\n' > evil/config;"
            " echo 'gitdir: ./evil' > .git"
        ),
    ),
    Attack(
        "git filter",
        "has a filter run when the developer adds a file",
        runs_later("git add -A", REPOSITORY),
        script=(
            "echo '* filter=x' > .gitattributes; echo more >> input;"
            f' printf \'[filter "x"]\\n\\tclean = "{MARK};cat"\\n\' >> .git/config'
        ),
    ),
    Attack(
        "unpublished branch",
        "reads what was never published out of the tree's .git",
        reads("@TREE@/.git/refs/heads/unpublished"),
        script="cat .git/refs/heads/unpublished",
    ),
]
