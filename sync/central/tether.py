"""Becomes the given command, tied to its parent: the kernel kills it when the parent dies (prctl(2), PR_SET_PDEATHSIG).

Run as `python -m sync.central.tether PARENT_PID COMMAND…`. A process of its own, because code between fork and exec is
unsafe in a parent that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> NoReturn:
    """Tie this process to its parent, then become the command."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != int(arguments[0]):
        sys.exit(1)  # the parent died before the tie was made
    os.execvp(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
