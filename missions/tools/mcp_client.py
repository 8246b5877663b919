"""Calling tools on MCP servers from asyncio, with every failure classified.

Owns the connections: per event loop and server one pool and one negotiated session, made on first use, kept while the
loop lives, renewed when the server forgot it. The SDK's `ClientSession` writes and checks the messages; `Exchange` is
its dispatcher. The session is never entered: it then starts no task, and there is none to leak.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import weakref
from collections.abc import Container, Mapping
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
from missions.tools import answers, messages
from missions.tools.exchange import Exchange, SessionGone
from missions.tools.messages import DEADLINE_META, KEY_META
from missions.tools.pipes import Pipes
from missions.tools.servers import ANSWER_BYTES, Codes, RemoteTool, Server

LIST_SECONDS = 15.0  # of one page
LISTING_SECONDS, LISTING_PAGES, LISTING_TOOLS = 30.0, 50, 500  # of all of them
FRESH_SECONDS = 300.0  # for which a listing counts, unless the server says that it has changed, or starts anew
CLIENT = Implementation(name="standfast", version="1")
Result = TypeVar("Result", bound=BaseModel)
RESULT: TypeAdapter[CallToolResult] = TypeAdapter(CallToolResult)
LISTING: TypeAdapter[ListToolsResult] = TypeAdapter(ListToolsResult)


class Link:
    """One server as one event loop sees it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._exchange = (
            Pipes(server) if server.command else Exchange(server.url, server.headers, is_judged=server.is_judged)
        )
        self.busy = 0  # requests that are under way
        self._session: ClientSession | None = None
        self._connecting, self._listing = asyncio.Lock(), asyncio.Lock()
        self._failures = 0
        self._offered: Mapping[str, Tool] | None = None
        self._offered_at = 0.0
        self._exchange.on_changed = self._changed

    async def send(self, request: Any, result: TypeAdapter[Result], seconds: float) -> Result:
        """Send one request within this time. Raises MCPError, ValueError, TryLater, ToolFailed, OutcomeUnknown.

        A request is repeated once where the server refused it for what the session got wrong: it did nothing then.
        """
        self.busy += 1
        try:
            return await self._sent(request, result, seconds)
        finally:
            self.busy -= 1

    async def _sent(self, request: Any, result: TypeAdapter[Result], seconds: float) -> Result:
        until, before = asyncio.get_running_loop().time() + seconds, self._offered
        for last in (False, True):
            session = await self._connected(until)
            if last and before is not None and isinstance(request, CallToolRequest):
                await self._unchanged(request.params.name, before)
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

    async def listing(self) -> Mapping[str, Tool]:
        """Name → tool, asked for where it must be: once for all who want it at a time. Raises TryLater, ToolFailed."""
        async with self._listing:
            fresh = asyncio.get_running_loop().time() - self._offered_at < FRESH_SECONDS
            if fresh and self._offered is not None:
                return self._offered
            found = {tool.name: tool for tool in await list_tools(self._server)}
            self._offered, self._offered_at = found, asyncio.get_running_loop().time()
            return found

    async def _unchanged(self, tool: str, before: Mapping[str, Tool]) -> None:
        """A server that has just started anew still offers the tool as before. Raises TryLater, ToolFailed."""
        if (await self.listing()).get(tool) != before.get(tool):
            raise TryLater("The server started anew and offers the tool differently; the request was not sent.")

    def _changed(self) -> None:
        self._offered = None

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
                with messages.answers_up_to(ANSWER_BYTES):
                    self._session = await self._negotiated(known_failures)
        except TimeoutError as error:
            raise TryLater("Connecting took too long; the request was not sent.") from error
        except (TryLater, OutcomeUnknown, SessionGone) as error:
            self._failures += 1  # those who waited for this attempt need not each wait for one of their own
            wait = error.retry_after_seconds if isinstance(error, TryLater) else None
            raise TryLater(f"Connecting failed: {error}", retry_after_seconds=wait) from error
        except (MCPError, ValueError, RuntimeError) as error:
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
        except (MCPError, ToolFailed, ValueError, RuntimeError):
            await session.initialize()
        except OutcomeUnknown as error:
            # Cut off, not answered: says nothing of what a server speaks, unless it was its process that left.
            if not ("status" in error.facts or "ended" in error.facts):
                raise
            await session.initialize()
        return session

    def _forget(self, session: ClientSession) -> None:
        if self._session is session:  # of many calls that failed with it, the first renews it
            self._session = self._offered = None

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
        with messages.answers_up_to(promised.result_bytes):
            result = await _link(server).send(request, RESULT, timeout)
    except OutcomeUnknown as error:
        if error.facts.get("too_large") and effect is EffectClass.READ:  # it would be as large the next time
            raise ToolFailed(str(error), code="result_too_large") from error
        raise
    except MCPError as error:
        raise answers.of_error(error.code, error.message, error.data, codes, effect) from error
    except (ValueError, RecursionError) as error:  # a ValidationError, or deeper than can be looked at
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


async def offered(server: Server) -> Mapping[str, Tool]:
    """Name → tool, as the server offered them at most `FRESH_SECONDS` ago. Raises TryLater, ToolFailed."""
    return await _link(server).listing()


async def list_tools(server: Server) -> list[Tool]:
    """All tools that the server offers now. Raises TryLater, ToolFailed."""
    try:
        async with asyncio.timeout(LISTING_SECONDS):
            return await _listed(server)
    except TimeoutError as error:
        raise TryLater(f"The server {server.name} took too long to list its tools.") from error


async def _listed(server: Server) -> list[Tool]:
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(LISTING_PAGES):
        page = await _page(server, cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            return found
        if len(found) > LISTING_TOOLS:
            break
    raise ToolFailed(f"The server {server.name} lists more than {LISTING_TOOLS} tools, or will not stop listing.")


async def _page(server: Server, cursor: str | None) -> ListToolsResult:
    params = PaginatedRequestParams(cursor=cursor) if cursor else None
    try:
        return await _link(server).send(ListToolsRequest(params=params), LISTING, LIST_SECONDS)
    except OutcomeUnknown as error:  # a question changes nothing: it can be asked again
        if error.facts.get("too_large"):  # but its answer would be as large the next time
            raise ToolFailed(f"The server {server.name} could not list its tools: {error}") from error
        raise TryLater(f"The server {server.name} could not list its tools: {error}") from error
    except (ValueError, RecursionError) as error:
        raise TryLater(f"The server {server.name} lists its tools in a form that MCP does not know.") from error
    except MCPError as error:
        raise answers.of_error(error.code, error.message, error.data, Codes(), EffectClass.READ) from error


async def close_others(kept: Container[tuple[Any, ...]]) -> None:
    """Close what this event loop holds for all but these identities, where no request is under way."""
    links = _links.get(asyncio.get_running_loop(), {})
    for identity in [one for one in links if one not in kept]:
        if not links[identity].busy:  # asked anew each time: closing takes a while
            await links.pop(identity).close()


async def close() -> None:
    """Close what this event loop holds; for an orderly end, and between tests."""
    for link in _links.pop(asyncio.get_running_loop(), {}).values():
        await link.close()
