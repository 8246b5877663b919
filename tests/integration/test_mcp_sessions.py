"""Servers of the handshake era: sessions, answers as event streams, restarts that forget every session."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp.server.lowlevel import Server as McpServer
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from missions.errors import OutcomeUnknown, TryLater
from missions.tools import catalogue, mcp_client, registry, watching
from missions.tools.registry import ToolCall
from missions.tools.servers import Server

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
MIRRORED = {"type": "object", "properties": {"text": {"type": "string", "x-mcp-header": "Text"}}, "required": ["text"]}


@pytest.fixture(autouse=True)
async def closed_links() -> AsyncIterator[None]:
    yield
    await mcp_client.close()


class Background(uvicorn.Server):
    """A server beside the test, on its loop, that leaves the test's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HandshakeOnly:
    """Lets a server seem to know no revision but those with a handshake, as servers before 2026 answer."""

    def __init__(self, app: ASGIApp, refusals: list[str]) -> None:
        self.app, self.refusals = app, refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", []))
        if headers.get(b"mcp-protocol-version") == b"2026-07-28":
            self.refusals.append("2026-07-28")
            await PlainTextResponse("Unsupported protocol version", status_code=400)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class LateRefusals:
    """Tells of every unknown session but the first only once another session has been asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.unknown = app, 0
        self.asked, self.told = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def asks() -> Message:
            message = await receive()
            if b'"initialize"' in message.get("body", b""):
                self.asked.set()
                await self.told.wait()
            return message

        async def tells(message: Message) -> None:
            self.unknown += message.get("status") == 404
            if self.unknown > 1 and not self.told.is_set():
                await self.asked.wait()
            await send(message)
            if self.unknown > 1 and message["type"] == "http.response.body":
                self.told.set()

        await self.app(scope, asks, tells)


def an_echo(schema: dict[str, Any] = SCHEMA) -> McpServer[Any]:
    async def listing(context: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[Tool(name="echo", input_schema=schema)])

    async def echo(context: Any, params: CallToolRequestParams) -> CallToolResult:
        said = (params.arguments or {})["text"]
        if said == "crash":
            raise RuntimeError("boom")
        return CallToolResult(content=[TextContent(type="text", text=said)])

    return McpServer("echo", on_list_tools=listing, on_call_tool=echo)


@contextlib.asynccontextmanager
async def served(app: ASGIApp, port: int = 0) -> AsyncIterator[int]:
    """The application on a port, until the block ends."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1)
    server = Background(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


def described(port: int) -> Server:
    return Server(name="echo", url=f"http://127.0.0.1:{port}/mcp")


@pytest.mark.parametrize("json_response", [True, False], ids=["JSON", "event stream"])
@pytest.mark.parametrize("stateless", [True, False], ids=["stateless", "stateful"])
@pytest.mark.parametrize("handshake", [True, False], ids=["handshake", "sessionless"])
async def test_every_kind_of_server_answers(json_response: bool, stateless: bool, handshake: bool) -> None:
    refusals: list[str] = []
    app: ASGIApp = an_echo().streamable_http_app(json_response=json_response, stateless_http=stateless)
    async with served(HandshakeOnly(app, refusals) if handshake else app) as port:
        calls = [mcp_client.call(described(port), "echo", {"text": f"say {number}"}) for number in range(20)]
        assert await asyncio.gather(*calls) == [f"say {number}" for number in range(20)]
        assert [tool.name for tool in await mcp_client.list_tools(described(port))] == ["echo"]
    assert len(refusals) == handshake, "negotiated once, not with each call"


async def test_session_that_a_restart_forgot_is_renewed() -> None:
    refusals: list[str] = []
    async with served(HandshakeOnly(an_echo().streamable_http_app(), refusals)) as port:
        assert await mcp_client.call(described(port), "echo", {"text": "one"}) == "one"
    with pytest.raises(TryLater):
        await mcp_client.call(described(port), "echo", {"text": "two"})
    async with served(HandshakeOnly(an_echo().streamable_http_app(), refusals), port):
        calls = [mcp_client.call(described(port), "echo", {"text": f"say {number}"}) for number in range(10)]
        assert await asyncio.gather(*calls) == [f"say {number}" for number in range(10)]
    assert len(refusals) == 2, "ten calls that failed together renew the session once"


async def test_call_that_learns_late_of_the_forgotten_session_is_renewed_too() -> None:
    """By then the session is another one: what counts is the one that its own request named."""
    async with served(HandshakeOnly(an_echo().streamable_http_app(), [])) as port:
        assert await mcp_client.call(described(port), "echo", {"text": "one"}) == "one"
    with pytest.raises(TryLater):
        await mcp_client.call(described(port), "echo", {"text": "two"})
    late = LateRefusals(an_echo().streamable_http_app())
    async with served(HandshakeOnly(late, []), port):
        calls = [mcp_client.call(described(port), "echo", {"text": f"say {number}"}) for number in range(2)]
        assert await asyncio.gather(*calls) == ["say 0", "say 1"]
    assert late.unknown == 2


async def test_argument_that_a_header_must_mirror_is_mirrored() -> None:
    async with served(an_echo(MIRRORED).streamable_http_app()) as port:
        assert await mcp_client.call(described(port), "echo", {"text": "both"}) == "both"


async def test_crash_inside_a_tool_is_unknown() -> None:
    async with served(an_echo().streamable_http_app()) as port:
        with pytest.raises(OutcomeUnknown):
            await mcp_client.call(described(port), "echo", {"text": "crash"})


@pytest.mark.django_db(transaction=True)
async def test_asking_all_servers_adds_their_tools_and_names_those_it_could_not_ask(
    tmp_path: Path, settings: Any
) -> None:
    known = {spec.name for spec in registry.all_tools()}
    async with served(an_echo().streamable_http_app()) as port:
        file = tmp_path / "servers.yaml"
        url = f"http://127.0.0.1:{port}/mcp"
        file.write_text(f"- {{name: parrot, url: '{url}'}}\n- {{name: dead, url: 'http://127.0.0.1:1/mcp'}}\n")
        settings.MISSIONS_MCP_SERVERS = str(file)
        assert set(await watching.look()) == {"dead"}
        spec = registry.get_tool("parrot.echo")
        assert (spec.effect, spec.retry_safety) == ("write", "manual")
        call = ToolCall(idempotency_key="k", deadline=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=9))
        assert await spec.function(call, text="hello") == "hello"
    for name in set(registry._tools) - known:
        del registry._tools[name]


async def test_unlisted_tools_have_their_servers_schema() -> None:
    async with served(an_echo().streamable_http_app()) as port:
        server = described(port)
        (spec,) = catalogue.discovered(server, await catalogue.sightings(server), {})
        assert (spec.name, spec.effect, spec.untrusted) == ("echo.echo", "write", True)
        assert spec.args_schema["additionalProperties"] is False
