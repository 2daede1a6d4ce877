"""How the files look that packages have for what a build names: one function per kind of name.

A shape is a path from the root, without the first slash: ``*`` and ``?`` stand for any characters and for
one, ``[xy]`` for one of these, none of them for a slash, and ``**/`` for any directories. The functions take
a name of the characters that :func:`is_name` allows and give shapes, best first.
"""

from __future__ import annotations

import re

Shapes = tuple[str, ...]

_NAME = re.compile(r"(?!-)[A-Za-z0-9_.+@:/~-]{1,255}", re.ASCII)
_SYSTEM = ("usr/", "bin/", "sbin/", "lib/", "lib64/", "etc/")
_PYTHON = "usr/lib/python3*"
_COMPILERS = {
    "C": "gcc",
    "CXX": "g++",
    "Fortran": "gfortran",
    "ASM_NASM": "nasm",
    "ASM_YASM": "yasm",
    "CUDA": "nvcc",
    "Java": "javac",
    "OBJC": "gobjc",
}
#: Modules of CMake whose name says nothing of the files they look for.
_CMAKE = {
    "Boost": "usr/include/boost/version.hpp",
    "Gettext": "usr/bin/msgfmt",
    "GTest": "usr/include/gtest/gtest.h",
    "JPEG": "usr/include/jpeglib.h",
    "LibXml2": "usr/lib/**/libxml2.so",
    "OpenGL": "usr/lib/**/libGL.so",
    "OpenSSL": "usr/include/openssl/ssl.h",
    "PNG": "usr/lib/**/libpng.so",
    "PkgConfig": "usr/bin/pkg-config",
    "SQLite3": "usr/include/sqlite3.h",
    "X11": "usr/include/X11/Xlib.h",
    "ZLIB": "usr/include/zlib.h",
}
#: Macros whose file has another name than they.
_MACROS = {
    "AC_PROG_LIBTOOL": "libtool",
    "AM_GLIB_GNU_GETTEXT": "glib-gettext",
    "AM_GNU_GETTEXT": "gettext",
    "AM_ICONV": "iconv",
    "AM_NLS": "nls",
    "AM_PROG_LIBTOOL": "libtool",
    "GLIB_GSETTINGS": "gsettings",
    "GOBJECT_INTROSPECTION_CHECK": "introspection",
    "GTK_DOC_CHECK": "gtk-doc",
    "IT_PROG_INTLTOOL": "intltool",
    "LT_INIT": "libtool",
}
_MACRO_FAMILIES = {"PKG": "pkg", "LT": "libtool", "GNOME": "gnome-common", "VALA": "vala", "AM_PATH": ""}
_ITS = {"appdata": "metainfo", "gschema": "gsettings", "policy": "polkit", "desktop": "desktop"}
#: Words of a sentence, not names.
_WORDS = re.compile(
    r"(?i)(?:an?|and|any|are|be|been|but|can|cannot|checks?|code|command|compiler|could|devel|development|does|"
    r"error|files?|find|following|for|found|from|functions?|have|headers?|help|in|install|installed|is|it|lib|"
    r"librar(?:y|ies)|libs|macros?|missing|modules?|must|none?|not?|of|on|or|packages?|please|programs?|"
    r"required|requires|support|system|tests?|that|the|this|to|tools?|usable|use|using|version|was|we|with|"
    r"working|x|yes|you|your|\d+)"
)


def is_name(name: str) -> bool:
    """Whether ``name`` may be part of a shape: a path without ``.`` and ``..``, relative or of the system."""
    if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        return False
    return "//" not in name and (not name.startswith("/") or name[1:].startswith(_SYSTEM))


def file(path: str) -> Shapes:
    """The file at an absolute path."""
    return (path.lstrip("/").rstrip("/.,:"),) if path.startswith("/") else ()


def tail(path: str) -> Shapes:
    """A file of the system by the end of its path or address: three parts, two, one."""
    parts = path.rstrip("/").split("/")
    return tuple("usr/**/" + "/".join(parts[-count:]) for count in (3, 2, 1) if len(parts) >= count)


def program(name: str) -> Shapes:
    """A command, or a part of a compiler."""
    if "/" in name:
        return ()
    places = ("usr/bin", "usr/sbin", "usr/games", "usr/lib/**/bin", "usr/share/**/bin", "usr/lib/gcc/**")
    return tuple(f"{place}/{name}" for place in places)


def compiler(language: str) -> Shapes:
    """What CMake compiles a language with."""
    return program(_COMPILERS[language]) if language in _COMPILERS else ()


def header(path: str) -> Shapes:
    """What ``#include <path>`` reads."""
    places = ("usr/include", "usr/include/*", "usr/include/*/*", "usr/include/**", "usr/**/include/**")
    return tuple(f"{place}/{path}" for place in places)


def fortran(path: str) -> Shapes:
    """A module of Fortran, such as ``netcdf.mod``."""
    return (f"usr/include/**/{path}", f"usr/lib/**/{path}")


def library(name: str) -> Shapes:
    """What ``-lname`` or ``-l:name`` links."""
    if name.startswith("lib") and (".so" in name or name.endswith(".a")):
        return shared(name)
    return (f"usr/lib/**/lib{name}.so", f"usr/lib/**/lib{name}.a")


def shared(name: str) -> Shapes:
    """What the dynamic linker loads."""
    return () if "/" in name else (f"usr/lib*/**/{name}",)


def pkgconfig(name: str) -> Shapes:
    """What pkg-config reads of a module."""
    return (f"usr/lib/**/pkgconfig/{name}.pc", f"usr/share/pkgconfig/{name}.pc")


def qt_module(name: str) -> Shapes:
    """What qmake reads of a module of Qt."""
    return (f"usr/**/mkspecs/modules/qt_lib_{name}.pri",)


def cmake(name: str) -> Shapes:
    """What ``find_package(name)`` reads or what the module for it looks for."""
    low = name.lower()
    known = (_CMAKE[name],) if name in _CMAKE else ()
    files = (f"{name}Config.cmake", f"{low}-config.cmake", f"Find{name}.cmake")
    guess = () if known else (*pkgconfig(low), *library(low), *header(f"{low}.h"), *program(low))
    return (*known, *(f"usr/**/{file}" for file in files), *guess)


def dependency(name: str) -> Shapes:
    """What meson's ``dependency(name)`` looks for."""
    return (*pkgconfig(name), *cmake(name))


def anything(name: str) -> Shapes:
    """A program, module, header or library: the words of a configure script do not say which."""
    if _WORDS.fullmatch(name):
        return ()
    if name.endswith((".h", ".hpp", ".hh")):
        return header(name)
    if "/" in name:
        return ()
    low = name.lower()
    same = name.removeprefix("lib")
    return (*program(low), *pkgconfig(name), *header(f"{low}.h"), *library(same), *python_module(name))


def macro(name: str) -> Shapes:
    """The file that most likely defines a macro for aclocal: by custom it has the macro's name."""
    low = name.lower()
    family = next((stem for start, stem in _MACRO_FAMILIES.items() if name.startswith(start + "_")), "")
    stems = (_MACROS.get(name, ""), low, low.partition("_")[2], low.rpartition("_")[2], family)
    return tuple(dict.fromkeys(f"usr/share/aclocal/{stem}.m4" for stem in stems if stem))


def python_module(name: str) -> Shapes:
    """What ``import name`` reads."""
    path = name.replace(".", "/")
    dist = f"{_PYTHON}/dist-packages/{path}"
    core = f"{_PYTHON}/{path}"
    return (
        *(f"{dist}/__init__.py", f"{dist}.py", f"{dist}.*.so"),
        *(f"{core}/__init__.py", f"{core}.py", f"{_PYTHON}/lib-dynload/{path}.*.so"),
        *(f"usr/share/*/{path}/__init__.py", f"usr/share/*/{path}.py", dist),
    )


def python_distribution(name: str) -> Shapes:
    """The metadata of a distribution, in which case and separators do not count."""
    bare = re.split(r"[<>=!~\[]", name)[0]
    loose = "".join("?" if c in "-_." else f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in bare)
    place = f"{_PYTHON}/dist-packages/{loose}"
    return (
        f"{place}-[0-9]*.dist-info/METADATA",
        f"{place}-[0-9]*.egg-info/PKG-INFO",
        f"{place}-[0-9]*.egg-info",
        f"{place}.egg-info",
    )


def tex(name: str) -> Shapes:
    """A file below a tree of TeX."""
    names = (name,) if "." in name else (f"{name}.tex", f"{name}.sty")
    return tuple(f"usr/share/{tree}/**/{n}" for n in names for tree in ("texlive/texmf-dist", "texmf"))


def tex_font(name: str) -> Shapes:
    """The metrics of a font, or what makes them."""
    return (*tex(f"{name}.tfm"), *tex(f"{name}.mf"), *tex(f"{name}.vf"))


def its(name: str) -> Shapes:
    """The rules that gettext needs for a kind of file, by the ends of its name."""
    kinds = [kind for end, kind in _ITS.items() if f".{end}" in name]
    kinds += ["metainfo"] if ".metainfo" in name else []
    return tuple(f"usr/share/gettext*/its/{kind}.{end}" for kind in kinds for end in ("its", "loc"))


def docbook(version: str) -> Shapes:
    """The document types of one version of DocBook."""
    return (
        f"usr/share/sgml/docbook/dtd/{version}/docbook.dtd",
        f"usr/share/xml/docbook/schema/dtd/{version}/docbookx.dtd",
    )


def swig(path: str) -> Shapes:
    """A library file of swig."""
    return (f"usr/share/swig*/**/{path}",)


def proto(path: str) -> Shapes:
    """What protoc imports."""
    return (f"usr/include/{path}", f"usr/share/**/{path}")


def cython(path: str) -> Shapes:
    """What ``cimport`` reads."""
    return (f"{_PYTHON}/dist-packages/{path}", f"{_PYTHON}/dist-packages/**/{path}")


def package(name: str) -> Shapes:
    """A package of Debian that the message itself names."""
    return (f"usr/share/doc/{name}",)
