"""The process that `Forks` starts: imports the engine with names at its awaits, then forks a child for each order.

It has no thread and no connection, so that a child begins clean. When its standard input ends, it kills what is left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import django

from tests.deaths import importing


def main() -> None:
    """Answer each line of standard input with one of standard output."""
    importing.install()
    django.setup()
    from tests.deaths import acts  # noqa: PLC0415  (only now: it imports the engine)

    acts.warm()
    children: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        if "fork" in asked:
            children.add(answer := _forked(acts, asked["fork"]))
        elif "ended" in asked:
            answer = _ended(children)
        else:
            answer = asked
        print(json.dumps(answer), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _forked(acts: Any, order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            null = os.open(os.devnull, os.O_RDWR)
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            status = acts.perform(order)
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid


def _ended(children: set[int]) -> dict[int, int]:
    found = {}
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children.discard(pid)
            found[pid] = os.waitstatus_to_exitcode(status)
    return found


if __name__ == "__main__":
    main()
