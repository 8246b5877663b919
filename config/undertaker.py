"""The process that ends what a killed supervisor leaves behind.

Reads `+GROUP` and `-GROUP` lines; when its input ends, kills every process group that was not taken back. It holds
the supervisor's lock until then, so that no second supervisor starts beside leftovers. Imports nothing of the project.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    """Wait for the supervisor's end, however it comes."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
