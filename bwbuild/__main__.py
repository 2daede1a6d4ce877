"""``python3 -m bwbuild``."""

import sys
from os.path import dirname, samefile

# With -m the current directory comes before the standard library, and as a rule it is a stranger's tree. It
# counts only where bwbuild itself lies there.
if not sys.flags.safe_path and not samefile(sys.path[0] or ".", dirname(dirname(__file__))):  # noqa: PTH120, PTH121
    del sys.path[0]

from bwbuild.entry import main

main()
