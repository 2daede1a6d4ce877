"""What apt chooses from where the caller adds to a base's own suite: indexes made and fetched in a chamber.

apt's lists, sources and keys are in a directory of their own, which is seen in the chambers of one layer, so
that none of it is left in the layer.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bwbuild import process
from bwbuild.deb.names import printable
from bwbuild.errors import BwbuildError, DependencyError, HostError, UsageError
from bwbuild.events import Level, Notice
from bwbuild.root import apt
from bwbuild.root.apt import OFFERED, Wish
from bwbuild.root.extra import Extra, open_to_root_inside
from bwbuild.root.reasons import Reason, reason

#: A base has none of its own, and needs them for https.
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_CONFIGURATION = f"""\
Acquire::https::CAInfo "{OFFERED}/certificates.crt";
Acquire::Languages "none";
APT::Update::Error-Mode "any";
Dir::Etc::SourceList "{OFFERED}/sources.list";
Dir::Etc::SourceParts "{OFFERED}/parts";
Dir::Etc::TrustedParts "{OFFERED}/trusted";
Dir::State::Lists "{OFFERED}/lists";
"""
#: The base's own lists are as old as the base. With another architecture all must be of one day, for packages
#: of both have the same version; but what a base was made of in a directory of this machine is not seen.
_PREPARE = """\
set -eu
cd "$1"
: > local.list
number=0
for file in packages/*.deb; do
  [ -e "$file" ] || continue
  echo "checking $file"
  dpkg-deb --field "$file" Package Version > /dev/null
  dpkg-deb --contents "$file" > /dev/null
  echo "architecture $(dpkg-deb --field "$file" Architecture)"
  number=$((number + 1))
done
if [ $number -gt 0 ]; then
  dpkg-scanpackages --multiversion packages > Packages
  digest=$(sha256sum Packages)
  date -u '+Date: %a, %d %b %Y %H:%M:%S UTC' > Release
  printf 'SHA256:\n %s %s Packages\n' "${digest%% *}" "$(wc -c < Packages)" >> Release
  echo "deb [trusted=yes] file:$PWD ./" > local.list
fi
mkdir lists lists/partial parts trusted update
for file in /var/lib/apt/lists/*_*; do [ ! -f "$file" ] || ln -s "$file" lists/; done
cat local.list > sources.list
if [ -e /etc/apt/sources.list ]; then cat /etc/apt/sources.list >> sources.list; fi
for file in /etc/apt/sources.list.d/* extra/*; do [ ! -f "$file" ] || cp "$file" parts/; done
for file in /etc/apt/trusted.gpg.d/* keys/*; do [ ! -f "$file" ] || cp "$file" trusted/; done
for file in extra/*; do [ ! -f "$file" ] || cp "$file" update/; done
if [ "$2" = all ]; then
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    [ ! -f "$file" ] || sed -E '/^deb.* (copy|file|cdrom):/d' "$file" > "update/base-$(basename "$file")"
  done
fi
chmod 755 trusted
echo updating
shift 2
exec "$@"
"""
_HINT = {
    Reason.SIGNATURE: "name the keyring that signs it: --extra-repository-key FILE, without signed-by",
    Reason.EXPIRED: "for an old snapshot: --extra-repository 'deb [check-valid-until=no] …'",
    Reason.UNKNOWN: "check the repository's address, suite and components",
    Reason.UNREACHABLE: "check the network and the repository's address",
}
_HTTPS = re.compile(
    r"No system certificates|certificate verification failed|Could not load certificates", re.IGNORECASE
)


@contextmanager
def opened(wish: Wish) -> Iterator[Wish]:
    """The wish with all that apt may choose from, and with the base's packages that are to be newer.

    :raises UsageError: a package or a repository is not what it should be.
    :raises HostError: a repository can't be read.
    :raises DependencyError: lists would have to be fetched, which is not allowed.
    """
    extra = wish.extra
    if extra is None:
        yield wish
        return
    _check_network(wish, extra)
    _tell(wish, extra)
    (extra.place / "apt.conf").write_text(_CONFIGURATION, encoding="utf-8")
    (extra.place / "archives").mkdir()
    if _CERTIFICATES.exists():
        shutil.copyfile(_CERTIFICATES, extra.place / "certificates.crt")
    open_to_root_inside(extra.place)
    places = {"SourceList": "local.list", "SourceParts": "update"}
    words = [word for name, place in places.items() for word in ("-o", f"Dir::Etc::{name}={OFFERED}/{place}")]
    words += ["-o", "APT::Get::List-Cleanup=false", "update"]
    prepare = ("sh", "-c", _PREPARE, "sh", OFFERED, "all" if extra.architectures else "extra")
    done = apt.run(wish, words, network=extra.needs_network, around=prepare)
    _check(wish, extra, done)
    newer = apt.newer(wish)
    # As sbuild does, which upgrades its chroot before it installs what the source declares.
    added = f"Build-Depends-Arch: {', '.join(newer)}\n" if newer else ""
    yield replace(wish, control=wish.control + added)


def _check_network(wish: Wish, extra: Extra) -> None:
    if wish.fetch or not extra.needs_network:
        return
    what = "--extra-repository" if extra.repositories else ", ".join(extra.architectures)
    raise DependencyError(
        f"the lists of {what} would have to be fetched, which --no-fetch forbids", hint="leave out --no-fetch"
    )


def _tell(wish: Wish, extra: Extra) -> None:
    names = list(extra.architectures)
    if extra.repositories:
        names.append(
            "one more repository" if extra.repositories == 1 else f"{extra.repositories} repositories"
        )
    if names:
        wish.tell(Notice(Level.INFO, f"fetching the lists of {' and '.join(names)}"))


def _check(wish: Wish, extra: Extra, done: process.Completed) -> None:
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    before, updating, after = text.partition("\nupdating\n") if "\nupdating\n" in text else ("", "", text)
    if not updating and not text.startswith("updating\n"):
        raise _broken_package(extra, text)
    _check_architectures(wish, extra, before)
    if done.returncode != 0 or re.search(r"^(?:Err:|E: |W: .*Failed to fetch)", after, re.MULTILINE):
        raise _unread(extra, after)


def _check_architectures(wish: Wish, extra: Extra, text: str) -> None:
    possible = {"all", wish.base.suite.architecture, *extra.architectures}
    for path, name in zip(
        extra.packages, re.findall(r"^architecture (.*)$", text, re.MULTILINE), strict=False
    ):
        if name not in possible:
            raise UsageError(
                f"{extra.flag}{path} is for {printable(name)}, "
                f"and the {'build' if extra.flag else 'base'} for {', '.join(sorted(possible - {'all'}))}",
                hint="leave it out",
            )


def _broken_package(extra: Extra, text: str) -> BwbuildError:
    found = re.findall(r"^checking packages/(\d+)\.deb$", text, re.MULTILINE)
    details = [line for line in text.splitlines() if line.startswith(("dpkg", "tar"))][-10:]
    if not found:
        return HostError("no repository can be made of the extra packages", details=text.splitlines()[-10:])
    return UsageError(
        f"{extra.flag}{extra.packages[int(found[-1]) - 1]} is no Debian package",
        hint="leave it out, or make it again",
        details=details,
    )


def _unread(extra: Extra, text: str) -> BwbuildError:
    details = [line for line in text.splitlines() if line.startswith(("E:", "W:", "Err", "  "))][-20:]
    if not extra.needs_network:
        return HostError("apt can't read the repository of the extra packages", details=details)
    if not extra.repositories:
        return HostError(
            f"the lists of {', '.join(extra.architectures)} can't be fetched",
            hint="check the network and the mirror (--base-mirror)",
            details=details,
        )
    if re.search(r"Malformed (?:entry|line|stanza)|E: Type .* is not known|Unable to parse", text):
        return UsageError(
            "apt can't read what --extra-repository says", hint="see sources.list(5)", details=details
        )
    if _HTTPS.search(text):
        return HostError(
            "an extra repository's certificate can't be verified with this machine's",
            hint="sudo apt install ca-certificates; or name it with http://, its signature is checked anyway",
            details=details,
        )
    why = reason(text)
    return HostError(
        "an extra repository can't be read" + (f": {why.value}" if why else ""),
        hint=_HINT[why] if why else "check what --extra-repository names",
        details=details,
    )
