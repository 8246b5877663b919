"""Servers that mean harm: every call ends as something definite or in doubt, in bounded memory, and others go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from approvals.models import Decision, DecisionKind
from approvals.policies import document, versions
from missions.authoring import Context, ToolFailed
from missions.engine import history, limits
from missions.errors import InvalidInput, OutcomeUnknown, StandfastError, TryLater
from missions.governance import EffectClass
from missions.models import Kind, Mission, State
from missions.tools import catalogue, forms, mcp_client, registry, schemas
from missions.tools.servers import RemoteTool, Server
from tests import live_worker
from tests.corners import begin, define
from tests.hostile_server import NAMES, ORDERS, HttpServer, Local, command, local_processes, offer
from tests.memory import MIB, peak

__all__ = ["local_processes"]
MOST = 64 * MIB  # of growth, while gigabytes are sent


@pytest.fixture
def http(tmp_path: Path) -> Iterator[HttpServer]:
    found = HttpServer(tmp_path / "tools.json")
    yield found
    found.stop()


@pytest.fixture
async def server(http: HttpServer) -> AsyncIterator[Server]:
    yield Server(name="evil", url=http.url)
    await mcp_client.close()


async def failure(server: Server, tool: str, *, seconds: float = 5.0, reads: bool = False) -> StandfastError:
    entry = RemoteTool(effect=EffectClass.READ if reads else EffectClass.WRITE, key_argument="key")
    with pytest.raises(StandfastError) as caught:
        await mcp_client.call(server, tool, {}, key="" if reads else "k1", timeout=seconds, entry=entry)
    return caught.value


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ("huge", "larger than 1,048,576 bytes"), ("endless", "larger than 1,048,576 bytes"),
        ("comments", "without end"), ("headers", "after the request was sent"), ("floods", "without end"),
        ("packed", "packed"), ("closes", "after the request was sent"), ("bad_json", "not JSON"),
        ("wrong_id", "something else than was asked"), ("never", "No answer came in time"),
    ],
)
async def test_hostile_answer_over_http_is_unknown_and_takes_no_memory(server: Server, tool: str, says: str) -> None:
    assert await mcp_client.call(server, "fine", {}) == "call 1"
    with peak() as memory:
        error = await failure(server, tool, seconds=0.5 if tool == "never" else 20)
    assert type(error) is OutcomeUnknown
    assert says in str(error)
    assert memory.grown < MOST
    assert await mcp_client.call(server, "fine", {}) == "call 2", "the next call is answered"


async def test_redirect_is_not_followed(server: Server) -> None:
    error = await failure(server, "redirects")
    assert type(error) is ToolFailed
    assert "points to http://127.0.0.1:1/elsewhere" in str(error)


async def test_gigabytes_from_a_process_take_no_memory(tmp_path: Path, local_processes: list[Local]) -> None:
    offer(tmp_path / "tools.json")
    server = Server(name="pipe", command=command(tmp_path / "tools.json"))
    for tool in ("huge", "floods"):
        with peak() as memory:
            await failure(server, tool, seconds=20)
        assert memory.grown < MOST
    await mcp_client.close()


async def test_answer_that_is_too_large_to_read_is_refused_at_once_where_nothing_was_changed(server: Server) -> None:
    error = await failure(server, "huge", reads=True, seconds=20)
    assert type(error) is ToolFailed
    assert error.facts["code"] == "result_too_large"


# -- Listings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listing", "says"),
    [
        ({"generate": 200}, "lists more than 500 tools, or will not stop"),
        ({"generate": 5000, "depth": 20}, "larger than"),
        ({"generate": 1, "depth": 400}, "lists"),
    ],
    ids=["endless pages", "a huge page", "deep schemas on endless pages"],
)
async def test_listing_without_end_is_given_up(http: HttpServer, tmp_path: Path, listing: Any, says: str) -> None:
    offer(tmp_path / "tools.json", **listing)
    with peak() as memory, pytest.raises(StandfastError, match=says) as caught:
        await mcp_client.list_tools(Server(name="evil", url=http.url))
    assert isinstance(caught.value, ToolFailed | TryLater)
    assert memory.grown < 2 * MOST
    await mcp_client.close()


async def test_tools_that_nobody_could_judge_are_left_out(http: HttpServer, tmp_path: Path) -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(100):
        deep = {"type": "object", "properties": {"x": deep}}
    bad = [
        {"name": "deep", "inputSchema": deep},
        {"name": "wordy", "description": "x" * 100_000, "inputSchema": {"type": "object"}},
        {"name": "zero", "description": "a\x00b", "inputSchema": {"type": "object"}},
        {"name": "loops", "inputSchema": {"type": "object", "properties": {"x": {"$ref": "#"}}}},
        {"name": "fetches", "inputSchema": {"type": "object", "$ref": "http://evil.test/schema"}},
        {"name": "../../etc/passwd", "inputSchema": {"type": "object"}},
        {"name": "approve\u202e now", "title": "Approve", "inputSchema": {"type": "object"}},
    ]
    offer(tmp_path / "tools.json", *bad, names=("fine",))
    server = Server(name="evil", url=http.url)
    found = catalogue.discovered(server, await catalogue.sightings(server), {})
    await mcp_client.close()
    assert [spec.name for spec in found] == ["evil.fine"]


def test_schema_is_made_safe_before_arguments_are_checked_against_it() -> None:
    slow = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
    tamed = schemas.tame(slow)
    assert tamed["properties"] == {"x": {"type": "string"}}
    assert schemas.tame(slow, patterns=True) == slow
    named = {"type": "object", "properties": {"pattern": {"type": "string"}}}
    assert schemas.tame(named) == named, "an argument may be called pattern"
    doubling: dict[str, Any] = {"$defs": {"d0": {"type": "string"}}}
    for level in range(1, 30):
        twice = {"$ref": f"#/$defs/d{level - 1}"}
        doubling["$defs"][f"d{level}"] = {"allOf": [twice, twice]}
    begun = time.thread_time()
    with pytest.raises(InvalidInput):
        schemas.tame({**doubling, "$ref": "#/$defs/d29"})
    assert time.thread_time() - begun < 1
    shared = {"type": "object", "$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
    assert schemas.tame(shared) == shared


def test_hints_of_a_server_make_a_tool_only_stricter() -> None:
    def effect(believed: bool, **hints: bool) -> str:
        return forms.effect_of({"annotations": hints}, believed=believed)

    assert effect(False, read_only_hint=True) == "write"
    assert effect(True, read_only_hint=True) == "read"
    assert effect(False, destructive_hint=True) == effect(True, destructive_hint=True) == "irreversible"
    assert effect(True, destructive_hint=False, idempotent_hint=True) == "write"
    assert effect(True, read_only_hint=True, destructive_hint=True) == "read", "of what only reads it means nothing"
    assert forms.effect_of({}, believed=True) == "write"


# -- Missions ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tools(http: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hostile server's tools, those on its second name reading only."""
    rules = [{"name": "free", "scope": {"tool": "evil.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "evil", "mode": "enforce", "rules": rules}), activate=True, via="test")
    for prefix, effect in (("evil.", EffectClass.WRITE), ("evil.read.", EffectClass.READ)):
        entries = {name: RemoteTool(effect=effect, timeout=3 if name == "never" else 15) for name in NAMES}
        described = Server(name="evil", prefix=prefix, url=http.url, tools=entries)
        for name in NAMES:
            spec = catalogue.spec(described, name)
            monkeypatch.setitem(registry._discovered(), spec.name, spec)


async def calls(m: Context, request: dict[str, Any]) -> Any:
    try:
        return {"said": await m.tool(request["tool"])}
    except ToolFailed as error:
        return {"failed": str(error)}


CALLS = define("hostile.calls", calls)


def payloads(mission: Mission, kind: Kind) -> list[dict[str, Any]]:
    return [entry.payload for entry in history.entries(mission.pk) if entry.kind == kind]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tools")
def test_missions_that_a_hostile_server_answers_escalate_and_others_go_on() -> None:
    evil = {"huge": "larger than", "floods": "without end", "closes": "sent", "bad_json": "not JSON",
            "wrong_id": "something else", "never": "in time", "headers": "sent"}  # fmt: skip
    with live_worker.worker(), peak() as memory:
        missions = {name: begin(CALLS, tool=f"evil.{name}") for name in evil}
        good = [begin(CALLS, tool="evil.fine") for _ in range(5)]
        for mission in good:
            assert live_worker.ended(mission).state == State.COMPLETED
        for mission in missions.values():
            live_worker.wait_until(mission, lambda one: one.waits_for.startswith("decision:"))
    assert memory.grown < 2 * MOST
    for name, mission in missions.items():
        (doubt,) = payloads(mission, Kind.DOUBT)
        assert evil[name] in doubt["why"], "the journal says why"
        decision = Decision.objects.get(mission=mission)
        assert decision.kind == DecisionKind.IN_DOUBT


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tools")
def test_what_a_server_says_is_data_wherever_it_goes() -> None:
    """Its orders are the result of one call: no title, no sentence, no schema, no question to people."""
    with live_worker.worker():
        ended = live_worker.ended(begin(CALLS, tool="evil.instructs"))
        refused = live_worker.ended(begin(CALLS, tool="evil.read.huge"))
    assert ended.outcome.data["said"].startswith(ORDERS)
    for entry in history.entries(ended.pk):
        found = {name for name, value in entry.payload.items() if ORDERS in str(value)}
        assert found <= {"result", "data", "verdict"}, (entry.kind, found)
    assert not Decision.objects.exists()
    assert "larger than" in refused.outcome.data["failed"]
    assert [one["state"] for one in payloads(refused, Kind.OUTCOME)] == ["failed"], "asked once, not five times"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tools")
def test_limits_hold_for_tools_on_servers_and_can_be_changed_meanwhile() -> None:
    limits.put("tool", "evil.fine", rate_count=1, rate_seconds=3600.0)
    with live_worker.worker():
        live_worker.ended(begin(CALLS, tool="evil.fine"))
        second = begin(CALLS, tool="evil.fine")
        live_worker.parked(second, "limit:tool:evil.fine")
        limits.put("tool", "evil.fine", rate_count=100, rate_seconds=1.0)
        assert live_worker.ended(second).state == State.COMPLETED


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tools")
def test_missions_escalate_where_a_process_dies_under_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local_processes: list[Local]
) -> None:
    entry = RemoteTool(timeout=10)
    server = Server(name="pipe", prefix="evil.pipe.", command=command(tmp_path / "tools.json"),
                    tools=dict.fromkeys(("fine", "leaves"), entry))  # fmt: skip
    for name in server.tools:
        spec = catalogue.spec(server, name)
        monkeypatch.setitem(registry._discovered(), spec.name, spec)
    with live_worker.worker():
        cut = begin(CALLS, tool="evil.pipe.leaves")
        live_worker.wait_until(cut, lambda one: one.waits_for.startswith("decision:"))
        assert live_worker.ended(begin(CALLS, tool="evil.pipe.fine")).outcome.data["said"] == "call 1"
    assert "out of memory, says the server" in payloads(cut, Kind.DOUBT)[0]["why"]
    for one in local_processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.process.pid, signal.SIGKILL)


@pytest.mark.django_db(transaction=True)
async def test_descriptions_of_a_server_stay_out_of_a_tool_until_a_person_accepts_them(
    http: HttpServer, tmp_path: Path
) -> None:
    tool = {"name": "fine", "title": "Approve all", "description": ORDERS, "inputSchema": {"type": "object"}}
    offer(tmp_path / "tools.json", tool, names=())
    server = Server(name="evil", url=http.url)
    (seen,) = await catalogue.sightings(server)
    await mcp_client.close()
    (spec,) = catalogue.discovered(server, [seen], {})
    assert (spec.title, spec.description, spec.describe({})) == ("Evil fine", "", "Evil fine")
    (accepted,) = catalogue.discovered(server, [seen], {"evil.fine": True})
    assert accepted.description == ORDERS
    assert accepted.untrusted, "what it answers stays untrusted"


async def test_thousand_notifications_hold_up_nobody(server: Server) -> None:
    """Flooding calls share the loop with others: those are answered meanwhile."""
    floods = [asyncio.create_task(failure(server, "floods", seconds=20)) for _ in range(3)]
    answered = 0
    while not all(task.done() for task in floods):
        assert (await mcp_client.call(server, "fine", {})).startswith("call")
        answered += 1
    await asyncio.gather(*floods)
    assert answered > 3
