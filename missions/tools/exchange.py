"""One HTTP request and its answer, with exact knowledge of what became of it.

The MCP SDK's own transport posts from a task of its own, where a failure can only be guessed at. Here each request runs
in its caller's task and ends as a result or as a typed error: `TryLater` where its last byte never left, whatever
`answers` says of an answer that arrived, and `OutcomeUnknown` in between. Nothing is sent twice, no task left behind.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import httpcore2  # noqa: F401  httpx2 would import it inside the first call, on the event loop
import httpx2
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError

from missions.engine import crashpoints
from missions.errors import OutcomeUnknown, StandfastError, ToolFailed, TryLater
from missions.tools import answers

ANSWER_BYTES = 1024 * 1024
CONNECT_SECONDS = 10.0
# Below the 5 s after which common servers close an idle connection: a request written into a connection that the
# server is just closing could not be told from one that it took.
IDLE_SECONDS = 4.0
CONNECTIONS = 100
SESSION_HEADER = "mcp-session-id"
KEY_META = "standfast/idempotency-key"
DEADLINE_META = "standfast/deadline"
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

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """Must be used from one event loop only."""
        self.session_id = ""
        self._url = url
        self._ids = itertools.count(1)
        self._client = httpx2.AsyncClient(
            headers={**HEADERS, **headers},
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS
            ),
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
        number = next(self._ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params or {})}
        keyed = KEY_META in (message["params"].get("_meta") or {})  # type: ignore[attr-defined]
        request = Request(json.dumps(message, separators=(",", ":"), allow_nan=False).encode(), keyed)
        try:
            async with asyncio.timeout(options.get("timeout")):
                answer = await self._post(request, number, method, options.get("headers") or {})
        except TimeoutError as error:
            self._cut(request, "No answer came in time", error)
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError) as error:
            self._cut(request, str(error) or type(error).__name__, error)
        if keyed:
            crashpoints.reach("call_answered")
        return _result(answer)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Post one notification. Raises as `send_raw_request` does."""
        message = {"jsonrpc": "2.0", "method": method, **({"params": dict(params)} if params else {})}
        request = Request(json.dumps(message, allow_nan=False).encode(), keyed=False)
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
        except (TimeoutError, httpx2.HTTPError, OSError):
            self.session_id = ""  # a courtesy: the server drops idle sessions by itself
        finally:
            await self._client.aclose()

    def _cut(self, request: Request, why: str, error: Exception) -> NoReturn:
        """The request ended without an answer that can be read."""
        if request.sent:
            raise OutcomeUnknown(f"{why}, after the request was sent.") from error
        if isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | httpx2.InvalidURL):
            raise ToolFailed(f"The request can not be sent: {why}.") from error
        raise TryLater(f"{why}; the request was not sent.") from error

    async def _post(self, request: Request, number: int | None, method: str, headers: dict[str, str]) -> Any:
        """The JSON-RPC message that answers; None for a notification."""
        session = {SESSION_HEADER: self.session_id} if self.session_id and method != "initialize" else {}
        length = {"content-length": str(len(request.data))}
        async with self._client.stream(
            "POST", self._url, content=request, headers={**session, **headers, **length}
        ) as response:
            if response.status_code >= 300:
                return await self._refused(response)
            if number is None:
                return None
            answer = await _answer(response, number)
            if method == "initialize":
                self.session_id = response.headers.get(SESSION_HEADER, "")
            return answer

    async def _refused(self, response: httpx2.Response) -> Any:
        """The JSON-RPC error in a refusal's body. Raises what the status means where it has none."""
        status = response.status_code
        wait = answers.retry_after(response.headers.get("retry-after"))
        if status == 404 and self.session_id:
            raise SessionGone()
        unmarked = answers.of_status(status, wait, response.headers.get("location", ""))
        if isinstance(unmarked, TryLater) or not _media_type(response).endswith("json"):
            raise unmarked
        try:
            answer = _decoded(await _read(response))
        except ValueError as error:
            raise unmarked from error
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            return answer
        raise unmarked


async def _answer(response: httpx2.Response, number: int) -> Any:
    """The message that answers request `number`. Raises OutcomeUnknown where none came."""
    media_type = _media_type(response)
    if media_type == "text/event-stream":
        async for event in httpx2.EventSource(response, max_event_size=ANSWER_BYTES):
            if event.data and _answers(message := _decoded(event.data), number):
                return message
        raise OutcomeUnknown("The answer's stream ended without an answer.")
    if media_type != "application/json":
        raise OutcomeUnknown(f"The server answered with {media_type or 'no content type'}.")
    message = _decoded(await _read(response))
    if not _answers(message, number):
        raise OutcomeUnknown("The server answered something else than was asked.")
    return message


def _answers(message: Any, number: int) -> bool:
    """Whether this is the response to that request; servers that could not read the id answer with none."""
    if not isinstance(message, dict) or not ("result" in message or "error" in message):
        return False
    return str(message.get("id")) == str(number) or ("error" in message and message.get("id") is None)


def _media_type(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def _read(response: httpx2.Response) -> bytes:
    """The body. Raises ValueError where it is larger than the limit."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            raise ValueError(f"The answer is larger than {ANSWER_BYTES:,} bytes")
    return b"".join(parts)


def _decoded(text: str | bytes) -> Any:
    """Strict JSON. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The answer is not JSON ({error})") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _result(answer: Any) -> dict[str, Any]:
    error = answer.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        raise MCPError(code if isinstance(code, int) else 0, str(error.get("message", "")), error.get("data"))
    result = answer.get("result")
    if not isinstance(result, dict):
        raise OutcomeUnknown("The server answered without a result.")
    return result
