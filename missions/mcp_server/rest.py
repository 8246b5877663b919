"""A tool's call as a request to the REST API, in this process and with the caller's own token.

So whatever counts over REST counts here, to the letter: scopes, who may see what, bodies, idempotency keys, problems.
Must not judge anything itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

Json = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Json, Receive, Send], Awaitable[None]]
PREFIX = "/api/v1/"


class Refused(Exception):
    """The API answered a problem."""

    def __init__(self, problem: Json) -> None:
        super().__init__(f"{problem['code']}: {problem.get('detail') or problem.get('title') or ''}")
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, as their requests go on: the application that answers, and what their request said of itself."""

    application: Application
    secret: bytes
    scope: Mapping[str, Any]


_caller: contextvars.ContextVar[Caller] = contextvars.ContextVar("mcp_caller")


@contextlib.contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """What is asked within, also by tasks that begin within, is asked for this caller."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


async def get(path: str, **params: Any) -> Json:
    """GET below /api/v1/; parameters that are None are left out. Raises Refused."""
    return await _ask("GET", path, urlencode({name: value for name, value in params.items() if value is not None}))


async def post(path: str, **body: Any) -> Json:
    """POST a JSON body below /api/v1/; fields that are None are left out. Raises Refused."""
    given = {name: value for name, value in body.items() if value is not None}
    return await _ask("POST", path, body=json.dumps(given).encode())


async def _ask(method: str, path: str, query: str = "", body: bytes = b"") -> Json:
    caller = _caller.get()
    exchange = _Exchange(body)
    await caller.application(_scope(caller, method, path, query, body), exchange.receive, exchange.send)
    return exchange.answer()


def _scope(caller: Caller, method: str, path: str, query: str, body: bytes) -> Json:
    """The request as a server would announce it: the caller's connection, and of its headers the host alone."""
    headers = [(name, value) for name, value in caller.scope["headers"] if name == b"host"]
    headers.append((b"authorization", b"Token " + caller.secret))
    if method != "GET":
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    whole = PREFIX + path
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": whole,
        "raw_path": whole.encode(), "query_string": query.encode(), "root_path": "", "headers": headers,
        **{name: caller.scope[name] for name in ("scheme", "client", "server") if name in caller.scope},
    }  # fmt: skip


class _Exchange:
    """One request's body and its answer."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._status, self._answer = 0, bytearray()

    async def receive(self) -> Mapping[str, Any]:
        """The body, once; a caller inside the process never hangs up."""
        if self._body is None:
            await asyncio.Event().wait()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Keep the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        else:
            self._answer += message.get("body", b"")

    def answer(self) -> Json:
        """The JSON object that was answered. Raises Refused."""
        try:
            answer = json.loads(self._answer)
        except ValueError:  # what fails outside the API's views may answer a page
            answer = {"code": "internal_error", "title": "Standfast failed", "detail": f"HTTP {self._status}."}
        if not 200 <= self._status < 300:
            raise Refused({"status": self._status, **answer, "code": answer.get("code") or "internal_error"})
        told: Json = answer
        return told
