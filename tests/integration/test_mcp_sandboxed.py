"""MCP servers that are processes, in the real sandbox: they answer, misbehave, and never outlive who started them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from missions.errors import OutcomeUnknown, StandfastError, ToolFailed
from missions.sandbox import driver, selftest
from missions.tools import mcp_client
from missions.tools.servers import RemoteTool, Server
from tests import forkserver
from tests.hostile_server import PROGRAM, offer
from tests.sandboxed import needs_bubblewrap

PYTHON, READABLE = driver.interpreter()


@pytest.fixture(autouse=True)
async def closed_links() -> AsyncIterator[None]:
    yield
    await mcp_client.close()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    listing = tmp_path / "tools.json"
    offer(listing)
    tmp_path.chmod(0o755)
    words = (PYTHON, "-S", "-E", str(PROGRAM), str(listing))
    return Server(name="pipe", command=words, readable=(*READABLE, str(PROGRAM.parent), str(tmp_path)))


def processes(server: Server) -> list[int]:
    """The processes of this server on this host."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if words[:1] == [PYTHON.encode()] and server.command[-1].encode() in words:
            found.append(int(folder.name))
    return found


def gone(server: Server) -> bool:
    """Whether none of them is left, soon."""
    until = time.monotonic() + 10
    while processes(server) and time.monotonic() < until:
        time.sleep(0.02)
    return not processes(server)


async def call(server: Server, tool: str, *, seconds: float = 10.0) -> Any:
    entry = RemoteTool(key_argument="key")
    return await mcp_client.call(server, tool, {}, key="k1", timeout=seconds, entry=entry)


@needs_bubblewrap
async def test_calls_share_a_process_that_ends_with_its_client(server: Server) -> None:
    said = await asyncio.gather(*(call(server, "fine") for _ in range(20)))
    assert len(set(said)) == 20
    assert len(processes(server)) == 1
    await mcp_client.close()
    assert gone(server)


@needs_bubblewrap
async def test_process_has_no_secret_and_no_place_to_go(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_TOKEN", "canary-7291")
    found = json.loads(await call(server, "environment"))
    assert "canary" not in json.dumps(found)
    assert "DATABASE_URL" not in found


@needs_bubblewrap
@pytest.mark.parametrize(
    ("tool", "says"),
    [("closes", "it ended"), ("leaves", "out of memory, says the server"), ("bad_json", "not JSON"),
     ("huge", "larger than"), ("floods", "without end"), ("never", "in time"), ("noisy", "in time")],
)
async def test_what_may_have_happened_is_unknown_and_the_next_call_is_answered(
    server: Server, tool: str, says: str
) -> None:
    await mcp_client.list_tools(server)  # its process is there
    with pytest.raises(StandfastError) as caught:
        await call(server, tool, seconds=0.5 if says == "in time" else 10.0)
    assert type(caught.value) is OutcomeUnknown
    assert says in str(caught.value)
    if tool != "noisy":  # which goes on and on: only its owner can tell that it is of no use
        assert await call(server, "fine", seconds=20) == "call 1"


KEEPER = """
import asyncio, sys
import django
django.setup()
from missions.tools import mcp_client
from missions.tools.servers import Server

async def main() -> None:
    server = Server.model_validate_json(sys.argv[1])
    print(await mcp_client.call(server, "fine", {}), flush=True)
    await mcp_client.call(server, "never", {}, timeout=600)

asyncio.run(main())
"""


@needs_bubblewrap
def test_process_does_not_outlive_a_worker_that_is_killed(server: Server, tmp_path: Path) -> None:
    output, theirs = os.pipe()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    keeper = forkserver.Program(["-c", KEEPER, server.model_dump_json()], environment, out=theirs, err=theirs)
    os.close(theirs)
    with os.fdopen(output) as said:
        assert any(line == "call 1\n" for line in said), "it ended before it called"
    assert len(processes(server)) == 1
    keeper.send_signal(signal.SIGKILL)
    keeper.wait(10)
    assert gone(server)


async def test_where_there_is_no_sandbox_a_command_is_refused(
    server: Server, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SANDBOX_DRIVER = "none"
    monkeypatch.setattr(selftest, "_known", None)
    with pytest.raises(ToolFailed) as caught:
        await call(server, "fine")
    assert "can not run" in str(caught.value)
    assert caught.value.facts["code"] == "sandbox_refused"
    assert processes(server) == []
