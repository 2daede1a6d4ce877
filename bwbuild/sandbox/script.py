"""Lowering of a sandbox to one shell script: what bwbuild runs is what ``--dry-run`` prints.

The script has two halves. The first runs as the caller: it lays out the scratch directory and enters a user
and mount namespace. The second, ``namespace``, is root there: it mounts overlays and starts bwrap. Four
variables come from bwbuild and are unset by hand:

* ``BWBUILD_SCRATCH``: the scratch directory; by hand a new one is made.
* ``BWBUILD_PARENT``: the process id of bwbuild; if it is gone already, nothing starts.
* ``BWBUILD_STATUS``: the file descriptor for bwrap's ``--json-status-fd``.
* ``BWBUILD_TIE``: the one that ends all when bwbuild is killed, see :mod:`bwbuild.tether`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bwbuild.sandbox import bwrap, guard, handing, network, overlays, pinned, traced
from bwbuild.sandbox.overlays import OVERLAY_OPTIONS
from bwbuild.sandbox.parcel import File, parcel
from bwbuild.sandbox.spec import (
    Given,
    Identity,
    IdentityKind,
    Layering,
    Network,
    Sandbox,
    Saved,
    Scratch,
    Variable,
)

#: What all builds see as the number of the machine's start, which would tell machines apart.
_BOOT_ID = "8b5a3a54-3c59-4f0c-9d0e-4f2c1d6e7a90"

#: The file system in memory for the upper layer of a workspace that could be on disk too.
_MEMORY = "ns/memory"

_COPY = """\
if ! [ -e started ]; then
  mkdir tree
  (cd {tree} && find . -mindepth 1 -maxdepth 1 {skip} \\
    -exec cp -a --no-preserve=ownership -t "$BWBUILD_SCRATCH/tree" -- {{}} +)
fi
"""

# No link that an earlier build left in the layer is followed. The time of the last change counts, which
# nobody can set back, not that of the content.
_UPPER = """\
if [ -e {marker} ]; then
  # The last build's layer goes on; what was changed in the tree since then shows through again.
  (cd ns/tree.lower && find . -cnewer ../../started -type f -print0) | perl -0ne '
    chomp;
    my (undef, @directories) = split m{{/}};
    my ($name, $place) = (pop @directories, "{upper}");
    for (@directories) {{
      $place .= "/$_";
      if (!lstat($place) || !-d _) {{ $name = ""; last }}
    }}
    unlink("$place/$name") if $name ne "" && lstat("$place/$name") && !-d _;'
fi
"""


def launcher(sandbox: Sandbox, etc_files: Mapping[str, str], title: str) -> str:
    """The whole script.

    :param etc_files: what lies over the host's /etc: name -> content.
    :param title: one line that says what it is for.
    """
    lines = [
        "#!/bin/sh",
        f"# {_comment(title)}",
        "# Made by bwbuild; it does the same when run by hand: the results are then in the directory",
        "# that it names first, and stay there.",
        "set -eu",
        "umask 022",
        'if [ -z "${BWBUILD_SCRATCH-}" ]; then',
        '  BWBUILD_SCRATCH=$(mktemp -d "${TMPDIR:-/var/tmp}/bwbuild.XXXXXX")',
        '  echo "scratch directory: $BWBUILD_SCRATCH (results in parent/)" >&2',
        "fi",
        "export BWBUILD_SCRATCH",
        'cd "$BWBUILD_SCRATCH"',
        "mkdir -p inside etc ns parent",
        *guard.described(sandbox.restraints.filters),
        *parcel(*_files(sandbox, etc_files)),
        *_lay_out(sandbox),
        *enter(sandbox.identity, offline=sandbox.own_sys and sandbox.network is None),
    ]
    return "\n".join(lines) + "\n"


def _files(sandbox: Sandbox, etc_files: Mapping[str, str]) -> Iterator[File]:
    for name, text in inside_files().items():
        yield File(f"inside/{name}", text, 0o755)
    yield File("inside/boot-id", _BOOT_ID)
    if sandbox.workspace.changelog is not None:
        yield File("inside/changelog", sandbox.workspace.changelog)
    for name, text in sorted(etc_files.items()):
        yield File(f"etc/{name}", text)
    yield from guard.files(sandbox.restraints.filters)
    yield from network.files(sandbox.network, _begin(sandbox), _namespace(sandbox))


def inside_files() -> dict[str, str]:
    """The helpers that run inside: name -> text."""
    directory = Path(__file__).with_name("inside")
    names = ("as-root", "broker", "init", "with-changelog")
    return {name: (directory / name).read_text(encoding="utf-8") for name in names}


def entry(identity: Identity, *, offline: bool = False) -> tuple[str, ...]:
    """The words that make the user and mount namespace of ``identity`` and run a command as its root.

    A caller who is root must write the id map himself besides; see :func:`enter`.

    :param offline: with a network namespace: only who has one may mount sysfs, which then shows its cards.
    """
    words = ["unshare", "--user", "--keep-caps", "--mount", "--propagation", "private"]
    if offline:
        words.append("--net")
    if identity.kind is IdentityKind.SINGLE:
        return (*words, "--map-root-user", "setpriv", "--pdeathsig", "KILL", "--")
    if identity.outer_first is None:
        words += [f"--map-user={identity.uid}", f"--map-group={identity.gid}", "--map-auto"]
    # Supplementary groups stay until init clears them: the path to the tree may need one.
    groups = "--clear-groups" if identity.outer_first is not None else "--keep-groups"
    return (*words, "setpriv", "--reuid=0", "--regid=0", groups, "--pdeathsig", "KILL", "--")


def in_namespace(
    identity: Identity, lines: Iterable[str], leading: Network | None = None, files: Iterable[File] = ()
) -> str:
    """A shell script that runs ``lines`` in the current directory as root of a namespace of ``identity``.

    :param leading: leads to other machines, out of a network namespace that the lines then have.
    :param files: lie in the directory then.
    """
    own = [] if identity.outer_first is None else [f"chown {identity.outer_first}:{identity.outer_first} ."]
    # Root inside need not be the one who wrote the script that he reads.
    first = ("set -eu", "mkdir -p ns; mount -t tmpfs -o mode=755 bwbuild ns")
    all_files = (*files, *network.files(leading, first if leading else first[:1], lines))
    return "\n".join(["set -eu", "umask 022", *parcel(*all_files), *own, *enter(identity)]) + "\n"


def _lay_out(sandbox: Sandbox) -> Iterator[str]:
    workspace, identity = sandbox.workspace, sandbox.identity
    if workspace.layering is Layering.NONE:
        if identity.outer_first is not None:
            yield f"chown {identity.outer_first}:{identity.outer_first} . ns etc"
        return
    tree = shlex.quote(str(workspace.tree))
    if workspace.layering is Layering.COPY:
        skip = " ".join(f"! -name {name}" for name in workspace.hidden)
        yield _COPY.format(tree=tree, skip=skip).rstrip("\n")
    elif workspace.layering is Layering.OVERLAY:
        yield f"[ -d upper ] || {{ mkdir upper work parent.work; chmod --reference={tree} upper; }}"
    # The tree is mounted there; a link that an earlier build left would lead the mount elsewhere.
    point = shlex.quote(f"parent/{workspace.inside.name}")
    yield f"if [ -L {point} ]; then rm {point}; fi; mkdir -p {point}"
    if workspace.changelog is not None:
        yield f"cat -- {tree}/debian/changelog >> inside/changelog"
    for file in workspace.beside:
        # What an earlier build left under that name may be a link, which nothing may be written through.
        copy = "cp --remove-destination --reflink=auto --preserve=mode,timestamps"
        yield f"{copy} -- {shlex.quote(str(file))} parent/"
    if identity.outer_first is not None:
        root, user = identity.outer_first, identity.outer_first + identity.uid
        yield f"chown {root}:{root} . ns etc"
        places = "tree parent" if workspace.layering is Layering.COPY else "upper work parent"
        yield f"chown -hR {user}:{user} {places}"


def enter(identity: Identity, *, offline: bool = False) -> Iterator[str]:
    """The lines of a shell script that run ``namespace`` of the current directory as root there."""
    command = shlex.join(entry(identity, offline=offline)) + " sh namespace"
    if identity.outer_first is None:
        # The helper that unshare starts for --map-auto waits for ever when there is no namespace then.
        yield "unshare --user --mount true"
        yield f"exec {command}"
        return
    # Only root may map ids that are nobody's, by writing the map of a process in the new namespace. Neither
    # side may wait for one that is gone: the writer reads nothing when unshare fails and then ends.
    block = f"0 {identity.outer_first} {identity.count}"
    gids, uids = (f'echo "{block}" > "/proc/$pid/{name}_map"' for name in ("gid", "uid"))
    unshare, _, then = command.partition(" setpriv ")
    yield "rm -f unmapped mapped; mkfifo unmapped mapped; exec 8<> mapped"
    yield f"{{ read -r pid && {{ {gids} && {uids}"
    yield "  echo $? >&8; }; } < unmapped &"
    yield "exec 9> unmapped"
    wait = 'echo $$ >&9; exec 9>&-; read -r failed <&8; exec 8<&-; [ "$failed" = 0 ] || exit 125'
    yield f"exec {unshare} sh -c {shlex.quote(f'{wait}; exec setpriv {then}')}"


def _begin(sandbox: Sandbox) -> Iterator[str]:
    yield "# Root of a user and mount namespace of its own from here on."
    yield "set -eu"
    # The signal for a dead parent is in force now; a parent that died before never sends it.
    yield '[ -z "${BWBUILD_PARENT-}" ] || [ "$PPID" = "$BWBUILD_PARENT" ] || exit 125'
    yield 'cd "$BWBUILD_SCRATCH"'
    yield f"mount -t tmpfs -o mode=755{_size(sandbox.ceilings.layer)} bwbuild ns"


def _namespace(sandbox: Sandbox) -> Iterator[str]:
    # From here no mount inside tells where the scratch directory is.
    yield "cp -r inside ns/inside"
    yield f"mkdir {' '.join(_directories(sandbox))}"
    yield overlays.HIDE
    for given in sandbox.given:
        yield from _given(given)
    for overlay in sandbox.overlays:
        yield from overlays.lines(overlay)
    yield from _tree(sandbox)
    for handed in sandbox.handed:
        yield from handing.lines(handed, sandbox.identity)
    yield from pinned.lines(sandbox.mounts)
    if sandbox.own_sys:
        # As the machine's own may be: a mount with more rights than that is refused.
        yield "mount -t sysfs -o ro,nosuid,nodev,noexec bwbuild ns/sys"
    yield from guard.lowered(sandbox.restraints, sandbox.ceilings)
    yield ": > started"
    yield f'if [ -n "${{BWBUILD_STATUS-}}" ]; then set -- --json-status-fd "$BWBUILD_STATUS" {guard.TIED}; fi'
    saved = sandbox.workspace.saved
    memory = sandbox.workspace.memory is not None
    ends = not memory and (sandbox.workspace.layering is not Layering.MEMORY or saved is Saved.NEVER)
    yield from _bwrap_command(sandbox, ends=ends)
    if ends:
        return
    # The layer dies with the namespace; a copy of it is what a later build or shell can go on with.
    if memory:
        yield f'stat -f -c "%b %f %S" {_MEMORY} > used'
    if saved is Saved.NEVER:
        yield 'exit "$status"'
        return
    if saved is Saved.FAILURE:
        yield '[ "$status" != 0 ] || exit 0'
    if memory:
        yield f"cp -a {_MEMORY}/upper upper.new; rmdir upper; mv upper.new upper"
    else:
        yield "tar --xattrs --xattrs-include='user.*' -C ns/upper -cf upper.tar.new ."
        yield "mv upper.tar.new upper.tar"
    yield 'exit "$status"'


def _directories(sandbox: Sandbox) -> Iterator[str]:
    """All of ``ns`` at once: to start a program for each would take longer."""
    yield from (f"ns/{given.name}" for given in sandbox.given)
    for overlay in sandbox.overlays:
        yield from overlays.directories(overlay)
    workspace = sandbox.workspace
    if workspace.layering in (Layering.OVERLAY, Layering.MEMORY):
        yield from ("ns/tree", "ns/tree.over", "ns/tree.lower")
    if workspace.layering is Layering.OVERLAY:
        yield from ("ns/empty", "ns/parent")
    if workspace.layering is Layering.MEMORY:
        yield from ("ns/upper", "ns/work")
    if workspace.memory is not None:
        yield _MEMORY
    if sandbox.own_sys:
        yield "ns/sys"


def _size(size: int | None) -> str:
    return "" if size is None else f",size={size}"


def _given(given: Given) -> Iterator[str]:
    place = shlex.quote(str(given.path))
    gone = shlex.quote(f"{given.path} is gone or not whole; bwbuild --dry-run makes it again")
    yield f"[ -e {place}/{given.proof} ] || {{ echo {gone} >&2; exit 1; }}"
    # Under a name of its own: the options of an overlay, which everybody inside can read, say where it lies.
    yield f"mount --bind -- {place} ns/{given.name}"


def _tree(sandbox: Sandbox) -> Iterator[str]:
    workspace = sandbox.workspace
    if workspace.layering not in (Layering.OVERLAY, Layering.MEMORY):
        return
    # Bound to a fixed name first: an overlay's options can't carry every name that a tree may have.
    yield f"mount --rbind -- {shlex.quote(str(workspace.tree))} ns/tree.lower"
    if workspace.hidden:
        yield overlays.hide("ns/tree.lower", "ns/tree.over", workspace.hidden)
    place = ""
    marker = "started"
    if workspace.memory is not None:
        place = f"{_MEMORY}/"
        yield f"mount -t tmpfs -o mode=755{_size(workspace.memory)} bwbuild {_MEMORY}"
        yield f"mkdir {place}upper {place}work"
        yield f"chown {sandbox.identity.uid}:{sandbox.identity.gid} {place}upper {place}work"
        yield f"chmod --reference=ns/tree.lower {place}upper"
    if workspace.layering is Layering.MEMORY:
        place, marker = "ns/", "upper.tar"
        yield f"chown {sandbox.identity.uid}:{sandbox.identity.gid} ns/upper"
        yield "chmod --reference=ns/tree.lower ns/upper"
        yield "[ ! -e upper.tar ] || tar --xattrs --xattrs-include='user.*' -C ns/upper -xpf upper.tar"
    if workspace.memory is None:
        yield _UPPER.format(marker=marker, upper=f"{place}upper").rstrip("\n")
    if workspace.layering is Layering.OVERLAY:
        # A bind would show where the scratch directory is; an overlay shows the names that it was given.
        layers = "lowerdir=ns/empty,upperdir=parent,workdir=parent.work"
        yield f"mount -t overlay -o {OVERLAY_OPTIONS},{layers} bwbuild ns/parent"
    layers = f"lowerdir=ns/tree.over:ns/tree.lower,upperdir={place}upper,workdir={place}work"
    yield f"mount -t overlay -o {OVERLAY_OPTIONS},{layers} bwbuild ns/tree"


def _bwrap_command(sandbox: Sandbox, *, ends: bool) -> Iterator[str]:
    """The options of bwrap in a file, one and its values to a line, and the command that reads them.

    Processes inside can read the command line and the environment of bwrap: neither names a path of the host.
    """
    words = bwrap.argv(sandbox)
    end = words.index("--")
    lines: list[list[str]] = [["printf '%s\\0'"]]
    for word in words[:end]:
        quoted = _quoted(word)
        if isinstance(word, str) and word.startswith("--"):
            lines.append([])
        lines[-1].append(quoted)
    yield " \\\n  ".join(" ".join(line) for line in [*lines, ["> options"]])
    command = shlex.join(str(word) for word in words[end:])
    start = f'{guard.start(sandbox.restraints, sandbox.ceilings)} "$@" --args 3 {command} 3< options'
    start += guard.opened(sandbox.restraints.filters)
    start += f" {bwrap.TOLD}> told" if sandbox.attended else ""
    if sandbox.traced:
        start = f"{shlex.join(sandbox.traced)} --output={traced.PLACE} {start}"
    if sandbox.traced and sandbox.network is not None:
        # strace waits for all children of its process, and what leads to the network would be one.
        yield "status=0"
        yield f"setpriv --pdeathsig KILL {start} || status=$?"
        yield from ('exit "$status"',) if ends else ()
    elif ends:
        yield f"exec {start}"
    else:
        yield "status=0"
        yield f"{start} || status=$?"


def _quoted(word: bwrap.Word | Variable) -> str:
    if isinstance(word, Variable):
        return f'"${{{word.name}-}}"'
    return f'"$BWBUILD_SCRATCH"/{word.name}' if isinstance(word, Scratch) else shlex.quote(word)


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
