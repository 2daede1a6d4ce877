"""The way out of a sandbox's network namespace, where the network was granted: pure.

A helper, pasta or slirp4netns, moves what goes over an interface inside to sockets of its own outside. It
offers no way to what listens on the machine's loopback, and abstract sockets belong to a network namespace.

The helper is the only child of the first process of a pid namespace, which the kernel kills when the launcher
dies, whatever of: so no helper outlives a build, not even one that was killed while it started.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bwbuild.sandbox.parcel import File
from bwbuild.sandbox.spec import Network

#: Where names are asked for inside: an address that is nobody's, which the helper answers for.
NAMESERVER: Mapping[Network, str] = {Network.PASTA: "169.254.1.1", Network.SLIRP: "10.0.2.3"}
#: The first process of the pid namespace. $1 is the process that has to be its parent, $2 the launcher. It is
#: in ns, as its own /tmp: pasta has given up the right to enter the scratch directory when it opens files,
#: and its profile of AppArmor lets it open those below /tmp.
_HELPER = """\
# Leads out of the sandbox's network; the first process of a pid namespace.
set -u
while read -r name value; do [ "$name" != PPid: ] || break; done < /proc/self/status
# The signal for a dead parent is in force now; a parent that died before never sends it.
[ "$value" = "$1" ] || exit 125
read -r _ < ns/go
mount --rbind ns /tmp
cd /tmp
mount --bind "/proc/$2/ns/net" net
{command} > said 2>&1
cat said >&2
echo failed > ready
"""
#: No port is forwarded in either direction, and no address leads to this machine's own.
_COMMANDS: Mapping[Network, str] = {
    Network.PASTA: (
        "pasta --foreground --quiet --stderr --config-net --no-map-gw -t none -u none -T none -U none"
        f" --dns-forward {NAMESERVER[Network.PASTA]} ${{BWBUILD_CAPTURE:+--pcap capture}}"
        " --pid ready --netns ./net"
    ),
    Network.SLIRP: (
        "slirp4netns --configure --mtu=65520 --disable-host-loopback --enable-seccomp --ready-fd=3"
        " --netns-type=path net tap0 3> ready"
    ),
}
_START = """\
mkfifo ns/go ns/ready
: > ns/net
if [ -n "${BWBUILD_CAPTURE-}" ]; then : > ns/capture; mount --bind capture ns/capture; fi
setpriv --pdeathsig KILL sh -c '
  [ "$PPID" = "$1" ] || exit 125
  exec unshare --pid --mount --fork --kill-child=KILL sh network "$$" "$1"' sh $$ &
exec unshare --net sh connected"""
_CONNECTED = """\
# In a network namespace of its own from here on, which the helper outside is led to.
set -eu
echo > ns/go
# A number is written when it is ready, by some without an end of the line or of the file.
case $(head -c 1 ns/ready) in
[0-9]) ;;
*)
  echo "bwbuild: the network was not connected" >&2
  exit 125
  ;;
esac"""


def files(network: Network | None, first: Iterable[str], lines: Iterable[str]) -> Iterator[File]:
    """The files of a launcher with what root of its namespace runs.

    :param network: what leads out of its network; None: nothing does.
    :param first: what comes before that, and has made ``ns`` a file system of its own; then come ``lines``.
    """
    if network is None:
        yield File("namespace", "\n".join((*first, *lines)))
        return
    yield File("namespace", "\n".join((*first, _START)))
    yield File("network", _HELPER.replace("{command}", _COMMANDS[network]))
    yield File("connected", "\n".join([_CONNECTED, *lines]))
