"""How the files of a language's modules look; names and shapes as in :mod:`bwbuild.lookup.shapes`."""

from __future__ import annotations

import re

from bwbuild.lookup.shapes import Shapes


def perl_module(path: str) -> Shapes:
    """What ``require "path"`` reads; the name of a module will do."""
    path = path.replace("::", "/")
    path += "" if path.endswith((".pm", ".pl", ".ph", ".al")) else ".pm"
    places = (
        "usr/share/perl5",
        "usr/lib/*/perl5/*",
        "usr/share/perl/*",
        "usr/lib/*/perl/*",
        "usr/lib/*/perl-base",
    )
    return tuple(f"{place}/{path}" for place in places)


def ruby_library(path: str) -> Shapes:
    """What ``require "path"`` reads."""
    path = path.removesuffix(".rb").removesuffix(".so")
    gems = "usr/**/gems/*/lib"
    return (
        f"usr/lib/ruby/**/{path}.rb",
        f"usr/lib/**/ruby/**/{path}.so",
        f"{gems}/{path}.rb",
        f"{gems}/{path}.so",
    )


def gem(name: str) -> Shapes:
    """What rubygems reads of a gem."""
    return (f"usr/**/specifications/**/{name}-[0-9]*.gemspec", f"usr/**/specifications/{name}.gemspec")


def go_package(path: str) -> Shapes:
    """The directory of a package of Go."""
    return (f"usr/share/gocode/src/{path}",)


def crate(name: str) -> Shapes:
    """The source of a crate, or what is compiled of it."""
    loose = re.sub("[-_]", "?", name)
    return (f"usr/share/cargo/registry/{loose}-[0-9]*/Cargo.toml", f"usr/lib/rustlib/*/lib/lib{loose}-*.rlib")


def maven(coordinates: str) -> Shapes:
    """What maven reads of ``group:artifact``."""
    group, _, artifact = coordinates.partition(":")
    artifact = artifact.partition(":")[0]
    if not group or not artifact:
        return ()
    place = f"usr/share/maven-repo/{group.replace('.', '/')}/{artifact}/*/{artifact}"
    return (f"{place}-*.pom", f"{place}-*.jar")


def java_package(name: str) -> Shapes:
    """The jar a package is likely in, by name: jars can't be looked into."""
    parts = name.split(".")
    jars = ["-".join(parts[start:end]) for end in (len(parts), len(parts) - 1) for start in range(1, end)]
    return tuple(f"usr/share/java/{jar}.jar" for jar in jars)


def ocaml_library(name: str) -> Shapes:
    """What findlib reads of a library; a sublibrary is in the file of its parent."""
    parts = name.split(".")
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return (*(f"usr/lib/**/ocaml/**/{path}/META" for path in paths), f"usr/lib/ocaml/**/META.{name}")


def ocaml_module(name: str) -> Shapes:
    """The compiled interface of a module."""
    first = name.partition(".")[0]
    return (f"usr/lib/**/ocaml/**/{first[0].lower()}{first[1:]}.cmi", f"usr/lib/**/ocaml/**/{first}.cmi")


def haskell_module(name: str) -> Shapes:
    """The interface of a module, plain, or else for profiling."""
    path = name.replace(".", "/")
    places = ("usr/lib/haskell-packages/**", "usr/lib/ghc/**")
    return tuple(f"{place}/{path}.{kind}" for kind in ("hi", "p_hi") for place in places)


def gir(name: str) -> Shapes:
    """``Gtk-3.0.gir`` as the scanner, the compiler and vala read it."""
    base = name.removesuffix(".gir")
    return (f"usr/share/gir-1.0/{base}.gir", f"usr/lib/**/gir-1.0/{base}.gir")


def typelib(name: str) -> Shapes:
    """A namespace, with its version or without."""
    versions = name if re.search(r"-\d", name) else f"{name}-*"
    return (f"usr/lib/**/girepository-1.0/{versions}.typelib",)


def vapi(name: str) -> Shapes:
    """What ``--pkg name`` reads."""
    return (f"usr/share/vala/vapi/{name}.vapi", f"usr/share/vala*/vapi/{name}.vapi", *gir(name))


def schema(name: str) -> Shapes:
    """The file of a settings schema; a child may be in that of its parent."""
    parents = [name, name.rpartition(".")[0]]
    place = "usr/share/glib-2.0/schemas"
    return tuple(f"{place}/{n}.{end}.xml" for n in parents if n for end in ("gschema", "enums"))


def r_package(name: str) -> Shapes:
    """The description of an installed package of R."""
    return tuple(f"usr/lib/R/{place}/{name}/DESCRIPTION" for place in ("site-library", "library"))


def node_module(name: str) -> Shapes:
    """What ``require("name")`` reads, or the package it belongs to."""
    name = name.removeprefix("node:")
    package = "/".join(name.split("/")[: 2 if name.startswith("@") else 1])
    places = ("usr/share/nodejs", "usr/lib/nodejs", "usr/lib/*/nodejs")
    deeper = (
        ()
        if package == name
        else tuple(f"{place}/{name}{end}" for place in places for end in (".js", "/index.js"))
    )
    return (*deeper, *(f"{p}/{package}/package.json" for p in places), *(f"{p}/{package}.js" for p in places))


def lua_module(name: str) -> Shapes:
    """What ``require "name"`` reads."""
    path = name.replace(".", "/")
    return (f"usr/share/lua/*/{path}.lua", f"usr/share/lua/*/{path}/init.lua", f"usr/lib/**/lua/*/{path}.so")


def tcl_package(name: str) -> Shapes:
    """The index of a package of Tcl, whose directory has its name and mostly its version."""
    loose = "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in name)
    places = ("usr/share/tcltk", "usr/lib/tcltk", "usr/lib")
    ends = ("", "[0-9]*", "-[0-9]*")
    return tuple(f"{place}/**/{loose}{end}/pkgIndex.tcl" for place in places for end in ends)


def php(path: str) -> Shapes:
    """What ``require "path"`` reads."""
    return (f"usr/share/php/{path}",)
