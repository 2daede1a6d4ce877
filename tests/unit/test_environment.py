from __future__ import annotations

import shutil

import pytest

from bwbuild.errors import ConfigurationError
from bwbuild.process import run
from bwbuild.sandbox.environment import ALLOWED, FIXED, build_environment


def test_nothing_of_the_caller_but_the_allow_list() -> None:
    caller = dict.fromkeys(
        ("HOME", "PATH", "LANG", "LC_ALL", "USER", "SHELL", "TERM", "GITHUB_TOKEN", "TZ"), "x"
    )
    assert build_environment(caller, "bwbuild") == {**FIXED, "USER": "bwbuild", "LOGNAME": "bwbuild"}


def test_fixed_values() -> None:
    assert FIXED == {
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "SHELL": "/bin/sh",
        "TERM": "dumb",
    }
    assert not ALLOWED & FIXED.keys()


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_allowed_names_pass(name: str) -> None:
    value = "1" if name == "SOURCE_DATE_EPOCH" else "x"
    assert build_environment({name: value}, "u")[name] == value


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "LD_AUDIT",
        "PERL5OPT",
        "PERL5LIB",
        "PYTHONPATH",
        "BASH_ENV",
        "ENV",
        "IFS",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "SSH_AUTH_SOCK",
        "GNUPGHOME",
        "DEBEMAIL",
        "DEBFULLNAME",
        "DEB_SIGN_KEYID",
        "MAIL",
        "DISPLAY",
        "DBUS_SESSION_BUS_ADDRESS",
        "http_proxy",
        "GIT_DIR",
        "BWBUILD_KEEP",
        "CCACHE_DIR",
        "DH_VERBOSE",
        "MAKELEVEL",
        "MFLAGS",
        "FAKEROOTKEY",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert name not in build_environment({name: "x"}, "u")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEB_BUILD_OPTIONS", "nocheck parallel=4 terse hardening=+all,-pie"),
        ("DEB_BUILD_OPTIONS", ""),
        ("DEB_BUILD_PROFILES", "nocheck pkg.tiny.stage1 cross"),
        ("SOURCE_DATE_EPOCH", "1700000000"),
        ("SOURCE_DATE_EPOCH", ""),
        ("CFLAGS", '-DX="a"\n$(x)'),
    ],
)
def test_good_values(name: str, value: str) -> None:
    assert build_environment({name: value}, "u")[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEB_BUILD_OPTIONS", "$(id)"),
        ("DEB_BUILD_OPTIONS", "nocheck\n"),
        ("DEB_BUILD_OPTIONS", "a;b"),
        ("DEB_BUILD_OPTIONS", "`id`"),
        ("DEB_BUILD_PROFILES", "A"),
        ("DEB_BUILD_PROFILES", "!nocheck"),
        ("SOURCE_DATE_EPOCH", "-1"),
        ("SOURCE_DATE_EPOCH", "now"),
        ("SOURCE_DATE_EPOCH", "1\n"),
        ("SOURCE_DATE_EPOCH", "\uff11"),
    ],
)
def test_bad_values(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        build_environment({name: value}, "u")


def test_order_of_the_caller_does_not_matter() -> None:
    forwards = {"CFLAGS": "1", "CC": "2", "LDFLAGS": "3"}
    assert list(build_environment(forwards, "u")) == list(
        build_environment(dict(reversed(forwards.items())), "u")
    )


def test_allow_list_is_within_dpkgs() -> None:
    """What passes is what .buildinfo records, and what sets flags that it records."""
    if shutil.which("perl") is None or shutil.which("dpkg-buildpackage") is None:
        pytest.skip("dpkg-dev is not installed")
    code = "use Dpkg::BuildInfo qw(get_build_env_allowed); print join(' ', get_build_env_allowed())"
    done = run(["perl", "-e", code], check=False)
    if done.returncode:
        pytest.skip("this dpkg has no list to be had")
    ours = {name for name in ALLOWED if not name.endswith(("_SET", "_STRIP", "_APPEND", "_PREPEND"))}
    # Older and newer versions have these names.
    assert ours - set(done.text.split()) <= {"LEX", "YACC", "GCJFLAGS", "DEB_BUILD_PROFILES"}
