"""Talking to `/mcp` in tests, with the SDK's own client; each conversation runs on a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

Result = TypeVar("Result")
Json = dict[str, Any]
Mode = Literal["auto", "legacy"]


def talk(
    site: str, secret: str, say: Callable[[Client], Awaitable[Result]], *, scheme: str = "Bearer", mode: Mode = "auto"
) -> Result:
    """Connect, say something, hang up."""

    async def conversation() -> Result:
        headers = {"Authorization": f"{scheme} {secret}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(f"{site}/mcp", http_client=http)
            async with Client(transport, mode=mode, cache=None) as client:
                return await say(client)

    return asyncio.run(conversation())


def call(site: str, secret: str, tool: str, **args: Any) -> Json:
    """What a tool answers; fails where it refuses."""
    result = talk(site, secret, lambda client: client.call_tool(tool, args))
    assert isinstance(result, CallToolResult) and not result.is_error, result
    found: Json = result.structured_content or {}
    return found


def refusal(site: str, secret: str, tool: str, **args: Any) -> Json:
    """The problem that a tool answers; fails where it does not refuse."""
    result = talk(site, secret, lambda client: client.call_tool(tool, args))
    assert isinstance(result, CallToolResult) and result.is_error, result
    found: Json = result.structured_content or {}
    assert found["code"] in result.content[0].text  # type: ignore[union-attr]
    return found


def knock(site: str, headers: dict[str, str], *, method: str = "POST", body: bytes | Json = b"") -> httpx2.Response:
    """One HTTP request to the door, as it is."""
    sent = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
    with httpx2.Client(timeout=30) as http:
        if isinstance(body, dict):
            return http.request(method, f"{site}/mcp", headers=sent, json=body)
        return http.request(method, f"{site}/mcp", headers=sent, content=body)
