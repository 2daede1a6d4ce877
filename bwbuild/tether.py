"""The program that ends a sandbox whose bwbuild was killed: a shell that waits beside it.

The kernel's signal for a dead parent is not enough. bubblewrap asks for it when it has made its second
process, which sleeps until the first one lets it go; if the parent is dead by then, or the first process dies
in between, nobody ever ends what is left.
"""

#: The variable by which a launcher finds the tie, a descriptor. bwrap gets it as its ``--sync-fd``: the first
#: process inside keeps it to the end, and no other has it there.
VARIABLE = "BWBUILD_TIE"

#: A line of its input says that nothing is left, the input's end without one that something may be. Its
#: output is the other end of the tie. Whoever has that is killed, again and again: he may just have forked.
#: ``fdinfo`` says who has it, which other than ``fd`` the owner of a user namespace may read of all in it. It
#: ends when nobody has the tie, and nothing of its own is left then.
SCRIPT = """\
trap '' HUP INT QUIT TERM
read -r _ && exit
own=/proc/$$/fdinfo/1
mount=$(grep ^mnt_id: $own) number=$(grep ^ino: $own)
while read -r _; do :; done <&1 &
reader=$!
{
  for _ in $(seq 600); do
    # That it has ended is known when something else was waited for.
    sleep 0.01
    kill -0 $reader || exit 0
    grep -rlsFx "${number:?}" /proc/[1-9]*/fdinfo | while IFS=/ read -r _ _ pid _ fd; do
      case $pid in
      $$ | $reader) ;;
      *) if grep -qsFx "$mount" "/proc/$pid/fdinfo/$fd"; then kill -KILL "$pid"; fi ;;
      esac
    done
    sleep 0.1
  done
} > /dev/null
kill -KILL $reader
"""
