"""MCP servers that are processes: sessions, restarts, and every way in which a process can fail a call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from missions.errors import OutcomeUnknown, StandfastError, ToolFailed, TryLater
from missions.governance import EffectClass
from missions.tools import mcp_client
from missions.tools.server_file import read
from missions.tools.servers import RemoteTool, Server
from tests.hostile_server import ORDERS, Local, command, local_processes, offer
from tests.payment_server import ROOT

__all__ = ["local_processes"]


@pytest.fixture(autouse=True)
async def closed_links() -> AsyncIterator[None]:
    yield
    await mcp_client.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a call left a task behind"
    assert all(one.process.returncode is not None for one in Local.started), "a process outlived its client"


@pytest.fixture
def server(tmp_path: Path, local_processes: list[Local]) -> Server:
    offer(tmp_path / "tools.json")
    return Server(name="pipe", command=command(tmp_path / "tools.json"), tools={"pay": RemoteTool(key_argument="key")})


async def call(server: Server, tool: str, *, seconds: float = 5.0, reads: bool = False, **args: Any) -> Any:
    entry = RemoteTool(effect=EffectClass.READ if reads else EffectClass.WRITE, key_argument="key")
    return await mcp_client.call(server, tool, args, key="" if reads else "k1", timeout=seconds, entry=entry)


async def connected(server: Server) -> None:
    """Have the process started and its session negotiated, so that a call's time is all its own."""
    await mcp_client._link(server)._connected(asyncio.get_running_loop().time() + 20)


async def failure(server: Server, tool: str, **options: Any) -> StandfastError:
    with pytest.raises(StandfastError) as caught:
        await call(server, tool, **options)
    return caught.value


async def test_one_process_answers_many_calls_at_once(server: Server, local_processes: list[Local]) -> None:
    said = await asyncio.gather(*(call(server, "fine") for _ in range(50)))
    assert sorted(said) == sorted(f"call {number}" for number in range(1, 51))
    assert len(await mcp_client.list_tools(server)) > 10
    assert len(local_processes) == 1


async def test_process_that_died_between_calls_is_started_anew(server: Server, local_processes: list[Local]) -> None:
    assert await call(server, "fine") == "call 1"
    local_processes[0].process.kill()
    await local_processes[0].process.wait()
    while not mcp_client._link(server)._exchange._running.ended:  # type: ignore[union-attr]
        await asyncio.sleep(0)
    assert await call(server, "fine") == "call 1", "a new process counts anew"
    assert len(local_processes) == 2


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ("closes", "is gone: it ended"), ("leaves", "out of memory, says the server"), ("bad_json", "not JSON"),
        ("huge", "larger than 1,114,112 bytes"), ("floods", "without end"), ("wrong_id", "in time"),
        ("never", "in time"), ("noisy", "in time"),
    ],
)
async def test_what_may_have_happened_is_unknown(
    server: Server, local_processes: list[Local], tool: str, says: str
) -> None:
    await connected(server)
    patience = 0.5 if says == "in time" else 5.0
    error = await failure(server, tool, seconds=patience)
    assert type(error) is OutcomeUnknown
    assert says in str(error)
    assert "after the request was sent" in str(error)


async def test_all_calls_of_a_process_that_dies_are_told(server: Server, local_processes: list[Local]) -> None:
    others = [asyncio.create_task(call(server, "never")) for _ in range(10)]
    await asyncio.sleep(0.2)
    await failure(server, "leaves")
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*others, return_exceptions=True)
    assert {type(one) for one in ended} == {OutcomeUnknown}


async def test_command_that_is_none_is_certainly_not_done(tmp_path: Path, local_processes: list[Local]) -> None:
    error = await failure(Server(name="none", command=("/no/such/program",)), "fine")
    assert type(error) is TryLater
    error = await failure(Server(name="brief", command=("/bin/true",)), "fine")
    assert type(error) is TryLater


async def test_server_that_never_reads_is_certainly_not_done_and_ended(local_processes: list[Local]) -> None:
    """A request larger than the pipe: its last byte is never handed over."""
    script = (
        "import sys, time, json\n"
        "ask = json.loads(sys.stdin.readline())\n"
        "said = {'supportedVersions': ['2026-07-28'], 'capabilities': {}, 'resultType': 'complete', 'ttlMs': 0,"
        " 'cacheScope': 'public'}\n"
        "print(json.dumps({'jsonrpc': '2.0', 'id': ask['id'], 'result': said}), flush=True)\n"
        "time.sleep(60)\n"
    )
    server = Server(name="deaf", command=("/usr/bin/env", "python3", "-S", "-E", "-c", script))
    await connected(server)
    assert type(await failure(server, "fine", seconds=0.7, note="x" * 3_000_000)) is TryLater
    assert local_processes[0].stdin.is_closing(), "half a line would spoil the next request"


async def test_answer_is_cut_at_what_its_tool_may_answer(server: Server, local_processes: list[Local]) -> None:
    entry = RemoteTool(effect=EffectClass.READ, result_bytes=4096)
    with pytest.raises(ToolFailed) as caught:
        await mcp_client.call(server, "large", {"size": 100_000}, entry=entry)
    assert caught.value.facts["code"] == "result_too_large"
    said = await mcp_client.call(server, "large", {"size": 3000}, entry=entry)
    assert len(said) == 3000
    assert len(local_processes) == 1, "what is only too large for its tool ends no process"


async def test_questions_of_the_server_are_refused_and_orders_are_text(server: Server) -> None:
    assert await call(server, "asks") == "asked"
    assert (await call(server, "instructs")).startswith(ORDERS)


async def test_late_answer_goes_to_nobody(server: Server, local_processes: list[Local]) -> None:
    task = asyncio.create_task(call(server, "never"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await call(server, "fine") == "call 1"
    assert len(local_processes) == 1


async def test_process_gets_the_environment_of_its_entry_alone(
    tmp_path: Path, local_processes: list[Local], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYMENTS_TOKEN", "canary-7291")
    offer(tmp_path / "tools.json")
    server = Server(name="pipe", command=command(tmp_path / "tools.json"), env={"REGION": "eu"})
    found = json.loads(await call(server, "environment"))
    assert {name: found[name] for name in found if name != "LC_CTYPE"} == {"REGION": "eu"}
    assert "PAYMENTS_TOKEN" in os.environ


async def test_the_demo_payment_server_speaks_over_its_streams(tmp_path: Path, local_processes: list[Local]) -> None:
    words = (sys.executable, "-m", "missions.library.payments", "--stdio", "--data", str(tmp_path))
    (described,) = read(ROOT / "deploy" / "mcp-servers.yaml")
    server = described.model_copy(update={"url": "", "command": words, "env": {"PYTHONPATH": str(ROOT)}})
    args = {"order_id": "ORD-1001", "amount": "9.00"}
    first = await mcp_client.call(server, "payments.refund", args, key="k1", timeout=30)
    assert await mcp_client.call(server, "payments.refund", args, key="k1") == first
    local_processes[0].process.kill()
    await local_processes[0].process.wait()
    again = RemoteTool(key_argument="idempotency_key")
    with contextlib.suppress(StandfastError):  # where its death is not noticed yet
        await mcp_client.call(server, "payments.refund", args, key="k1", entry=again)
    assert await mcp_client.call(server, "payments.refund", args, key="k1", timeout=30) == first
    assert len(local_processes) == 2
