# ruff: noqa: E501, RUF001 - messages as the tools print them
from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bwbuild.lookup.messages import MESSAGES
from bwbuild.lookup.search import LONGEST_LINE, MOST_WANTS, Found, Want, find, wants

#: A made-up host: package, and what it has.
PACKAGES = {
    "help2man": ["/usr/bin/help2man", "/usr/share/man/man1/help2man.1.gz"],
    "coreutils": ["/bin/ls"],
    "libx11-dev": ["/usr/include/X11/Xlib.h", "/usr/lib/x86_64-linux-gnu/libX11.so"],
    "libfoo1": ["/usr/lib/x86_64-linux-gnu/libfoo.so.1", "/usr/lib/x86_64-linux-gnu/libfoo.so.1.2"],
    "libfoo-dev": [
        *("/usr/lib/x86_64-linux-gnu/libfoo.so", "/usr/lib/x86_64-linux-gnu/libfoo.a", "/usr/include/foo.h"),
        *("/usr/lib/x86_64-linux-gnu/pkgconfig/foo.pc", "/usr/lib/x86_64-linux-gnu/cmake/Foo/FooConfig.cmake"),
    ],
    "libbar-dev": ["/usr/share/pkgconfig/bar-2.0.pc", "/usr/include/bar-2.0/bar/foo.h", "/usr/include/bar.h"],
    "other-doc": ["/usr/share/doc/other/foo.h", "/usr/share/doc/help2man", "/usr/share/zsh/help2man"],
    "extra-cmake-modules": ["/usr/share/ECM/cmake/ECMConfig.cmake"],
    "doxygen": ["/usr/bin/doxygen"],
    "qtsvg-dev": ["/usr/lib/x86_64-linux-gnu/qt5/mkspecs/modules/qt_lib_svg.pri"],
    "g++-12": ["/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus"],
    "autoconf-archive": ["/usr/share/aclocal/ax_nosuch.m4"],
    "pkgconf": ["/usr/share/aclocal/pkg.m4"],
    "python3-yaml": [
        *("/usr/lib/python3/dist-packages/yaml", "/usr/lib/python3/dist-packages/yaml/__init__.py"),
        *("/usr/lib/python3/dist-packages/yaml/_yaml.cpython-311-x86_64-linux-gnu.so",),
        *("/usr/lib/python3/dist-packages/PyYAML-6.0.dist-info/METADATA",),
    ],
    "python3-zope.interface": ["/usr/lib/python3/dist-packages/zope.interface-5.5.2.egg-info"],
    "python3-distutils": ["/usr/lib/python3.11/distutils/__init__.py"],
    "pybuild-plugin-pyproject": ["/usr/share/doc/pybuild-plugin-pyproject"],
    "libfoo-bar-perl": ["/usr/share/perl5/Foo/Bar.pm"],
    "libxs-perl": ["/usr/lib/x86_64-linux-gnu/perl5/5.36/XS/Fast.pm"],
    "dh-nosuch": ["/usr/share/perl5/Debian/Debhelper/Sequence/nosuch.pm"],
    "ruby-nosuch": [
        *("/usr/lib/ruby/vendor_ruby/nosuch/x.rb",),
        *("/usr/share/rubygems-integration/all/specifications/nosuch-1.2.gemspec",),
    ],
    "golang-github-no-such-dev": ["/usr/share/gocode/src/github.com/no/such"],
    "librust-no-such-dev": ["/usr/share/cargo/registry/no-such-1.2.3/Cargo.toml"],
    "librust-no-such-extra-dev": ["/usr/share/cargo/registry/no-such-extra-1.2.3/Cargo.toml"],
    "libx-java": [
        *("/usr/share/maven-repo/org/x/y/1.2/y-1.2.pom", "/usr/share/maven-repo/org/x/y/1.2/y-1.2.jar"),
        *("/usr/share/maven-repo/org/x/z/2/z-2.jar", "/usr/share/java/commons-lang3.jar"),
    ],
    "libnosuch-ocaml-dev": ["/usr/lib/ocaml/nosuch/META", "/usr/lib/ocaml/nosuch/nosuch.cmi"],
    "libghc-nosuch-dev": ["/usr/lib/haskell-packages/ghc/lib/x86_64-linux-ghc-9.0.2/n-1/Data/Nosuch.hi"],
    "texlive-extra": [
        *("/usr/share/texlive/texmf-dist/tex/latex/nosuch/nosuch.sty",),
        *("/usr/share/texlive/texmf-dist/fonts/tfm/jknappen/ec/ecrm1000.tfm",),
        *("/usr/share/texlive/texmf-dist/tex/generic/babel-x/nosuchlang.ldf",),
    ],
    "docbook-xsl": ["/usr/share/xml/docbook/stylesheet/docbook-xsl/manpages/docbook.xsl"],
    "docbook-xml": ["/usr/share/xml/docbook/schema/dtd/4.5/docbookx.dtd"],
    "docbook-dsssl": ["/usr/share/sgml/docbook/stylesheet/dsssl/nosuch.dsl"],
    "libgtk-dev": ["/usr/share/gir-1.0/Gtk-3.0.gir"],
    "gir-gtk": ["/usr/lib/x86_64-linux-gnu/girepository-1.0/Gtk-3.0.typelib"],
    "valac-vapi": ["/usr/share/vala-0.56/vapi/nosuch-1.0.vapi"],
    "schemas": ["/usr/share/glib-2.0/schemas/org.nosuch.gschema.xml"],
    "appstream": ["/usr/share/gettext/its/metainfo.its"],
    "r-cran-nosuchr": ["/usr/lib/R/site-library/nosuchr/DESCRIPTION"],
    "r-cran-nosuch2": ["/usr/lib/R/site-library/nosuch2/DESCRIPTION"],
    "node-nosuch": ["/usr/share/nodejs/@babel/nosuch/package.json", "/usr/share/nodejs/nosuch/package.json"],
    "node-types-node": ["/usr/share/nodejs/@types/node/package.json"],
    "lua-nosuch": ["/usr/share/lua/5.4/nosuch/x.lua"],
    "tcl-nosuch": ["/usr/share/tcltk/Nosuch8.6/pkgIndex.tcl"],
    "php-nosuch": ["/usr/share/php/Nosuch/autoload.php"],
    "data": ["/usr/share/data/x.txt", "/usr/share/data/rules.mk"],
    "mawk": ["/usr/bin/mawk"],
    "jre": ["/usr/lib/jvm/java-17/bin/java"],
}  # fmt: skip


def found_in(lines: str | bytes, aliases: dict[str, str] | None = None) -> list[str]:
    data = lines.encode() if isinstance(lines, str) else lines
    packages = [(name, "1.0", paths) for name, paths in PACKAGES.items()]
    return [found.path for found in find(wants(data.split(b"\n")), packages, aliases)]


X86 = "usr/lib/x86_64-linux-gnu"
PY = "usr/lib/python3/dist-packages"
MESSAGES_OF_TOOLS = [
    # Shells and what starts programs.
    ("sh: 1: help2man: not found", ["usr/bin/help2man"]),
    ("bash: line 1: help2man: command not found", ["usr/bin/help2man"]),
    ("/bin/sh: 1: help2man: not found", ["usr/bin/help2man"]),
    ("sh: 1: /usr/bin/help2man: not found", ["usr/bin/help2man"]),
    ("bash: line 1: /usr/bin/help2man: No such file or directory", ["usr/bin/help2man"]),
    ("bash: ./s: /usr/bin/help2man: bad interpreter: No such file or directory", ["usr/bin/help2man"]),
    ("/build/a/missing: line 81: help2man: command not found", ["usr/bin/help2man"]),
    ("WARNING: 'help2man' is missing on your system.", ["usr/bin/help2man"]),
    ("env: ‘help2man’: No such file or directory", ["usr/bin/help2man"]),
    ("/usr/bin/env: 'help2man': No such file or directory", ["usr/bin/help2man"]),
    ("make: help2man: No such file or directory", ["usr/bin/help2man"]),
    ("make[2]: help2man: No such file or directory", ["usr/bin/help2man"]),
    ("make: help2man: Command not found", ["usr/bin/help2man"]),
    ("make: /usr/bin/help2man: No such file or directory", ["usr/bin/help2man"]),
    ('Can\'t exec "help2man": No such file or directory at -e line 1.', ["usr/bin/help2man"]),
    ("xargs: help2man: No such file or directory", ["usr/bin/help2man"]),
    ("timeout: failed to run command ‘help2man’: No such file or directory", ["usr/bin/help2man"]),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'help2man'", ["usr/bin/help2man"]),
    ("error: command 'help2man' failed: No such file or directory", ["usr/bin/help2man"]),
    ("execvp: help2man: No such file or directory", ["usr/bin/help2man"]),
    ('exec: "help2man": executable file not found in $PATH', ["usr/bin/help2man"]),
    ("error: could not execute process `help2man -vV` (never executed)", ["usr/bin/help2man"]),
    ('Failed to execute child process "help2man" (No such file or directory)', ["usr/bin/help2man"]),
    ("sh: 1: ls: not found", ["bin/ls"]),
    # Compilers and linkers.
    ("a.c:1:10: fatal error: X11/Xlib.h: No such file or directory", ["usr/include/X11/Xlib.h"]),
    ("a.c:1:10: fatal error: 'X11/Xlib.h' file not found", ["usr/include/X11/Xlib.h"]),
    (
        "\x1b[01m\x1b[Ka.c:1:10:\x1b[m\x1b[K \x1b[01;31m\x1b[Kfatal error: \x1b[m\x1b[KX11/Xlib.h: "
        "No such file or directory",
        ["usr/include/X11/Xlib.h"],
    ),
    ("a.c:1:10: fatal error: foo.h: No such file or directory", ["usr/include/foo.h"]),
    ("a.c:1:10: fatal error: bar/foo.h: No such file or directory", ["usr/include/bar-2.0/bar/foo.h"]),
    (
        "gcc: fatal error: cannot execute ‘cc1plus’: execvp: No such file or directory",
        ["usr/lib/gcc/x86_64-linux-gnu/12/cc1plus"],
    ),
    ("/usr/bin/ld: cannot find -lfoo: No such file or directory", [f"{X86}/libfoo.so"]),
    ("/usr/bin/ld.gold: error: cannot find -lfoo", [f"{X86}/libfoo.so"]),
    ("ld.lld: error: unable to find library -lfoo", [f"{X86}/libfoo.so"]),
    (
        "./b: error while loading shared libraries: libfoo.so.1: cannot open shared object file: "
        "No such file or directory",
        [f"{X86}/libfoo.so.1"],
    ),
    ("OSError: libfoo.so.1: cannot open shared object file: No such file or directory", [f"{X86}/libfoo.so.1"]),
    # What looks for libraries.
    ("Package 'foo', required by 'virtual:world', not found", [f"{X86}/pkgconfig/foo.pc"]),
    ("Package foo was not found in the pkg-config search path.", [f"{X86}/pkgconfig/foo.pc"]),
    ("No package 'bar-2.0' found", ["usr/share/pkgconfig/bar-2.0.pc"]),
    (
        "checking for foo >= 1 bar-2.0... no\n"
        "configure: error: Package requirements (foo >= 1 bar-2.0) were not met:",
        [f"{X86}/pkgconfig/foo.pc", "usr/share/pkgconfig/bar-2.0.pc"],
    ),
    ("Project ERROR: foo development package not found", [f"{X86}/pkgconfig/foo.pc"]),
    ("Project ERROR: Unknown module(s) in QT: gui svg", [f"{X86}/qt5/mkspecs/modules/qt_lib_svg.pri"]),
    (
        "CMake Error at CMakeLists.txt:3 (find_package):\n"
        '  By not providing "FindFoo.cmake" in CMAKE_MODULE_PATH this project has\n'
        '  asked CMake to find a package configuration file provided by "Foo", but\n'
        "  CMake did not find one.\n\n"
        '  Could not find a package configuration file provided by "Foo" with any\n'
        "  of the following names:\n\n    FooConfig.cmake\n    foo-config.cmake\n",
        [f"{X86}/cmake/Foo/FooConfig.cmake"],
    ),
    (
        "CMake Error at CMakeLists.txt:3 (find_package):\n"
        '  Could not find a package configuration file provided by "ECM" with any of\n',
        ["usr/share/ECM/cmake/ECMConfig.cmake"],
    ),
    (
        "CMake Error at /usr/share/cmake-3.25/Modules/FindPackageHandleStandardArgs.cmake:230 (message):\n"
        "  Could NOT find X11 (missing: X11_X11_INCLUDE_PATH X11_X11_LIB)\n",
        ["usr/include/X11/Xlib.h"],
    ),
    (
        "CMake Error at CMakeLists.txt:3 (find_program):\n"
        "  Could not find NOSUCHPROG using the following names: nosuchprog, help2man\n",
        ["usr/bin/help2man"],
    ),
    (
        "-- Checking for modules 'foo>=2'\n--   Package 'foo', required by 'virtual:world', not found\n"
        "CMake Error at /usr/share/cmake-3.25/Modules/FindPkgConfig.cmake:607 (message):\n"
        "  A required package was not found\n",
        [f"{X86}/pkgconfig/foo.pc"],
    ),
    ("m/meson.build:2:0: ERROR: Program 'nosuch help2man' not found or not executable", ["usr/bin/help2man"]),
    ('m/meson.build:7:0: ERROR: Dependency "foo" not found, tried pkgconfig and cmake', [f"{X86}/pkgconfig/foo.pc"]),
    ("m/meson.build:2:24: ERROR: C shared or static library 'foo' not found", [f"{X86}/libfoo.so"]),
    ("m/meson.build:2:24: ERROR: C header 'X11/Xlib.h' not usable", ["usr/include/X11/Xlib.h"]),
    ("m/meson.build:2:17: ERROR: python3 is missing modules: yaml", [f"{PY}/yaml/__init__.py"]),
    (
        "Program help2man found: NO\n\nm/meson.build:3:0: ERROR: Problem encountered: give me manuals\n",
        ["usr/bin/help2man"],
    ),
    ("configure.ac:3: error: possibly undefined macro: AX_NOSUCH", ["usr/share/aclocal/ax_nosuch.m4"]),
    ("configure.ac:3: error: possibly undefined macro: PKG_CHECK_X", ["usr/share/aclocal/pkg.m4"]),
    ("checking for foo.h... no\nconfigure: error: foo.h not found", ["usr/include/foo.h"]),
    ("configure: error: cannot find help2man", ["usr/bin/help2man"]),
    ("checking for help2man... no\nconfigure: error: go away", ["usr/bin/help2man"]),
    ("checking for main in -lfoo... no\nconfigure: error: go away", [f"{X86}/libfoo.so"]),
    # Languages.
    ("ModuleNotFoundError: No module named 'yaml'", [f"{PY}/yaml/__init__.py"]),
    ("E   ModuleNotFoundError: No module named 'yaml'", [f"{PY}/yaml/__init__.py"]),
    ("/usr/bin/python3: No module named yaml", [f"{PY}/yaml/__init__.py"]),
    ("ModuleNotFoundError: No module named 'yaml._yaml'", [f"{PY}/yaml/_yaml.cpython-311-x86_64-linux-gnu.so"]),
    ("ModuleNotFoundError: No module named 'distutils'", ["usr/lib/python3.11/distutils/__init__.py"]),
    (
        "importlib.metadata.PackageNotFoundError: No package metadata was found for pyyaml",
        [f"{PY}/PyYAML-6.0.dist-info/METADATA"],
    ),
    (
        "pkg_resources.DistributionNotFound: The 'zope-interface>=1' distribution was not found and is required by",
        [f"{PY}/zope.interface-5.5.2.egg-info"],
    ),
    (
        "Exception: PEP517 plugin dependencies are not available. Please Build-Depend on pybuild-plugin-pyproject.",
        ["usr/share/doc/pybuild-plugin-pyproject"],
    ),
    (
        "Can't locate Foo/Bar.pm in @INC (you may need to install the Foo::Bar module) (@INC contains: /etc/perl)",
        ["usr/share/perl5/Foo/Bar.pm"],
    ),
    ("Can't locate XS/Fast.pm in @INC (@INC contains: /etc/perl)", [f"{X86}/perl5/5.36/XS/Fast.pm"]),
    (
        "dh: error: unable to load addon nosuch: Can't locate Debian/Debhelper/Sequence/nosuch.pm in @INC (you may",
        ["usr/share/perl5/Debian/Debhelper/Sequence/nosuch.pm"],
    ),
    (
        "<internal:/usr/lib/ruby/vendor_ruby/rubygems/core_ext/kernel_require.rb>:85:in `require': "
        "cannot load such file -- nosuch/x (LoadError)",
        ["usr/lib/ruby/vendor_ruby/nosuch/x.rb"],
    ),
    (
        "/usr/lib/ruby/vendor_ruby/rubygems/dependency.rb:311:in `to_specs': Could not find 'nosuch' (>= 0) among 90",
        ["usr/share/rubygems-integration/all/specifications/nosuch-1.2.gemspec"],
    ),
    ('main.go:2:8: cannot find package "github.com/no/such" in any of:', ["usr/share/gocode/src/github.com/no/such"]),
    (
        "main.go:2:8: no required module provides package github.com/no/such; to add it:",
        ["usr/share/gocode/src/github.com/no/such"],
    ),
    (
        "main.go:3:8: package github.com/no/such is not in GOROOT (/usr/lib/go-1.19/src/nosuch/x)",
        ["usr/share/gocode/src/github.com/no/such"],
    ),
    ("error: no matching package named `no-such` found", ["usr/share/cargo/registry/no-such-1.2.3/Cargo.toml"]),
    ("error[E0463]: can't find crate for `no_such`", ["usr/share/cargo/registry/no-such-1.2.3/Cargo.toml"]),
    ("A.java:1: error: package org.apache.commons.lang3 does not exist", ["usr/share/java/commons-lang3.jar"]),
    (
        "\x1b[0m[ERROR] Plugin org.x:y:2.6 or one of its dependencies could not be resolved: Cannot access central",
        ["usr/share/maven-repo/org/x/y/1.2/y-1.2.pom"],
    ),
    (
        "[ERROR] The following artifacts could not be resolved: org.x:y:jar:1.2, org.x:z:jar:2: Cannot access",
        ["usr/share/maven-repo/org/x/y/1.2/y-1.2.pom", "usr/share/maven-repo/org/x/z/2/z-2.jar"],
    ),
    ("Error: Unbound module Nosuch", ["usr/lib/ocaml/nosuch/nosuch.cmi"]),
    ("ocamlfind: Package `nosuch' not found", ["usr/lib/ocaml/nosuch/META"]),
    ('Error: Library "nosuch" not found.', ["usr/lib/ocaml/nosuch/META"]),
    (
        "    Could not find module ‘Data.Nosuch’",
        ["usr/lib/haskell-packages/ghc/lib/x86_64-linux-ghc-9.0.2/n-1/Data/Nosuch.hi"],
    ),
    (
        "Error in library(nosuchr) : there is no package called ‘nosuchr’",
        ["usr/lib/R/site-library/nosuchr/DESCRIPTION"],
    ),
    (
        "ERROR: dependencies ‘nosuchr’, ‘nosuch2’ are not available for package ‘rp’",
        ["usr/lib/R/site-library/nosuchr/DESCRIPTION", "usr/lib/R/site-library/nosuch2/DESCRIPTION"],
    ),
    ("Error: Cannot find module '@babel/nosuch/x'", ["usr/share/nodejs/@babel/nosuch/package.json"]),
    (
        "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'nosuch' imported from /tmp/x",
        ["usr/share/nodejs/nosuch/package.json"],
    ),
    ("error TS2688: Cannot find type definition file for 'node'.", ["usr/share/nodejs/@types/node/package.json"]),
    ("lua5.4: (command line):1: module 'nosuch.x' not found:", ["usr/share/lua/5.4/nosuch/x.lua"]),
    ("can't find package nosuch 8.6", ["usr/share/tcltk/Nosuch8.6/pkgIndex.tcl"]),
    (
        "PHP Fatal error:  Uncaught Error: Failed opening required 'Nosuch/autoload.php' (include_path='.')",
        ["usr/share/php/Nosuch/autoload.php"],
    ),
    # Documents and the desktop.
    ("! LaTeX Error: File `nosuch.sty' not found.", ["usr/share/texlive/texmf-dist/tex/latex/nosuch/nosuch.sty"]),
    (
        "! Package babel Error: Unknown option 'nosuchlang'. Either you misspelled it",
        ["usr/share/texlive/texmf-dist/tex/generic/babel-x/nosuchlang.ldf"],
    ),
    (
        "! Font \\x=ecrm1000 not loadable: Metric (TFM) file or installed font not found.",
        ["usr/share/texlive/texmf-dist/fonts/tfm/jknappen/ec/ecrm1000.tfm"],
    ),
    (
        "I/O error : Attempt to load network entity "
        "http://docbook.sourceforge.net/release/xsl/current/manpages/docbook.xsl",
        ["usr/share/xml/docbook/stylesheet/docbook-xsl/manpages/docbook.xsl"],
    ),
    (
        'warning: failed to load external entity "http://www.oasis-open.org/docbook/xml/4.5/docbookx.dtd"',
        ["usr/share/xml/docbook/schema/dtd/4.5/docbookx.dtd"],
    ),
    (
        'openjade:E: cannot find "nosuch.dsl"; tried "nosuch.dsl", "/usr/local/share/sgml/nosuch.dsl"',
        ["usr/share/sgml/docbook/stylesheet/dsssl/nosuch.dsl"],
    ),
    ("Couldn't find include 'Gtk-3.0.gir' (search path: '['/usr/share']')", ["usr/share/gir-1.0/Gtk-3.0.gir"]),
    (
        "Could not find GIR file 'Gtk-3.0.gir'; check XDG_DATA_DIRS or use --includedir",
        ["usr/share/gir-1.0/Gtk-3.0.gir"],
    ),
    ("ValueError: Namespace Gtk not available", [f"{X86}/girepository-1.0/Gtk-3.0.typelib"]),
    (
        "ImportError: cannot import name Gtk, introspection typelib not found",
        [f"{X86}/girepository-1.0/Gtk-3.0.typelib"],
    ),
    (
        "error: Package `nosuch-1.0' not found in specified Vala API directories or GObject-Introspection GIR dir",
        ["usr/share/vala-0.56/vapi/nosuch-1.0.vapi"],
    ),
    ("No such schema “org.nosuch”", ["usr/share/glib-2.0/schemas/org.nosuch.gschema.xml"]),
    (
        "GLib-GIO-ERROR **: 10:00:00.000: Settings schema 'org.nosuch' is not installed",
        ["usr/share/glib-2.0/schemas/org.nosuch.gschema.xml"],
    ),
    ("msgfmt: cannot locate ITS rules for data/x.metainfo.xml.in", ["usr/share/gettext/its/metainfo.its"]),
    # Files that somebody opens by their path.
    ("cat: /usr/share/data/x.txt: No such file or directory", ["usr/share/data/x.txt"]),
    ("cp: cannot stat '/usr/share/data/x.txt': No such file or directory", ["usr/share/data/x.txt"]),
    ("sh: 1: .: cannot open /usr/share/data/x.txt: No such file", ["usr/share/data/x.txt"]),
    ("awk: cannot open /usr/share/data/x.txt (No such file or directory)", ["usr/share/data/x.txt"]),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/usr/share/data/x.txt'", ["usr/share/data/x.txt"]),
    ("Makefile:1: /usr/share/data/rules.mk: No such file or directory", ["usr/share/data/rules.mk"]),
    ("make: *** No rule to make target '/usr/share/data/rules.mk'.  Stop.", ["usr/share/data/rules.mk"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "paths"), MESSAGES_OF_TOOLS, ids=[line[:60] for line, _ in MESSAGES_OF_TOOLS]
)
def test_what_a_tool_misses_is_found(lines: str, paths: list[str]) -> None:
    assert found_in(lines) == paths


@pytest.mark.parametrize("message", MESSAGES, ids=[message.example[:60] for message in MESSAGES])
def test_each_row_of_the_table_is_reached(message: object) -> None:
    """A needle that no gate lets through, or a row that a former one shadows, would be dead."""
    (row,) = (known for known in MESSAGES if known is message)
    error = b"\nconfigure: error: go away" if row.weak else b""
    got = wants((row.example.encode() + error).split(b"\n"))
    assert got
    assert any(row.shapes(want.name)[:1] == want.shapes[:1] or want.name.startswith("/") for want in got)


NOISE = """\
checking for help2man... not found
checking for help2man... no
checking for foo.h... no
checking for main in -lfoo... no
checking for help2man... help2man is not needed
-- Could NOT find X11 (missing: X11_X11_INCLUDE_PATH)
-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)
--   Package 'foo', required by 'virtual:world', not found
Run-time dependency foo found: NO (tried pkgconfig and cmake)
Program help2man found: NO
Library foo found: NO
Has header "foo.h" : NO
CMake Warning at CMakeLists.txt:3 (find_package):
  By not providing "FindFoo.cmake" in CMAKE_MODULE_PATH this project has
  Could not find a package configuration file provided by "Foo" with any
gcc -DFOO -c help2man.c foo.h -lfoo
help2man: warning: nothing found
  help2man
dh_missing: warning: usr/bin/help2man exists in debian/tmp but is not installed to anywhere
t/help2man.t .. ok
test_command_not_found ... ok
The command help2man was found
"""


def test_a_good_build_misses_nothing() -> None:
    assert found_in(NOISE) == []
    assert found_in(NOISE + "gcc -c x.c\nx.c:1:2: error: no\nmake: *** [x] Error 1") == []


def test_checks_count_only_right_before_an_error_that_says_no_more() -> None:
    assert found_in("checking for help2man... no\nchecking for x... yes\nconfigure: error: bad") == [
        "usr/bin/help2man"
    ]
    early = "checking for help2man... no\n" + "checking for zz... no\n" * 3
    assert found_in(early + "configure: error: bad") == []
    assert found_in("checking for help2man... no\nconfigure: error: foo.h not found") == ["usr/include/foo.h"]
    cmake = "-- Could NOT find Doxygen (missing: X)\nCMake Error at CMakeLists.txt:3 (find_package):\n"
    assert found_in(
        cmake + '  Could not find a package configuration file provided by "ECM" with any of'
    ) == ["usr/share/ECM/cmake/ECMConfig.cmake"]


def test_order_and_no_duplicates() -> None:
    lines = "sh: 1: help2man: not found\nld: cannot find -lfoo\nbash: help2man: command not found"
    assert [want.name for want in wants(lines.encode().split(b"\n"))] == ["help2man", "foo"]
    assert found_in(lines) == ["usr/bin/help2man", f"{X86}/libfoo.so"]


def test_newlines_carriage_returns_and_cut_quotes_do_not_matter() -> None:
    assert found_in(b"sh: 1: help2man: not found\r\n") == ["usr/bin/help2man"]
    assert found_in(b"10%\r50%\rsh: 1: help2man: not found") == ["usr/bin/help2man"]
    (want,) = wants([b"sh: 1: help2man: not found\n", b"ok\n"])
    assert want.name == "help2man"


def test_what_is_said_of_a_file() -> None:
    found = Found("usr/bin/help2man", "help2man", "1.49.3")
    assert str(found) == "usr/bin/help2man is in help2man 1.49.3, installed here but not in Build-Depends"


def test_development_files_and_plain_places_come_first() -> None:
    want = wants([b"ld: cannot find -lfoo"])
    packages = [
        ("static", "1", ["/usr/lib/x86_64-linux-gnu/libfoo.a"]),
        ("deep", "1", ["/usr/lib/x86_64-linux-gnu/foo/bar/libfoo.so"]),
        ("dev", "1", ["/usr/lib/x86_64-linux-gnu/libfoo.so"]),
    ]
    assert [found.package for found in find(want, packages)] == ["dev"]
    header = wants([b"a.c:1:1: fatal error: foo.h: No such file or directory"])
    both = [("b", "1", ["/usr/include/deep/foo.h"]), ("a", "1", ["/usr/include/foo.h"])]
    assert [found.package for found in find(header, both)] == ["a"]


def test_at_most_two_packages_that_are_as_good() -> None:
    packages = [(name, "1", [f"/usr/include/{name}/foo.h"]) for name in "dcba"]
    header = wants([b"a.c:1:1: fatal error: foo.h: No such file or directory"])
    assert [found.package for found in find(header, packages)] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "aliases", "path"),
    [
        ("sh: 1: awk: not found", {"/usr/bin/awk": "/usr/bin/mawk"}, "usr/bin/mawk"),
        ("make: /usr/bin/awk: No such file or directory", {"/usr/bin/awk": "/bin/../bin/x"}, None),
        (
            'Cannot run program "java": error=2, No such file or directory',
            {"/usr/bin/java": "/usr/lib/jvm/java-17/bin/java"},
            "usr/lib/jvm/java-17/bin/java",
        ),
        ("sh: 1: dir: not found", {"/usr/bin/dir": "/bin/ls"}, "bin/ls"),
        ("sh: 1: awk: not found", {}, None),
    ],
)
def test_alternatives_lead_to_their_target(line: str, aliases: dict[str, str], path: str | None) -> None:
    assert found_in(line, aliases) == ([path] if path else [])


HOSTILE = [
    b"sh: 1: ../../usr/bin/help2man: not found",
    b"a.c:1:1: fatal error: ../../foo.h: No such file or directory",
    b"a.c:1:1: fatal error: ./foo.h: No such file or directory",
    b"sh: 1: *: not found",
    b"sh: 1: help2ma?: not found",
    b"sh: 1: help2[m]an: not found",
    b"Error: Cannot find module '../nosuch'",
    b"ModuleNotFoundError: No module named '..yaml'",
    b"sh: 1: help2man\0: not found",
    b"sh: 1: $(help2man): not found",
    b"cat: /usr/share/data/../data/x.txt: No such file or directory",
    b"cat: /home/x/usr/share/data/x.txt: No such file or directory",
    b"Error: Unbound module .",
    b"configure: error: ",
    b"Package requirements () were not met",
    b'configuration file provided by ""',
    b"\xff\xfe No such file \x80 not found",
    b"\x1b[" * 2000 + b"not found",
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_finds_nothing(line: bytes) -> None:
    assert found_in(line) == []


def test_shapes_hold_no_name_with_wildcards_or_parents() -> None:
    for line in HOSTILE:
        for want in wants([line]):
            assert not set(want.name) & set("*?[]$()\0\n '\"\\")
            assert ".." not in want.name.split("/")


def test_a_name_in_a_pattern_is_literal() -> None:
    want = wants([b"sh: 1: g++: not found"])
    packages = [("wrong", "1", ["/usr/bin/ggg"]), ("right", "1", ["/usr/bin/g++"])]
    assert [found.package for found in find(want, packages)] == ["right"]
    dotted = wants([b"cat: /usr/share/a.b: No such file or directory"])
    assert find(dotted, [("wrong", "1", ["/usr/share/axb"])]) == ()


def test_long_lines_are_cut_and_wants_bounded() -> None:
    assert wants([b"x" * LONGEST_LINE + b" sh: 1: help2man: not found"]) == ()
    assert wants([b"sh: 1: " + b"a" * 1_000_000 + b": not found"]) == ()
    many = wants([b"sh: 1: p%d: not found" % number for number in range(3 * MOST_WANTS)])
    assert len(many) <= MOST_WANTS
    assert many[-1].name == f"p{3 * MOST_WANTS - 1}"


def test_what_ends_a_long_noisy_log_is_read() -> None:
    noise = [b"x: not found in cache, No such luck"] * 50_000
    assert [want.name for want in wants([*noise, b"sh: 1: help2man: not found"])][-1:] == ["help2man"]


def test_nothing_is_wanted_of_nothing() -> None:
    assert wants([]) == ()
    assert find((), [("a", "1", ["/usr/bin/a"])]) == ()
    assert find((Want("a", ("usr/bin/a",)),), []) == ()


def seconds(act: Callable[[], object]) -> float:
    """Of processor time: what else runs on the machine counts least then."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        act()
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(
    "piece",
    [
        b"a",
        b"a ",
        b"a.",
        b"'a",
        b'"a',
        b"a:",
        b"a/",
        b": ",
        b"exec ",
        b"find ",
        b"/usr/a ",
        b"'a', ",
        b"\x1b[1",
        b"= > ",
    ],
)
@pytest.mark.parametrize(
    "end", [b": not found!", b" No such file!", b" artifact ... no", b" not available for package"]
)
def test_time_is_linear_in_the_line(piece: bytes, end: bytes) -> None:
    """Ten times the length may take some thirty times as long where a machine is busy, never hundred times."""
    short = piece * (400 // len(piece)) + end
    long = piece * (3900 // len(piece)) + end
    start = b"configure: error: "
    assert seconds(lambda: wants([start + long] * 5)) < 35 * seconds(lambda: wants([start + short] * 5))


@pytest.mark.parametrize(
    "example", [row.example for row in MESSAGES], ids=[row.example[:60] for row in MESSAGES]
)
def test_time_is_linear_in_repetitions_of_a_message(example: str) -> None:
    """A wording over and over, with an end that no wording has."""
    piece = example.replace("'", " ").encode()[: len(example) * 3 // 4] + b" "
    short = (piece * 400)[:400] + b" No such not found!"
    long = (piece * 400)[:4000] + b" No such not found!"
    assert seconds(lambda: wants([long] * 5)) < 35 * seconds(lambda: wants([short] * 5))


def test_lines_without_a_message_cost_little() -> None:
    plain = [b"gcc -Wall -O2 -I/usr/include -DHAVE_CONFIG_H -c src/foo.c -o build/foo.o"] * 20_000
    split = seconds(lambda: [line.decode().split() for line in plain])
    assert seconds(lambda: wants(plain)) < 5 * split


def test_many_paths_cost_little() -> None:
    paths = [f"/usr/share/a{number}/b/c{number}/__init__.py" for number in range(20_000)]
    twenty = [
        want for n in range(20) for want in wants([b"ModuleNotFoundError: No module named 'yaml.x%d'" % n])
    ]
    assert len(twenty) == 20
    split = seconds(lambda: [path.split("/") for path in paths])
    assert seconds(lambda: find(twenty, [("a", "1", paths)])) < 100 * split
    others = [f"/usr/share/a/b/file{number}.txt" for number in range(20_000)]
    assert seconds(lambda: find(twenty, [("a", "1", others)])) < 10 * seconds(
        lambda: [path.split("/") for path in others]
    )
