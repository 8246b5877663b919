"""A worker's hints to the outside, coalesced and sent after its commits, on the session that also listens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from missions.engine import feed
from missions.engine.session import Session

COALESCE_SECONDS = 0.02


class Hints:
    """Collects what changed and tells it at most every `COALESCE_SECONDS`."""

    def __init__(self, aux: Session) -> None:
        self._aux = aux
        self._changed: set[int] = set()
        self._due = self._scheduled = False
        self._loop = asyncio.get_running_loop()

    def changed(self, mission_ids: Iterable[int]) -> None:
        """These missions have new entries or another state."""
        self._changed.update(mission_ids)
        self._schedule()

    def due(self) -> None:
        """Something may be due for other workers."""
        self._due = True
        self._schedule()

    def flush(self) -> None:
        """Tell all of it now, and that something may be due: whoever tells is about to go."""
        self._due = True
        while self._due or self._changed:
            self._send()

    def _schedule(self) -> None:
        if not self._scheduled and (self._changed or self._due):
            self._scheduled = True
            self._loop.call_later(COALESCE_SECONDS, self._send)

    def _send(self) -> None:
        self._scheduled = False
        if self._due:
            self._notify(feed.DUE, "")
        payload, size = [], 0
        while self._changed and size < feed.PAYLOAD_BYTES - 24:
            token = f"m{self._changed.pop()}"
            payload.append(token)
            size += len(token) + 1
        if payload:
            self._notify(feed.FEED, " ".join(payload))
        self._due = False
        self._schedule()  # more than one payload holds

    def _notify(self, channel: str, payload: str) -> None:
        self._aux.send([(b"notify", (channel.encode(), payload.encode()))], lambda results: None)
