"""Quarantine: missions that took workers down run alone, in a process whose end harms nobody else.

Owns a worker's quarantine process: starts one when a mission waits for it, and ends it with the worker. The strikes
themselves are counted where workers are buried (sql/bury.sql). Such a process is a worker like any other, but it claims
only missions in quarantine, one at a time, and leaves when none is due; one runs on a host at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence

from missions.engine.tether import tethered
from missions.models import Mission

logger = logging.getLogger(__name__)
PAUSE_SECONDS, FAILED_PAUSE_SECONDS = 0.5, 30.0  # between two of them; where one could not even start
END_SECONDS = 5.0  # how long it may take to put its mission back


def pardon(mission_id: int) -> None:
    """Count a mission's strikes from zero again: a person lets it go on. Joins the caller's transaction."""
    Mission.objects.filter(pk=mission_id).update(strikes=0)


class Quarantine:
    """The quarantine process of one worker. `command` starts it; it ends when its standard input does."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._running: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._closing = False

    def needed(self) -> None:
        """A mission waits for one: start it, unless ours runs."""
        if self._closing or (self._running is not None and not self._running.done()):
            return
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        # A session of its own: no signal to the worker's group reaches it. The pipe ends with the worker, however that
        # ends, and so does the process then; the tether ends it also while it still starts, which takes seconds.
        process = self._process = await asyncio.create_subprocess_exec(
            *tethered(self._command), stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        facts = {"action": "quarantine_started", "pid": process.pid}
        logger.info("A quarantine process was started", extra=facts)
        status = await process.wait()
        facts = {"action": "quarantine_ended", "pid": process.pid, "status": status}
        logger.info("The quarantine process has ended", extra=facts)
        await asyncio.sleep(FAILED_PAUSE_SECONDS if status > 0 else PAUSE_SECONDS)

    async def close(self) -> None:
        """End it: it puts its mission back; where it hangs, it is killed."""
        self._closing = True
        process = self._process
        if process is not None and process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), END_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if self._running is not None:
            self._running.cancel()
