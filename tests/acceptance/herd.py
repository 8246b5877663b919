"""Run inside Django: keeps the mission workers of one host alive, as forked processes of their own.

`HERD_WORKERS` says how many. Whichever dies, and however, is replaced at once, as a supervisor would; forks are there
sooner than fresh processes, so that a storm meets workers at work and not workers that start.
"""

from __future__ import annotations

import asyncio
import gc
import os

from missions.engine.registry import all_types
from missions.governance import gate
from missions.management.commands.runmissions import serve

CONCURRENCY = 100


def main() -> None:
    """Until this process is ended, with its group."""
    wanted = int(os.environ["HERD_WORKERS"])
    all_types(), gate()  # imported once, before there is any thread or connection
    gc.freeze()
    children: set[int] = set()
    while True:
        while len(children) < wanted:
            child = os.fork()
            if child == 0:
                asyncio.run(serve(CONCURRENCY))
                os._exit(0)
            children.add(child)
        children.discard(os.wait()[0])
