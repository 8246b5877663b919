"""`manage.py runmissions`: one mission worker process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from missions.agents import running
from missions.context import Context
from missions.engine import guarded_events
from missions.engine.process import Worker
from missions.engine.quarantine import Quarantine
from missions.governance import gate
from missions.llm import chain
from missions.sandbox import watching as isolation
from missions.storage import sweep_local
from missions.tools import catalogue, mcp_client
from missions.tools import watching as servers
from missions.tools.listener import Listener

# Steps leave little that is cyclic, and looking for it every 700 objects was a tenth of a step (docs/benchmarks.md).
COLLECT_AFTER = (5_000, 5, 5)
LEFTOVER_SECONDS = 3.0  # what still runs then was fenced long ago and can record nothing


class Command(BaseCommand):
    help = "Run one mission worker. SIGTERM drains it: what runs comes to its next record, the rest is put back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--concurrency", type=int, default=settings.MISSIONS_CONCURRENCY, metavar="N")
        parser.add_argument(
            "--quarantine", action="store_true",
            help="run only missions that took workers down, one at a time; leave when idle or standard input ends",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        gate()  # imported now: later it would hold up the loop for a second
        gc.freeze()  # what was imported stays
        gc.set_threshold(*COLLECT_AFTER)
        status = asyncio.run(quarantined() if options["quarantine"] else serve(options["concurrency"]))
        # A thread or a call may hang; the exit must not wait for it. Nor for this timer where nothing hangs.
        overdue = threading.Timer(LEFTOVER_SECONDS, os._exit, args=(status,))
        overdue.daemon = True
        overdue.start()
        if status:
            sys.exit(status)


async def serve(concurrency: int) -> int:
    """Run a worker until a signal ends it; the exit status: 1 where it leaves by itself and should be started again."""
    command = (sys.executable, sys.argv[0], "runmissions", "--quarantine")
    worker, listening = Worker(Context, concurrency, quarantine=Quarantine(command)), Listener()
    examining = asyncio.create_task(isolation.keep_known())
    listening.start()
    try:
        await _run(worker)
    finally:
        examining.cancel()
        await asyncio.to_thread(listening.stop)
    return int(worker.overdue)


async def quarantined() -> int:
    """Run missions in quarantine until none is due, or the worker that started this process ends."""
    worker = Worker(Context, 1, quarantined=True)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_outlive_nobody, args=(loop, worker), daemon=True).start()
    await _run(worker)
    return 0


async def _run(worker: Worker) -> None:
    guarded_events.install()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    catalogue.warm()
    running.warm()
    asyncio.get_running_loop().run_in_executor(None, sweep_local)
    watching = asyncio.create_task(servers.watch())
    try:
        await worker.run()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await mcp_client.close()
        await chain.close()


def _outlive_nobody(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    """When standard input ends, so does this process: in order, or, where its mission blocks it, at once."""
    while os.read(0, 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: it is leaving already
        loop.call_soon_threadsafe(worker.stop)
    time.sleep(LEFTOVER_SECONDS + settings.MISSIONS_DRAIN_SECONDS)
    os._exit(1)
