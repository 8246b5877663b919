"""`manage.py runmissions`: one mission worker process."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from missions.context import Context
from missions.engine import guarded_events
from missions.engine.worker import Worker
from missions.storage import sweep_local
from missions.tools import catalogue, mcp_client

# Steps leave little that is cyclic, and looking for it every 700 objects was a tenth of a step (docs/benchmarks.md).
COLLECT_AFTER = (5_000, 5, 5)
LEFTOVER_SECONDS = 3.0  # what still runs then was fenced long ago and can record nothing


class Command(BaseCommand):
    help = "Run one mission worker. SIGTERM drains it: what runs comes to its next record, the rest is put back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--concurrency", type=int, default=settings.MISSIONS_CONCURRENCY, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        gc.freeze()  # what was imported stays
        gc.set_threshold(*COLLECT_AFTER)
        asyncio.run(serve(options["concurrency"]))
        # A thread or a call may hang; the exit must not wait for it. Nor for this timer where nothing hangs.
        overdue = threading.Timer(LEFTOVER_SECONDS, os._exit, args=(0,))
        overdue.daemon = True
        overdue.start()


async def serve(concurrency: int) -> None:
    """Run a worker until a signal ends it."""
    guarded_events.install()
    worker = Worker(Context, concurrency)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    catalogue.warm()
    asyncio.get_running_loop().run_in_executor(None, sweep_local)
    try:
        await worker.run()
    finally:
        await mcp_client.close()
