"""All attacks by what they aim at."""

from __future__ import annotations

from attacks_files import FILES, GIT
from attacks_kernel import KERNEL
from attacks_results import RESULTS
from attacks_sockets import ENVIRONMENT, SOCKETS
from attacks_terminal import DESCRIPTORS, TERMINAL
from field import Attack

KINDS: dict[str, list[Attack]] = {
    "Files": FILES,
    "Source trees and git": GIT,
    "Sockets and memory": SOCKETS,
    "Environment and identity": ENVIRONMENT,
    "Terminal": TERMINAL,
    "Open files and logs": DESCRIPTORS,
    "Kernel": KERNEL,
    "Results and signing": RESULTS,
}
