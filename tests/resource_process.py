"""The program of an MCP server whose resources are the files of a folder: `tests.resource_server` starts it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import EmptyResult, ListResourcesResult, ReadResourceResult, Resource, TextResourceContents
from starlette.responses import PlainTextResponse
from starlette.routing import Route


def serve(port: int, folder: Path, legacy: bool, mute: bool) -> None:
    """Run until killed."""
    bus = InMemorySubscriptionBus()
    listen = ListenHandler(bus)
    sessions: dict[str, list[Any]] = {}

    async def list_resources(ctx: Any, params: Any) -> ListResourcesResult:
        return ListResourcesResult(resources=[
            Resource(name=file.name, uri=f"state://{file.name}") for file in folder.iterdir()
        ])

    async def read_resource(ctx: Any, params: Any) -> ReadResourceResult:
        file = folder / str(params.uri).removeprefix("state://").strip("/")
        if not file.exists():
            raise MCPError(-32002, "There is no such resource.")
        text = TextResourceContents(uri=params.uri, text=file.read_text(), mime_type="text/plain")
        return ReadResourceResult(contents=[text])

    async def subscribe(ctx: Any, params: Any) -> EmptyResult:
        sessions.setdefault(str(params.uri), []).append(ctx.session)
        return EmptyResult()

    async def announce(request: Any) -> PlainTextResponse:
        uri = f"state://{request.path_params['name']}"
        if not mute:
            await bus.publish(ResourceUpdated(uri=uri))
            for session in sessions.get(uri, []):
                await session.send_resource_updated(uri)
        return PlainTextResponse("told")

    async def listeners(request: Any) -> PlainTextResponse:
        return PlainTextResponse(str(len(listen._streams) + sum(map(len, sessions.values()))))

    modern = {} if legacy else {"on_subscriptions_listen": listen}
    server = Server(
        "states", on_list_resources=list_resources, on_read_resource=read_resource, on_subscribe_resource=subscribe,
        **modern,
    )
    app = server.streamable_http_app(custom_starlette_routes=[
        Route("/announce/{name}", announce), Route("/listeners", listeners),
    ])
    uvicorn.run(_aged(app) if legacy else app, port=port, log_level="info")


def _aged(app: Any) -> Any:
    """The application as one that knows the handshake alone."""

    async def older(scope: Any, receive: Any, send: Any) -> None:
        version = next((value for name, value in scope.get("headers", ()) if name == b"mcp-protocol-version"), b"")
        if scope["type"] == "http" and version.startswith(b"2026"):
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"Bad Request"})
            return
        await app(scope, receive, send)

    return older


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--legacy", action="store_true")
    parser.add_argument("--mute", action="store_true")
    given = parser.parse_args()
    serve(given.port, given.folder, given.legacy, given.mute)
