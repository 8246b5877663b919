"""One LISTEN connection per event loop, and the local fan-out of its hints to sockets.

Owns the connection to the feed (`missions.engine.feed`). Promises: a hint reaches every inbox of its topic; when the
connection was away, every inbox is told to look again, so what was missed is found. Hints are a set, not a queue: an
inbox holds each at most once however slow its reader is. Hints carry ids only; readers ask the database. Asks the
database nothing while nothing happens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from weakref import WeakKeyDictionary

import psycopg

from missions.engine.dsn import conninfo
from missions.engine.feed import FEED

logger = logging.getLogger(__name__)
QUEUE = "q"  # the decision queue changed
ANY_MISSION = "m*"  # some mission changed
AGAIN = "again"  # look at everything: something may have been missed
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)  # between attempts to reach the database again; the last one repeats


def mission_topic(mission_id: int) -> str:
    """The topic, and the token in the feed, of one mission."""
    return f"m{mission_id}"


class Inbox:
    """The hints that one socket has not looked at yet."""

    def __init__(self) -> None:
        self._hints: set[str] = set()
        self._some = asyncio.Event()

    def put(self, hint: str) -> None:
        """Leave a hint; the same one twice counts once."""
        self._hints.add(hint)
        self._some.set()

    async def take(self) -> set[str]:
        """All hints since the last time; waits until there is one."""
        await self._some.wait()
        hints, self._hints = self._hints, set()
        self._some.clear()
        return hints


class Hub:
    """The topics of one event loop. It listens while anybody is joined."""

    def __init__(self) -> None:
        self._topics: defaultdict[str, set[Inbox]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None

    def join(self, inbox: Inbox, *topics: str) -> None:
        """Deliver the hints of these topics to the inbox from now on; it is told to look as soon as the hub listens."""
        for topic in topics:
            self._topics[topic].add(inbox)
        if self._listener is None:
            self._listener = asyncio.get_running_loop().create_task(self._listen(), name="standfast hub")
        else:
            inbox.put(AGAIN)

    async def leave(self, inbox: Inbox) -> None:
        """Deliver nothing more; the last one to leave ends the connection."""
        for topic in [name for name, inboxes in self._topics.items() if inbox in inboxes]:
            self._topics[topic].discard(inbox)
            if not self._topics[topic]:
                del self._topics[topic]
        if not self._topics and self._listener is not None:
            listener, self._listener = self._listener, None
            listener.cancel()
            await asyncio.wait([listener])

    def deliver(self, payload: str) -> None:
        """Hand out the tokens of one notification."""
        for token in payload.split():
            self._put(token, token)
            if token != QUEUE:
                self._put(ANY_MISSION, token)

    def _put(self, topic: str, hint: str) -> None:
        for inbox in self._topics.get(topic, ()):
            inbox.put(hint)

    def _look_again(self) -> None:
        for inbox in {inbox for inboxes in self._topics.values() for inbox in inboxes}:
            inbox.put(AGAIN)

    async def _listen(self) -> None:
        """Listen for ever, through losses of the connection."""
        failures = 0
        while True:
            try:
                place = conninfo("standfast hub")
                async with await psycopg.AsyncConnection.connect(place, autocommit=True) as connection:
                    await connection.execute(f"listen {FEED}")
                    if failures:
                        logger.info("Live updates go on", extra={"action": "feed_back"})
                    failures = 0
                    self._look_again()
                    async for note in connection.notifies():
                        self.deliver(note.payload)
            except (psycopg.Error, OSError) as error:
                delay = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                facts = {"action": "feed_lost", "retry_seconds": delay, "error": str(error).strip()}
                logger.warning("Live updates pause: the database does not answer", extra=facts)
                failures += 1
                await asyncio.sleep(delay)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop: one a process, as a server runs one loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
