"""``python3 -m bwbuild``."""

from bwbuild.cli.main import main

main()
