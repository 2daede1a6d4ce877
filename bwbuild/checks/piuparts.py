"""piuparts of a suite: what was built is installed, removed and purged in a copy of the base, offline.

piuparts has a chroot of its own in a chamber, made of the base that the build stands on. It mounts there, for
which it has CAP_SYS_ADMIN; what it runs in the chroot has not: it has what dpkg has wherever a layer is made.
What the packages depend on is fetched before, and is all that apt has there: so the upgrade from the suite's
version, which piuparts can test as well, is left out.
"""

from __future__ import annotations

import re

from bwbuild.checks.bench import HOME, Bench, Ended, Room, Subject, unmet
from bwbuild.checks.result import LONGEST, Result, Verdict, broken
from bwbuild.errors import DependencyError
from bwbuild.root.chamber import CAPABILITIES
from bwbuild.root.extra import Given, gathered
from bwbuild.sandbox.syscalls import Group

NAME = "piuparts"
_BASE, _PACKAGES = "/srv", "/media"
_REPOSITORY = f"{HOME}/repository"
#: A namespace may not mount another /proc beside one that is partly covered, nor make devices; those of the
#: chamber serve. apt has what was fetched, for there is no network.
_RUN = f"""\
set -eu
mkdir -p {HOME}/bin {HOME}/scripts {_REPOSITORY}
cat > {HOME}/bin/mount << 'END'
#!/bin/sh
for point; do :; done
case "$*" in
  "-t proc "*)
    /bin/mount --rbind --make-rslave /proc "$point"
    exec /bin/mount --rbind --make-rslave /dev "${{point%/proc}}/dev" ;;
  "-t devpts "* | "-t tmpfs "*) exit 0 ;;
esac
exec /bin/mount "$@"
END
cat > {HOME}/bin/umount << 'END'
#!/bin/sh
for point; do :; done
case "$point" in
  */dev/*) exit 0 ;;
  */proc) /bin/umount --recursive --lazy "${{point%/proc}}/dev" ;;
esac
exec /bin/umount --recursive --lazy "$point"
END
cat > {HOME}/bin/chroot << 'END'
#!/bin/sh
unset TMPDIR  # a directory outside of the chroot
exec setpriv --bounding-set=-sys_admin,-setpcap --inh-caps=-all /usr/sbin/chroot "$@"
END
cat > {HOME}/scripts/post_chroot_unpack_sources << 'END'
#!/bin/sh
set -e
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:{_REPOSITORY} ./' > /etc/apt/sources.list
END
chmod 755 {HOME}/bin/* {HOME}/scripts/*
for file in {_PACKAGES}/*.deb; do [ ! -e "$file" ] || cp "$file" {_REPOSITORY}/; done
(cd {_REPOSITORY} && dpkg-scanpackages --multiversion . > Packages 2> scanned) || {{
  cat {_REPOSITORY}/scanned; exit 125; }}
PATH={HOME}/bin:$PATH exec "$@"
"""
#: An error of piuparts, and the first line that belongs to it.
_ERROR = re.compile(r"^\S+ ERROR: (?:FAIL: )?(.*)(?:\n  (\S.*))?$", re.MULTILINE)
_COMMAND = re.compile(r"\['chroot', '[^']*', (.*)\]")
_PASSED = re.compile(r"PASS: All tests\.")


def check(bench: Bench, subject: Subject, options: tuple[str, ...]) -> Result:
    """Test what was built.

    :param options: further words for piuparts.
    """
    if subject.foreign:
        return Result(NAME, Verdict.SKIP, f"{subject.foreign[0]} can't be installed on this machine")
    if not subject.debs:
        return Result(NAME, Verdict.NONE, "no package was built")
    given = Given(packages=tuple(str(subject.files / name) for name in subject.debs))
    wanted = ", ".join(f"{package.name} (= {package.version})" for package in bench.built(subject))
    with gathered(given, bench.cache) as extra:
        assert extra is not None  # noqa: S101 - for the type checker
        try:
            packages = bench.fetched(wanted, extra)
        except DependencyError as error:
            return Result(NAME, Verdict.FAIL, f"can't be installed: {unmet(error)}"[:LONGEST])
        with bench.tools(f"{NAME}, dpkg-dev") as layer:
            words = (
                *("sh", "-c", _RUN, "sh", NAME, "--keep-sources-list", f"--existing-chroot={_BASE}"),
                *(f"--scriptsdir={HOME}/scripts", f"--bindmount={_REPOSITORY}", f"--tmpdir={HOME}/tmp"),
                *("--no-eatmydata", "--no-upgrade-test", "--warn-on-debsums-errors", *options),
                *(subject.inside(name) for name in subject.debs),
            )
            room = Room(
                (layer,),
                {**subject.shown, _BASE: bench.base.root, _PACKAGES: packages},
                as_root=True,
                capabilities=f"{CAPABILITIES} sys_admin setpcap",
                lifted=(Group.MOUNTS,),
            )
            return judged(bench.run(words, room))


def judged(ended: Ended) -> Result:
    """What piuparts' output comes to."""
    reason = _reason(ended.text)
    if ended.status == 0 and not ended.why and _PASSED.search(ended.text):
        return Result(NAME, Verdict.PASS, seconds=ended.seconds)
    if ended.why or not reason:
        last = next((line for line in reversed(ended.text.splitlines()) if line.strip()), "")
        return broken(NAME, ended.why or f"exit status {ended.status}: {last}", ended.seconds)
    return Result(NAME, Verdict.FAIL, reason, seconds=ended.seconds)


def _reason(text: str) -> str:
    """The first error, with what it is about."""
    match = _ERROR.search(text)
    if match is None:
        return ""
    what = _COMMAND.sub(lambda found: found[1].replace("', '", " ").strip("'"), match[1])
    return (f"{what} {match[2]}" if what.endswith(":") and match[2] else what)[:LONGEST]
