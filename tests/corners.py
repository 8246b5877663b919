"""What the tests of the engine's corners share: a bank behind two tools, and sessions that are cut while they wait."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from approvals.policies import document, versions
from missions.authoring import Context, ToolCall, Verdict, tool
from missions.engine import guard, history, registry
from missions.engine.dsn import conninfo
from missions.engine.starting import start
from missions.models import Effect, Mission


def allow() -> None:
    """Put a policy in force that allows the tools of these tests."""
    rules = [{"name": "free", "scope": {"tool": "corner.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "corner", "mode": "enforce", "rules": rules}), activate=True, via="test")


def define(name: str, body: Callable[[Context, dict[str, Any]], Awaitable[Any]]) -> str:
    """Register a mission type; before the worker starts, which then knows it."""

    async def run(m: Context, request: dict[str, Any]) -> Any:
        return await body(m, request)

    registry.register(name, 1, "", run)
    return name


def begin(name: str, **request: Any) -> Mission:
    return start(name, request)[0]


def told(mission: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(mission.pk)][1:]


def states(mission: Mission) -> list[str]:
    return list(Effect.objects.filter(mission_id=mission.pk).order_by("seq").values_list("state", flat=True))


class Bank:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fault: Callable[[], Any] = lambda: None

    def call(self, key: str) -> dict[str, Any]:
        self.calls.append(key)
        self.fault()
        return {"reference": f"R{len(self.calls)}"}


bank = Bank()


@tool(name="corner.manual", effect="write", retry_safety="manual")
async def manual(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return bank.call(call.idempotency_key)


@tool(name="corner.keyed", effect="write", retry_safety="keyed", key_ttl=60)
async def keyed(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return bank.call(call.idempotency_key)


async def pay(m: Context, request: dict[str, Any]) -> Verdict:
    receipt = await m.tool(request["tool"], amount=1)
    return Verdict("paid", data=receipt)


def unguarded(function: Callable[[], Any]) -> Any:
    """What a step of a test does to the engine as if from outside."""
    token = guard.free()
    try:
        return function()
    finally:
        guard.restore(token)


def raising(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


def lose(running: Any) -> None:
    current = running.incarnation
    current._loop.call_soon_threadsafe(current._lose, RuntimeError("the test cuts the lane"))


def end_session_that_waits(name: str, function: str = "pg_terminate_backend") -> None:
    """End (or only cancel) the session of this name that waits for a lock."""
    sql = (
        f"select {function}(pid) from pg_stat_activity where application_name like %s and wait_event_type = 'Lock'"
        " and datname = current_database()"
    )
    with psycopg.connect(conninfo("standfast test killer"), autocommit=True) as killer:
        for _ in range(400):
            if killer.execute(sql, [name]).fetchall():
                return
            threading.Event().wait(0.02)
    raise AssertionError(f"no session {name} waits")
