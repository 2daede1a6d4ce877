"""What is in the tree of a build: the program that looks, inside, and what its answer says. Pure."""

from __future__ import annotations

from bwbuild.conduct.values import Entry, Listing
from bwbuild.errors import VerificationError

#: Bytes that an answer may have: that of a million files.
LARGEST = 128 << 20
#: Seconds that it may take.
PATIENCE = 1800.0

#: In Perl, since dpkg-dev is: every place where packages are built has it. It prints the mode in octal, the
#: sum or the text of a link, and the path of each file, each ended by a null byte, and an empty one last.
_PROGRAM = r"""
use strict; use warnings; use Digest::SHA;
my @todo = ('');
while (defined(my $directory = shift @todo)) {
    opendir(my $handle, "./$directory") or die "$directory: $!\n";
    for my $name (sort readdir($handle)) {
        next if $name eq '.' or $name eq '..';
        my $path = $directory eq '' ? $name : "$directory/$name";
        my $mode = (lstat("./$path"))[2] or die "$path: $!\n";
        my $content = '';
        if (-f _ and -s _ > 1 << 30) {
            $content = 'size ' . -s _;    # a sparse file can be as large as it likes
        } elsif (-f _) {
            open(my $file, '<:raw', "./$path") or die "$path: $!\n";
            $content = Digest::SHA->new(256)->addfile($file)->hexdigest;
        } elsif (-l _) {
            $content = readlink("./$path") // die "$path: $!\n";
        } elsif (-d _) {
            push @todo, $path;
        }
        printf("%o\0%s\0%s\0", $mode, $content, $path);
    }
}
print "\0";
"""

COMMAND = ("perl", "-e", _PROGRAM)


def parse(answer: bytes) -> Listing:
    """The tree that an answer describes.

    :raises VerificationError: it is no whole answer.
    """
    words = answer.decode("utf-8", "surrogateescape").split("\0")
    if words[-2:] != ["", ""] or len(words) % 3 != 2:
        raise VerificationError("the files of the tree could not be listed after the build")
    words = words[:-2]
    try:
        return {
            path: Entry(int(mode, 8), content)
            for mode, content, path in zip(words[0::3], words[1::3], words[2::3], strict=True)
        }
    except ValueError as error:
        raise VerificationError("the files of the tree could not be listed after the build") from error
