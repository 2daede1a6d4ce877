"""Two looks at the sandbox from inside: as the build user and as its root."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support import Desk

PROBE = (Path(__file__).parent / "probe.py").read_text(encoding="utf-8")
AS_ROOT = "/run/bwbuild/as-root"

#: Variables that hold secrets or change what programs do, as they are found in real sessions.
SECRETS = {
    name: f"secret of {name}"
    for name in [
        "GITHUB_TOKEN",
        "GITLAB_TOKEN",
        "GH_TOKEN",
        "CI_JOB_TOKEN",
        "NPM_TOKEN",
        "PYPI_TOKEN",
        "TWINE_PASSWORD",
        "CARGO_REGISTRY_TOKEN",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_CLIENT_SECRET",
        "SSH_AUTH_SOCK",
        "SSH_AGENT_PID",
        "GPG_AGENT_INFO",
        "GPG_TTY",
        "GNUPGHOME",
        "DEB_SIGN_KEYID",
        "DEBEMAIL",
        "DEBFULLNAME",
        "EMAIL",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "TMPDIR",
        "http_proxy",
        "https_proxy",
        "ALL_PROXY",
        "NETRC",
        "KRB5CCNAME",
        "VAULT_TOKEN",
        "DATABASE_URL",
        "PGPASSWORD",
        "MYSQL_PWD",
        "GIT_AUTHOR_EMAIL",
        "GIT_CONFIG_GLOBAL",
        "GIT_SSH_COMMAND",
        "PERL5OPT",
        "PERL5LIB",
        "PYTHONSTARTUP",
        "LD_PRELOAD",
        "LD_AUDIT",
        "BASH_ENV",
        "ENV",
        "CDPATH",
        "TZ",
        "LANGUAGE",
        "MAIL",
        "EDITOR",
        "SUDO_USER",
        "LESSOPEN",
        "FAKEROOTKEY",
        "DPKG_HOOK_ACTION",
    ]
} | {
    # What bwbuild's own start would stumble over keeps a harmless value.
    "PERL5OPT": "-w",
    "LD_PRELOAD": "",
    "LD_AUDIT": "",
    "XDG_CONFIG_HOME": "/nonexistent/config",
    "TMPDIR": "/tmp",
    "TZ": "Pacific/Kiritimati",
}


def look(desk: Desk, *prefix: str, **more: Any) -> dict[str, Any]:
    """What the probe sees when it is started with ``prefix`` before it."""
    done = desk.ok("run", "--", *prefix, "python3", "-c", PROBE, **more)
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found
