"""A program that gets SIGTERM when the process that started it dies. Run as a script, it becomes that program.

For programs that take long to start: until one has looked around by itself, nothing else would tell it that nobody
wants it any more. Only Linux has this; elsewhere the program starts all the same. Imports nothing of ours: it is quick.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence

SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2); it outlasts execve


def tethered(command: Sequence[str]) -> list[str]:
    """The command that runs `command` tethered to this process. The thread that starts it must be the main one."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), *command]


def main() -> None:
    """Become the program that the arguments after the parent's pid name."""
    with contextlib.suppress(AttributeError, OSError):  # no such call here
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("The process that wanted this program has died.")
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
