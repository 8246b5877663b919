"""Looking at the MCP servers now and then, beside what missions ask of them: what they offer, and whether they answer.

A worker does so when it starts and every few minutes. Nothing depends on it: each call of a tool looks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Sequence

import psycopg
from django.db import Error as DatabaseError
from django.db import connection

from missions.engine import tool_forms
from missions.engine.tool_forms import Sighting
from missions.errors import StandfastError
from missions.secrets.redacting import redact
from missions.tools import catalogue, learning, registered
from missions.tools.servers import Server

logger = logging.getLogger(__name__)
EVERY_SECONDS = 300.0
AT_ONCE = 8  # servers


async def watch() -> None:
    """Look at all servers, again and again, and when people register one, until it is cancelled.

    A database that is away is left alone meanwhile.
    """
    changed = asyncio.Event()
    tell = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, changed.set)
    registered.listeners.add(tell)
    try:
        while True:
            try:
                await look()
            except (DatabaseError, psycopg.Error) as error:
                logger.warning("the servers’ tools were not noted", extra={"action": "watch_failed", "why": str(error)})
            except Exception:  # a boundary: servers may do anything, and are looked at again
                logger.exception("Looking at the servers failed", extra={"action": "watch_failed"})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), EVERY_SECONDS)
            changed.clear()
    finally:
        registered.listeners.discard(tell)


async def look() -> dict[str, str]:
    """Ask each server for its tools, once, and keep what it says; name → why of those that could not be asked.

    Connections to servers that went are closed.
    """
    await catalogue.close_others(registered.servers())
    at_once = asyncio.Semaphore(AT_ONCE)
    asked = [_asked(server, at_once) for server in registered.servers()]
    return {name: why for name, why in await asyncio.gather(*asked) if why}


async def _asked(server: Server, at_once: asyncio.Semaphore) -> tuple[str, str]:
    async with at_once:
        try:
            offered = await catalogue.sightings(server)
        except StandfastError as error:
            await asyncio.to_thread(_unreached, server, str(error))
            return server.name, str(error)
        await asyncio.to_thread(_reached, server, offered)
        return server.name, ""


def _reached(server: Server, offered: Sequence[Sighting]) -> None:
    """A server that went meanwhile, or is another by now, has said nothing."""
    try:
        if learning.is_known(server):
            learning.offered(server, offered, tool_forms.reached(server.name, offered))
    finally:
        connection.close()  # of a thread that may not be used again for long


def _unreached(server: Server, why: str) -> None:
    try:
        if learning.is_known(server):
            tool_forms.unreached(server.name, redact(why))
    finally:
        connection.close()
