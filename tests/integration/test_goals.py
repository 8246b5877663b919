"""Amending a mission's goal: ruled on, written once, told to the mission, and what was asked before counts no more."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from approvals import votes
from approvals.models import Decision, DecisionState
from approvals.policies import document, versions
from missions.agents import engagements, goals
from missions.authoring import ChangesRequested, Context
from missions.control import amending, forks
from missions.engine import controls, history, mailbox
from missions.errors import ControlRefused
from missions.models import Effect, Engagement, Goal, Kind, Mission, Signal, State
from missions.testing.clock import Clock
from tests import corners, live_worker, parcels
from tests.corners import begin, define

pytestmark = pytest.mark.django_db(transaction=True)
SUPERVISORS = [{"group": "supervisors", "quorum": 1}]


def govern(*, goal: str = "allow") -> None:
    """Payments are asked about; amendments are ruled on as said."""
    tiers = {"tiers": SUPERVISORS} if goal == "escalate" else {}
    rules: list[dict[str, Any]] = [
        {"name": "pay", "scope": {"tool": "corner.*"}, "effect": "escalate", "tiers": SUPERVISORS, "reason": "A test."},
    ]
    if goal:
        rules.append({"name": "goal", "scope": {"tool": "mission.goal"}, "effect": goal, "reason": "A test.", **tiers})
    versions.load(document.check({"name": "corner", "mode": "enforce", "rules": rules}), activate=True, via="test")


async def pays(m: Context, request: dict[str, Any]) -> Any:
    """Asks to pay; where changes are requested it asks for something else once."""
    try:
        return {"paid": await m.tool("corner.keyed", amount=1)}
    except ChangesRequested as asked:
        await m.observe(asked.comment)
        return {"paid": await m.tool("corner.keyed", amount=2)}


async def stands(m: Context, request: dict[str, Any]) -> Any:
    await m.wait_for_signal("go")


def amended(mission: Mission, goal: str = "Pay half.", by: User | None = None, **more: Any) -> int:
    who = by.get_username() if by else "olivia"
    facts = {"goal": goal, "by_id": by.pk if by else None, **more}
    return controls.request(mission.pk, "amend", reason="Too much.", by=who, **facts)


def done(mission: Mission) -> Mission:
    """The mission once it has taken all controls."""
    return live_worker.wait_until(mission, lambda one: one.control_done == one.control_seq and one.owner is None)


def open_decision(mission: Mission) -> Decision:
    return Decision.objects.get(mission_id=mission.pk, state=DecisionState.OPEN)


def asked(mission: Mission) -> Decision:
    """The decision that it waits for."""
    live_worker.wait_until(mission, lambda one: one.waits_for.startswith("decision:") and one.owner is None)
    return open_decision(mission)


def told(mission: Mission) -> str:
    return " ".join(str(one.payload.get("text", "")) for one in history.entries(mission.pk) if one.kind == "observed")


def test_an_amendment_supersedes_the_open_decision_and_the_mission_goes_on_otherwise(sam: User) -> None:
    govern()
    mission = begin(define("corner-amended", pays), goal="Pay all.")
    with live_worker.worker():
        old = asked(mission)
        amended(mission)
        live_worker.wait_until(mission, lambda one: Decision.objects.filter(mission_id=one.pk).count() == 2)
        new = asked(mission)
        old.refresh_from_db()
        assert (old.state, old.resolution["verdict"]) == ("superseded", "changes_requested")
        assert new.action["args"] == {"amount": 2}
        votes.cast(new.pk, sam, "approve", new.digest, channel="api")
        live_worker.ended(mission)
    assert [(one.version, one.text, one.by, one.reason) for one in goals.current(mission.pk)] == [
        (2, "Pay half.", "olivia", "Too much.")
    ]
    assert goals.original(mission) == "Pay all."
    assert "The goal was amended: Pay half." in told(mission)
    assert len(corners.bank.calls) >= 1
    assert Effect.objects.filter(mission_id=mission.pk, tool="mission.goal", state="done").count() == 1


@pytest.mark.parametrize("rule", ["", "deny"])
def test_without_a_rule_that_allows_it_nothing_changes_and_people_are_told_what_to_do(rule: str) -> None:
    govern(goal=rule)
    mission = begin(define("corner-denied", pays))
    with live_worker.worker():
        old = asked(mission)
        amended(mission)
        done(mission)
        assert asked(mission) == old
    assert goals.current(mission.pk) == []
    assert "was not carried out" in told(mission) and "the tool mission.goal" in told(mission)


def test_people_decide_where_policy_escalates_and_the_asker_has_no_vote(sam: User, olivia: User) -> None:
    govern(goal="escalate")
    olivia.groups.add(Group.objects.get_or_create(name="supervisors")[0])
    mission = begin(define("corner-escalated", stands), goal="Pay all.")
    with live_worker.worker():
        live_worker.wait_until(mission, lambda one: one.waits_for == "signal:go")
        amended(mission, by=olivia)
        decision = asked(mission)
        assert "Amend the goal" in decision.sentence and decision.requested_by == olivia
        with pytest.raises(Exception, match="asked"):
            votes.cast(decision.pk, olivia, "approve", decision.digest, channel="api")
        votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
        done(mission)
        live_worker.wait_until(mission, lambda one: one.waits_for == "signal:go")
        assert [one.text for one in goals.current(mission.pk)] == ["Pay half."]
        amended(mission, "Pay nothing.", by=olivia)
        decision = asked(mission)
        votes.cast(decision.pk, sam, "reject", decision.digest, channel="api", comment="No.")
        done(mission)
    assert [one.text for one in goals.current(mission.pk)] == ["Pay half."]


def test_a_paused_mission_stays_paused_and_one_that_has_ended_refuses() -> None:
    govern()
    mission = begin(define("corner-paused", stands))
    with live_worker.worker():
        live_worker.wait_until(mission, lambda one: one.waits_for == "signal:go")
        controls.request(mission.pk, "pause", by="olivia")
        live_worker.wait_until(mission, lambda one: one.state == State.PAUSED)
        amended(mission)
        amended(mission, "Pay a third.")
        done(mission)
        assert mission.state == State.PAUSED
        controls.request(mission.pk, "resume", by="olivia")
        live_worker.wait_until(mission, lambda one: one.waits_for == "signal:go")
        mailbox.deliver(mission.pk, "go", {})
        live_worker.ended(mission)
        assert [one.version for one in goals.current(mission.pk)] == [2, 3]
        with pytest.raises(ControlRefused):
            amended(mission)


def test_a_mission_can_not_amend_its_own_goal() -> None:
    govern()

    async def body(m: Context, request: dict[str, Any]) -> Any:
        return await m.tool("mission.goal", goal="Pay me.", reason="x", by="sam", control=1)

    mission = begin(define("corner-selfish", body))
    with live_worker.worker():
        live_worker.ended(mission)
    assert mission.state == State.FAILED and not Goal.objects.exists()


def test_a_call_that_comes_twice_writes_one_version() -> None:
    govern()
    mission = begin(define("corner-twice", stands))
    Signal.objects.create(mission_id=mission.pk, seq=7, name="control", payload=b'{"verb":"amend"}', sender="sam")
    wanted = goals.Wanted(control=7, text="Pay half.", reason="", by="sam")
    first, again = (goals.amend(str(mission.uid), wanted) for _ in range(2))
    assert first == again and Goal.objects.count() == 1 and first.version == 2


def test_a_question_that_was_asked_and_not_opened_is_answered_too() -> None:
    mission = parcels.mission()
    payload = {"decision": "0190a0a0-0000-7000-8000-000000000001", "kind": "action", "digest": "d"}
    parcels.append(mission, Kind.ASKED, payload, path="tool:x#1")
    parcels.append(mission, Kind.ASKED, {**payload, "kind": "question"}, path="ask#1")
    (found,) = amending.open_actions(mission.pk)
    for _ in range(2):
        amending._answer(mission.pk, found, "The goal was amended.")
    mail = Signal.objects.get(mission_id=mission.pk)
    assert mail.name == f"decision:{payload['decision']}" and b"changes_requested" in bytes(mail.payload)


def test_a_fork_has_the_goal_and_the_agents_of_its_point(clock: Clock) -> None:
    mission = parcels.mission(title="Send it")
    parcels.append(mission, Kind.AGENT, {"agent": "clerk", "version": 3})
    Engagement.objects.create(mission_id=mission.pk, seq=2, agent="clerk", version=3)
    Goal.objects.create(mission_id=mission.pk, version=2, text="Send half.", by="sam", key="a")
    clock.advance(60)
    last = parcels.append(mission, Kind.OBSERVED, {"text": "Half is sent."})
    clock.advance(60)
    Goal.objects.create(mission_id=mission.pk, version=3, text="Send nothing.", by="sam", key="b")
    made = forks.fork(mission, last.seq)
    assert [(one.version, one.text) for one in goals.current(made.pk)] == [(2, "Send half.")]
    (row,) = engagements.of_mission(made.pk)
    assert (row.agent, row.version, row.seq) == ("clerk", 3, 2)
