"""One HTTP request and its answer, with exact knowledge of what became of it.

The MCP SDK's own transport posts from a task of its own, where a failure can only be guessed at. Here each request runs
in its caller's task and ends as a result or as a typed error: `TryLater` where its last byte never left, whatever
`answers` says of an answer that arrived, and `OutcomeUnknown` in between. Nothing is sent twice, no task left behind.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import httpcore2  # noqa: F401  httpx2 would import it inside the first call, on the event loop
import httpx2
from django.db import connection
from mcp.shared.dispatcher import CallOptions

from missions.engine import crashpoints
from missions.errors import OutcomeUnknown, SecretMissing, StandfastError, ToolFailed, TryLater
from missions.secrets import references
from missions.tools import answers, messages
from missions.tools.judged import JudgedTransport
from missions.tools.messages import FLOOD_BYTES, FLOOD_MESSAGES, Flood, TooLarge

CONNECT_SECONDS = 10.0
# Below the 5 s after which common servers close an idle connection: a request written into a connection that the
# server is just closing could not be told from one that it took.
IDLE_SECONDS = 4.0
SECRET_SECONDS = 60.0  # a secret that was changed is used by then
CONNECTIONS = 100
LIMITS = httpx2.Limits(
    max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS
)
SESSION_HEADER = "mcp-session-id"
CHANGED = "notifications/tools/list_changed"
HEADERS = {
    "accept": "application/json, text/event-stream",
    "accept-encoding": "identity",
    "content-type": "application/json",
}


class SessionGone(StandfastError):
    """The server no longer knows this session; it did nothing."""


@dataclass(slots=True)
class Request:
    """A request's body, and whether the server may have it."""

    data: bytes
    keyed: bool
    sent: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in two pieces: a server can not act on a request that lacks its last byte."""
        yield self.data[:-1]
        self.sent = True
        yield self.data[-1:]
        if self.keyed:
            crashpoints.reach("call_sent")


class Exchange:
    """Requests to one server over pooled connections; what the SDK calls a dispatcher, without its receive loop."""

    def __init__(self, url: str, headers: Mapping[str, str], *, is_judged: bool = False) -> None:
        """Must be used from one event loop only. `is_judged`: each address is, before it is connected to."""
        self.session_id = ""
        self.on_changed: Callable[[], None] = lambda: None
        self._url, self._secret = url, Secret(headers)
        self._ids = messages.numbers()
        self._client = httpx2.AsyncClient(
            headers={**HEADERS, **self._secret.open},
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            transport=(JudgedTransport if is_judged else httpx2.AsyncHTTPTransport)(limits=LIMITS, trust_env=False),
            follow_redirects=False,
            trust_env=False,  # a proxy between would answer for the server
        )

    async def run(self, *handlers: Any, **options: Any) -> None:
        """Nothing arrives outside an answer, so there is no loop to run."""

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Post one request; returns its raw result.

        Raises MCPError for a JSON-RPC error, SessionGone, TryLater, ToolFailed, OutcomeUnknown.
        """
        options = opts or {}
        number, keyed, data = messages.request(self._ids, method, params)
        request = Request(data, keyed)
        try:
            async with asyncio.timeout(options.get("timeout")):
                answer = await self._post(request, number, method, options.get("headers") or {})
        except TimeoutError as error:
            self._cut(request, "No answer came in time", error)
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError) as error:
            self._cut(request, str(error) or type(error).__name__, error)
        if keyed:
            crashpoints.reach("call_answered")
        return messages.result_of(answer)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Post one notification. Raises as `send_raw_request` does."""
        request = Request(messages.notification(method, params), keyed=False)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._post(request, None, method, (opts or {}).get("headers") or {})
        except (TimeoutError, httpx2.HTTPError, OSError) as error:
            self._cut(request, str(error) or type(error).__name__, error)

    async def close(self) -> None:
        """End the session and close the connections."""
        try:
            if self.session_id:
                async with asyncio.timeout(1):
                    await self._client.delete(self._url, headers={SESSION_HEADER: self.session_id})
        except (TimeoutError, httpx2.HTTPError, OSError, StandfastError):
            self.session_id = ""  # a courtesy: the server drops idle sessions by itself
        finally:
            await self._client.aclose()

    def _cut(self, request: Request, why: str, error: Exception) -> NoReturn:
        """The request ended without an answer that can be read."""
        if request.sent:
            large = isinstance(error, TooLarge)
            raise OutcomeUnknown(f"{why}, after the request was sent.", too_large=large) from error
        if isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | httpx2.InvalidURL):
            raise ToolFailed(f"The request can not be sent: {why}.") from error
        raise TryLater(f"{why}; the request was not sent.") from error

    async def _post(self, request: Request, number: int | None, method: str, headers: dict[str, str]) -> Any:
        """The JSON-RPC message that answers; None for a notification."""
        session = {SESSION_HEADER: self.session_id} if self.session_id and method != "initialize" else {}
        sent = {**session, **await self._secret.headers(), **headers, "content-length": str(len(request.data))}
        async with self._client.stream("POST", self._url, content=request, headers=sent) as response:
            if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                raise ValueError("The answer is packed, though that was not asked for")  # small here, huge unpacked
            if response.status_code >= 300:
                return await self._refused(response, in_session=bool(session))
            if number is None:
                return None
            answer = await self._answer(response, number)
            if method == "initialize":
                self.session_id = response.headers.get(SESSION_HEADER, "")
            return answer

    async def _refused(self, response: httpx2.Response, *, in_session: bool) -> Any:
        """The JSON-RPC error in a refusal's body. Raises what the status means where it has none.

        `in_session`: the request named a session; by now another call may have begun a new one.
        """
        status = response.status_code
        wait = answers.retry_after(response.headers.get("retry-after"))
        if status == 404 and in_session:
            raise SessionGone()
        unmarked = answers.of_status(status, wait, response.headers.get("location", ""))
        if isinstance(unmarked, TryLater) or not _media_type(response).endswith("json"):
            raise unmarked
        try:
            answer = messages.decoded(await _read(response))
        except ValueError as error:
            raise unmarked from error
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            return answer
        raise unmarked

    async def _answer(self, response: httpx2.Response, number: int) -> Any:
        """The message that answers request `number`. Raises OutcomeUnknown where none came, ValueError."""
        media_type = _media_type(response)
        if media_type == "text/event-stream":
            return await self._streamed(response, number)
        if media_type != "application/json":
            raise OutcomeUnknown(f"The server answered with {media_type or 'no content type'}.")
        message = messages.decoded(await _read(response))
        if not messages.is_answer(message, number):
            raise OutcomeUnknown("The server answered something else than was asked.")
        return message

    async def _streamed(self, response: httpx2.Response, number: int) -> Any:
        """The same from an event stream, which may tell of other things before it answers."""
        allowed, others = messages.answer_bytes(), 0
        response.stream = Bounded(response.stream, allowed + FLOOD_BYTES)
        try:
            async for event in httpx2.EventSource(response, max_event_size=allowed):
                message = messages.decoded(event.data) if event.data else None
                if messages.is_answer(message, number):
                    return message
                if isinstance(message, dict) and message.get("method") == CHANGED:
                    self.on_changed()
                if (others := others + 1) > FLOOD_MESSAGES:
                    raise Flood
        except httpx2.SSEError as error:
            raise TooLarge(allowed) from error
        raise OutcomeUnknown("The answer's stream ended without an answer.")


class Secret:
    """The headers of one server: those that hold references to secrets, and those that hold none."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._closed = {name: text for name, text in headers.items() if references.listed(text)}
        self.open = {name: text for name, text in headers.items() if name not in self._closed}
        self._known: dict[str, str] = {}
        self._known_at = -math.inf

    async def headers(self) -> dict[str, str]:
        """Those with secrets, looked up at most `SECRET_SECONDS` ago. Raises ToolFailed: nothing is sent."""
        now = asyncio.get_running_loop().time()
        if self._closed and now - self._known_at > SECRET_SECONDS:
            try:
                self._known = await asyncio.to_thread(_filled, self._closed)
            except SecretMissing as error:
                raise ToolFailed(str(error), code=error.code) from error
            self._known_at = now
        return self._known


def _filled(headers: Mapping[str, str]) -> dict[str, str]:
    try:
        return {name: references.fill(text) for name, text in headers.items()}
    finally:
        connection.close()  # of a thread that may not be used again for long


class Bounded(httpx2.AsyncByteStream):
    """A body that may not go on for ever, whatever stands in it."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._left = stream, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self._left -= len(part)
            if self._left < 0:
                raise Flood
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _media_type(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def _read(response: httpx2.Response) -> bytes:
    """The body. Raises TooLarge."""
    parts: list[bytes] = []
    size, allowed = 0, messages.answer_bytes()
    async for part in response.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > allowed:
            raise TooLarge(allowed)
    return b"".join(parts)
