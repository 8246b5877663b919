"""The way of one HTTP request of a tool, with exact knowledge of what became of it.

Promises: the host is resolved once and the connection goes to what was judged; redirects are not followed; proxies of
the environment and cookies are not used; an answer is read up to `ANSWER_BYTES` and for `BODY_SECONDS`. Raises TryLater
where the last byte never left, whatever `missions.tools.answers` says of a status, OutcomeUnknown in between.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NoReturn

import httpcore2  # noqa: F401  httpx2 would import it inside the first call, on the event loop
import httpx2 as httpx

from missions import addresses, pinning
from missions.authoring import OutcomeUnknown, ToolFailed, TryLater
from missions.engine import crashpoints
from missions.secrets.redacting import redact
from missions.tools import answers

SEND_BYTES, ANSWER_BYTES = 1024 * 1024, 1024 * 1024
CONNECT_SECONDS, ANSWER_SECONDS, BODY_SECONDS = 10.0, 30.0, 10.0
HEADERS, HEADER_CHARACTERS = 30, 2000
SHOWN = 300  # characters of a refusal's text
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# What the platform fills in, what is between two machines alone, and credentials, which come from the list of places.
OURS = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect",
    "accept-encoding", "idempotency-key", "authorization", "proxy-authorization", "proxy-connection", "cookie",
})  # fmt: skip
TOLD = ("content-type", "content-length", "etag", "last-modified", "location", "retry-after", "link")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A request as it is to leave."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes
    inside: bool  # whether the place may lie in a private network


@dataclass(slots=True)
class Request:
    """A request's body, and whether the server may have it."""

    data: bytes
    writes: bool
    sent: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in two pieces: a server can not act on a request that lacks its last byte."""
        yield self.data[:-1]
        self.sent = True
        yield self.data[-1:]
        if self.writes:
            crashpoints.reach("call_sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How requests leave: who resolves names, and what TLS trusts."""

    resolve: addresses.Resolve = addresses.resolve
    trust: ssl.SSLContext | bool = True

    async def exchange(self, sending: Sending, *, writes: bool) -> dict[str, Any]:
        """The answer: status, headers, body. Raises TryLater, ToolFailed, OutcomeUnknown."""
        request = Request(sending.content, writes)
        try:
            found = await asyncio.to_thread(pinning.judged, sending.url, self.resolve, inside=sending.inside)
        except pinning.Refused as error:
            raise ToolFailed(str(error), code="not_allowed") from error
        except OSError as error:
            raise TryLater(f"{sending.url.host} can not be resolved; nothing was sent.") from error
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        transport = httpx.AsyncHTTPTransport(verify=self.trust, trust_env=False, retries=0)
        async with httpx.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=timeout
        ) as client:
            return await _first_that_connects(client, found, sending, request)


WIRE = Wire()  # replaced in tests alone


async def _first_that_connects(
    client: httpx.AsyncClient, found: tuple[str, ...], sending: Sending, request: Request
) -> dict[str, Any]:
    for place, address in enumerate(found, start=1):
        try:
            return await _send(client, address, sending, request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # the next one may be reachable
            if place == len(found):
                raise TryLater(f"{sending.url.host} can not be connected to; nothing was sent.") from error
        except (httpx.HTTPError, httpx.StreamError, OSError, ValueError) as error:
            _cut(request, error)
    raise TryLater(f"{sending.url.host} has no address; nothing was sent.")


def _cut(request: Request, error: Exception) -> NoReturn:
    """It ended without an answer."""
    why = type(error).__name__
    if request.sent or not request.data:  # without a body, its head is all that the server needs
        raise OutcomeUnknown(f"{why}, after the request was sent.") from error
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL):
        raise ToolFailed(f"The request can not be sent: {why}.", code="invalid") from error
    raise TryLater(f"{why}; the request was not sent.") from error


async def _send(client: httpx.AsyncClient, address: str, sending: Sending, request: Request) -> dict[str, Any]:
    length = {"content-length": str(len(request.data))} if request.data or request.writes else {}
    made = pinning.request_to(
        client, sending.method, sending.url, address, content=request if request.data else None,
        headers={"user-agent": "Standfast", "accept-encoding": "identity", **sending.headers, **length},
    )
    answer = await client.send(made, stream=True)
    try:
        if request.writes:
            crashpoints.reach("call_answered")
        body, whole = await _body(answer)
        return _told(answer, body, whole, writes=request.writes)
    finally:
        await answer.aclose()


async def _body(answer: httpx.Response) -> tuple[bytes, bool]:
    """What was read of the body, as it came, and whether that is all. A body that breaks off takes nothing back."""
    read, whole = bytearray(), False
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in answer.aiter_raw():
                read += part[: ANSWER_BYTES - len(read)]
                if len(read) >= ANSWER_BYTES:
                    break
            else:
                whole = True
    except (TimeoutError, httpx.HTTPError, httpx.StreamError):
        whole = False
    return bytes(read), whole


def _told(answer: httpx.Response, body: bytes, whole: bool, *, writes: bool) -> dict[str, Any]:
    """The result. Raises what a status that is no success means: of a read, all that is not *later* is a refusal."""
    status = answer.status_code
    shown = {name: answer.headers[name][:HEADER_CHARACTERS] for name in TOLD if name in answer.headers}
    result = {"status": status, "headers": shown, **_text(answer, body), "truncated": not whole}
    if status < 400:
        return result
    meaning = answers.of_status(status, answers.retry_after(answer.headers.get("retry-after")))
    if isinstance(meaning, TryLater):
        raise meaning
    said = " ".join(redact(str(result.get("text", ""))).split())[:SHOWN]  # a cut might leave the half of a secret
    if writes and not isinstance(meaning, ToolFailed):
        raise OutcomeUnknown(f"The server answered HTTP {status}. {said}".strip())
    raise ToolFailed(f"The server answered HTTP {status}. {said}".strip(), code=f"http_{status}")


def _text(answer: httpx.Response, body: bytes) -> dict[str, str]:
    """The body as `text`; as `base64` where it is none, or came in another encoding than was asked for."""
    plain = answer.headers.get("content-encoding", "identity").lower() == "identity"
    charset = answer.charset_encoding or "utf-8"
    try:
        text = body.decode(charset) if plain else None
    except (UnicodeDecodeError, LookupError):
        text = None
    if text is None or "\x00" in text:
        return {"base64": base64.b64encode(body).decode()}
    return {"text": text}


def checked(headers: dict[str, str]) -> dict[str, str]:
    """The headers that a caller gave, by lower-case name. Raises ToolFailed where one is not theirs to give."""
    if len(headers) > HEADERS:
        raise ToolFailed(f"At most {HEADERS} headers.", code="invalid")
    for name, text in headers.items():
        if not NAME.fullmatch(name) or not text.isascii() or not text.isprintable() or len(text) > HEADER_CHARACTERS:
            raise ToolFailed(f"The header {name[:100]!r} can not be sent.", code="invalid")
        if name.lower() in OURS:
            raise ToolFailed(f"The header {name!r} is filled in by the platform.", code="invalid")
    return {name.lower(): text for name, text in headers.items()}


def content_of(body: str | None, given: Any, headers: dict[str, str]) -> bytes:
    """The body: text, or JSON with its content type. Raises ToolFailed."""
    if body is not None and given is not None:
        raise ToolFailed("Give `body` or `json`, not both.", code="invalid")
    if given is not None:
        headers.setdefault("content-type", "application/json")
    content = (body or "").encode() if given is None else json.dumps(given, separators=(",", ":")).encode()
    if len(content) > SEND_BYTES:
        raise ToolFailed(f"A body has at most {SEND_BYTES:,} bytes.", code="invalid")
    return content
