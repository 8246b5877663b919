"""The guard: what bodies and plain steps may not do, where it is refused, and that tools are free to do it."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.server
import multiprocessing
import os
import random
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from missions.authoring import Context, ToolCall, Verdict, tool
from missions.engine.dsn import conninfo
from missions.engine.mailbox import deliver
from missions.models import Kind, Mission
from tests import corners, live_worker

pytestmark = pytest.mark.django_db(transaction=True)
HERE = Path(__file__)
target: dict[str, Any] = {}


class Payments:
    """A payment server on a real socket; `came` is what reached it."""

    def __init__(self) -> None:
        came: list[str] = []
        self.came = came

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                came.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/refund"


@pytest.fixture
def payments() -> Iterator[Payments]:
    running = Payments()
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    target["url"], target["address"] = running.url, running.server.server_address
    yield running
    running.server.shutdown()
    thread.join()
    running.server.server_close()


def post() -> int:
    """Posted the refund past the gate."""
    return httpx2.post(target["url"], json={"amount": "900.00"}).status_code


async def post_async() -> int:
    """Posted the refund past the gate, without a thread."""
    async with httpx2.AsyncClient() as client:
        return (await client.post(target["url"])).status_code


def post_quietly() -> str:
    """Posted the refund and took no notice of a refusal."""
    try:
        post()
    except Exception:
        return "never mind"
    return "posted"


def post_in_pool() -> int:
    """Posted the refund from a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(post).result()


def connect_in_thread() -> None:
    """Connected from a thread of its own."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            socket.create_connection(target["address"]).close()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def spawn() -> None:
    """Started a process."""
    subprocess.run(["true"], check=True)


def spawn_python() -> None:
    """Started a process of Python's."""
    multiprocessing.get_context("spawn").Process(target=print).start()


def write() -> None:
    """Wrote a file."""
    Path(target["file"]).write_text("paid")


def read_rows() -> int:
    """Counted the users."""
    return User.objects.count()


def connect_database() -> None:
    """Connected to the database."""
    psycopg.connect(conninfo("a step")).close()


def read_clock() -> float:
    """Read the clock."""
    return time.time()


def read_date() -> str:
    """Read the clock of an immutable type."""
    return helper()


def helper() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


def read_timezone() -> str:
    """Read Django's clock."""
    return timezone.now().isoformat()


def read_inside() -> str:
    """Read a clock imported inside."""
    from datetime import date  # noqa: PLC0415

    return date.today().isoformat()


def roll() -> int:
    """Rolled a die."""
    return random.randint(1, 6)


def make_id() -> str:
    """Made an id."""
    return str(uuid.uuid4())


def make_generator() -> float:
    """Made a generator without a seed."""
    return random.Random().random()


def run_step(step: Callable[..., Any]) -> Mission:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("done", data={"result": await m.step("try", step)})

    name = corners.define("guard", body)
    with live_worker.worker():
        return live_worker.ended(corners.begin(name))


def line_of(text: str) -> str:
    """`FILE:LINE:` of the first line of this file that holds a text."""
    lines = HERE.read_text().splitlines()
    return f"{HERE}:{next(number for number, line in enumerate(lines, 1) if text in line)}:"


@pytest.mark.parametrize(
    ("step", "at"),
    [
        (post, "return httpx2.post("), (post_quietly, "return httpx2.post("), (post_in_pool, "return httpx2.post("),
        (connect_in_thread, "socket.create_connection("),
        (post_async, "async def post_async"),  # the library connects in a task of its own, whose caller nobody knows
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_step_that_posts_past_the_gate_fails_with_file_and_line_and_nothing_arrives(
    payments: Payments, step: Callable[..., Any], at: str
) -> None:
    run = run_step(step)
    assert run.state == "failed" and run.outcome.error.startswith("guarded: ")
    assert line_of(at) in run.outcome.error and "m.tool" in run.outcome.error
    assert payments.came == []
    assert Kind.STEP_FAILED in corners.told(run) and Kind.BACKOFF not in corners.told(run)  # not tried again


@pytest.mark.parametrize(
    ("step", "at", "way"),
    [
        (spawn, "subprocess.run(", "m.tool"), (spawn_python, "Process(target=print)", "m.tool"),
        (write, "write_text(", "call.workspace"),
        (read_rows, "return User.objects", "m.tool"), (connect_database, "psycopg.connect(", "m.tool"),
        (read_clock, "return time.time()", "m.now()"), (read_date, "return dt.datetime.now(", "m.now()"),
        (read_timezone, "return timezone.now()", "m.now()"), (read_inside, "return date.today()", "m.now()"),
        (roll, "return random.randint", "m.random()"), (make_id, "return str(uuid.uuid4", "m.uuid()"),
        (make_generator, "return random.Random()", "m.random()"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_step_is_refused_what_only_tools_may_do(
    step: Callable[..., Any], at: str, way: str, tmp_path: Path
) -> None:
    target["file"] = str(tmp_path / "paid")
    run = run_step(step)
    assert run.state == "failed" and line_of(at) in run.outcome.error and way in run.outcome.error
    assert os.listdir(tmp_path) == []


def test_body_is_refused_in_all_its_branches() -> None:
    async def branch(m: Context) -> None:
        await m.observe("before")
        time.time()  # a branch reads the clock

    async def body(m: Context, request: dict[str, Any]) -> None:
        if request["where"] == "stopwatch":
            time.monotonic()  # a body measures itself
        await m.observe("first")
        if request["where"] == "branch":
            await m.gather(branch(m), m.observe("beside"))
        random.random()  # after a durable call

    name = corners.define("guard.body", body)
    with live_worker.worker():
        stopwatch = live_worker.ended(corners.begin(name, where="stopwatch"))
        assert line_of("# a body measures") in stopwatch.outcome.error  # seen before it ran

    async def measured(m: Context, request: dict[str, Any]) -> None:
        await m.observe("first")
        if request["where"] == "branch":
            await m.gather(branch(m), m.observe("beside"))
        random.random()  # further on

    name = corners.define("guard.body", measured)
    with live_worker.worker():
        inner = live_worker.ended(corners.begin(name, where="branch"))
        outer = live_worker.ended(corners.begin(name, where="body"))
    assert line_of("# a branch reads") in inner.outcome.error
    assert line_of("# further on") in outer.outcome.error


def test_step_that_violates_ends_the_mission_even_where_its_error_is_caught() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        try:
            await m.step("roll", roll)
        except Exception:
            await m.wait_for_signal("go")  # so that the refusal is replayed
        return Verdict("never mind")

    name = corners.define("guard.caught", body)
    with live_worker.worker():
        run = live_worker.parked(corners.begin(name), "signal:go")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    assert run.state == "failed" and line_of("return random.randint") in run.outcome.error


def test_what_steps_may_do(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("7")
    target["file"] = str(tmp_path / "note")

    async def allowed() -> list[Any]:
        begun = time.monotonic()  # a step may measure itself
        await asyncio.sleep(0)
        read = await asyncio.to_thread(Path(target["file"]).read_text)
        return [read, random.Random(7).randint(1, 6), time.gmtime(0).tm_year, time.monotonic() >= begun]

    run = run_step(allowed)
    assert run.outcome.data == {"result": ["7", random.Random(7).randint(1, 6), 1970, True]}


@tool(name="corner.free", effect="write", retry_safety="manual")
async def free(call: ToolCall, url: str) -> dict[str, Any]:
    """Post"""
    async with httpx2.AsyncClient() as client:
        answer = await client.post(url)
    return {"status": answer.status_code, "id": str(uuid.uuid4()), "at": dt.datetime.now(dt.UTC).isoformat()}


def test_tools_are_free(payments: Payments) -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        receipt = await m.tool("corner.free", url=payments.url)
        return Verdict("done", data=receipt)

    corners.allow()
    name = corners.define("guard.free", body)
    with live_worker.worker():
        run = live_worker.ended(corners.begin(name))
    assert run.state == "completed" and run.outcome.data["status"] == 200 and payments.came == ["/refund"]
