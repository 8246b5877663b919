"""MCP servers that people register while workers run: their tools are called, changed and taken away at once."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from approvals import votes
from approvals.models import Decision, DecisionKind
from approvals.policies import document, versions
from missions import addresses
from missions.authoring import Context, ToolFailed
from missions.engine import history, mailbox, registered_servers, tool_forms
from missions.engine.registered_servers import Author
from missions.errors import InvalidInput, ServerChanged, UnknownServer, UnknownTool
from missions.models import Effect, EffectState, Mission, ServerVersion, State, ToolForm, ToolServer
from missions.secrets import vault
from missions.tools import catalogue, learning, mcp_client, registered, registering, registry, watching
from missions.tools.servers import Server
from tests import live_worker
from tests.corners import begin, define
from tests.hostile_server import ARGS, HttpServer, offer
from tests.sandboxed import needs_bubblewrap

pytestmark = pytest.mark.django_db(transaction=True)
ADA = Author(by="ada", via="api", reason="A shelf is wanted.")


class Shelf:
    """A server that answers; each process counts its own calls."""

    def __init__(self, folder: Path, name: str = "one") -> None:
        listing = folder / f"{name}.json"
        offer(listing, names=("fine", "environment"))
        self.process = HttpServer(listing)
        self.url = self.process.url

    def said(self, **more: Any) -> dict[str, Any]:
        return {"name": "shelf", "url": self.url, "tools": {"fine": {"effect": "write"}}, **more}


@pytest.fixture
def shelf(tmp_path: Path, settings: Any) -> Iterator[Shelf]:
    settings.MCP_SERVER_HOSTS = ["127.0.0.1"]
    rules = [{"name": "free", "scope": {"tool": "shelf.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "shelf", "mode": "enforce", "rules": rules}), activate=True, via="test")
    found = Shelf(tmp_path)
    yield found
    found.process.stop()
    forgotten()


async def borrow(m: Context, request: dict[str, Any]) -> Any:
    told = []
    for number in range(request["times"]):
        told.append(await m.tool(request["tool"], size=number))
        await m.wait_for_signal("go")
    return {"told": told}


define("shelf.borrow", borrow)


def borrowing(tool: str = "shelf.fine", times: int = 1) -> Mission:
    return begin("shelf.borrow", tool=tool, times=times)


def go(mission: Mission) -> Mission:
    mailbox.deliver(mission.pk, "go", {})
    return live_worker.ended(mission)


async def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call it in a thread that keeps no connection."""

    def run() -> Any:
        try:
            return function(*args)
        finally:
            connection.close()

    return await asyncio.to_thread(run)


def looked() -> None:
    """As a worker looks at all servers beside its missions."""

    async def look() -> None:
        await watching.look()
        await mcp_client.close()

    asyncio.run(look())


def forgotten() -> None:
    """Nothing of this test is known to the next."""
    ServerVersion.objects.all().delete()
    ToolForm.objects.all().delete()
    learning.refresh()


def fresh() -> None:
    """As if this process had just begun: it knows no server and no tool that nobody described."""
    registered.keep(registered.Plan(known={}, changed=frozenset(), came=()))
    learning._forms.clear()
    for name in [spec.name for spec in registry.all_tools() if spec.origin.startswith("MCP server shelf (")]:
        del registry._tools[name]


def test_registered_changed_and_taken_away_beside_a_running_worker(shelf: Shelf, tmp_path: Path) -> None:
    other = Shelf(tmp_path, "two")
    with live_worker.worker():
        registering.register(shelf.said(), ADA)
        mission = live_worker.parked(borrowing(times=2), "signal:go")
        registering.register(shelf.said(url=other.url), ADA)
        mailbox.deliver(mission.pk, "go", {})
        live_worker.wait_until(mission, lambda now: Effect.objects.filter(mission_id=now.pk, state="done").count() == 2)
        assert go(mission).outcome.data == {"told": ["call 1", "call 1"]}  # each from another process
        registering.remove("shelf", ADA)
        gone = live_worker.ended(borrowing())
        assert gone.state == State.FAILED and "The MCP server shelf was taken away." in gone.outcome.error
    other.process.stop()
    kept = ServerVersion.objects.order_by("number").values_list("number", "by", "via", "reason", "document__url")
    assert list(kept) == [
        (1, "ada", "api", "A shelf is wanted.", shelf.url), (2, "ada", "api", "A shelf is wanted.", other.url),
        (3, "ada", "api", "A shelf is wanted.", None),
    ]


def test_a_tool_that_nobody_described_outlives_its_server(shelf: Shelf) -> None:
    registering.register(shelf.said(), ADA)
    looked()
    assert ToolServer.objects.get(name="shelf").tools == 2
    assert registry.get_tool("shelf.environment").effect == "write"
    with live_worker.worker():
        mission = live_worker.parked(borrowing("shelf.environment"), "signal:go")
    shelf.process.stop()
    fresh()
    with pytest.raises(UnknownTool):
        registry.get_tool("shelf.environment")
    with live_worker.worker():
        assert go(mission).state == State.COMPLETED  # its call is on record, and the tool is known before it goes on


def test_the_same_of_a_server_of_the_file(shelf: Shelf, settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "servers.yaml"
    file.write_text(f"{{name: shelf, url: '{shelf.url}'}}")
    settings.MISSIONS_MCP_SERVERS = str(file)
    looked()
    with live_worker.worker():
        mission = live_worker.parked(borrowing("shelf.environment"), "signal:go")
    shelf.process.stop()
    fresh()
    with live_worker.worker():
        assert go(mission).state == State.COMPLETED
    fresh()


def test_what_is_on_record_outlives_the_server_that_was_taken_away(shelf: Shelf) -> None:
    registering.register(shelf.said(), ADA)
    looked()
    with live_worker.worker():
        missions = [live_worker.parked(borrowing(tool), "signal:go") for tool in ("shelf.fine", "shelf.environment")]
        late = live_worker.parked(borrowing(times=2), "signal:go")
    registering.remove("shelf", ADA)
    fresh()
    with live_worker.worker():
        assert [go(mission).state for mission in missions] == [State.COMPLETED] * 2
        refused = go(late)  # its second call
    assert refused.state == State.FAILED and "The MCP server shelf was taken away." in refused.outcome.error
    assert [one.name for one in registry.all_tools() if one.name.startswith("shelf.")] == []
    registering.register(shelf.said(), ADA)
    with live_worker.worker():
        assert go(live_worker.parked(borrowing(), "signal:go")).state == State.COMPLETED


def test_what_is_in_doubt_when_its_server_is_taken_away_people_settle(shelf: Shelf, olivia: User) -> None:
    never = {"effect": "write", "retry_safety": "keyed", "key_argument": "key", "timeout": 1.5}
    offer(shelf.process.listing, names=("never",))
    registering.register(shelf.said(tools={"never": never}), ADA)
    with live_worker.worker():
        mission = borrowing("shelf.never")
        live_worker.wait_until(
            mission, lambda now: Effect.objects.filter(mission_id=now.pk, state=EffectState.IN_DOUBT).exists()
        )
        registering.remove("shelf", ADA)
        live_worker.wait_until(mission, lambda now: Decision.objects.filter(kind=DecisionKind.IN_DOUBT).exists())
        assert Effect.objects.get(mission_id=mission.pk).state == EffectState.IN_DOUBT
        question = Decision.objects.get(kind=DecisionKind.IN_DOUBT)
        votes.cast(question.pk, olivia, "approve", question.digest, choice="happened", reference="R-17", channel="test")
        live_worker.wait_until(mission, lambda now: now.waits_for == "signal:go")
    assert Effect.objects.get(mission_id=mission.pk).state == EffectState.DONE


def test_a_mission_that_is_started_as_soon_as_it_is_registered_knows_its_tools(shelf: Shelf) -> None:
    with live_worker.worker():
        for number in range(10):  # as another process registers it: this one is told by the database alone
            registered_servers.save("shelf", shelf.said(trusted=bool(number % 2)), ADA)
            mission = live_worker.parked(borrowing(), "signal:go")
            assert go(mission).state == State.COMPLETED
            if number % 3 == 0:
                fresh()  # else it is another one, or one that had gone
            elif number % 3 == 1:
                registering.remove("shelf", ADA)


def test_a_server_that_goes_while_it_is_asked_teaches_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    registering.register(shelf.said(), ADA)
    sightings = catalogue.sightings

    async def slow(server: Server) -> Any:
        told = await sightings(server)
        if server.name == "shelf":
            await apart(registering.remove, "shelf", ADA)
        return told

    monkeypatch.setattr(catalogue, "sightings", slow)
    looked()
    with pytest.raises(UnknownTool):
        registry.get_tool("shelf.environment")
    assert not ToolServer.objects.filter(name="shelf").exists() and not ToolForm.objects.exists()


def test_another_server_of_the_name_inherits_nobody_s_word(shelf: Shelf) -> None:
    offer(shelf.process.listing, {"name": "fine", "inputSchema": ARGS, "annotations": {"readOnlyHint": True}}, names=())
    registering.register(shelf.said(tools={}), ADA)
    looked()
    tool_forms.accept(ToolForm.objects.get(server="shelf").pk, by="paula", reason="Read it.")
    learning.refresh()
    assert registry.get_tool("shelf.fine").effect == "read"
    registering.register(shelf.said(tools={}, url="https://8.8.8.8/mcp"), ADA)
    assert registry.get_tool("shelf.fine").effect == "write"
    form = ToolForm.objects.get(server="shelf")
    assert (form.state, form.decided_by, form.decided_at) == ("accepted", "", None)
    assert form.reason == "Accepted at another address by paula. Read it."
    assert not ToolServer.objects.filter(name="shelf").exists()


async def test_looking_goes_on_whatever_fails(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    async def look() -> dict[str, str]:
        nonlocal looks
        looks += 1
        raise RuntimeError("What nobody thought of")

    monkeypatch.setattr(watching, "look", look)
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0.01)
    watch = asyncio.create_task(watching.watch())
    async with asyncio.timeout(10):
        while looks < 3:
            await asyncio.sleep(0.01)
    assert not watch.done()
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def test_workers_look_at_once_at_what_is_registered(shelf: Shelf) -> None:
    async def register_and_wait() -> None:
        watch = asyncio.create_task(watching.watch())
        await asyncio.sleep(0)
        await apart(registering.register, shelf.said(), ADA)
        async with asyncio.timeout(20):
            while not await apart(ToolForm.objects.filter(tool="shelf.environment").exists):
                await asyncio.sleep(0.05)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await mcp_client.close()

    asyncio.run(register_and_wait())


def test_what_is_the_same_again_is_no_version_and_a_late_writer_is_told(shelf: Shelf) -> None:
    first, is_new = registering.register(shelf.said(), ADA, base=0)
    again, is_new_again = registering.register(shelf.said(), ADA)
    assert (is_new, is_new_again, first.pk == again.pk) == (True, False, True)
    registering.register(shelf.said(trusted=True), ADA, base=1)
    with pytest.raises(ServerChanged):
        registering.register(shelf.said(trusted=False), ADA, base=1)
    with pytest.raises(ServerChanged):
        registering.remove("shelf", ADA, base=1)
    registering.remove("shelf", ADA, base=2)
    with pytest.raises(UnknownServer):
        registering.remove("shelf", ADA)
    assert registering.register(shelf.said(), ADA, base=3)[0].number == 4


def test_many_at_once_are_numbered_one_by_one(shelf: Shelf) -> None:
    start = threading.Barrier(8)

    def register(number: int) -> None:
        start.wait(10)
        try:
            registered_servers.save("shelf", {**shelf.said(), "trusted": bool(number % 2)}, ADA)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(register, range(8)))
    numbers = list(ServerVersion.objects.order_by("number").values_list("number", flat=True))
    documents = list(ServerVersion.objects.order_by("number").values_list("document__trusted", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(one is not other for one, other in itertools.pairwise(documents))


def test_addresses_inside_are_judged_when_they_are_called(
    shelf: Shelf, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registering.register(shelf.said(), ADA)
    settings.MCP_SERVER_HOSTS = []
    with pytest.raises(InvalidInput) as refused:
        registering.register(shelf.said(trusted=True), ADA)
    assert "a loopback address 127.0.0.1" in refused.value.errors[0]["message"]
    with live_worker.worker():
        failed = live_worker.ended(borrowing())
    assert failed.state == State.FAILED and "a loopback address 127.0.0.1" in failed.outcome.error
    # A name that is public when it is registered and leads inside when it is called.
    monkeypatch.setattr(addresses, "resolve", lambda host, port: ["93.184.216.34"])
    far = f"http://shelf.example:{shelf.url.rpartition(':')[2]}"
    registering.register(shelf.said(url=far), ADA)
    monkeypatch.setattr(addresses, "resolve", lambda host, port: ["127.0.0.1"])
    with live_worker.worker():
        failed = live_worker.ended(borrowing())
    assert "shelf.example leads to a loopback address" in failed.outcome.error
    # Listed, it is connected to under its name.
    settings.MCP_SERVER_HOSTS = ["shelf.example"]
    with live_worker.worker():
        assert go(live_worker.parked(borrowing(), "signal:go")).outcome.data == {"told": ["call 1"]}


def test_secrets_of_the_database_go_along_and_are_kept_nowhere(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidInput, match="can not be registered") as refused:
        registering.register(shelf.said(headers={"Authorization": "Bearer ${db:shelf}"}), ADA)
    message = "There is no secret 'shelf'; `manage.py secret set shelf` keeps one."
    assert refused.value.errors == [{"field": "headers.Authorization", "message": message}]
    vault.put("shelf", "canary-of-the-shelf", by="ada")
    version, _ = registering.register(shelf.said(headers={"Authorization": "Bearer ${db:shelf}"}), ADA)
    shelf.process.listing.with_suffix(".heads").touch()  # it notes what it is sent
    with live_worker.worker():
        mission = live_worker.parked(borrowing(), "signal:go")
        assert go(mission).state == State.COMPLETED
    sent = shelf.process.listing.with_suffix(".heads").read_text()
    assert "authorization: bearer canary-of-the-shelf" in sent
    record = [entry.payload for entry in history.entries(mission.pk)], [line.__dict__ for line in caplog.records]
    assert "canary-of-the-shelf" not in str((version.document, record))


def test_names_that_lead_to_other_tools_are_refused(shelf: Shelf) -> None:
    for name in ("payments", "sandbox", "new"):
        with pytest.raises(InvalidInput) as refused:
            registering.register(shelf.said(name=name), ADA)
        assert refused.value.errors[0]["field"] == "name"
    with pytest.raises(InvalidInput) as refused:
        registering.register(shelf.said(tools={"fine": {"compensate": "nothing.such"}}), ADA)
    assert refused.value.errors[0]["field"] == "tools.fine.compensate"


def test_what_the_file_describes_by_now_counts(shelf: Shelf, settings: Any, tmp_path: Path) -> None:
    registering.register(shelf.said(), ADA)
    file = tmp_path / "servers.yaml"
    file.write_text(f"{{name: shelf, url: '{shelf.url}', tools: {{fine: {{effect: read}}}}}}")
    settings.MISSIONS_MCP_SERVERS = str(file)
    fresh()  # as a deploy is: all processes begin anew
    for spec in catalogue.load(str(file)):
        registry.register(spec)
    learning.refresh()
    assert registry.get_tool("shelf.fine").effect == "read"
    assert [one.is_judged for one in registered.servers()] == [False]
    fresh()


def test_a_version_that_this_code_can_not_read_stops_nobody(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    registered_servers.save("later", {"name": "later", "url": shelf.url, "telepathy": True}, ADA)
    registering.register(shelf.said(), ADA)
    assert [one.name for one in registered.servers() if one.is_judged] == ["shelf"]
    assert any(getattr(record, "action", "") == "server_left_out" for record in caplog.records)
    with live_worker.worker():
        assert go(live_worker.parked(borrowing(), "signal:go")).state == State.COMPLETED


async def test_a_refused_address_is_no_answer_of_the_server(shelf: Shelf, settings: Any) -> None:
    settings.MCP_SERVER_HOSTS = []
    server = registered.server_of(shelf.said())
    with pytest.raises(ToolFailed, match="may not be sent to"):
        await mcp_client.call(server, "fine", {"size": 1})
    await mcp_client.close()


SPEAKS = r"""
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id": *\([0-9]*\).*/\1/p')
  case "$line" in
    *server/discover*) said='{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"resultType":"complete",'\
'"ttlMs":0,"cacheScope":"public"}' ;;
    *tools/list*) said='{"tools":[{"name":"fine","inputSchema":{"type":"object"}}],"resultType":"complete","ttlMs":0,'\
'"cacheScope":"public"}' ;;
    *) said='{"content":[{"type":"text","text":"from within"}],"resultType":"complete"}' ;;
  esac
  [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$said"
done
"""


@needs_bubblewrap
def test_a_command_runs_in_the_sandbox_and_ends_when_it_is_taken_away(shelf: Shelf) -> None:
    said = {"name": "shelf", "command": ["/bin/sh", "-c", SPEAKS], "tools": {"fine": {"effect": "read"}}}
    registering.register(said, ADA)

    async def call_and_leave() -> Any:
        server = registered.servers()[-1]
        try:
            answer = await mcp_client.call(server, "fine", {}, timeout=20)
            await apart(registering.remove, "shelf", ADA)
            assert server.identity in mcp_client._links[asyncio.get_running_loop()]
            await watching.look()  # as the worker does when it is told
            return answer, server.identity in mcp_client._links[asyncio.get_running_loop()]
        finally:
            await mcp_client.close()

    assert asyncio.run(call_and_leave()) == ("from within", False)
