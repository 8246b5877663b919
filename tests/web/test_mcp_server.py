"""The MCP server at /mcp: a real client against the real web server."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from pytest_django import Settings

from approvals.models import Decision
from approvals.policies import document, versions
from missions.engine.dsn import conninfo
from missions.mcp_server import door
from missions.mcp_server.rates import Rates
from missions.models import ApiToken, Mission, RestrictedScope, Restriction, Signal
from missions.models.fields import DatabaseNow
from missions.web import tokens
from tests import errands, parcels
from tests.conftest import Person
from tests.live_worker import ended, parked, worker
from tests.policies import row
from tests.web.conftest import WebServer
from tests.web.mcp_calls import Mode, call, knock, refusal, talk
from tests.web.rest import client_of, post

pytestmark = pytest.mark.django_db(transaction=True)
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
TOOLS = {
    "start_mission": False, "get_mission": True, "list_missions": True, "send_signal": False,
    "open_decision": False, "list_decisions": True, "get_decision": True,
}  # fmt: skip


def secret_of(user: User, *scopes: str, **options: Any) -> str:
    return tokens.issue(user, scopes=scopes, **options)[1]


@pytest.mark.parametrize(("mode", "scheme"), [("auto", "Bearer"), ("legacy", "Token")])
def test_the_tools_are_listed_with_schemas_and_hints_and_none_votes(
    site: str, olivia: User, mode: Mode, scheme: str
) -> None:
    listed = talk(site, secret_of(olivia), lambda client: client.list_tools(), mode=mode, scheme=scheme).tools
    assert {tool.name: tool.annotations and tool.annotations.read_only_hint for tool in listed} == TOOLS
    for tool in listed:
        assert tool.description and tool.title and tool.output_schema and tool.annotations
        assert tool.annotations.destructive_hint is False
        assert all(part.get("description") or part.get("anyOf") for part in tool.input_schema["properties"].values())


def test_an_agent_elsewhere_starts_a_mission_signals_it_and_reads_its_verdict(site: str, olivia: User) -> None:
    secret = secret_of(olivia, "missions:read", "missions:write")
    order = {"type": errands.TYPE, "input": {"where": "the office"}, "key": "errand-1"}
    with worker():
        begun = call(site, secret, "start_mission", **order)
        mission = parked(Mission.objects.get(uid=begun["id"]))
        assert call(site, secret, "start_mission", **order)["id"] == begun["id"]
        waiting = call(site, secret, "get_mission", mission_id=begun["id"])
        assert (waiting["state"], waiting["waiting_for"]["what"]) == ("waiting", "paid")
        told = {"mission_id": begun["id"], "name": "paid", "payload": {"amount": "3.00"}, "key": "p-1"}
        assert [call(site, secret, "send_signal", **told)["delivered"] for _ in range(2)] == [True, False]
        ended(mission)
    done = call(site, secret, "get_mission", mission_id=begun["id"])
    assert (done["verdict"]["verdict"], done["verdict"]["data"]) == ("done", {"paid": {"amount": "3.00"}})
    assert [one["id"] for one in call(site, secret, "list_missions", state="completed", limit=1)["results"]] == [
        begun["id"]
    ]
    assert refusal(site, secret, "send_signal", **{**told, "key": "p-2"})["code"] == "mission_ended"
    reused = refusal(site, secret, "start_mission", **{**order, "input": {"where": "home"}})
    assert (reused["code"], reused["mission"]) == ("key_reused", begun["id"])


def test_an_agent_elsewhere_opens_a_decision_and_reads_what_a_person_said(site: str, person: Person, sam: User) -> None:
    rule = row("refunds", "escalate", scope={"agent": "shop-agent"})
    versions.load(document.check({"name": "shop", "rules": [rule]}), activate=True)
    secret = secret_of(person("robot"), "decisions:open", "decisions:read", agent="shop-agent")
    wanted = {
        "sentence": "Refund £9.00", "action": {"tool": "shop.refund", "args": {"amount": "9.00"}}, "key": "r-1",
    }  # fmt: skip
    opened = call(site, secret, "open_decision", **wanted)
    assert call(site, secret, "open_decision", **wanted)["id"] == opened["id"]
    assert (opened["state"], Decision.objects.count()) == ("open", 1)
    vote = {"verdict": "approve", "digest": opened["digest"]}
    assert post(client_of(sam), f"/decisions/{opened['id']}/votes", vote).status_code == 200
    found = call(site, secret, "get_decision", decision_id=opened["id"])
    assert (found["state"], found["resolution"]["by"], found["digest"]) == ("approved", ["sam"], opened["digest"])
    listed = call(site, secret, "list_decisions", state="approved")["results"]
    assert [one["id"] for one in listed] == [opened["id"]]
    assert refusal(site, secret, "open_decision", **{**wanted, "sentence": "Other"})["code"] == "key_reused"
    asked = call(site, secret, "open_decision", sentence="Which?", key="q", answers={
        "form": "schema", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
    }, tiers=[{"group": "supervisors"}])  # fmt: skip
    assert asked["state"] == "open"


def test_scopes_and_visibility_are_those_of_rest(site: str, olivia: User, outsider: User) -> None:
    mission = parcels.mission(olivia)
    reader = secret_of(olivia, "missions:read")
    assert refusal(site, reader, "start_mission", type=parcels.TYPE, input=parcels.INPUT)["scope"] == "missions:write"
    assert refusal(site, reader, "list_decisions")["code"] == "scope_missing"
    stranger = secret_of(outsider)
    assert refusal(site, stranger, "get_mission", mission_id=str(mission.uid))["code"] == "unknown_mission"
    assert refusal(site, stranger, "send_signal", mission_id=str(mission.uid), name="x")["code"] == "unknown_mission"
    assert refusal(site, stranger, "start_mission", type="x", input={})["code"] == "permission_denied"
    assert call(site, stranger, "list_missions")["results"] == []
    assert refusal(site, stranger, "get_decision", decision_id=str(uuid4()))["code"] == "unknown_decision"


def test_missions_of_a_restricted_type_are_invisible(site: str, olivia: User, sam: User) -> None:
    mission = parcels.mission(sam)
    secret = secret_of(olivia)
    assert call(site, secret, "get_mission", mission_id=str(mission.uid))["type"] == parcels.TYPE
    Restriction.objects.create(scope=RestrictedScope.MISSION_TYPE, name=parcels.TYPE, group="legal")
    assert call(site, secret, "list_missions")["results"] == []
    assert refusal(site, secret, "get_mission", mission_id=str(mission.uid))["code"] == "unknown_mission"


def test_input_that_does_not_fit_is_told_field_by_field_and_reserved_names_are_refused(site: str, olivia: User) -> None:
    secret = secret_of(olivia)
    wrong = refusal(site, secret, "start_mission", type=parcels.TYPE, input={"address": 3})
    assert wrong["code"] == "invalid_input" and {error["field"] for error in wrong["errors"]} >= {"address"}
    mission = parcels.mission(olivia)
    forged = refusal(site, secret, "send_signal", mission_id=str(mission.uid), name="decision:x")
    assert forged["code"] == "reserved_name" and not Signal.objects.exists()
    assert refusal(site, secret, "start_mission", type=parcels.TYPE, input={"note": "\x00"})["code"] == "nul_character"


def test_argument_that_no_tool_knows_is_refused_and_nothing_is_done(site: str, olivia: User) -> None:
    given = {"type": parcels.TYPE, "input": parcels.INPUT, "idempotency_key": "mine"}  # it is called `key`
    result = talk(site, secret_of(olivia), lambda client: client.call_tool("start_mission", given))
    assert result.is_error and "idempotency_key" in str(result.content) and not Mission.objects.exists()


def test_who_has_no_token_in_force_learns_nothing(site: str, olivia: User) -> None:
    past, revoked = secret_of(olivia, days=1), secret_of(olivia)
    ApiToken.objects.filter(hash=tokens.digest(past.encode())).update(expires_at=DatabaseNow() - dt.timedelta(days=1))
    tokens.revoke(revoked)
    for header, code in [
        ("", "not_authenticated"), ("Basic b2w6eA==", "not_authenticated"), ("Bearer a b", "not_authenticated"),
        ("Bearer sf_nonsense", "bad_token"), (f"Bearer {past}", "bad_token"), (f"Token {revoked}", "bad_token"),
    ]:  # fmt: skip
        answer = knock(site, {"authorization": header} if header else {}, body=PING)
        assert (answer.status_code, answer.json()["code"]) == (401, code), header
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
    secret = secret_of(olivia)
    User.objects.filter(pk=olivia.pk).update(is_active=False)
    assert knock(site, {"authorization": f"Bearer {secret}"}, body=PING).json()["code"] == "bad_token"


def test_a_session_is_no_token(site: str, olivia: User) -> None:
    client = client_of(olivia)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    assert knock(site, {"cookie": cookie}, body=PING).status_code == 401


def test_pages_of_other_origins_hosts_that_are_not_ours_and_other_methods_are_refused(site: str, olivia: User) -> None:
    token = {"authorization": f"Bearer {secret_of(olivia)}"}
    own = site.removeprefix("http://")
    for headers, status, code in [
        ({"host": "evil.example"}, 421, "wrong_host"), ({"origin": "http://evil.example"}, 403, "wrong_origin"),
        ({"origin": "null"}, 403, "wrong_origin"),
    ]:  # fmt: skip
        answer = knock(site, {**token, **headers}, body=PING)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert knock(site, {**token, "origin": f"http://{own}"}, body=PING).json()["result"] == {}
    for method in ("GET", "DELETE"):
        answer = knock(site, token, method=method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_message_that_is_too_large_or_no_message_is_refused(site: str, olivia: User) -> None:
    token = {"authorization": f"Bearer {secret_of(olivia)}"}
    large = knock(site, token, body=b" " * (door.BODY_BYTES + 1))
    assert (large.status_code, large.json()["code"]) == (413, "payload_too_large")
    assert knock(site, token, body=b"{not json").status_code == 400
    assert knock(site, {**token, "content-type": "text/plain"}, body=b"x").status_code == 400
    assert knock(site, token, body=b"[" * 100_000).status_code == 400


def asked(secret: str, method: str = "POST") -> dict[str, Any]:
    """A request as a server announces it."""
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {secret}".encode())]
    return {"type": "http", "method": method, "path": "/mcp", "headers": headers}


def test_a_token_that_calls_too_often_is_told_when_to_come_again(
    olivia: User, sam: User, settings: Settings
) -> None:
    settings.MCP_CALLS_PER_MINUTE = 1
    sent: list[Any] = []

    async def nobody(*_: Any) -> None:
        raise AssertionError("this is for nobody but the door")

    async def note(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        ours = door.Door(nobody)
        ours._rates = Rates(1, lambda: 0.0)
        for user in (olivia, olivia, sam):
            await ours(asked(secrets[user], "GET"), nobody, note)

    secrets = {user: secret_of(user) for user in (olivia, sam)}
    asyncio.run(ask())
    assert [message["status"] for message in sent[::2]] == [405, 429, 405]
    assert (b"retry-after", b"60") in sent[2]["headers"]


def test_a_database_that_does_not_answer_is_told_as_such(
    olivia: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, sent = secret_of(olivia), []

    def away(_: bytes) -> ApiToken:
        raise OperationalError("the database is away")

    async def nobody(*_: Any) -> None:
        raise AssertionError("this is for nobody but the door")

    async def note(message: Any) -> None:
        sent.append(message)

    monkeypatch.setattr(tokens, "in_force", away)
    asyncio.run(door.Door(nobody)(asked(secret), nobody, note))
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (503, "database_unavailable")


def waits_for_a_lock(listener: psycopg.Connection[Any]) -> bool:
    found = listener.execute(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    ).fetchone()
    return found is not None


def test_a_web_process_that_dies_in_mid_call_loses_nothing_and_repeats_nothing(
    own_server: WebServer, olivia: User
) -> None:
    mission = parcels.park(parcels.mission(olivia), "signal:paid")
    secret = secret_of(olivia)
    told = {"mission_id": str(mission.uid), "name": "paid", "payload": {"n": 1}, "key": "p-1"}
    cut: list[BaseException] = []

    def caller() -> None:
        try:
            call(own_server.url, secret, "send_signal", **told)
        except BaseException as error:
            cut.append(error)

    with psycopg.connect(conninfo("standfast test"), autocommit=True) as watcher, transaction.atomic():
        Mission.objects.select_for_update().get(pk=mission.pk)  # the call comes this far, and no further
        asking = threading.Thread(target=caller)
        asking.start()
        while not waits_for_a_lock(watcher):
            assert asking.is_alive(), cut
        own_server.kill()
        asking.join(30)
    assert cut, "the call was answered by a dead process"
    own_server.start()
    call(own_server.url, secret, "send_signal", **told)
    assert Signal.objects.filter(mission_id=mission.pk, key="p-1").count() == 1
    order = {"type": parcels.TYPE, "input": parcels.INPUT, "key": "twice"}
    first = call(own_server.url, secret, "start_mission", **order)
    own_server.kill()
    own_server.start()
    assert call(own_server.url, secret, "start_mission", **order)["id"] == first["id"]
    connection.close()
