"""The escape attempts of the self-test, run by a Python inside the sandbox: `python attempts_inside.py FACTS`.

Prints one JSON object, attempt → what came of it; "done" where it succeeded. Imports the standard library alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

FORKS_MOST, FILES_MOST, FILE_BYTES = 96, 8, 1024 * 1024
AF_VSOCK, PTRACE_TRACEME, CLONE_NEWUSER = 40, 0, 0x10000000


def reads(path: str) -> str:
    """Open a file."""
    with open(path, "rb") as file:
        file.read(1)
    return "done"


def writes(folders: list[str]) -> str:
    """Make a file in one of these folders."""
    said = ""
    for folder in folders:
        try:
            with open(f"{folder}/standfast-probe", "w"):
                return "done"
        except OSError as error:
            said = str(error.strerror)
    return said


def finds(name: str) -> str:
    """Look for a variable of the host's in the environment of the first process."""
    with open("/proc/1/environ", "rb") as file:
        return "done" if name.encode() in file.read() else "not there"


def connects(family: int, address: Any) -> str:
    """Reach a socket of the host's."""
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.settimeout(2)
        tried.connect(address)
    return "done"


def sees(_: Any) -> str:
    """Find processes that are not ours."""
    found = [name for name in os.listdir("/proc") if name.isdigit()]
    return "done" if len(found) > 4 else f"{len(found)} processes"


def multiplies(limit: int) -> str:
    """Fork without end."""
    children = []
    try:
        for _ in range(FORKS_MOST):
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    except OSError as error:
        return f"stopped after {len(children)}: {error.strerror}"
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)
    return "done"


def fills(folder: str) -> str:
    """Write many files."""
    for number in range(FILES_MOST):
        with open(f"{folder}/fill-{number}", "wb") as file:
            file.write(b"x" * FILE_BYTES)
    return "done"


def calls(_: Any) -> str:
    """Ask the kernel for what the filter refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    for family in (AF_VSOCK, AF_VSOCK + (1 << 32)):  # the kernel reads the low half alone
        if libc.socket(ctypes.c_long(family), ctypes.c_long(1), ctypes.c_long(0)) >= 0:
            return "done"
    if libc.unshare(CLONE_NEWUSER) == 0 or libc.ptrace(PTRACE_TRACEME, 0, 0, 0) == 0:
        return "done"
    return os.strerror(ctypes.get_errno())


def swells(size: int) -> str:
    """Take memory and use it."""
    held = [bytearray(os.urandom(4096)) * 256 for _ in range(size // FILE_BYTES)]
    return "done" if held else ""


def attempted(attempt: Callable[[Any], str], argument: Any) -> str:
    """What came of it."""
    try:
        return attempt(argument)
    except OSError as error:
        return str(error.strerror or error)


def main() -> None:
    """Try everything that the facts name."""
    facts = json.loads(sys.argv[1])
    tries: dict[str, tuple[Callable[[Any], str], Any]] = {
        "reads a file of ours": (reads, facts.get("file")),
        "reads what only we may read": (reads, facts.get("closed")),
        "writes to the system": (writes, ["/usr", "/etc", "/dev", ""]),
        "reads our environment": (finds, facts.get("variable")),
        "connects to this host": (lambda port: connects(socket.AF_INET, ("127.0.0.1", port)), facts.get("port")),
        "connects to an abstract socket": (lambda name: connects(socket.AF_UNIX, "\0" + name), facts.get("abstract")),
        "sees other processes": (sees, None),
        "forks without end": (multiplies, None),
        "fills the disk": (fills, facts.get("workspace")),
        "makes forbidden system calls": (calls, None),
        "takes all memory": (swells, facts.get("memory")),
    }
    print(json.dumps({name: attempted(*tries[name]) for name in facts["try"]}), flush=True)


if __name__ == "__main__":
    main()
