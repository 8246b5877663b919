"""Agents over REST: making them, what is in force, who may, and which missions work under which version."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from missions.authoring import Context
from missions.engine import registry
from missions.engine.clock import database_now
from missions.models import Activation, Agent, AgentVersion, Engagement
from missions.web import tokens
from observability.models import Spend
from tests import parcels
from tests.agents import SAID, WRITES, isolated, made, unisolated
from tests.web.rest import client_of, fields_of, post, problem_of

pytestmark = pytest.mark.django_db
WHY = {"reason": "As agreed."}
HIRED = "test.hired"






@pytest.fixture
def ada() -> User:
    """An agent admin."""
    user = User.objects.create_user("ada")
    user.groups.add(Group.objects.get_or_create(name="agent-admins")[0])
    return user


def test_an_agent_is_made_activated_changed_and_rolled_back(ada: User) -> None:
    client = client_of(ada)
    first = post(client, "/agents", {"name": "researcher", **SAID, "note": "The first."})
    assert first.status_code == 201, first.content
    assert (first.json()["number"], first.json()["in_force"], first.json()["created_by"]) == (1, False, "ada")
    assert post(client, "/agents", {"name": "researcher", **SAID}).status_code == 200
    problem_of(post(client, "/agents", {"name": "researcher", **SAID, "title": "x"}), 409, "agent_exists")
    done = post(client, "/agents/researcher/versions/1/activate", {**WHY, "seen": 0})
    assert (done.json()["what"], done.json()["version"], done.json()["previous"]) == ("activated", 1, None)
    again = post(client, "/agents/researcher/versions/1/activate", {**WHY, "seen": 0})
    assert again.json() == done.json() and Activation.objects.count() == 1
    second = post(client, "/agents/researcher/versions", {**SAID, "title": "Second", "base": 1})
    assert (second.status_code, second.json()["number"], second.json()["base"]) == (201, 2, 1)
    assert post(client, "/agents/researcher/versions", {**SAID, "title": "Second"}).status_code == 200
    post(client, "/agents/researcher/versions/2/activate", WHY)
    problem_of(post(client, "/agents/researcher/rollback", {**WHY, "seen": 1}), 409, "wrong_agent_state")
    assert fields_of(problem_of(post(client, "/agents/researcher/rollback", WHY), 422, "invalid_input")) == {"to"}
    back = post(client, "/agents/researcher/rollback", {**WHY, "seen": 2}).json()
    assert (back["what"], back["version"], back["previous"], back["by"]) == ("rolled_back", 1, 2, "ada")
    told = client.get("/api/v1/agents/researcher").json()
    assert (told["state"], told["version"], told["active"]["title"]) == ("active", 1, "Researcher")
    assert [one["what"] for one in told["activations"]] == ["rolled_back", "activated", "activated"]
    assert told["isolation"]["demanded"] is False
    assert post(client, "/agents/researcher/retire", WHY).json()["version"] is None
    (row,) = client.get("/api/v1/agents").json()["results"]
    assert (row["state"], row["version"], row["title"]) == ("retired", None, "researcher")
    assert [one["number"] for one in client.get("/api/v1/agents/researcher/versions").json()["results"]] == [2, 1]
    assert client.get("/api/v1/agents/researcher/versions/2").json()["title"] == "Second"


def test_what_lacks_its_isolation_is_refused_with_what_is_missing(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    unisolated(monkeypatch)
    made(in_force=False, **WRITES)
    told = problem_of(post(client_of(ada), "/agents/researcher/versions/1/activate", WHY), 409, "isolation_absent")
    assert "payments.refund" in told["because"][0] and set(told["missing"]) >= {"filesystem", "network"}
    isolated(monkeypatch)
    assert post(client_of(ada), "/agents/researcher/versions/1/activate", WHY).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": ""}, "title"), ({"tools": "all"}, "tools"), ({"tools": ["a b"]}, "tools"), ({"budget": 3}, "budget"),
        ({"budget": {"turns": 0}}, "budget.turns"), ({"egress": ["x"]}, "egress"), ({"isolation": "jail"}, "isolation"),
        ({"colour": "red"}, "colour"), ({"instructions": 5}, "instructions"), ({"base": "1"}, "base"),
    ],
)  # fmt: skip
def test_a_version_that_makes_no_sense_names_the_field(ada: User, body: dict[str, Any], field: str) -> None:
    made()
    answer = post(client_of(ada), "/agents/researcher/versions", {**SAID, **body})
    assert field in {one.split("[")[0] for one in fields_of(problem_of(answer, 422, "invalid_input"))}
    assert AgentVersion.objects.count() == 1


def test_who_oversees_reads_who_edits_changes_and_others_find_nothing(
    ada: User, olivia: User, paula: User, outsider: User
) -> None:
    made()
    for user in (olivia, paula):
        client = client_of(user)
        assert client.get("/api/v1/agents/researcher").status_code == 200
        problem_of(post(client, "/agents", {"name": "x", **SAID}), 403, "permission_denied")
        problem_of(post(client, "/agents/researcher/retire", WHY), 403, "permission_denied")
    client = client_of(outsider)
    for path in ("/agents", "/agents/researcher", "/agents/researcher/versions", "/agents/researcher/missions"):
        problem_of(client.get(f"/api/v1{path}"), 404, "unknown_agent")
    problem_of(post(client, "/agents/researcher/retire", WHY), 404, "unknown_agent")
    assert client_of(ada).get("/api/v1/agents/researcher").status_code == 200
    problem_of(client_of(ada).get("/api/v1/agents/nobody"), 404, "unknown_agent")
    problem_of(client_of(ada).get("/api/v1/agents/researcher/versions/9"), 404, "unknown_agent")
    secret = tokens.issue(ada, scopes=("agents:read", "missions:write"))[1]
    problem_of(post(client_of(token=secret), "/agents/researcher/retire", WHY), 403, "scope_missing")
    assert Activation.objects.count() == 1


def test_missions_are_found_by_agent_and_version_as_far_as_they_may_be_seen(ada: User, olivia: User) -> None:
    made()
    runs = [parcels.mission(title=f"Run {number}") for number in range(3)]
    for seq, (run, version) in enumerate(zip((*runs, runs[0]), (1, 1, 2, 2), strict=True), start=2):
        Engagement.objects.create(mission_id=run.pk, seq=seq, agent="researcher", version=version)
    Engagement.objects.create(mission_id=runs[1].pk, seq=9, agent="helper", version=4)
    client = client_of(olivia)
    rows = client.get("/api/v1/agents/researcher/missions").json()["results"]
    assert [(row["mission"]["title"], row["version"]) for row in rows] == [("Run 2", 2), ("Run 1", 1), ("Run 0", 2)]
    page = client.get("/api/v1/agents/researcher/missions?version=2&limit=1").json()
    assert [row["mission"]["title"] for row in page["results"]] == ["Run 2"]
    rest = client.get(f"/api/v1/agents/researcher/missions?version=2&cursor={page['next']}").json()
    assert [row["mission"]["title"] for row in rest["results"]] == ["Run 0"] and rest["next"] is None
    assert client_of(ada).get("/api/v1/agents/researcher/missions").json()["results"] == []
    found = client.get("/api/v1/missions?agent=helper").json()["results"]
    assert [row["title"] for row in found] == ["Run 1"]
    told = client.get(f"/api/v1/missions/{runs[1].uid}").json()
    assert (told["agent"]["name"], told["agent"]["version"]) == ("researcher", 1)
    assert [(one["name"], one["version"]) for one in told["agents"]] == [("researcher", 1), ("helper", 4)]
    assert client.get(f"/api/v1/missions/{parcels.mission().uid}").json()["agent"] is None


def test_what_an_agent_spent_is_listed_day_by_day(ada: User, outsider: User) -> None:
    made()
    today = database_now().date()
    for days, cost in ((0, "0.000100"), (29, "1200"), (30, "3")):
        told = {"turns": 2, "unpriced": 1, "tokens_in": 10, "cost": cost, "currency": "GBP", "member": "local/small"}
        Spend.objects.create(agent="researcher", day=today - dt.timedelta(days=days), version=1, **told)
    Spend.objects.create(agent="helper", day=today, version=1)
    client, path = client_of(ada), "/api/v1/agents/researcher/spend"
    told = client.get(path).json()
    assert told["next"] is None and [row["cost"] for row in told["results"]] == ["0.0001", "1200"]
    assert told["results"][0] == {
        "day": str(today), "version": 1, "member": "local/small", "turns": 2, "failed": 0, "unpriced": 1,
        "tokens_in": 10, "tokens_out": 0, "cost": "0.0001", "currency": "GBP",
    }  # fmt: skip
    assert [len(client.get(f"{path}?days={days}").json()["results"]) for days in (1, 31, 10**9)] == [1, 3, 3]
    problem_of(client.get(f"{path}?days=0"), 400, "bad_parameter")
    problem_of(client.get("/api/v1/agents/nobody/spend"), 404, "unknown_agent")
    problem_of(client_of(outsider).get(path), 404, "unknown_agent")
    scopes = {"agents:read": 200, "missions:read": 403}
    for scope, status in scopes.items():
        assert client_of(token=tokens.issue(ada, scopes=(scope,))[1]).get(path).status_code == status


def test_a_mission_is_started_with_an_agent_where_its_type_takes_one(olivia: User, monkeypatch: Any) -> None:
    async def run(m: Context, request: dict[str, Any]) -> None:
        """Takes an agent."""

    registry.register(HIRED, 1, "Hired", run)
    schema = {"type": "object", "properties": {"agent": {"type": "string"}}}
    monkeypatch.setattr(registry.MissionType, "input_schema", schema)
    made()
    client, body = client_of(olivia), {"type": HIRED, "input": {"goal": "Find it."}}
    started = post(client, "/missions", {**body, "agent": "researcher"})
    assert started.status_code == 201, started.content
    assert started.json()["input"] == {"goal": "Find it.", "agent": "researcher"}
    other = {**body, "agent": "researcher", "input": {"agent": "helper"}}
    problem_of(post(client, "/missions", other), 422, "invalid_input")
    problem_of(post(client, "/missions", {**body, "agent": "nobody"}), 422, "unknown_agent")
    made("idle", in_force=False)
    problem_of(post(client, "/missions", {**body, "agent": "idle"}), 422, "agent_inactive")
    monkeypatch.undo()
    refused = problem_of(
        post(client, "/missions", {"type": parcels.TYPE, "input": parcels.INPUT, "agent": "researcher"}), 422,
        "invalid_input",
    )
    assert "take no agent" in refused["errors"][0]["message"] and Agent.objects.count() == 2
