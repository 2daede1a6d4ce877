"""Files that a launcher's script carries, laid down by one program: a program for each would take longer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

#: Ends the files in the script, made longer where one of them has it as a line.
_END = "END_OF_FILES"

#: Each file stands behind a line with its mode, its name and the number of its lines.
_LAY = """\
perl -e '
  while (<STDIN>) {
    my ($mode, $name, $lines, $form) = /^=== (\\d+) (\\S+): (\\d+) lines( in hexadecimal)?$/
      or die "bwbuild: no file begins here: $_";
    unlink($name);
    open(my $file, ">", $name) or die "bwbuild: $name: $!\\n";
    for (1 .. $lines) {
      my $line = <STDIN> // die "bwbuild: $name is cut off\\n";
      print $file $form ? pack("H*", substr($line, 0, -1)) : $line;
    }
    chmod(oct($mode), $file);
    close($file) or die "bwbuild: $name: $!\\n";
  }'"""
_WIDTH = 50


@dataclass(frozen=True, slots=True)
class File:
    """One file.

    :ivar name: relative to the directory in which the script runs; without white space.
    :ivar content: a text, whose last line need not be ended, or bytes.
    """

    name: str
    content: str | bytes
    mode: int = 0o644

    def lines(self) -> Iterator[str]:
        """It as lines of a script."""
        lines, form = _hexadecimal(self.content) if isinstance(self.content, bytes) else _text(self.content)
        yield f"=== {self.mode:o} {self.name}: {len(lines)} lines{form}"
        yield from lines


def parcel(*files: File) -> Iterator[str]:
    """The lines of a script that write ``files``; what stands under their names is replaced."""
    lines = [line for file in files for line in file.lines()]
    end = _END
    while end in lines:
        end += "_"
    yield f"{_LAY} <<'{end}'"
    yield from lines
    yield end


def _text(content: str) -> tuple[list[str], str]:
    return content.removesuffix("\n").split("\n") if content else [], ""


def _hexadecimal(content: bytes) -> tuple[list[str], str]:
    return [content[i : i + _WIDTH].hex() for i in range(0, len(content), _WIDTH)], " in hexadecimal"
