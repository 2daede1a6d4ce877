"""Generated files that name what hidden packages hold, and the programs that make them again in the view.

Not here, since no build noticed them when measured: TeX's ls-R (what kpsewhich finds there must exist too),
fontconfig's caches (dated by their directories), catalogues of XML (a delegate that does not exist is passed
over), Java's trusted certificates, caches of icons (dated too), the index of Info. TeX's formats hold the
hyphenation of all installed languages; making one again takes 2 s. The database of types of files would take
half a second, and is a whole directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from bwbuild.root.generated import installed


@dataclass(frozen=True, slots=True)
class Regenerated:
    """A generated file that names what hidden packages hold, and the program that makes it again.

    :ivar pattern: the file, as in `bwbuild.root.generated`.
    :ivar argv: the program, in the view; ``{path}`` is the file, ``{parent}`` its directory, ``{lib}`` the
        directory below /usr/lib that the file is in, such as /usr/lib/x86_64-linux-gnu.
    :ivar packages: patterns of packages of which one must be visible.
    :ivar seconds: how long it takes, measured among 1,700 packages with a warm cache.
    :ivar shown: what a build notices if the file is shown as it is.
    """

    pattern: str
    argv: tuple[str, ...]
    packages: tuple[str, ...]
    seconds: float
    shown: str

    def applies(self, packages: frozenset[str]) -> bool:
        """Whether the program is there where the packages of these names are visible."""
        return installed(self.packages, packages)

    def fits(self, path: str) -> bool:
        """Whether it makes the file called ``path``."""
        return fnmatchcase(path, self.pattern) and path.count("/") == self.pattern.count("/")

    def command(self, path: str) -> tuple[str, ...]:
        """The arguments for one file that fits the pattern."""
        pure = PurePosixPath(path)
        words = {"path": path, "parent": str(pure.parent), "lib": "/".join(pure.parts[:4])[1:]}
        return tuple(word.format(**words) for word in self.argv)


REGENERATED = (
    Regenerated(
        "/etc/ld.so.cache",
        ("/sbin/ldconfig", "-X", "-i", "-C", "{path}"),
        ("libc-bin",),
        0.04,
        "ldconfig -p and ctypes.util.find_library find libraries that do not exist",
    ),
    Regenerated(
        "/usr/share/glib-2.0/schemas/gschemas.compiled",
        ("sh", "-c", "for p in /usr/lib/*/glib-2.0/glib-compile-schemas; do exec $p {parent}; done"),
        ("libglib2.0-0*",),
        0.01,
        "GSettings has the schemas of hidden packages",
    ),
    Regenerated(
        "/usr/lib/*/gio/modules/giomodule.cache",
        ("{lib}/glib-2.0/gio-querymodules", "{parent}"),
        ("libglib2.0-0*",),
        0.01,
        "names of modules; GIO passes over those that do not exist",
    ),
    Regenerated(
        "/usr/lib/*/gtk-4.0/*/*/giomodule.cache",
        ("{lib}/glib-2.0/gio-querymodules", "{parent}"),
        ("libgtk-4-1*",),
        0.01,
        "names of modules; GIO passes over those that do not exist",
    ),
    Regenerated(
        "/usr/lib/*/gdk-pixbuf-2.0/*/loaders.cache",
        ("{lib}/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders", "--update-cache"),
        ("libgdk-pixbuf-2.0-0",),
        0.03,
        "formats are listed whose loader does not exist, and loading one fails with another error",
    ),
    Regenerated(
        "/usr/lib/*/gtk-3.0/*/immodules.cache",
        ("{lib}/libgtk-3-0/gtk-query-immodules-3.0", "--update-cache"),
        ("libgtk-3-0*",),
        0.04,
        "names of input methods",
    ),
    Regenerated(
        "/usr/share/applications/mimeinfo.cache",
        ("update-desktop-database", "-q", "{parent}"),
        ("desktop-file-utils",),
        0.01,
        "names of applications; GIO passes over those that do not exist",
    ),
    Regenerated(
        "/var/lib/ghc/package.conf.d/package.cache",
        ("ghc-pkg", "recache", "--global"),
        ("ghc",),
        0.1,
        "ghc-pkg and Cabal's configure step find hidden libraries, and then compiling or linking fails",
    ),
    Regenerated(
        "/etc/perl/XML/SAX/ParserDetails.ini",
        ("sh", "-c", "cat /var/lib/libxml-sax-perl/ParserDetails.d/* >{path}"),
        ("libxml-sax-perl",),
        0.01,
        "XML::SAX dies: it loads the last parser in the file",
    ),
    Regenerated(
        "/var/lib/sgml-base/supercatalog",
        ("update-catalog", "--update-super"),
        ("sgml-base",),
        0.03,
        "OpenSP and OpenJade report each catalogue that does not exist as an error, and exit with 1",
    ),
    Regenerated(
        "/usr/lib/*/graphviz/config6*",
        ("dot", "-c"),
        ("graphviz",),
        0.05,
        "names of plugins that do not exist",
    ),
)
