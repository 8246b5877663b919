"""Looking after the awaited resources of one MCP server, while anybody waits for them.

Promises: whatever a mission knows is compared with what is there each time that a connection was made, that the server
told of a change, that a wait came, and from time to time. So a change is found however many notifications were lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from missions.engine import resources
from missions.engine.resources import Change
from missions.errors import StandfastError, ToolFailed
from missions.tools import subscriptions
from missions.tools.servers import Server
from missions.tools.subscriptions import Content, Feed, TooLarge

logger = logging.getLogger(__name__)
InDatabase = Callable[..., Awaitable[Any]]
READ_AT_ONCE = 8
ROUND_SECONDS = 0.05  # between two looks, however fast a server tells of changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often what is done, in seconds."""

    alive: float = 5.0  # a server is asked whether it is there
    reread: float = 60.0  # everything is read, whatever was told
    retry: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # a connection is made again


class Watch:
    """One server's resources, in one event loop."""

    def __init__(self, server: Server, in_database: InDatabase, pace: Pace) -> None:
        self._server, self._in_database, self._pace = server, in_database, pace
        self._feed: Feed | None = None
        self._failures = 0
        self._at_once = asyncio.Semaphore(READ_AT_ONCE)

    def is_current(self, server: Server | None) -> bool:
        """Whether it watches this server, as it is described."""
        return server is not None and server.identity == self._server.identity

    def wake(self) -> None:
        """There may be a new wait."""
        if self._feed is not None:
            self._feed.wake()

    async def run(self) -> None:
        """Watch until nobody waits any more."""
        while await self._in_database(resources.awaited_of, self._server.name):
            try:
                async with Feed.of(self._server) as self._feed:
                    await self._follow(self._feed)
            except Exception as error:  # a boundary: a server may do anything, and is asked again whatever it was
                self._note(error)
                delays = self._pace.retry
                await asyncio.sleep(delays[min(self._failures, len(delays)) - 1])
            finally:
                self._feed = None

    def _note(self, error: Exception) -> None:
        self._failures += 1
        why = "; ".join(str(one) or type(one).__name__ for one in subscriptions.leaves(error))[:300]
        facts = {"action": "listening_lost", "server": self._server.name, "failures": self._failures, "why": why}
        logger.warning("The connection to an MCP server is lost; nothing that is awaited is", extra=facts)

    async def _follow(self, feed: Feed) -> None:
        compared: set[str] = set()  # waits that were compared since the connection was made
        changed: set[str] = set()
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        while not feed.frayed and (waits := await self._in_database(resources.awaited_of, self._server.name)):
            await feed.subscribe(list(waits))
            if loop.time() - read_at >= self._pace.reread:
                compared, read_at = set(), loop.time()
            await self._look(feed, {one for one, names in waits.items() if one in changed or not names <= compared})
            compared, self._failures = set().union(*waits.values()), 0
            await asyncio.sleep(ROUND_SECONDS)
            changed = await feed.changes(self._pace.alive)
            if not changed:
                await feed.alive()

    async def _look(self, feed: Feed, wanted: Iterable[str]) -> None:
        """Read these and tell who knows another content. Raises what a lost connection raises."""
        async with asyncio.TaskGroup() as group:
            for resource in wanted:
                group.create_task(self._compare(feed, resource))

    async def _compare(self, feed: Feed, resource: str) -> None:
        async with self._at_once:
            try:
                found = await subscriptions.read_by(feed.client, self._server, resource)
            except TooLarge:  # it was not when the wait began
                found = Content(server=self._server.name, resource=resource)
            except (MCPError, ValidationError) as error:
                self._refused(resource, subscriptions.judged(error, self._server), error)
                return
        change = Change(server=found.server, resource=found.resource, digest=found.digest, told=found.told())
        told = await self._in_database(resources.tell, change)
        if told:
            facts = {"action": "resource_changed", "server": found.server, "resource": resource, "missions": told}
            logger.info("A resource that missions await has changed", extra=facts)

    def _refused(self, resource: str, judged: StandfastError, error: Exception) -> None:
        """What the server refuses to read is read again later. Raises the error where the connection is at fault."""
        if not isinstance(judged, ToolFailed):
            raise error
        facts = {"action": "resource_unreadable", "server": self._server.name, "resource": resource, "why": str(judged)}
        logger.warning("A resource that missions await can not be read", extra=facts)
