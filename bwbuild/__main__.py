"""``python3 -m bwbuild``."""

import sys
from os.path import dirname, samefile

# With -m the current directory comes before the standard library, and as a rule it is a stranger's tree. It
# counts only where bwbuild itself lies there.
if not sys.flags.safe_path and not samefile(sys.path[0] or ".", dirname(dirname(__file__))):  # noqa: PTH120, PTH121
    del sys.path[0]

import signal

# Until main can answer it, Ctrl-C ends this process as it ends any program, without a traceback.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from bwbuild.cli.main import main

main()
