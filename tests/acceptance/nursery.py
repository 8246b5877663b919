"""Run inside Django: keeps two mission workers alive as forked processes, which are there sooner than fresh ones.

Each child is a whole worker of its own, with its own connections and threads; whichever is killed is replaced.
"""

from __future__ import annotations

import asyncio
import os

from missions.engine.registry import all_types
from missions.management.commands.runmissions import serve

WORKERS = 2


def main() -> None:
    """Until this process is ended, with its group."""
    all_types()  # imported once, before there is any thread or connection
    children: set[int] = set()
    while True:
        while len(children) < WORKERS:
            child = os.fork()
            if child == 0:
                asyncio.run(serve(10))
                os._exit(0)
            children.add(child)
        children.discard(os.wait()[0])
