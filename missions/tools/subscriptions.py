"""Resources of MCP servers over streamable HTTP: reading one, and a feed of those that change.

Heavy: imports the MCP client. Both revisions of the protocol: `subscriptions/listen`, and `resources/subscribe` with
notifications on the session's own stream. A feed tells only which resource may have changed; whoever cares reads it.
What a server sends is bounded: an answer, an event, and how many changes wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ResourceUpdated, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp.types import (
    EmptyResult,
    PingRequest,
    ReadResourceResult,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from missions.errors import ToolFailed, TryLater
from missions.governance import Json
from missions.secrets import references
from missions.tools.judged import JudgedTransport
from missions.tools.servers import Server

READ_BYTES = 8 * 1024 * 1024  # beyond that a resource can not be awaited
INLINE_BYTES = 256 * 1024  # what a mission is told of it
MOST_STREAMS = 32  # of one connection: each time that new resources are awaited, there is one more
CONNECT_SECONDS, REQUEST_SECONDS = 10.0, 30.0
EMPTY: TypeAdapter[EmptyResult] = TypeAdapter(EmptyResult)
HEADERS = {"accept-encoding": "identity"}  # nothing that could unpack to more than was sent


class TooLarge(Exception):
    """The server sends more than a resource may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a resource is. Two of the same digest are the same; without one it can not be read."""

    server: str
    resource: str
    digest: str = ""
    size: int | None = None
    contents: tuple[Json, ...] | None = None  # None: more than a mission is told

    def told(self) -> Json:
        """As missions are told it."""
        contents = list(self.contents) if self.contents is not None else None
        return {
            "server": self.server, "resource": self.resource, "digest": self.digest, "size": self.size,
            "contents": contents,
        }  # fmt: skip


async def read(server: Server, resource: str, seconds: float) -> Content:
    """What a resource is now, over a connection of its own. Raises TryLater, ToolFailed."""
    try:
        async with asyncio.timeout(seconds), connected(server) as client:
            return await read_by(client, server, resource)
    except (MCPError, ValidationError, TooLarge, *CUT) as error:
        raise judged(error, server) from error
    except BaseExceptionGroup as errors:
        raise judged(errors, server) from errors


def judged(error: BaseException, server: Server) -> TryLater | ToolFailed:
    """What a failure means: that the server refuses, or that it can not be asked now."""
    for one in leaves(error):
        if isinstance(one, TooLarge):
            return ToolFailed(f"The resource is larger than {READ_BYTES:,} bytes.")
        if isinstance(one, MCPError | ValidationError) and not _cut(one):
            return ToolFailed(f"The server {server.name} refuses: {str(one)[:300]}")
        if not isinstance(one, MCPError | ValidationError | CUT):
            raise one
    return TryLater(f"The server {server.name} can not be asked now: {str(error)[:300] or type(error).__name__}")


CUT = (httpx2.HTTPError, httpx2.StreamError, OSError, TimeoutError, SubscriptionLost)
CONNECTION_CLOSED, INTERNAL, TIMED_OUT = -32000, -32603, -32001


def _cut(error: BaseException) -> bool:
    return isinstance(error, MCPError) and error.code in (CONNECTION_CLOSED, INTERNAL, TIMED_OUT)


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group of groups; the error itself where it is none."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for one in error.exceptions for leaf in leaves(one)]


@contextlib.asynccontextmanager
async def connected(server: Server, on_message: Any = None) -> AsyncIterator[Client]:
    """A client that has shaken hands; `on_message` is given what the server says unasked."""
    filled = await asyncio.to_thread(lambda: {name: references.fill(text) for name, text in server.headers.items()})
    timeout = httpx2.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS, read=None)
    transport = _Capped((JudgedTransport if server.is_judged else httpx2.AsyncHTTPTransport)(trust_env=False))
    async with httpx2.AsyncClient(headers={**HEADERS, **filled}, timeout=timeout, transport=transport) as http:
        streams = streamable_http_client(server.url, http_client=http, max_sse_event_size=READ_BYTES)
        client = Client(streams, cache=None, message_handler=on_message, read_timeout_seconds=REQUEST_SECONDS)
        async with client:
            yield client


async def read_by(client: Client, server: Server, resource: str) -> Content:
    """What a resource is now, over this connection. Raises MCPError, ValidationError, TooLarge and what `CUT` names."""
    result: ReadResourceResult = await client.read_resource(resource)
    contents = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in result.contents]
    raw = json.dumps(contents, sort_keys=True, separators=(",", ":")).encode()
    if len(raw) > READ_BYTES:
        raise TooLarge
    kept = tuple(contents) if len(raw) <= INLINE_BYTES else None
    digest = hashlib.sha256(raw).hexdigest()
    return Content(server=server.name, resource=resource, digest=digest, size=len(raw), contents=kept)


class Feed:
    """Which of the subscribed resources may have changed. For one event loop; ends with its connection."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._subscribed: set[str] = set()
        self._woken = asyncio.Event()
        self._lost: BaseException | None = None
        self._stack = contextlib.AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self.client: Client

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, server: Server) -> AsyncIterator[Feed]:
        """A connection and its feed."""
        feed = cls()

        async def on_message(message: Any) -> None:
            if isinstance(message, ResourceUpdatedNotification):
                feed._note(str(message.params.uri))

        async with connected(server, on_message) as feed.client, feed._stack:
            try:
                yield feed
            finally:
                for task in feed._tasks:
                    task.cancel()

    @property
    def _modern(self) -> bool:
        return self.client.session.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def frayed(self) -> bool:
        """Whether it has so many streams that a new connection with one would do better."""
        return len(self._tasks) > MOST_STREAMS

    async def subscribe(self, resources: Sequence[str]) -> None:
        """Hear of these too from now on. A server that can not tell is asked again by whoever holds the feed."""
        new = [one for one in resources if one not in self._subscribed]
        self._subscribed.update(new)
        if not new:
            return
        if self._modern:
            subscription = await self._stack.enter_async_context(self.client.listen(resource_subscriptions=new))
            task = asyncio.create_task(self._follow(subscription))
            self._tasks.add(task)
            return
        for one in new:
            params = SubscribeRequestParams(uri=one)
            with contextlib.suppress(MCPError):  # it has no subscriptions: it is read from time to time instead
                await self.client.session.send_request(SubscribeRequest(params=params), EMPTY)

    async def _follow(self, subscription: Any) -> None:
        try:
            async for event in subscription:
                if isinstance(event, ResourceUpdated):
                    self._note(str(event.uri))
            self._lose(SubscriptionLost("The server has closed the subscription."))
        except SubscriptionLost as error:
            self._lose(error)

    def _note(self, resource: str) -> None:
        """A part of a resource that changes changes it; what nobody subscribed to is no concern of ours."""
        self._changed.update(one for one in self._subscribed if resource.startswith(one))
        self._woken.set()

    def _lose(self, why: BaseException) -> None:
        self._lost = why
        self._woken.set()

    def wake(self) -> None:
        """Have `changes` answer now."""
        self._woken.set()

    async def alive(self) -> None:
        """Find out whether the other side still knows us. Raises MCPError; a subscription tells by itself."""
        if not self._modern:
            await self.client.session.send_request(PingRequest(), EMPTY)

    async def changes(self, seconds: float) -> set[str]:
        """What may have changed since the last call, at the latest after so long. Raises SubscriptionLost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        if self._lost is not None:
            raise SubscriptionLost(str(self._lost))
        found, self._changed = self._changed, set()
        return found


class _Capped(httpx2.AsyncBaseTransport):
    """A transport whose answers, but for streams of events, end in TooLarge where they go on for too long."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, with a body that counts."""
        response = await self._inner.handle_async_request(request)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.stream = _Counted(response.stream)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._inner:
            size += len(part)
            if size > READ_BYTES:
                raise TooLarge
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
