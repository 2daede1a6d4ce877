"""The messages that name what a build missed: one row per wording, with a line as the tool prints it.

Rows are tried in order, and the first that matches a line has it. A pattern sees one line without colours,
in which all typographic quotes and backticks are plain ones. A name begins only where a word does, so that
the time is linear in the line; group 1 is the name, or names with blanks, commas or quotes between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bwbuild.lookup import modules as module
from bwbuild.lookup import shapes as kind


@dataclass(frozen=True, slots=True)
class Message:
    """One wording.

    :ivar needle: text without a quote that each line of this wording has.
    :ivar pattern: regular expression that finds the name.
    :ivar shapes: from a name to how its file looks.
    :ivar example: a line that it matches.
    :ivar weak: whether successful builds say it too, so that it counts only right before an error.
    """

    needle: str
    pattern: str
    shapes: Callable[[str], tuple[str, ...]]
    example: str
    weak: bool = False


# A name, a name with slashes, names in quotes of either kind.
_N = r"(?<![\w.+/@-])([\w.+-]+)"
_P = r"(?<![\w.+/@-])([\w.+/@-]+)"
_Q = r"'([^'\s]+)'"
_D = r'"([^"\s]+)"'
_SYSTEM = r"(?<![\w.+~/@-])(/(?:usr|etc|bin|sbin|lib\w*)/[\w.+@~/-]+)"
_ARTIFACT = r"(?<![\w.:-])([\w.-]+:[\w.-]+:(?:jar|pom|maven-plugin|bundle|war|test-jar)\b)"
_NO_FILE = "o such file"
_NOT_FOUND = "not found"

# fmt: off
_COMPILERS = (
    Message(_NO_FILE, rf"[Ff]atal error: {_P}: No such file", kind.header,
            "a.c:1:10: fatal error: x11/nosuch.h: No such file or directory"),
    Message("file not found", rf"fatal error: {_Q} file not found", kind.header,
            "a.c:1:10: fatal error: 'x11/nosuch.h' file not found"),
    Message(_NO_FILE, rf"Cannot open module file {_Q}", kind.fortran,
            "Fatal Error: Cannot open module file 'netcdf.mod' for reading at (1): No such file"),
    Message("cannot execute", rf"cannot execute {_Q}: (?:posix_spawnp|execvp)", kind.program,
            "gcc: fatal error: cannot execute 'cc1plus': execvp: No such file or directory"),
    Message("cannot find -l", r"cannot find -l:?([\w.+-]+)", kind.library,
            "/usr/bin/ld: cannot find -lnosuch: No such file or directory"),
    Message("locate mkmf.log", rf"^{_N} is missing\. Please locate mkmf\.log", kind.library,
            "nosuch is missing. Please locate mkmf.log to investigate how it is failing."),
    Message("to find library -l", r"unable to find library -l:?([\w.+-]+)", kind.library,
            "ld.lld: error: unable to find library -lnosuch"),
    Message("could not find native", rf"could not find native static library {_Q}", kind.library,
            "error: could not find native static library `nosuch`, perhaps an -L flag is missing?"),
    Message("cannot open shared object", rf"{_N}: cannot open shared object file", kind.shared,
            "./b: error while loading shared libraries: libx.so.1: cannot open shared object file: No"),
    Message("Unable to find", rf"Error: Unable to find {_Q}", kind.swig,
            "x.i:3: Error: Unable to find 'numpy.i'"),
    Message("File not found", rf"{_P}: File not found", kind.proto,
            "google/protobuf/any.proto: File not found."),
)

_SETTINGS = (
    Message(", required by ", rf"^-- +Package {_Q}, required by", kind.pkgconfig,
            "--   Package 'nosuch', required by 'virtual:world', not found", weak=True),
    Message(", required by ", rf"Package {_Q}, required by '[^']*', not found", kind.pkgconfig,
            "Package 'nosuch', required by 'virtual:world', not found"),
    Message("pkg-config search path", rf"Package '?{_N}'? was not found in the pkg-config", kind.pkgconfig,
            "Package nosuch was not found in the pkg-config search path."),
    Message("No package ", rf"^-- +No package {_Q} found", kind.pkgconfig,
            "--   No package 'nosuch' found", weak=True),
    Message("No package ", rf"No package {_Q} found", kind.pkgconfig, "No package 'nosuch' found"),
    Message("were not met", r"Package requirements \(([^()]+)\) were not met", kind.pkgconfig,
            "configure: error: Package requirements (nosuch >= 1 glib-2.0) were not met:"),
    Message("development package", rf"{_N} development package not found", kind.pkgconfig,
            "Project ERROR: nosuch development package not found"),
    Message("in QT:", r"Unknown module\(s\) in QT: (.+)", kind.qt_module,
            "Project ERROR: Unknown module(s) in QT: svg nosuch"),
    Message("configuration file provided by", rf"package configuration file provided by {_D}", kind.cmake,
            '  Could not find a package configuration file provided by "Nosuch" with any'),
    Message("By not providing", r'providing "Find([\w.+-]+)\.cmake"', kind.cmake,
            '  By not providing "FindNosuch.cmake" in CMAKE_MODULE_PATH this project has'),
    Message("NOT find", rf"^-- Could NOT find {_N}", kind.cmake,
            "-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)", weak=True),
    Message("NOT find", rf"Could NOT find {_N}", kind.cmake,
            "  Could NOT find Nosuch (missing: NOSUCH_LIBRARY NOSUCH_INCLUDE_DIR)"),
    Message("Could not find", r"Could not find \w+ using the following names: (.+)", kind.anything,
            "  Could not find NOSUCHPROG using the following names: nosuchprog, np2"),
    Message("could be found", r"No CMAKE_(\w+)_COMPILER could be found", kind.compiler,
            "  No CMAKE_Fortran_COMPILER could be found."),
    Message("in the PATH", rf"^ +{_N} *is not a full path and was not found in the PATH", kind.program,
            "    gfortran is not a full path and was not found in the PATH."),
    Message(_NOT_FOUND, r"Program '([^']+)' not found", kind.program,
            "m/meson.build:2:0: ERROR: Program 'nosuchprog np2' not found or not executable"),
    Message(_NOT_FOUND, rf"Dependency {_D} not found", kind.dependency,
            'm/meson.build:7:0: ERROR: Dependency "nosuch" not found, tried pkgconfig and cmake'),
    Message(_NOT_FOUND, rf"library {_Q} not found", kind.library,
            "m/meson.build:2:24: ERROR: C shared or static library 'nosuchlib' not found"),
    Message(" header ", rf" header {_Q} not (?:usable|found)", kind.header,
            "m/meson.build:2:24: ERROR: C header 'nosuch/h.h' not usable"),
    Message("found: NO", rf"dependency {_N} found: NO", kind.dependency,
            "Run-time dependency nosuch found: NO (tried pkgconfig and cmake)", weak=True),
    Message("found: NO", r"Program ([\w.+-]+(?: [\w.+-]+){0,9}) found: NO", kind.program,
            "Program nosuchprog np2 found: NO", weak=True),
    Message("found: NO", rf"Library {_N} found: NO", kind.library, "Library nosuchlib found: NO", weak=True),
    Message("missing modules", r"is missing modules: (.+)", kind.python_module,
            "m/meson.build:2:17: ERROR: python3 is missing modules: nosuchmod"),
    Message("Unknown compiler", r"Unknown compiler\(s\): \[(.{1,200}?)\]$", kind.program,
            "m/meson.build:1:0: ERROR: Unknown compiler(s): [['valac']]"),
    Message("undefined macro", r"undefined macro: ([A-Z]\w+)", kind.macro,
            "configure.ac:3: error: possibly undefined macro: AM_NOSUCH_X"),
    Message("Libtool library used", r"Libtool library used but '(LIBTOOL)' is undefined",
            lambda _: kind.macro("LT_INIT"),
            "Makefile.am:1: error: Libtool library used but 'LIBTOOL' is undefined"),
    Message("is missing on your system", rf"{_Q} is missing on your system", kind.program,
            "WARNING: 'help2man' is missing on your system."),
    Message("checking for ", r"^checking for \S+ in -l([\w.+-]+)\.\.\. (?:no|not found)$", kind.library,
            "checking for main in -lnosuchl... no", weak=True),
    Message("checking for ", r"^checking for ([\w.+-]+ (?:[<>=]=? .+)?)\.\.\. (?:no|not found)$",
            kind.pkgconfig, "checking for nosuch >= 1 glib-2.0... no", weak=True),
    Message("checking for ", r"^checking for (?:an? )?([\w./+-]+)\.\.\. (?:no|not found)$", kind.anything,
            "checking for nosuch/h.h... no", weak=True),
    Message("configure: error:", r"configure: error: (?:\*+ )?([^:]{1,60}?),? (?:(?:is|was|are|were) )?"
            r"(?:not found|missing|required|not installed|not available|needed)", kind.anything,
            "configure: error: nosuch.h not found"),
    Message("configure: error:",
            r"configure: error: .{0,60}?(?:find|locate|requires?|need|install) (.{1,60})", kind.anything,
            "configure: error: cannot find help2man"),
)

_LANGUAGES = (
    Message("No module named", r"No module named '?([\w.]+)", kind.python_module,
            "ModuleNotFoundError: No module named 'xml.nosuch'"),
    Message("No package metadata", r"No package metadata was found for ([\w.-]+)", kind.python_distribution,
            "importlib.metadata.PackageNotFoundError: No package metadata was found for no-such"),
    Message("NotFoundError", r"PackageNotFoundError: ([\w.-]+)$", kind.python_distribution,
            "importlib.metadata.PackageNotFoundError: no-such"),
    Message("distribution was not found", r"The '([\w.-]+)[^']*' distribution was not found",
            kind.python_distribution,
            "pkg_resources.DistributionNotFound: The 'no-such>=1' distribution was not found and is"),
    Message("distribution ", r"distribution (?:for Requirement\.parse\('|found for )([\w.-]+)",
            kind.python_distribution,
            "distutils.errors.DistutilsError: Could not find suitable distribution for "
            "Requirement.parse('no-such>=1')"),
    Message("Cannot import", r"BackendUnavailable: Cannot import '([\w.]+)", kind.python_module,
            "pyproject_hooks._impl.BackendUnavailable: Cannot import 'hatchling.build'"),
    Message("Please Build-Depend on", r"Please Build-Depend on ([a-z0-9][a-z0-9+-]+)", kind.package,
            "Exception: PEP517 plugin dependencies are not available. "
            "Please Build-Depend on pybuild-plugin-pyproject."),
    Message("no theme named", r"no theme named '([\w.]+)' found", kind.python_module,
            "sphinx.errors.ThemeError: no theme named 'sphinx_rtd_theme' found (missing theme.conf?)"),
    Message(_NOT_FOUND, r"'([\w/.]+\.pxd)' not found", kind.cython,
            "x.pyx:1:8: 'numpy/random.pxd' not found"),
    Message("Can't locate", r"Can't locate ([\w/.-]+) in @INC", module.perl_module,
            "Can't locate Foo/Bar.pm in @INC (you may need to install the Foo::Bar module) at -e line 1."),
    Message("Can't locate", r"Can't locate loadable object for module ([\w:]+) in @INC", module.perl_module,
            "Can't locate loadable object for module Foo::Bar in @INC at x line 1."),
    Message("prerequisite", r"prerequisite ([\w:]+) \S+ not found", module.perl_module,
            "Warning: prerequisite Foo::Bar 0 not found."),
    Message("cannot load such file", r"cannot load such file -- ([\w./-]+)", module.ruby_library,
            "kernel_require.rb:85:in `require': cannot load such file -- nosuch/x (LoadError)"),
    Message("Could not find", r"Could not find (?:gem )?'([\w.-]+)", module.gem,
            "dependency.rb:311:in `to_specs': Could not find 'nosuch' (>= 0) among 90 total gem(s)"),
    Message("cannot find package", r'cannot find package "([\w./~-]+)"', module.go_package,
            'main.go:2:8: cannot find package "github.com/no/such" in any of:'),
    Message("no required module", r"no required module provides package ([\w./~-]+)", module.go_package,
            "main.go:2:8: no required module provides package github.com/no/such; to add it:"),
    Message("module providing", r"cannot find module providing package ([\w./~-]+)", module.go_package,
            "main.go:2:8: cannot find module providing package github.com/no/such: module lookup disabled"),
    Message(" is not in ", r"package ([\w./~-]+) is not in (?:GOROOT|std)", module.go_package,
            "main.go:3:8: package nosuch/x is not in GOROOT (/usr/lib/go-1.19/src/nosuch/x)"),
    Message("no matching package", rf"no matching package named {_Q} found", module.crate,
            "error: no matching package named `nosuch` found"),
    Message("failed to select a version", r"for the requirement '([\w-]+) =", module.crate,
            'error: failed to select a version for the requirement `nosuch = "^1"`'),
    Message("find crate for", rf"can't find crate for {_Q}", module.crate,
            "error[E0463]: can't find crate for `nosuch`"),
    Message("does not exist", r"error: package ([\w.]+) does not exist", module.java_package,
            "A.java:1: error: package org.nosuch does not exist"),
    Message("could not be resolved", r"Plugin ([\w.-]+:[\w.-]+):\S+ or one of its dep", module.maven,
            "Plugin org.x:y-plugin:2.6 or one of its dependencies could not be resolved: -> [Help 1]"),
    Message("could not be resolved", _ARTIFACT, module.maven,
            "The following artifacts could not be resolved: org.x:y:jar:1, org.x:z:jar:2: -> [Help 1]"),
    Message("artifact ", _ARTIFACT, module.maven,
            "Cannot access central in offline mode and the artifact org.x:y:jar:1.2 has not been downloaded"),
    Message("Unbound module", r"Unbound module (\w[\w.]*)", module.ocaml_module,
            "Error: Unbound module Nosuch"),
    Message("ocamlfind: Package", rf"ocamlfind: Package {_Q} not found", module.ocaml_library,
            "ocamlfind: Package `nosuch' not found"),
    Message(_NOT_FOUND, rf"Library {_D} not found", module.ocaml_library,
            'Error: Library "nosuch" not found.'),
    Message("ould not find module", r"Could not find module '([\w.]+)'", module.haskell_module,
            "    Could not find module 'Data.Nosuch'"),
    Message("package called", rf"there is no package called {_Q}", module.r_package,
            "Error in library(nosuch) : there is no package called 'nosuch'"),
    Message("not available for package",
            r"dependenc(?:y|ies) ('.{1,400}?') (?:is|are) not available", module.r_package,
            "ERROR: dependencies 'nosuchr', 'nosuch2' are not available for package 'rp'"),
    Message("Cannot find ", rf"Cannot find (?:module|package) {_Q}", module.node_module,
            "Error: Cannot find module '@babel/nosuch/x'"),
    Message("type definition file", rf"Cannot find type definition file for {_Q}",
            lambda name: module.node_module(f"@types/{name}"),
            "error TS2688: Cannot find type definition file for 'node'."),
    Message("Can't resolve", rf"Can't resolve {_Q}", module.node_module,
            "Module not found: Error: Can't resolve 'nosuch' in '/build/x'"),
    Message(_NOT_FOUND, r"module '([\w.-]+)' not found:", module.lua_module,
            "lua5.4: (command line):1: module 'nosuch.x' not found:"),
    Message("find package", r"can't find package ([\w:.+-]+)", module.tcl_package,
            "can't find package nosuch 8.6"),
    Message("Failed opening", r"Failed opening (?:required )?'([\w./-]+)'", module.php,
            "PHP Fatal error: Failed opening required 'Nosuch/autoload.php' (include_path='.')"),
)

_DOCUMENTS = (
    Message(_NOT_FOUND, rf"File {_Q} not found", kind.tex, "! LaTeX Error: File `nosuch.sty' not found."),
    Message("working TeX binary", rf"working TeX binary \({_N}\)", kind.program,
            "You don't have a working TeX binary (tex) installed anywhere in"),
    Message("I can't find file", rf"! I can't find file {_Q}", kind.tex, "! I can't find file `nosuch'."),
    Message("couldn't open", r"I couldn't open (?:style|database) file ([\w.-]+)", kind.tex,
            "I couldn't open style file nosuch.bst"),
    Message("Unknown option", r"babel Error: Unknown option '(\w+)'", lambda name: kind.tex(f"{name}.ldf"),
            "! Package babel Error: Unknown option 'nosuchlang'. Either you misspelled it"),
    Message("not loadable", r"! Font [^=]{1,60}=([\w.-]+)\b.{0,60}? not loadable", kind.tex_font,
            "! Font \\x=nosuchf not loadable: Metric (TFM) file or installed font not found."),
    Message(_NOT_FOUND, r"Font (\w+) at \d+ not found", kind.tex_font,
            "!pdfTeX error: Font ecrm1000 at 600 not found"),
    Message("network entity", r"load network entity \"?https?://([\w.+@~/-]+)", kind.tail,
            "I/O error : Attempt to load network entity http://docbook.sourceforge.net/release/xsl/current/x.xsl"),
    Message("external entity", r'external entity "(?:https?://)?([\w.+@~/-]+)"', kind.tail,
            'warning: failed to load external entity "http://docbook.sourceforge.net/release/xsl/current/x.xsl"'),
    Message("cannot find ", r'cannot find "([\w.+-]+)"; tried', kind.tail,
            'openjade:E: cannot find "nosuch.dsl"; tried "nosuch.dsl", "/usr/share/sgml/nosuch.dsl"'),
    Message("public text", r"//DTD DocBook (?:XML )?V([\d.]+)", kind.docbook,
            'W: cannot generate system identifier for public text "-//OASIS//DTD DocBook V9.1//EN"'),
    Message(".gir", r"(?<![\w.-])([\w.-]+\.gir)'", module.gir,
            "Couldn't find include 'Gtk-3.0.gir' (search path: '[]')"),
    Message("typelib not found", r"cannot import name (\w+), introspection", module.typelib,
            "ImportError: cannot import name Nosuch, introspection typelib not found"),
    Message("Typelib file", rf"Typelib file for namespace {_Q}", module.typelib,
            "Typelib file for namespace 'Gtk', version '3.0' not found"),
    Message("Namespace ", r"Namespace (\w+) not available", module.typelib,
            "ValueError: Namespace Gtk not available"),
    Message("Vala API", rf"Package {_Q} not found in specified Vala API", module.vapi,
            "error: Package `nosuch-1.0' not found in specified Vala API directories or GIR directories"),
    Message("Settings schema", rf"Settings schema {_Q} is not installed", module.schema,
            "GLib-GIO-ERROR **: Settings schema 'org.nosuch' is not installed"),
    Message("No such schema", r"""No such schema ["']([\w.-]+)""", module.schema,
            "No such schema 'org.nosuch'"),
    Message("ITS rules", r"cannot locate ITS rules for (\S+)", kind.its,
            "msgfmt: cannot locate ITS rules for data/org.x.metainfo.xml.in"),
)

_COMMANDS = (
    Message("command not found", r"command not found: ([\w.+-]+)", kind.program,
            "zsh: command not found: nosuch"),
    Message("ommand not found", rf"{_P}: [Cc]ommand not found", kind.program,
            "bash: line 1: nosuch: command not found"),
    Message(_NOT_FOUND, rf"(?:^|[\s:])'?{_P}'?: not found$", kind.program, "sh: 1: nosuch: not found"),
    Message(_NOT_FOUND, rf"^!! {_N} not found,", kind.program,
            "!! nosuch not found, not generating documentation"),
    Message(_NO_FILE, r"^(?:\S*make(?:\[\d+\])?|\S*env|\S*sh|xargs|nice|nohup|find|exec\w*|timeout)"
            rf": (?:.{{1,40}}: |failed to run command )?'?{_P}'?: No such file or directory$", kind.program,
            "env: 'nosuch': No such file or directory"),
    Message("an't exec ", rf"Can't exec {_D}", kind.program,
            "Can't exec \"nosuch\": No such file or directory at -e line 1."),
    Message(_NO_FILE,
            rf"(?:exec\w*|run|spawn|command|process|program):? (?:['\"](?=\S+['\"])|(?=\S+: ))"
            rf"{_P}.{{0,60}}?o such file",
            kind.program, "error: command 'swig' failed: No such file or directory"),
    Message("executable file not found", rf'exec: {_D}: executable file not found', kind.program,
            'exec: "nosuch": executable file not found in $PATH'),
    Message("never executed", r"could not execute process '([\w./+-]+)", kind.program,
            "error: could not execute process `rustc -vV` (never executed)"),
    Message("ENOENT", rf"spawn {_N} ENOENT", kind.program, "Error: spawn nosuch ENOENT"),
    Message(_NO_FILE, rf"No such file or directory(?:: '| - |: b'){_N}", kind.program,
            "FileNotFoundError: [Errno 2] No such file or directory: 'nosuch'"),
    Message("o such file", _SYSTEM, kind.file, "cat: /usr/share/nosuch/x: No such file or directory"),
    Message("No rule to make target", rf"No rule to make target '{_SYSTEM}'", kind.file,
            "make: *** No rule to make target '/usr/share/nosuch/y', needed by 'a'.  Stop."),
)
# fmt: on

#: All of them; what is said of one thing stands before what is said of many.
MESSAGES = (*_COMPILERS, *_SETTINGS, *_LANGUAGES, *_DOCUMENTS, *_COMMANDS)
