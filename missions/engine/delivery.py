"""Mail for missions that run here right now: fetched at a hint, and handed to their runs. For the event loop only."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from missions.engine.arrays import int8
from missions.engine.claims import mail_of
from missions.engine.lane import Lane
from missions.engine.run import Run


class Delivery:
    """One worker's way to its mail; hints that come while it looks are answered by one more look."""

    def __init__(
        self, worker_id: int, runs: Mapping[int, Run], spawn: Callable[[Coroutine[Any, Any, Any]], object]
    ) -> None:
        self._worker_id, self._runs, self._spawn = worker_id, runs, spawn
        self._looking = self._again = False

    def look(self, lane: Lane) -> None:
        """There may be new mail."""
        self._again = True
        if self._runs and not self._looking:
            self._looking = True
            self._spawn(self._take(lane))

    def look_again(self, lane: Lane) -> None:
        """A mission has come to run here: mail of it that came a moment ago may have found it missing."""
        if self._again:
            self.look(lane)

    async def _take(self, lane: Lane) -> None:
        early = False
        while self._again:
            self._again = False
            (answer,) = await lane.call((b"new_mail", (int8(self._worker_id),)))
            for mission_id, mail in mail_of(answer):
                if mission_id in self._runs:
                    self._runs[mission_id].receive(mail)
                else:
                    early = True  # it was claimed, and is about to run here
        self._looking, self._again = False, early
