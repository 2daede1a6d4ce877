"""Generated files: whose they are, by tables that fit what real systems hold."""

from __future__ import annotations

import pytest

from bwbuild.root import generated
from bwbuild.root.generated import GENERATED, STATE, STRICT, registered, strict, visible_generated
from bwbuild.root.regenerated import REGENERATED

#: Path that no list owned in a chroot of bookworm -> a package that must be visible for it.
MEASURED = {
    "/etc/dictionaries-common/words": "dictionaries-common",
    "/etc/dpkg/origins/default": "base-files",
    "/etc/fonts/conf.d/70-no-bitmaps.conf": "fontconfig-config",
    "/etc/.java/.systemPrefs/.system.lock": "java-common",
    "/etc/ld.so.cache": "libc-bin",
    "/etc/mono/certstore/certs/Trust/ski-01B92F.cer": "ca-certificates-mono",
    "/etc/passwd": "base-passwd",
    "/etc/perl/XML/SAX/ParserDetails.ini": "libxml-sax-perl",
    "/etc/sgml/catalog": "sgml-base",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
    "/etc/ssl/certs/java/cacerts": "ca-certificates-java",
    "/etc/texmf/web2c/texmf.cnf": "tex-common",
    "/etc/xml/catalog": "xml-core",
    "/etc/xml/docbook-xml.xml": "docbook-xml",
    "/etc/xml/libdbus-1-dev.xml": "libdbus-1-dev",
    "/usr/lib/aspell/de_AT-only.rws": "aspell-de",
    "/usr/lib/mono/gac/policy.2.10.atk-sharp": "mono-gac",
    "/usr/lib/python3/dist-packages/__pycache__": "python3.11-minimal",
    "/usr/lib/python3/dist-packages/yaml/__pycache__/loader.cpython-311.pyc": "python3.11-minimal",
    "/usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders.cache": "libgdk-pixbuf-2.0-0",
    "/usr/lib/x86_64-linux-gnu/gio/modules/giomodule.cache": "libglib2.0-0",
    "/usr/lib/x86_64-linux-gnu/graphviz/config6a": "libgvc6",
    "/usr/lib/x86_64-linux-gnu/gtk-3.0/3.0.0/immodules.cache": "libgtk-3-0",
    "/usr/lib/x86_64-linux-gnu/gtk-4.0/4.0.0/printbackends/giomodule.cache": "libgtk-4-1",
    "/usr/share/emacs/site-lisp/dictionaries-common/debian-ispell.elc": "dictionaries-common",
    "/etc/fonts/conf.d/70-no-bitmaps-except-emoji.conf": "fontconfig-config",
    "/usr/share/emacs/site-lisp/elpa": "elpa-dash",
    "/usr/share/emacs/site-lisp/elpa/dash-2.19.1/dash.elc": "elpa-dash",
    "/usr/share/emacs/site-lisp/elpa/helm-core-3.9.0": "elpa-helm-core",
    "/usr/share/fonts/X11/misc/fonts.dir": "xfonts-utils",
    "/usr/share/glib-2.0/schemas/gschemas.compiled": "libglib2.0-0t64",
    "/usr/share/icons/hicolor/icon-theme.cache": "gtk-update-icon-cache",
    "/usr/share/info/dir": "base-files",
    "/usr/share/mime/application/pdf.xml": "shared-mime-info",
    "/usr/share/mime/mime.cache": "shared-mime-info",
    "/var/cache/dictionaries-common/ispell.db": "dictionaries-common",
    "/var/lib/aspell/de-common.rws": "aspell-de",
    "/var/lib/emacsen-common/state/flavor/installed/emacs": "emacs-nox",
    "/var/lib/emacsen-common/state/package/installed/elpa-dash": "elpa-dash",
    "/var/lib/ghc/package.conf.d/package.cache": "ghc",
    "/var/lib/libxml-sax-perl/ParserDetails.d/50-XML::LibXML::SAX": "libxml-libxml-perl",
    "/var/lib/libxml-sax-perl/ParserDetails.d/50-XML::SAX::Expat": "libxml-sax-expat-perl",
    "/var/lib/texmf/ls-R-TEXLIVEDIST": "tex-common",
    "/var/lib/xml-core/docbook-xsl": "docbook-xsl",
}
#: Paths that no list owned on a machine that people use, and that belong to them or to it.
FOREIGN = (
    "/etc/apt/sources.list",
    "/etc/environment",
    "/etc/gitconfig",
    "/etc/ld.so.conf.d/zz-cuda-13-0.conf",
    "/etc/npmrc",
    "/etc/pip.conf",
    "/etc/postgresql/15/main/postgresql.conf",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssl/private/ssl-cert-snakeoil.key",
    "/etc/systemd/system/multi-user.target.wants/ssh.service",
    "/etc/xml/catalog.old",
    "/usr/etc",
    "/usr/include/local.h",
    "/usr/lib/jvm/temurin-25-jdk-amd64",
    "/usr/lib/libmine.so",
    "/usr/lib/node_modules",
    "/usr/lib/python3/dist-packages/mine.pth",
    "/usr/lib/x86_64-linux-gnu/libmine.so.1",
    "/usr/lib/x86_64-linux-gnu/pkgconfig/mine.pc",
    "/usr/sbin/policy-rc.d",
    "/usr/share/package-lists",
    "/usr/share/perl5/Mine.pm",
    "/usr/share/pkgconfig/mine.pc",
    "/usr/bin/mine",
)
UCF = (
    "php8.2-xml \t /etc/php/8.2/mods-available/dom.ini\n"
    "php8.2-common \t /etc/php/8.2/mods-available/ctype.ini\n"
    "r-base-core \t /etc/R/Renviron\n"
)


@pytest.mark.parametrize(("path", "package"), MEASURED.items(), ids=list(MEASURED))
def test_a_generated_file_follows_its_package(path: str, package: str) -> None:
    assert visible_generated(path, frozenset({package, "unrelated"})) is True
    assert visible_generated(path, frozenset({"unrelated"})) is False
    assert visible_generated(path, frozenset()) is False


@pytest.mark.parametrize("path", FOREIGN)
def test_what_people_put_there_is_in_no_table_and_hidden(path: str) -> None:
    everything = frozenset(name for entry in GENERATED for name in entry.packages)
    assert visible_generated(path, everything) is None
    assert strict(path)


@pytest.mark.parametrize(
    "path",
    ["/usr/share/someapp/cache", "/usr/lib/someapp/index", "/usr/lib/x86_64-linux-gnu/someapp/plugins.index"],
)
def test_an_unknown_file_of_a_program_is_not_strict(path: str) -> None:
    assert not strict(path)


def test_a_pattern_does_not_cross_directories() -> None:
    everything = frozenset(name for entry in GENERATED for name in entry.packages)
    assert visible_generated("/usr/share/icons/a/b/icon-theme.cache", everything) is None
    assert visible_generated("/etc/papersize.d", everything) is None
    assert visible_generated("/etc/texmfx", everything) is None
    assert visible_generated("/etc/texmf", everything) is True


def test_a_package_in_a_path_is_not_taken_for_a_longer_one() -> None:
    assert visible_generated("/etc/xml/docbook-xml.xml", frozenset({"docbook"})) is False
    assert visible_generated("/usr/lib/aspell/de-common.rws", frozenset({"aspell-en"})) is False
    assert (
        visible_generated("/usr/share/emacs/site-lisp/elpa/helm-core-3.9.0", frozenset({"elpa-helm"}))
        is False
    )


def test_ucf_tells_whose_settings_are() -> None:
    owners = registered(UCF)
    assert owners["/etc/R/Renviron"] == "r-base-core"
    common = frozenset({"php8.2-common"})
    for path in (
        "/etc/php/8.2/mods-available/{}.ini",
        "/etc/php/8.2/cli/conf.d/20-{}.ini",
        "/var/lib/php/modules/8.2/registry/{}",
        "/var/lib/php/modules/8.2/cli/enabled_by_maint/{}",
    ):
        assert visible_generated(path.format("ctype"), common, owners) is True
        assert visible_generated(path.format("dom"), common, owners) is False
    assert visible_generated("/etc/php/8.2/cli/conf.d/20-mine.ini", common, owners) is None
    assert visible_generated("/etc/R/Renviron", common) is None
    assert registered("") == {}


def test_no_entry_is_hidden_by_an_earlier_one() -> None:
    """A path made of each pattern is found by that very entry."""
    for entry in GENERATED:
        sample = entry.pattern.replace("/**", "/x/x").replace("[-_.]", "-").replace("[0-9]", "1")
        sample = sample.replace("*", "x").replace("{}", "name")
        names = frozenset(name.replace("{}", "name").replace("*", "x") for name in entry.packages)
        assert visible_generated(sample, names) is True, entry.pattern


def test_tables_are_sound() -> None:
    for entry in GENERATED:
        assert entry.pattern.startswith("/")
        assert entry.packages
        assert entry.reason
        assert not entry.pattern.startswith(("/bin/", "/sbin/", "/lib/", "/usr/local/", "/home/", "/root/"))
    patterns = [entry.pattern for entry in GENERATED]
    assert len(patterns) == len(set(patterns))
    assert list(STATE) == sorted(STATE)
    assert all(not set("*?{") & set(name) for names in STATE.values() for name in names)
    assert all(pattern.startswith(("/usr/", "/etc/")) for pattern in STRICT)
    assert all(generated.visible_generated(path, frozenset(names)) is True for path, names in STATE.items())


def test_what_is_made_again_is_generated() -> None:
    for entry in REGENERATED:
        path = entry.pattern.replace("/*/", "/x86_64-linux-gnu/").replace("*", "a")
        packages = frozenset(name.rstrip("*") for name in entry.packages)
        assert visible_generated(path, packages) is not None, entry.pattern
        assert 0 < entry.seconds < 1
        assert not any("{" in word or "}" in word for word in entry.command(path))


def test_command() -> None:
    (entry,) = (entry for entry in REGENERATED if entry.pattern.endswith("gio/modules/giomodule.cache"))
    assert entry.command("/usr/lib/aarch64-linux-gnu/gio/modules/giomodule.cache") == (
        "/usr/lib/aarch64-linux-gnu/glib-2.0/gio-querymodules",
        "/usr/lib/aarch64-linux-gnu/gio/modules",
    )
