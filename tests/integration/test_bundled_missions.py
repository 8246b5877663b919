"""`mission.start`, and doubts of bundled tools, in real missions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pydantic import BaseModel
from pytest_django import Settings

from approvals import votes
from approvals.models import Decision
from approvals.policies import document, versions
from missions import egress
from missions.authoring import Context, ToolFailed, Verdict, mission
from missions.engine import history
from missions.engine.starting import start
from missions.library.bundled import wire
from missions.models import Kind, Mission
from tests import live_worker
from tests.bundled import call_of, called
from tests.hostile_http import hostile_server

pytestmark = pytest.mark.django_db(transaction=True)


class Given(BaseModel):
    """What a mission of these tests calls."""

    tool: str
    args: dict[str, Any]


@mission("test.bundled.call", title="Call", data_classes=["internal"])
async def call_one(m: Context, given: Given) -> Verdict:
    """One call; how it went is the verdict."""
    try:
        result = await m.tool(given.tool, **given.args)
    except ToolFailed as error:
        return Verdict("refused", str(error), {"code": error.facts["code"]})
    return Verdict("done", "", {"result": result})


def calling(tool: str, /, **args: Any) -> Mission:
    return start("test.bundled.call", {"tool": tool, "args": args})[0]


def kinds(made: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(made.pk)]


@pytest.fixture(autouse=True)
def allowed() -> None:
    rules = [{"name": "free", "scope": {}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "bundled", "mode": "enforce", "rules": rules}), activate=True, via="test")


def test_a_mission_starts_another_in_the_name_of_the_same_person(olivia: User) -> None:
    wanted = {"type": "test.bundled.call", "input": {"tool": "http.get", "args": {"url": "http://x"}}, "title": "Two"}
    first, _ = start("test.bundled.call", {"tool": "mission.start", "args": wanted}, started_by=olivia)
    with live_worker.worker():
        ended = live_worker.ended(first)
        uid = ended.outcome.data["result"]["mission"]
        second = live_worker.ended(Mission.objects.get(uid=uid))
    assert (second.brief.title, second.brief.started_by, second.brief.started_via) == ("Two", olivia, "mission")
    assert second.idempotency_key == "effect:" + history.entries(first.pk)[2].payload["key"]


def test_the_same_key_starts_one_mission_and_a_wrong_request_none() -> None:
    mine = calling("http.get", url="http://x")
    call = call_of(mission_id=str(mine.uid))
    wanted: dict[str, Any] = {"type": "test.bundled.call", "input": {"tool": "a", "args": {}}}
    assert called("mission.start", call, **wanted) == called("mission.start", call, **wanted)
    for wrong in ({**wanted, "type": "absent"}, {**wanted, "input": {}}):
        with pytest.raises(ToolFailed):
            called("mission.start", call_of(mission_id=str(mine.uid)), **wrong)
    with pytest.raises(ToolFailed, match="key"):
        called("mission.start", call, **{**wanted, "input": {"tool": "b", "args": {}}})
    assert Mission.objects.count() == 2


@pytest.fixture
def silent(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.3)
    with hostile_server() as server:
        settings.HTTP_TOOL_HOSTS = egress.parse([f"{server.where};private"])
        yield server


def test_a_write_without_an_answer_is_in_doubt_and_a_person_says(silent: Any, olivia: User) -> None:
    made = calling("http.request", method="POST", url=f"http://{silent.where}/silent", body="x")
    with live_worker.worker():
        live_worker.parked(made, "decision:")
        decision = Decision.objects.get(mission=made)
        assert decision.kind == "in_doubt" and silent.asked(1)
        votes.cast(
            decision.pk, olivia, "approve", decision.digest, channel="api", choice="happened", reference="seen"
        )  # fmt: skip
        assert live_worker.ended(made).outcome.data["result"] == {"reference": "seen"}
    assert kinds(made)[2:5] == [Kind.INTENT, Kind.DOUBT, Kind.ASKED] and len(silent.heads) == 1


def test_a_missing_secret_is_a_refusal_before_anything_happened(silent: Any, settings: Settings) -> None:
    place = f"{silent.where};private;Authorization=Bearer ${{env:NOT_SET_ANYWHERE}}"
    settings.HTTP_TOOL_HOSTS = egress.parse([place])
    made = calling("http.request", method="POST", url=f"http://{silent.where}/plain", body="x")
    with live_worker.worker():
        ended = live_worker.ended(made)
    assert (ended.outcome.verdict, ended.outcome.data["code"]) == ("refused", "secret_missing")
    assert "env:NOT_SET_ANYWHERE" in ended.outcome.summary and silent.heads == []
    assert kinds(made)[-2:] == [Kind.OUTCOME, Kind.COMPLETED]


def test_a_slow_body_of_a_read_ends_with_its_call(silent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.3)
    made = calling("http.get", url=f"http://{silent.where}/drip")
    with live_worker.worker():
        result = live_worker.ended(made).outcome.data["result"]
    assert (result["text"], result["truncated"]) == ("first", True)
