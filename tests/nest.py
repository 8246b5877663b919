"""A process behind `tests.forkserver` that has imported the project for one environment, and then forks like the other.

Promises: a fork runs the same command from its first line, and finds what that command would import first, settings
included, as it would find it by itself. So all that settings read has to be as it is in the fork, nothing may be opened
or begun here, and no file be read that a test may change, such as the catalogue of tools. Must not serve a web server:
importing Daphne makes an event loop, which forks can not share.
"""

from __future__ import annotations

import gc
import importlib
import os
import socket

import django

from missions.engine import crashpoints
from tests.forks import run, serve

# What commands come to after Django is set up: a worker's own modules, and the addresses, which every check reads.
MODULES = (
    "approvals.gate", "config.urls", "django.core.management.commands.shell",
    "missions.management.commands.runmissions",
)  # fmt: skip


def _open_files() -> list[int]:
    """What importing has opened: the event loop of a reactor that nobody runs."""
    return [file for file in range(3, 256) if _is_open(file)]


def _is_open(file: int) -> bool:
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    django.setup()
    for module in MODULES:
        importlib.import_module(module)
    gc.freeze()  # shared with all forks
    control = socket.socket(fileno=0)
    control.send(b"!")
    words = serve(control, _open_files())["words"]
    crashpoints.arm(os.environ.get("STANDFAST_CRASH_AT", ""))  # read again: it is the fork's own
    run(words)
