"""An agent's versions: what is in force, what is never changed, and which mission works under which one."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from missions.agents import engagements, goals, identities
from missions.authoring import Context
from missions.engine import codec
from missions.engine.writes import Draft
from missions.errors import AgentInactive, UnknownAgent
from missions.models import Activation, Agent, AgentVersion, Engagement, Entry, Goal, Kind
from tests import live_worker
from tests.corners import begin, define

pytestmark = pytest.mark.django_db(transaction=True)


def made(name: str = "researcher", *, in_force: bool = True) -> AgentVersion:
    agent = Agent.objects.create(name=name)
    said: dict[str, Any] = {
        "title": "Researcher", "instructions": "Read.", "llm": ["local/small"], "tools": ["orders.*"],
        "data_classes": ["internal"], "budget": {"turns": 5}, "memory_scope": "mission", "egress": ["example.org:443"],
        "isolation": "",
    }
    version = agent.versions.create(number=1, digest=identities.digest_of(said), **said)
    if in_force:
        Agent.objects.filter(pk=agent.pk).update(active=version)
    return version


def test_what_is_in_force_is_read_as_plain_data() -> None:
    version = made()
    found = identities.active("researcher")
    assert found == identities.version_of("researcher", 1)
    assert (found.agent, found.version, found.llm, found.tools) == ("researcher", 1, ("local/small",), ("orders.*",))
    assert found.budget == {"turns": 5} and found.egress == ("example.org:443",) and found.digest == version.digest
    codec.dump(found.as_json())


def test_an_agent_that_is_not_there_or_not_in_force_is_named() -> None:
    made("idle", in_force=False)
    with pytest.raises(UnknownAgent, match="nobody"):
        identities.active("nobody")
    with pytest.raises(AgentInactive, match="idle has no version in force"):
        identities.active("idle")
    with pytest.raises(UnknownAgent, match="no version 7"):
        identities.version_of("idle", 7)
    assert identities.version_of("idle", 1).title == "Researcher"


@pytest.mark.parametrize("model", [AgentVersion, Activation, Engagement, Goal])
def test_history_is_neither_changed_nor_deleted(model: type[Any]) -> None:
    version = made()
    Activation.objects.create(agent=version.agent, what="activated", version=version)
    Engagement.objects.create(mission_id=1, seq=2, agent="researcher", version=1)
    Goal.objects.create(mission_id=1, version=2, text="Less.", by="sam", key="k")
    with pytest.raises(IntegrityError, match="append-only: delete refused"), transaction.atomic():
        model.objects.all()._raw_delete("default")
    column = {"AgentVersion": {"note": "x"}, "Activation": {"why": "x"}, "Engagement": {"version": 9}}
    with pytest.raises(IntegrityError, match="append-only: update refused"), transaction.atomic():
        model.objects.update(**column.get(model.__name__, {"text": "More."}))


def test_a_mission_is_found_by_the_version_it_works_under() -> None:
    made()
    identity = identities.active("researcher")

    async def body(m: Context, request: dict[str, Any]) -> None:
        draft = Draft(kind=Kind.AGENT, path="agent#1", payload=codec.dump({"agent": "researcher"}))
        await m._run.append(draft, side=(engagements.engaged(identity),))

    mission = begin(define("corner-engaged", body))
    with live_worker.worker():
        live_worker.ended(mission)
    row = Engagement.objects.get(mission_id=mission.pk)
    assert (row.agent, row.version) == ("researcher", 1)
    assert row.seq == Entry.objects.get(mission_id=mission.pk, kind="agent").seq


def test_amendments_come_in_their_order() -> None:
    for version in (3, 2):
        Goal.objects.create(mission_id=5, version=version, text=f"v{version}", by="sam", key=f"k{version}")
    assert [one.text for one in goals.current(5)] == ["v2", "v3"]
    assert goals.current(6) == []
