"""Misbehaving on purpose: which faults are set, and the HTTP layer that commits those before and after the work.

Faults change while the server runs (`POST /faults`), so that a test can break exactly one call.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Faults(BaseModel):
    """The faults that are set; all off by default."""

    model_config = ConfigDict(extra="forbid")

    dedup: bool = True  # off: keys are ignored
    slow: float = Field(0, ge=0)  # the answer comes this many seconds late
    fail: int = Field(0, ge=0)  # so many calls are refused before anything is done
    fail_with: int = Field(503, ge=400, le=599)
    retry_after: float | None = Field(1, ge=0)  # what a refusal asks to wait; null: it says nothing
    timeout_after_posting: int = Field(0, ge=0)  # the N-th posting from now on is never answered
    die_after_posting: int = Field(0, ge=0)  # the process kills itself after the N-th posting from now on
    flaky: float = Field(0, ge=0, le=1)  # the share of calls that are refused, or whose answer is lost, half each

    def refuses(self) -> bool:
        """Whether this call is refused before anything is done."""
        if self.fail:
            self.fail -= 1
            return True
        return random.random() < self.flaky / 2

    def loses_answer(self) -> bool:
        """Whether this call's answer is lost after the work."""
        return random.random() < self.flaky / 2

    async def after_posting(self) -> None:
        """The work is committed, the answer not yet given."""
        if self._is_next("die_after_posting"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._is_next("timeout_after_posting"):
            await asyncio.Event().wait()  # until the server stops

    def _is_next(self, name: str) -> bool:
        left = getattr(self, name)
        setattr(self, name, max(left - 1, 0))
        return bool(left == 1)


class Unreliable:
    """Stands before the MCP endpoint and lets tool calls fail as the faults say."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI request."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != "/mcp":
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        again = _replayed(body, receive)
        if not _calls_tool(body):
            await self._app(scope, again, send)
        elif self._faults.refuses():
            await self._refusal()(scope, again, send)
        elif self._faults.loses_answer():
            await self._app(scope, again, _swallow)
            await _break_off(send)
        else:
            await self._app(scope, again, send)

    def _refusal(self) -> JSONResponse:
        wait = self._faults.retry_after
        headers = {} if wait is None else {"retry-after": str(math.ceil(wait))}
        return JSONResponse({"detail": "Busy."}, status_code=self._faults.fail_with, headers=headers)


def _calls_tool(body: bytes) -> bool:
    try:
        message = json.loads(body)
    except ValueError:
        return False  # the MCP layer answers this
    return isinstance(message, dict) and message.get("method") == "tools/call"


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay


async def _swallow(message: Message) -> Any:
    """Takes an answer that nobody shall see."""


async def _break_off(send: Send) -> None:
    """Begin an answer and end it too early, which closes the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"jsonrpc"', "more_body": True})
