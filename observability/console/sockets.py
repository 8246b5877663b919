"""What all live sockets have in common: they let in who may look, and look again whenever the hub hints at something.

A socket only announces; nothing is decided over it. Permission is asked at the join and before each push.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from observability.console import live, sharing
from observability.hub import AGAIN, QUEUE, Inbox, hub

logger = logging.getLogger(__name__)
SIGN_IN, NOT_ALLOWED, BAD_REQUEST = 4401, 4403, 4400  # close codes; the page does not come back after these
FAILED = 1011  # it does after this one
PACE_SECONDS = 0.05  # hints that come meanwhile are answered together
AGAIN_SECONDS = 2.0  # after a failed push


async def read(work: Callable[..., Any], *args: Any) -> Any:
    """Run a reader of the database in a thread of its own."""
    return await database_sync_to_async(work, thread_sensitive=False)(*args)


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A live socket. Subclasses say what it hears of, and what it sends."""

    pace = PACE_SECONDS
    viewer: live.Viewer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.inbox = Inbox()
        self.pump: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    async def topics(self) -> list[str]:
        """What to hear of; empty where the socket was refused."""
        raise NotImplementedError

    async def push(self, hints: set[str]) -> None:
        """Send what is new."""
        raise NotImplementedError

    async def connect(self) -> None:
        """Let in who is signed in and may look; start looking."""
        user, session = self.scope.get("user"), self.scope.get("session")
        if user is None or not user.is_authenticated:
            await self.refuse(SIGN_IN)
            return
        self.viewer = live.Viewer(user.pk, getattr(session, "session_key", None) or "")
        topics = await self.topics()
        if topics:
            await self.accept()
            hub().join(self.inbox, QUEUE, *topics)
            self.pump = asyncio.create_task(self._pump(), name="standfast socket")

    async def refuse(self, code: int) -> None:
        """Close with a code that the browser can read, which needs an accepted socket."""
        await self.accept()
        await self.close(code=code)

    async def disconnect(self, code: int) -> None:
        """Stop looking."""
        if self.timer is not None:
            self.timer.cancel()
        if self.pump is not None:
            self.pump.cancel()
            await asyncio.wait([self.pump])
            await hub().leave(self.inbox)

    async def event(self, **facts: str) -> None:
        """Send a JSON message."""
        await self.send(text_data=json.dumps(facts))

    async def push_queue_count(self) -> None:
        """Send the count in the header, or close where the person may not look any more."""
        html = await sharing.once(("count", self.viewer), lambda: read(live.queue_count, self.viewer))
        await (self.send(text_data=html) if html else self.close(code=NOT_ALLOWED))

    def look_again(self, seconds: float, hint: str) -> None:
        """Take a hint later, whether anything brings it or not; replaces an earlier such plan."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(seconds, self.inbox.put, hint)

    async def _pump(self) -> None:
        try:
            while True:
                await self._push_or_plan(await self.inbox.take())
                await asyncio.sleep(self.pace)
        except Exception:  # the boundary of this task: a silent socket would look alive
            logger.exception("A live socket failed", extra={"action": "socket_failed"})
            await self.close(code=FAILED)

    async def _push_or_plan(self, hints: set[str]) -> None:
        try:
            await self.push(hints)
        except DatabaseError as error:
            facts = {"action": "push_failed", "error": str(error).strip()}
            logger.warning("A live update failed; it is tried again", extra=facts)
            self.look_again(AGAIN_SECONDS, AGAIN)
