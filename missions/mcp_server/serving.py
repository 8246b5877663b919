"""The MCP server itself: the offers as tools over streamable HTTP, one request at a time.

Heavy: `door` loads it with the first request. Each HTTP request has a session manager of its own, begun and ended
around it, since daphne announces no lifespan: nothing outlives a request, so nothing is lost with the process and there
is nothing to end with it. There are no sessions; a call answers with JSON.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import CallToolResult, TextContent, ToolAnnotations

from missions.mcp_server.offers import Offer, offered
from missions.mcp_server.rest import Refused

INSTRUCTIONS = " ".join((
    "Standfast runs missions: durable work that may take seconds or weeks, survives crashes, and stops where people",
    "have to decide. Start a mission, and look at it again until it has ended. Ask people to decide something of your",
    "own with open_decision, and look at it with get_decision until its state is no longer open; only people vote.",
    "Give every call that writes a `key` of your own: repeated with the same key, it counts once. A refused call tells",
    "a stable `code` and why.",
))


@functools.cache
def server() -> MCPServer[Any]:
    """The server with every tool that was offered when it was first asked for."""
    return MCPServer(
        "standfast", title="Standfast", version="1", instructions=INSTRUCTIONS, subscriptions=False,
        tools=[_tool(one) for one in offered()],
    )


def _tool(one: Offer) -> Tool:
    """An offer as a tool that refuses arguments which it does not know: a misspelt key would count for nothing."""
    made = Tool.from_function(_answering(one), title=one.title, annotations=_hints(one), structured_output=True)
    takes = made.fn_metadata.arg_model
    takes.model_config["extra"] = "forbid"
    takes.model_rebuild(force=True)
    return made.model_copy(update={"parameters": takes.model_json_schema(by_alias=True)})


def _hints(one: Offer) -> ToolAnnotations:
    """Nothing here overwrites; whether a repeated call counts once is the caller's choice: it sends a key or none."""
    return ToolAnnotations(
        title=one.title, read_only_hint=one.reads, destructive_hint=False, idempotent_hint=one.reads,
        open_world_hint=False,
    )


def _answering(one: Offer) -> Callable[..., Awaitable[Any]]:
    """The function, whose refusals become results that say so: the agent is to read them, not the protocol."""

    @functools.wraps(one.function)
    async def answer(**args: Any) -> Any:
        try:
            return await one.function(**args)
        except Refused as refused:
            words = TextContent(type="text", text=_words(refused))
            return CallToolResult(content=[words], structured_content=refused.problem, is_error=True)

    return answer


def _words(refused: Refused) -> str:
    """The code, why, and what is wrong field by field."""
    errors = refused.problem.get("errors") or []
    return "\n".join([str(refused), *(f"{one.get('field') or 'the call'}: {one.get('message')}" for one in errors)])


async def serve(scope: Any, receive: Any, send: Any, *, host: str, origin: str, limit: int) -> None:
    """Answer one HTTP request. `host` and `origin` are those that the door let through; `limit` is in bytes."""
    ours = server()
    ours.streamable_http_app(
        stateless_http=True, json_response=True, max_request_body_size=limit,
        transport_security=TransportSecuritySettings(allowed_hosts=[host], allowed_origins=[origin] if origin else []),
    )
    manager = ours.session_manager  # the one that was made just now; nothing awaits in between
    async with manager.run():
        await manager.handle_request(scope, receive, send)
