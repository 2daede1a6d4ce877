"""Writes wherever a developer's tools would run it later; each attempt may fail."""

import os

for name in os.listdir(".."):
    print("seen", name)
PATHS = """
    ../sibling-1.0/debian/rules ../sibling-1.0/.git/hooks/post-commit ../sibling-1.0/.git/config
    ../.git/config ../.gbp.conf ../.envrc ../Makefile ../.cargo/config.toml ../.devscripts ../new-1.0/debian/rules
    ../../.gbp.conf ../other_1_all.deb ../hostile-siblings_0_amd64.changes
    .git/hooks/post-commit .git/config .gitattributes debian/changelog README
    /tmp/bwbuild-testpkg-siblings /oldroot/tmp/bwbuild-testpkg-siblings /proc/1/root/tmp/bwbuild-testpkg-siblings
""".split()
for path in PATHS:
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "a") as file:
            file.write("owned\n" if path != "debian/changelog" else "")
        os.chmod(path, 0o6755)
        print("written", path)
    except OSError as error:
        print(error)
for old, new in (("../hostile-siblings-1", "../hidden"), ("../sibling-1.0", "../gone")):
    try:
        os.rename(old, new)
        os.symlink("/etc", old)
        print("moved", old)
    except OSError as error:
        print(error)
