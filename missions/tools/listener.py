"""Who listens to the MCP servers on which missions wait: a thread of each mission worker, one of them for each server.

Whoever holds a server's advisory lock listens to it; the lock goes with the session, so that with a killed worker the
next one takes over, and compares everything anew. The thread has a loop and a connection of its own: a slow or hostile
server holds up no mission. It holds no state: what is awaited is in the database, what was told in mailboxes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from django.db import DatabaseError, connections

from missions.engine import resources
from missions.engine.dsn import conninfo
from missions.engine.statements import statement
from missions.errors import UnknownTool
from missions.tools.resource_reads import server_of
from missions.tools.servers import Server
from missions.tools.watching_resources import Pace, Watch

logger = logging.getLogger(__name__)
LOOK_SECONDS = 1.0  # after which a server that lost its listener is found, while somebody waits
COMPARE_SECONDS = 5.0  # after which a server that people changed is listened to anew, while somebody waits
REFRESH_SECONDS = 60.0  # after which a wait is found of which no hint has come
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
STOP_SECONDS = 5.0
Session = psycopg.AsyncConnection[Any]


class Listener:
    """The thread. `start` once; `stop` ends it, at the latest after a few seconds."""

    def __init__(self, pace: Pace = Pace()) -> None:  # noqa: B008  (frozen)
        self._pace = pace
        self._watches: dict[str, tuple[Watch, asyncio.Task[None]]] = {}
        self._wanted: set[str] = set()  # servers on which somebody waits, as far as is known here
        self._heard: set[str] = set()  # of them, those of which a hint came since they were taken
        self._database = ThreadPoolExecutor(2, "listener-database")
        self._thread = threading.Thread(target=self._main, name="listener", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None]

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is awaited is listened to by another worker, or by the next."""
        self._ready.wait(STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(STOP_SECONDS)
        self._database.shutdown(wait=False)

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()  # type: ignore[assignment]
        self._ready.set()
        failures = 0
        while not self._task.cancelling():
            try:
                place = conninfo("standfast listener")
                opening = psycopg.AsyncConnection.connect(place, autocommit=True, cursor_factory=psycopg.AsyncRawCursor)
                async with await opening as session:
                    await session.execute(f"listen {resources.HINT}")
                    failures = 0
                    await self._serve(session)
            except asyncio.CancelledError:
                return
            except (psycopg.Error, DatabaseError, OSError) as error:
                facts = {"action": "listener_waits", "why": str(error).strip()[:300]}
                logger.warning("The database is away; nobody here listens to MCP servers", extra=facts)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    async def _serve(self, session: Session) -> None:
        """Listen as long as this session holds the locks."""
        clock, refresh_at = asyncio.get_running_loop().time, 0.0
        try:
            while True:
                await self._let_go(session)
                if clock() >= refresh_at:  # a hint may be lost
                    self._wanted = await self._in_database(resources.awaited_servers)
                    refresh_at = clock() + REFRESH_SECONDS
                for name in self._wanted - set(self._watches):
                    await self._take(session, name)
                pause = LOOK_SECONDS if self._wanted - set(self._watches) else COMPARE_SECONDS
                await self._hear(session, min(refresh_at - clock(), pause) if self._wanted else refresh_at - clock())
        finally:
            for _, task in self._watches.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._watches.values()), return_exceptions=True)
            self._watches.clear()

    async def _hear(self, session: Session, seconds: float) -> None:
        """Wait for a hint, at most so long."""
        async for hint in session.notifies(timeout=max(seconds, 0.0), stop_after=1):
            self._wanted.add(hint.payload)
            self._heard.add(hint.payload)
            if hint.payload in self._watches:
                self._watches[hint.payload][0].wake()

    async def _take(self, session: Session, name: str) -> None:
        """Listen to a server, where nobody else does and this worker knows it."""
        try:
            server = server_of(name)
        except UnknownTool:
            self._wanted.discard(name)  # another worker may know it
            return
        locked = await (await session.execute(statement("resource_lock"), [resources.LOCK, name])).fetchone()
        if locked is not None and locked[0]:
            self._heard.discard(name)
            watch = Watch(server, self._in_database, self._pace)
            self._watches[name] = watch, asyncio.create_task(watch.run())
            logger.info("Listening to an MCP server", extra={"action": "listening", "server": name})

    async def _let_go(self, session: Session) -> None:
        """Free the locks of servers for which nobody waits any more."""
        for name, (watch, task) in list(self._watches.items()):
            if not watch.is_current(_known(name)):
                task.cancel()  # to be taken anew, as it is described now
                await asyncio.gather(task, return_exceptions=True)
                self._heard.add(name)
            if task.done():
                del self._watches[name]
                if name not in self._heard:  # else somebody began to wait just as nobody did any more
                    self._wanted.discard(name)
                await session.execute(statement("resource_unlock"), [resources.LOCK, name])
                if not task.cancelled() and (error := task.exception()):
                    facts = {"action": "listening_failed", "server": name}
                    logger.error("Listening to an MCP server failed", exc_info=error, extra=facts)

    async def _in_database(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._database, _connected, function, *args)


def _known(name: str) -> Server | None:
    try:
        return server_of(name)
    except UnknownTool:
        return None


def _connected(function: Callable[..., Any], *args: Any) -> Any:
    """Run it, and give the connection back."""
    try:
        return function(*args)
    finally:
        connections["default"].close()
