"""Files that no package's list owns although a package made them, and whose they are.

The tables were measured: build dependencies of many kinds were installed in fresh chroots, and
whatever was then on no list below /usr, /etc, /var/lib and /var/cache stands here, but for what belongs to
a machine and not to a package. Paths are normalised (/bin/x is /usr/bin/x), without a slash at the end.

Patterns: ``*`` and ``?`` stay within one name; ``**`` is anything; a last ``/**`` is the directory itself and
all below it. ``{}`` is the name of a package or part of one, as short as can be; it may be used among the
packages. Packages are names without architecture, which may be patterns too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, lru_cache


@dataclass(frozen=True, slots=True)
class Generated:
    """Paths that one of these packages makes when it is installed.

    :ivar pattern: the paths; the first entry that fits a path is the one that counts.
    :ivar packages: the paths exist if at least one of these is installed.
    """

    pattern: str
    packages: tuple[str, ...]
    reason: str


USR = (
    Generated("/usr/**/__pycache__/**", ("python3*-minimal", "pypy3"), "byte-code of py3compile"),
    Generated("/usr/share/info/dir*", ("base-files", "install-info"), "index of Info, made by base-files"),
    Generated("/usr/share/glib-2.0/schemas/gschemas.compiled", ("libglib2.0-0*",), "trigger on schemas"),
    Generated("/usr/lib/*/gio/modules/giomodule.cache", ("libglib2.0-0*",), "trigger on modules"),
    Generated("/usr/lib/*/gdk-pixbuf-2.0/*/loaders.cache", ("libgdk-pixbuf-2.0-0",), "trigger on loaders"),
    Generated("/usr/lib/*/gtk-2.0/*/immodules.cache", ("libgtk2.0-0*",), "trigger on input methods"),
    Generated("/usr/lib/*/gtk-3.0/*/immodules.cache", ("libgtk-3-0*",), "trigger on input methods"),
    Generated("/usr/lib/*/gtk-4.0/*/*/giomodule.cache", ("libgtk-4-1*",), "trigger on modules"),
    Generated("/usr/share/mime/**", ("shared-mime-info",), "the database made of mime/packages"),
    Generated("/usr/share/applications/mimeinfo.cache", ("desktop-file-utils",), "trigger on applications"),
    Generated("/usr/share/icons/*/icon-theme.cache", ("gtk-update-icon-cache",), "trigger on icons"),
    Generated("/usr/share/fonts/X11/*/fonts.*", ("xfonts-utils",), "index for X servers"),
    Generated("/usr/share/fonts/X11/*/encodings.dir", ("xfonts-utils",), "index for X servers"),
    Generated("/usr/lib/locale/locale-archive", ("locales",), "locale-gen; lists what this machine speaks"),
    Generated("/usr/lib/aspell/{}[-_.]*", ("aspell-{}",), "links to dictionaries that aspell compiles"),
    Generated("/usr/lib/ispell/*", ("dictionaries-common",), "links to dictionaries that ispell compiles"),
    Generated("/usr/share/dict/words*", ("dictionaries-common",), "link to the chosen list of words"),
    Generated("/usr/share/postgresql/*/tsearch_data/*", ("postgresql-common",), "links to dictionaries"),
    Generated("/usr/share/emacs/site-lisp/debian-startup.el*", ("emacsen-common",), "compiled on install"),
    Generated("/usr/share/emacs*/site-lisp/elpa/{}-[0-9]*/**", ("elpa-{}",), "compiled on install"),
    Generated("/usr/share/emacs*/site-lisp/elpa", ("elpa-*",), "where those lie"),
    Generated("/usr/share/emacs*/site-lisp/{}/**", ("{}",), "compiled on install, by package"),
    Generated("/usr/lib/mono/aot-cache/**", ("libmono-corlib4.5-cil",), "machine code of assemblies"),
    Generated("/usr/lib/mono/**", ("mono-gac",), "the cache of assemblies and its links"),
    Generated("/usr/share/cli-common/packages.d/**", ("cli-common",), "what is in that cache"),
    Generated("/usr/lib/swi-prolog/library/INDEX.pl", ("swi-prolog-core",), "index of predicates"),
    Generated("/usr/share/octave/octave_packages", ("octave",), "index of Octave's packages"),
    Generated("/usr/lib/*/graphviz/config6*", ("libgvc6",), "index of plugins"),
    Generated("/usr/lib/*/vlc/plugins/plugins.dat", ("vlc-bin",), "index of plugins"),
    Generated("/usr/lib/udev/hwdb.bin", ("udev",), "the compiled database of hardware"),
)

ETC = (
    # Replaced by files of our own, or without a secret and the same on every system.
    Generated("/etc/passwd", ("base-passwd",), "accounts"),
    Generated("/etc/group", ("base-passwd",), "accounts"),
    Generated("/etc/hosts", ("base-files",), "names of localhost"),
    Generated("/etc/hostname", ("base-files",), "name of the sandbox"),
    Generated("/etc/resolv.conf", ("base-files",), "empty inside"),
    Generated("/etc/nsswitch.conf", ("libc-bin",), "copied by its postinst"),
    Generated("/etc/machine-id", ("base-files",), "empty inside"),
    Generated("/etc/mtab", ("base-files",), "link to /proc/mounts"),
    Generated("/etc/networks", ("netbase",), "written by its postinst"),
    Generated("/etc/profile", ("base-files",), "copied by its postinst"),
    Generated("/etc/motd", ("base-files",), "copied by its postinst"),
    Generated("/etc/opt", ("base-files",), "made by its postinst"),
    Generated("/etc/dpkg/origins/default", ("base-files",), "the vendor, which dpkg-vendor reads"),
    Generated("/etc/shells", ("debianutils",), "trigger on shells"),
    Generated("/etc/pam.d/common-*", ("libpam-runtime",), "written by pam-auth-update"),
    Generated("/etc/ld.so.cache", ("libc-bin",), "the linker's index of libraries"),
    Generated("/etc/inputrc", ("readline-common",), "copied by its postinst"),
    Generated("/etc/papersize", ("libpaper1", "libpaper2"), "written by its postinst"),
    Generated("/etc/python3/**", ("python3.*-minimal",), "choice of byte-compilation"),
    Generated("/etc/locale.gen", ("locales",), "written by its postinst"),
    Generated("/etc/mailcap", ("mailcap",), "written by update-mime"),
    Generated("/etc/hosts.*", ("libwrap0",), "written by its postinst"),
    Generated("/etc/odbcinst.ini", ("unixodbc-common",), "registered drivers"),
    # Machine-wide links that packages make.
    Generated("/etc/fonts/conf.d/10-hinting-*.conf", ("fontconfig-config",), "link made by its postinst"),
    Generated("/etc/fonts/conf.d/70-*bitmaps*.conf", ("fontconfig-config",), "link made by its postinst"),
    Generated("/etc/dictionaries-common/**", ("dictionaries-common",), "links to the chosen dictionaries"),
    Generated("/etc/apache2/*-enabled/**", ("apache2",), "links made by a2enmod, a2ensite, a2enconf"),
    # Certificates.
    Generated("/etc/ssl/certs/java/**", ("ca-certificates-java",), "trusted certificates for Java"),
    Generated("/etc/ssl/certs/ssl-cert-snakeoil.pem", ("ssl-cert",), "certificate of this machine"),
    Generated("/etc/ssl/certs/**", ("ca-certificates",), "links with hashes, and the bundle"),
    Generated("/etc/ca-certificates.conf", ("ca-certificates",), "what is trusted"),
    Generated("/etc/mono/certstore/**", ("ca-certificates-mono",), "trusted certificates for Mono"),
    # Catalogues and settings of tools.
    Generated("/etc/xml/catalog", ("xml-core",), "root of the XML catalogues"),
    Generated("/etc/xml/{}.xml", ("{}",), "XML catalogue of one package"),
    Generated("/etc/sgml/catalog", ("sgml-base",), "root of the SGML catalogues"),
    Generated("/etc/sgml/{}.cat", ("{}",), "SGML catalogue of one package"),
    Generated("/etc/texmf/**", ("tex-common",), "made of the parts in texmf.d"),
    Generated("/etc/perl/XML/**", ("libxml-sax-perl",), "the parsers that XML::SAX knows"),
    Generated("/etc/.java/**", ("java-common", "openjdk-*-jre-headless"), "root of Java's preferences"),
    Generated("/etc/fpc-*.cfg", ("fp-compiler-*",), "search paths of the compiler"),
    Generated("/etc/fp-*.cfg", ("fp-compiler-*",), "search paths of the compiler"),
)

#: Directories of state outside /usr and /etc -> packages of which one must be visible. Overlay them: most
#: hold files that other packages' lists own, such as the registrations of Haskell's libraries. The names here
#: are no patterns.
STATE: Mapping[str, tuple[str, ...]] = {
    "/var/cache/debconf": ("debconf",),
    "/var/cache/dictionaries-common": ("dictionaries-common",),
    "/var/cache/fontconfig": ("fontconfig",),
    "/var/cache/postgresql": ("postgresql-common",),
    "/var/lib/apache2": ("apache2",),
    "/var/lib/aspell": ("aspell",),
    "/var/lib/dictionaries-common": ("dictionaries-common",),
    "/var/lib/dpkg": ("dpkg",),
    "/var/lib/emacsen-common": ("emacsen-common",),
    "/var/lib/gems": ("ruby",),
    "/var/lib/ghc": ("ghc",),
    "/var/lib/ghostscript": ("ghostscript", "libgs-common", "libgs9-common", "poppler-data"),
    "/var/lib/ispell": ("ispell", "dictionaries-common"),
    "/var/lib/libxml-sax-perl": ("libxml-sax-perl",),
    "/var/lib/mecab": ("mecab-utils",),
    "/var/lib/ocaml": ("ocaml", "ocaml-base", "ocaml-findlib", "libfindlib-ocaml"),
    "/var/lib/php": ("php-common",),
    "/var/lib/python": ("python3-minimal",),
    "/var/lib/sgml-base": ("sgml-base",),
    "/var/lib/tex-common": ("tex-common",),
    "/var/lib/texmf": ("tex-common", "texinfo"),
    "/var/lib/xfonts": ("xfonts-utils",),
    "/var/lib/xkb": ("x11-xkb-utils", "xserver-common"),
    "/var/lib/xml-core": ("xml-core",),
}

VAR = (
    # A name in here that lacks its module makes XML::SAX die.
    Generated("/var/lib/libxml-sax-perl/**/50-XML::LibXML::*", ("libxml-libxml-perl",), "a parser"),
    Generated("/var/lib/libxml-sax-perl/**/50-XML::SAX::Expat", ("libxml-sax-expat-perl",), "a parser"),
    Generated("/var/lib/libxml-sax-perl/**/*ExpatXS*", ("libxml-sax-expatxs-perl",), "a parser"),
    Generated("/var/lib/libxml-sax-perl/**/10-XML::SAX::PurePerl", ("libxml-sax-perl",), "a parser"),
    Generated("/var/lib/xml-core/catalog", ("xml-core",), "what the root catalogue delegates"),
    Generated("/var/lib/xml-core/{}", ("{}",), "what the root catalogue delegates to one package"),
    Generated("/var/lib/emacsen-common/state/package/installed/{}", ("{}",), "Emacs packages, by name"),
    Generated("/var/lib/emacsen-common/state/flavor/installed/{}", ("{}-*", "{}"), "flavours of Emacs"),
    Generated("/var/lib/aspell/{}[-_.]*", ("aspell-{}",), "a compiled dictionary"),
    *(Generated(f"{path}/**", packages, "state of its package") for path, packages in STATE.items()),
)

GENERATED = (*VAR, *ETC, *USR)

#: Where compilers and interpreters look things up: what no package owns and no table names is hidden there.
#: Such a file is the administrator's; elsewhere an unknown file is more likely one that a package made.
STRICT = (
    "/etc/**",
    "/usr/*",
    "/usr/bin/**",
    "/usr/sbin/**",
    "/usr/games/**",
    "/usr/include/**",
    "/usr/lib/*",
    "/usr/lib/*-linux-*/*",
    "/usr/lib/*/pkgconfig/**",
    "/usr/lib/*/cmake/**",
    "/usr/lib/*/girepository-1.0/**",
    "/usr/lib/*/lua/**",
    "/usr/lib/*/perl*/**",
    "/usr/lib/{cmake,gcc,ghc,jvm,node_modules,ocaml,pkgconfig,python*,R,ruby,php}/**",
    "/usr/share/*",
    "/usr/share/{bash-completion,doc,lintian,locale,man}/**",
    "/usr/lib/systemd/**",
    "/usr/share/{aclocal,cargo,cmake,gir-1.0,gocode,java,lua,maven-repo,nodejs,perl*,php,pkgconfig}/**",
    "/usr/share/{R,ruby,rubygems-integration,sgml,texlive,texmf,xml}/**",
)

#: A link that enables a module of PHP, and the file it leads to.
_PHP_LINK = re.compile(r"(/etc/php/[^/]+)/[^/]+/conf\.d/[0-9]+-([^/]+)")
#: Names of state that PHP keeps for each module.
_PHP_STATE = re.compile(r"/var/lib/php/modules/([^/]+)/(?:registry|[^/]+/enabled_by_maint)/([^/]+)")


def visible_generated(
    path: str, packages: frozenset[str], owners: Mapping[str, str] | None = None
) -> bool | None:
    """Whether a path that is on no list belongs in the view.

    :param packages: names of the visible packages.
    :param owners: what ucf knows, see `registered`.
    :returns: True if a visible package made it, False if only hidden ones do, None if the tables lack it.
    """
    if owner := (owners or {}).get(_registered_as(path)):
        return owner in packages
    names = makers(path)
    return installed(names, packages) if names else None


def makers(path: str) -> tuple[str, ...]:
    """The names or patterns of the packages of which one has made a path; empty if the tables lack it."""
    found = _generated().fullmatch(path)
    if found is None or found.lastgroup is None:
        return ()
    number = int(found.lastgroup.removeprefix("entry"))
    part = found.groupdict().get(f"part{number}") or ""
    return tuple(name.replace("{}", part) for name in GENERATED[number].packages)


def may_be_in(directory: str) -> bool:
    """Whether one of the tables speaks of names in a directory; quicker than to ask for each of them.

    Byte-code does not count, which may be in every one.
    """
    return _directories().fullmatch(directory) is not None


def state(packages: frozenset[str]) -> list[str]:
    """The directories of :data:`STATE` that belong to visible packages, but for dpkg's, sorted."""
    return sorted(
        path for path, names in STATE.items() if path != "/var/lib/dpkg" and installed(names, packages)
    )


def installed(patterns: Iterable[str], packages: frozenset[str]) -> bool:
    """Whether one of the names or patterns is among ``packages``."""
    return any(_installed(pattern, packages) for pattern in patterns)


def registered(text: str) -> Mapping[str, str]:
    """Path -> package of the settings that ucf manages: the text of /var/lib/ucf/registry."""
    lines = (line.split() for line in text.splitlines())
    return {fields[1]: fields[0] for fields in lines if len(fields) == 2}


def strict(path: str) -> bool:
    """Whether an unowned path is hidden unless a table names it."""
    return _strict().fullmatch(path) is not None


def _registered_as(path: str) -> str:
    if link := _PHP_LINK.fullmatch(path):
        return f"{link[1]}/mods-available/{link[2]}"
    if state := _PHP_STATE.fullmatch(path):
        return f"/etc/php/{state[1]}/mods-available/{state[2]}.ini"
    return path


@lru_cache(maxsize=4096)
def _installed(name: str, packages: frozenset[str]) -> bool:
    return name in packages or ("*" in name and any(fnmatchcase(package, name) for package in packages))


@cache
def _generated() -> re.Pattern[str]:
    """One expression for all entries: a walk through thousands of paths matches each of them once."""
    parts = (f"(?P<entry{n}>{_regex(entry.pattern, n)})" for n, entry in enumerate(GENERATED))
    return re.compile("|".join(parts))


@cache
def _directories() -> re.Pattern[str]:
    entries = [entry.pattern for entry in GENERATED if not entry.pattern.endswith("/__pycache__/**")]
    patterns = {pattern.removesuffix("/**").rpartition("/")[0] for pattern in entries}
    patterns |= {pattern for pattern in entries if pattern.endswith("/**")}
    return re.compile("|".join(_regex(pattern, n) for n, pattern in enumerate(sorted(patterns))))


@cache
def _strict() -> re.Pattern[str]:
    return re.compile("|".join(_regex(pattern, 0) for pattern in STRICT))


def _regex(pattern: str, number: int) -> str:
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]", "/**": "(?:/.*)?"}
    parts["{}"] = f"(?P<part{number}>[a-z0-9][a-z0-9+.-]*?)"
    tokens = re.split(r"(/\*\*$|\*\*|\*|\?|\{\}|\[[^]]+\]|\{[^}]+\})", pattern)
    return "".join(parts.get(token) or _literal(token, parts["*"]) for token in tokens)


def _literal(token: str, star: str) -> str:
    if token.startswith("["):
        return token
    if token.startswith("{"):
        words = (re.escape(word).replace(r"\*", star) for word in token[1:-1].split(","))
        return f"(?:{'|'.join(words)})"
    return re.escape(token)
