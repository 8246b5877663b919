"""Every way in which a call can fail on the wire, and what it is taken for."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from missions.errors import OutcomeUnknown, StandfastError, ToolFailed, TryLater
from missions.tools import mcp_client, messages
from missions.tools.servers import RemoteTool, Server

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Handler = Callable[[dict[str, Any], Writer], Awaitable[None]]
DISCOVERED = {
    "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete", "ttlMs": 0,
    "cacheScope": "public",
}


@pytest.fixture(autouse=True)
async def closed_links() -> AsyncIterator[None]:
    yield
    await mcp_client.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a call left a task behind"


def reply(status: str, body: bytes | str, media_type: str = "application/json", *headers: str) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"content-type: {media_type}", f"content-length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def result(message: dict[str, Any], content: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": content})


@contextlib.asynccontextmanager
async def listening(serve: Callable[[Reader, Writer], Awaitable[None]]) -> AsyncIterator[str]:
    """Serves connections until the block ends, then closes all of them; yields the URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def connection(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            writer.transport.abort()

    listener = await asyncio.start_server(connection, "127.0.0.1", 0, limit=64 * 1024)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/mcp"
    finally:
        await mcp_client.close()
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def received(reader: Reader) -> tuple[int, str]:
    """The length of the next request's body, and its head."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    return int(head.split("content-length: ")[1].split("\r\n")[0]), head


@contextlib.asynccontextmanager
async def raw_server(on_call: Handler) -> AsyncIterator[Server]:
    """A server that negotiates, and leaves each tool call to `on_call`, which may do anything to the connection."""

    async def serve(reader: Reader, writer: Writer) -> None:
        while not writer.is_closing():
            message = json.loads(await reader.readexactly((await received(reader))[0]))
            if message["method"] == "server/discover":
                writer.write(reply("200 OK", result(message, DISCOVERED)))
            else:
                await on_call(message, writer)
            await writer.drain()

    async with listening(serve) as url:
        yield Server(name="raw", url=url, tools={"pay": RemoteTool(key_argument="key")})


def answering(data: bytes, *, close: bool = False) -> Handler:
    async def answer(message: dict[str, Any], writer: Writer) -> None:
        writer.write(data)
        if close:
            await writer.drain()
            writer.close()

    return answer


async def pay(server: Server, *, seconds: float = 5.0, **args: Any) -> Any:
    return await mcp_client.call(server, "pay", args, key="k1", timeout=seconds)


async def outcome(handler: Handler, *, seconds: float = 5.0) -> StandfastError:
    async with raw_server(handler) as server:
        with pytest.raises(StandfastError) as caught:
            await pay(server, seconds=seconds)
    return caught.value


@pytest.mark.parametrize(
    ("data", "close"),
    [
        pytest.param(b"", True, id="closed without an answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-len", True, id="closed in the headers"),
        pytest.param(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"js', True,
                     id="closed in the body"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", True, id="not HTTP"),
        pytest.param(reply("200 OK", "{not json"), False, id="not JSON"),
        pytest.param(reply("200 OK", b"\xff\xfe"), False, id="not text"),
        pytest.param(reply("200 OK", '{"jsonrpc":"2.0","id":2,"result":{"x":NaN}}'), False, id="NaN"),
        pytest.param(reply("200 OK", "[" * 100_000), False, id="over-deep"),
        pytest.param(reply("200 OK", "{}"), False, id="no message"),
        pytest.param(reply("200 OK", '{"jsonrpc":"2.0","id":"other","result":{}}'), False, id="another's answer"),
        pytest.param(reply("200 OK", '{"jsonrpc":"2.0","id":2,"result":7}'), False, id="a result that is none"),
        pytest.param(reply("200 OK", '{"jsonrpc":"2.0","id":2,"result":{"content":"x"}}'), False, id="not a tool's"),
        pytest.param(reply("200 OK", "<p>fine</p>", "text/html"), False, id="HTML"),
        pytest.param(reply("202 Accepted", ""), False, id="accepted"),
        pytest.param(reply("200 OK", b"x" * (messages.ANSWER_BYTES + 1)), True, id="too large"),
        pytest.param(reply("200 OK", "event: message\ndata: {}\n\n", "text/event-stream"), False, id="empty stream"),
        pytest.param(reply("200 OK", "data: {bad\n\n", "text/event-stream"), False, id="bad stream"),
        pytest.param(reply("500 Oops", "oops", "text/plain"), False, id="500"),
        pytest.param(reply("503 Busy", "busy", "text/plain"), False, id="503 without a time"),
        pytest.param(reply("303 See", "", "text/plain", "location: /done"), False, id="303"),
        pytest.param(reply("200 OK", '{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"internal"}}'), False,
                     id="internal error"),
    ],
)
async def test_what_may_have_happened_is_unknown(data: bytes, close: bool) -> None:
    assert type(await outcome(answering(data, close=close))) is OutcomeUnknown


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (reply("429 Slow", "", "text/plain", "retry-after: 3"), 3.0),
        (reply("429 Slow", "", "text/plain"), None),
        (reply("503 Busy", "", "text/plain", "retry-after: 0"), 0.0),
        (reply("503 Busy", '{"error":{"code":-32603}}', "application/json", "retry-after: 2"), 2.0),
    ],
    ids=["429 with a time", "429", "503 with a time", "503 with a time and a message"],
)
async def test_asked_to_wait_is_certainly_not_done(data: bytes, seconds: float | None) -> None:
    error = await outcome(answering(data))
    assert isinstance(error, TryLater)
    assert error.retry_after_seconds == seconds


@pytest.mark.parametrize(
    "data",
    [
        reply("401 Who", "", "text/plain"),
        reply("403 No", "<html>", "text/html"),
        reply("404 Where", "", "text/plain"),
        reply("307 There", "", "text/plain", "location: /mcp/"),
        reply("400 Bad", '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"bad"}}'),
        reply("200 OK", '{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"amount: wrong"}}'),
        reply("200 OK", '{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no such method"}}'),
    ],
    ids=["401", "403", "404", "307", "400 with a message", "invalid params", "no such method"],
)
async def test_refusals_of_protocol_and_http_are_definite(data: bytes) -> None:
    assert type(await outcome(answering(data))) is ToolFailed


async def never(message: dict[str, Any], writer: Writer) -> None:
    """Takes a call and says nothing."""
    await asyncio.Event().wait()


async def test_no_answer_in_time_is_unknown() -> None:
    error = await outcome(never, seconds=2)
    assert isinstance(error, OutcomeUnknown)
    assert "after the request was sent" in str(error)


async def test_refused_connection_is_certainly_not_done() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Server(name="none", url=f"http://127.0.0.1:{free.getsockname()[1]}/mcp")
        with pytest.raises(TryLater):
            await pay(server)


async def test_unknown_host_is_certainly_not_done() -> None:
    with pytest.raises(TryLater):
        await pay(Server(name="none", url="http://no-such-host.invalid/mcp"))


async def test_silence_while_connecting_is_certainly_not_done() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        with pytest.raises(TryLater):
            await pay(Server(name="none", url=f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"), seconds=0.3)


async def test_calls_that_wait_for_one_connection_share_its_failure() -> None:
    """Else a hundred calls to a host that answers nothing would wait one after the other."""
    attempts: list[int] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        await received(reader)
        attempts.append(1)
        await asyncio.sleep(0.05)

    async with listening(serve) as url:
        server = Server(name="mute", url=url)
        outcomes = await asyncio.gather(*(pay(server) for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {TryLater}
    assert len(attempts) == 1


async def test_connection_cut_before_the_last_byte_is_certainly_not_done() -> None:
    """The server reads a part of a large request and resets the connection."""
    reading = asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        length, _ = await received(reader)
        if length < 10_000:
            message = json.loads(await reader.readexactly(length))
            writer.write(reply("200 OK", result(message, DISCOVERED), "application/json", "connection: close"))
            await writer.drain()
            writer.close()
        else:
            await reader.readexactly(5_000)
            reading.set()

    async with listening(serve) as url:
        with pytest.raises(TryLater, match="not sent"):
            await pay(Server(name="cut", url=url), note="x" * 30_000_000)
    assert reading.is_set()


async def test_cancelled_call_ends_at_once_and_closes_its_connection() -> None:
    called, closed = asyncio.Event(), asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            message = json.loads(await reader.readexactly((await received(reader))[0]))
            if message["method"] == "server/discover":
                writer.write(reply("200 OK", result(message, DISCOVERED)))
            else:
                called.set()
                assert await reader.read(1) == b""
                closed.set()

    async with listening(serve) as url:
        task = asyncio.create_task(pay(Server(name="raw", url=url)))
        await called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await closed.wait()


async def test_headers_carry_the_secrets_and_say_what_is_called() -> None:
    heads: list[str] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            length, head = await received(reader)
            message = json.loads(await reader.readexactly(length))
            heads.append(head)
            content = {"content": [], "structuredContent": {"ok": True}, "resultType": "complete"}
            discovering = message["method"] == "server/discover"
            writer.write(reply("200 OK", result(message, DISCOVERED if discovering else content)))

    async with listening(serve) as url:
        assert await pay(Server(name="raw", url=url, headers={"Authorization": "Bearer abc"})) == {"ok": True}
    assert "authorization: bearer abc" in heads[1]
    assert "mcp-name: pay" in heads[1]
    assert "mcp-protocol-version: 2026-07-28" in heads[1]


async def test_key_and_deadline_travel_with_the_call() -> None:
    seen: dict[str, Any] = {}

    async def keep(message: dict[str, Any], writer: Writer) -> None:
        seen.update(message["params"])
        text = [{"type": "text", "text": "paid"}]
        writer.write(reply("200 OK", result(message, {"content": text, "resultType": "complete"})))

    deadline = dt.datetime(2030, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    async with raw_server(keep) as server:
        assert await mcp_client.call(server, "pay", {"amount": "1"}, key="k7", deadline=deadline) == "paid"
    assert seen["arguments"] == {"amount": "1", "key": "k7"}
    assert seen["_meta"]["standfast/idempotency-key"] == "k7"
    assert seen["_meta"]["standfast/deadline"] == "2030-01-01T10:00:00+00:00"
