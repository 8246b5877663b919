"""A process killed at the named points of a call: what the other side then holds."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forkserver
from tests.payment_server import PaymentServer

CALLER = """
import asyncio, datetime as dt, os, sys
import django
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()
from missions.tools import mcp_client
from missions.tools.servers import RemoteTool, Server

refund = RemoteTool(key_argument="idempotency_key")
server = Server(name="payments", url=sys.argv[1], tools={"payments.refund": refund})

async def main() -> None:
    await mcp_client.call(server, "orders.get", {"order_id": "ORD-1001"})
    args = {"order_id": "ORD-1001", "amount": "9.00"}
    await mcp_client.call(server, "payments.refund", args, key=sys.argv[2], deadline=dt.datetime.now(dt.UTC)
                          + dt.timedelta(seconds=30))
    print("answered", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PaymentServer]:
    server = PaymentServer(tmp_path)
    yield server
    server.stop()


def test_killed_with_the_call_sent_or_answered_the_other_side_has_it_once(server: PaymentServer) -> None:
    for point in ("call_sent", "call_answered"):
        environment = {**os.environ, "STANDFAST_CRASH_AT": point}
        done = forkserver.run(["-c", CALLER, server.url, point], environment, seconds=60)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert done.stdout == ""
        assert posted(server, point) == 1


def posted(server: PaymentServer, key: str) -> int:
    """How often this key was posted, once the server has worked off what it received."""
    until = time.monotonic() + 10
    while not (found := server.rows("SELECT count(*) FROM payments WHERE idempotency_key = ?", key)[0][0]):
        assert time.monotonic() < until, "the request never arrived"
        time.sleep(0.01)
    return int(found)
