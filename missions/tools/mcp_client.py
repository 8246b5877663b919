"""Calling tools on MCP servers from asyncio, with every failure classified.

Owns the connections: per event loop and server one pool and one negotiated session, made on first use, kept while the
loop lives, renewed when the server forgot it. The SDK's `ClientSession` writes and checks the messages; `Exchange` is
its dispatcher. The session is never entered: it then starts no task, and there is none to leak.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import weakref
from typing import Any, TypeVar

from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp.types import (
    HEADER_MISMATCH,
    UNSUPPORTED_PROTOCOL_VERSION,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    ListToolsRequest,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

from missions.errors import OutcomeUnknown, StandfastError, ToolFailed, TryLater
from missions.governance import EffectClass, Json
from missions.tools import answers
from missions.tools.exchange import DEADLINE_META, KEY_META, Exchange, SessionGone
from missions.tools.servers import Codes, RemoteTool, Server

LIST_SECONDS = 15.0
LIST_PAGES = 100
CLIENT = Implementation(name="standfast", version="1")
Result = TypeVar("Result", bound=BaseModel)
RESULT: TypeAdapter[CallToolResult] = TypeAdapter(CallToolResult)
LISTING: TypeAdapter[ListToolsResult] = TypeAdapter(ListToolsResult)


class Link:
    """One server as one event loop sees it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._exchange = Exchange(server.url, server.headers)
        self._session: ClientSession | None = None
        self._connecting = asyncio.Lock()
        self._failures = 0

    async def send(self, request: Any, result: TypeAdapter[Result], seconds: float) -> Result:
        """Send one request within this time. Raises MCPError, ValidationError, TryLater, ToolFailed, OutcomeUnknown.

        A request is repeated once where the server refused it for what the session got wrong: it did nothing then.
        """
        until = asyncio.get_running_loop().time() + seconds
        for last in (False, True):
            session = await self._connected(until)
            left = max(until - asyncio.get_running_loop().time(), 0.001)
            try:
                return await session.send_request(request, result, request_read_timeout_seconds=left)
            except SessionGone as error:
                self._forget(session)
                if last:
                    raise TryLater("The server keeps forgetting the session.") from error
            except MCPError as error:
                if last or not await self._mended(session, error.code):
                    raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the connections and end the session."""
        await self._exchange.close()

    async def _connected(self, until: float) -> ClientSession:
        """The negotiated session. Raises TryLater, ToolFailed: nothing was asked of the server's tools yet."""
        if self._session is not None:
            return self._session
        known_failures = self._failures
        try:
            async with asyncio.timeout_at(until), self._connecting:
                self._session = await self._negotiated(known_failures)
        except TimeoutError as error:
            raise TryLater("Connecting took too long; the request was not sent.") from error
        except (TryLater, OutcomeUnknown, SessionGone) as error:
            self._failures += 1  # those who waited for this attempt need not each wait for one of their own
            wait = error.retry_after_seconds if isinstance(error, TryLater) else None
            raise TryLater(f"Connecting failed: {error}", retry_after_seconds=wait) from error
        except (MCPError, ValidationError, RuntimeError) as error:
            raise ToolFailed(f"The server {self._server.name} does not speak MCP as known here: {error}") from error
        return self._session

    async def _negotiated(self, known_failures: int) -> ClientSession:
        """A session of the newest revision that both speak: first the sessionless one, then the handshake."""
        if self._session is not None:  # while this call waited, another one connected
            return self._session
        if self._failures != known_failures:
            raise TryLater("another call just failed to connect")
        self._exchange.session_id = ""
        session = ClientSession(dispatcher=self._exchange, client_info=CLIENT, read_timeout_seconds=LIST_SECONDS)
        try:
            await session.discover()
        except (MCPError, ToolFailed, ValidationError, RuntimeError):
            await session.initialize()
        except OutcomeUnknown as error:
            if "status" not in error.facts:  # cut off, not answered: says nothing of what the server speaks
                raise
            await session.initialize()
        return session

    def _forget(self, session: ClientSession) -> None:
        if self._session is session:  # of many calls that failed with it, the first renews it
            self._session = None

    async def _mended(self, session: ClientSession, code: int) -> bool:
        """Whether the refusal was the session's fault, and the next try differs."""
        if code == UNSUPPORTED_PROTOCOL_VERSION:
            self._forget(session)
            return True
        if code == HEADER_MISMATCH:  # a header mirrors an argument; the listing says which
            try:
                await session.list_tools()
            except (StandfastError, MCPError, ValidationError):
                return False  # the caller reports the mismatch
            return True
        return False


_links: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Any, ...], Link]] = weakref.WeakKeyDictionary()


def _link(server: Server) -> Link:
    links = _links.setdefault(asyncio.get_running_loop(), {})
    link = links.get(server.identity)
    if link is None:
        link = links[server.identity] = Link(server)
    return link


async def call(
    server: Server,
    tool: str,
    args: Json,
    *,
    key: str = "",
    deadline: dt.datetime | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109  also decides whether the request was sent, which a caller can not
    entry: RemoteTool | None = None,
) -> Any:
    """Call one tool; returns its structured content, else its text. `timeout` is seconds for all of it.

    The key travels as the tool's key argument and in `_meta`, the deadline (aware) in `_meta`.
    Raises TryLater (certainly not done), ToolFailed (a definite refusal), OutcomeUnknown (it may have happened).
    """
    promised = entry or server.entry(tool)
    codes, effect = server.codes(promised), promised.effect
    request = _request(promised, tool, args, key, deadline)
    try:
        result = await _link(server).send(request, RESULT, timeout)
    except MCPError as error:
        raise answers.of_error(error.code, error.message, error.data, codes, effect) from error
    except ValidationError as error:
        raise OutcomeUnknown("The tool answered in a form that MCP does not know.") from error
    return answers.of_result(result, codes, effect)


def _request(entry: RemoteTool, tool: str, args: Json, key: str, deadline: dt.datetime | None) -> CallToolRequest:
    meta: dict[str, Any] = {}
    if key:
        meta[KEY_META] = key
    if deadline is not None:
        meta[DEADLINE_META] = deadline.astimezone(dt.UTC).isoformat()
    keyed = {entry.key_argument: key} if key and entry.key_argument else {}
    params = {"name": tool, "arguments": {**args, **keyed}, **({"_meta": meta} if meta else {})}
    return CallToolRequest(params=CallToolRequestParams.model_validate(params))


async def list_tools(server: Server) -> list[Tool]:
    """All tools that the server offers now. Raises TryLater, ToolFailed."""
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(LIST_PAGES):
        params = PaginatedRequestParams(cursor=cursor) if cursor else None
        try:
            page = await _link(server).send(ListToolsRequest(params=params), LISTING, LIST_SECONDS)
        except (OutcomeUnknown, ValidationError) as error:  # a question changes nothing: it can be asked again
            raise TryLater(f"The server {server.name} could not list its tools: {error}") from error
        except MCPError as error:
            refusal = answers.of_error(error.code, error.message, error.data, Codes(), EffectClass.READ)
            raise refusal from error
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return found


async def close() -> None:
    """Close what this event loop holds; for an orderly end, and between tests."""
    for link in _links.pop(asyncio.get_running_loop(), {}).values():
        await link.close()
