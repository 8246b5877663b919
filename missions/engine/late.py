"""Late answers: what a call says after its mission left memory is evidence, and goes to the mission's mailbox."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from missions.engine import mailbox
from missions.engine.threads import Threads
from missions.errors import StandfastError

logger = logging.getLogger(__name__)


class LateAnswers:
    """Those of one incarnation; their deliveries outlive it."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._reports: set[asyncio.Task[None]] = set()

    def keep(self, mission_id: int, key: str, evidence: dict[str, Any]) -> None:
        """Keep what the call under this key answered."""
        self._reports.add(task := asyncio.get_running_loop().create_task(self._report(mission_id, key, evidence)))
        task.add_done_callback(self._reports.discard)

    async def _report(self, mission_id: int, key: str, evidence: dict[str, Any]) -> None:
        def deliver() -> bool:
            return mailbox.deliver(mission_id, f"effect:{key}", evidence, key=f"effect:{key}", sender="late answer")

        try:
            await self._threads.patiently(deliver)
        except StandfastError as error:
            facts = {"action": "late_answer_dropped", "mission": mission_id, "why": str(error)}
            logger.warning("A late answer found no mission", extra=facts)
